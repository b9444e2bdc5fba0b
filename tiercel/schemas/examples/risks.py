"""Examples of promises that supply no longer covers."""

from typing import Any, Final

from tiercel.schemas.examples.orders import ORDER

_SHORT: Final[dict[str, Any]] = {
    "order": ORDER,
    "promise_id": "019caf3e-2a10-7c31-9f8e-0d5a3c1b2e4f",
    "customer_id": "c-17",
    "line": "1",
    "part": 1,
    "sku": "SKU-0001",
    "location": "DC-NORTH",
    "tier": "silver",
    "promised": 8,
    "quantity": 3,
    "available_on": "2026-03-05",
    "arrival_date": "2026-03-06",
    "covered_on": "2026-03-09",
    "cause": "supply_cut",
    "detected_at": "2026-03-03T20:00:05Z",
}

VALID: Final[dict[str, dict[str, Any]]] = {
    "promise.at_risk.v1": {
        "short": _SHORT,
        "no_date_known": {**_SHORT, "customer_id": None, "covered_on": None, "cause": "receipt_late"},
        "by_cut_over": {**_SHORT, "cause": "cut_over"},
        "covered_again": {**_SHORT, "quantity": 0, "covered_on": "2026-03-05"},
    },
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "promise.at_risk.v1": {"cause_unknown": ("cause", "mood"), "quantity_negative": ("quantity", -1)},
}
