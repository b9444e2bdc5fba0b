"""Examples of promises that gave something up, and of those that must be whole and are not."""

from typing import Any, Final

from tiercel.schemas.examples.orders import ORDER
from tiercel.schemas.examples.promises import PROMISE

_UNMET: Final[dict[str, Any]] = {
    "order": ORDER,
    "promise_id": "019caf3e-2a10-7c31-9f8e-0d5a3c1b2e4f",
    "customer_id": "c-17",
    "line": "1",
    "sku": "SKU-0001",
    "tier": "gold",
    "quantity": 10,
    "missing": 3,
    "late": 2,
    "requested_arrival": "2026-03-06",
    "why": [
        {"kind": "supply", "reference": "DC-NORTH", "allowed": 7, "day": "2026-03-05", "would_help": "", "needed": 3}
    ],
    "detected_at": "2026-03-03T20:00:05Z",
}
_PREEMPTED: Final[dict[str, Any]] = {
    "order": ORDER,
    "promise_id": "019caf3e-2a10-7c31-9f8e-0d5a3c1b2e4f",
    "customer_id": "c-17",
    "old": PROMISE,
    "new": PROMISE,
    "by": [{"promise_id": "019caf3e-2a10-7c31-9f8e-0d5a3c1b2e50", "tier": "gold", "quantity": 3}],
}

VALID: Final[dict[str, dict[str, Any]]] = {
    "promise.preempted.v1": {"by_one": _PREEMPTED},
    "promise.unmet.v1": {"short_and_late": _UNMET, "met": {**_UNMET, "missing": 0, "late": 0, "why": []}},
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "promise.preempted.v1": {"by_nobody": ("by", []), "unknown_field": ("mood", "bad")},
    "promise.unmet.v1": {"late_negative": ("late", -1), "tier_missing": ("tier", ...)},
}
