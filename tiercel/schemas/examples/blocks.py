"""Examples of blocks of customers."""

from typing import Any, Final

VALID: Final[dict[str, dict[str, Any]]] = {
    "catalog.customer_block.v1": {
        "credit_hold": {
            "customer": {"system": "erp", "id": "4711"},
            "kind": "credit",
            "version": 12,
            "effect": "hold",
            "effective_to": "2026-04-01T00:00:00Z",
            "reason": "invoices overdue by more than 60 days",
        },
        "lifted": {
            "customer": {"system": "erp", "id": "4711"},
            "kind": "credit",
            "version": 13,
            "effect": "none",
            "reason": "paid",
        },
    }
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "catalog.customer_block.v1": {"without_reason": ("reason", ""), "effect_unknown": ("effect", "frown")}
}
