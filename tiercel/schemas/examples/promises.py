"""Examples of answers and of changes of an answer."""

from typing import Any, Final

from tiercel.schemas.examples.orders import CUSTOMER, ORDER

PROMISE: Final[dict[str, Any]] = {
    "promise_id": "019caf3e-2a10-7c31-9f8e-0d5a3c1b2e4f",
    "order": ORDER,
    "revision": 1,
    "state": "promised",
    "customer": CUSTOMER,
    "customer_id": "c-17",
    "served_as": {
        "tier": "silver",
        "priority_rank": 2,
        "policy_version": 3,
        "basis": "assigned",
        "assignment_sequence": 5,
        "tier_at_order": "silver",
        "projection_stale": False,
    },
    "decision_id": "019caf3e-2a10-7c31-9f8e-0d5a3c1b2e50",
    "decided_at": "2026-03-02T10:15:00.123456Z",
    "ordered_at": "2026-03-02T10:15:00Z",
    "zone": "GB",
    "channel": "web",
    "ship_complete": False,
    "lines": [
        {
            "line": "1",
            "sku": "SKU-0001",
            "quantity": 12,
            "outcome": "partly_promised",
            "promised": 8,
            "backordered": 4,
            "shipped": 0,
            "requested_arrival": "2026-03-09",
            "schedule": [
                {
                    "quantity": 8,
                    "location": "DC-NORTH",
                    "service": "parcel",
                    "ship_date": "2026-03-05",
                    "arrival_date": "2026-03-06",
                    "cost_minor": 640,
                }
            ],
            "why": [
                {
                    "kind": "protection",
                    "reference": "gold-q1",
                    "allowed": 8,
                    "day": "2026-03-05",
                    "tier": "gold",
                    "would_help": "4 more units at DC-NORTH by 2026-03-05",
                }
            ],
        }
    ],
    "cost_minor": 640,
    "currency": "GBP",
}
_REFUSED: Final = {
    **PROMISE,
    "state": "refused",
    "customer_id": None,
    "served_as": {
        "tier": "bronze",
        "priority_rank": 3,
        "policy_version": 1,
        "basis": "unknown_customer",
        "tier_at_order": "bronze",
    },
    "lines": [
        {
            "line": "1",
            "sku": "NO-SUCH",
            "quantity": 1,
            "outcome": "unknown_item",
            "promised": 0,
            "backordered": 0,
            "why": [{"kind": "item", "reference": "NO-SUCH"}],
        }
    ],
    "cost_minor": 0,
}

_WITH_ALTERNATIVE: Final = {
    **PROMISE,
    "lines": [
        {
            **PROMISE["lines"][0],
            "backordered": 0,
            "why": [
                {
                    "kind": "backorders",
                    "reference": "none",
                    "allowed": 0,
                    "would_help": "a backorder policy that lets 4 units wait",
                    "needed": 4,
                }
            ],
            "alternatives": [{"sku": "SKU-0007", "quantity": 4, "arrival_date": "2026-03-06"}],
        }
    ],
}
_ROUTED: Final = {
    **PROMISE,
    "served_as": {**PROMISE["served_as"], "micro_segment": "drinks-by-web"},
    "lines": [
        {
            **PROMISE["lines"][0],
            "schedule": [
                {
                    **PROMISE["lines"][0]["schedule"][0],
                    "routing": {
                        "carrier_class": "express",
                        "ship_by": "2026-03-05T16:30:00Z",
                        "pick_priority": 1,
                        "packaging": "gift-box",
                        "handling": ["fragile"],
                    },
                }
            ],
        }
    ],
}
_HELD: Final = {
    **PROMISE,
    "state": "awaiting_release",
    "lines": [
        {
            "line": "1",
            "sku": "SKU-0001",
            "quantity": 12,
            "outcome": "held_for_release",
            "promised": 0,
            "backordered": 0,
            "why": [
                {
                    "kind": "validation",
                    "reference": "order_quantity_max",
                    "allowed": 10,
                    "tier": "silver",
                    "would_help": "the order smaller by 2 in quantity",
                    "needed": 2,
                }
            ],
        }
    ],
    "cost_minor": 0,
}
_CONFIRMED: Final = {"old": PROMISE, "new": {**PROMISE, "revision": 2, "state": "confirmed"}, "cause": "confirmed"}
_RELEASED: Final = {"old": _HELD, "new": {**PROMISE, "revision": 2}, "cause": "validation_released"}
_KEPT: Final = {**PROMISE, "state": "held", "held_until": "2026-03-02T10:30:00.123456Z"}
_GIVEN_BACK: Final = {
    **_KEPT,
    "revision": 2,
    "state": "expired",
    "lines": [
        {**PROMISE["lines"][0], "outcome": "cancelled", "promised": 0, "backordered": 0, "schedule": [], "why": []}
    ],
    "cost_minor": 0,
}
_EXPIRED: Final = {"old": _KEPT, "new": _GIVEN_BACK, "cause": "expired"}

VALID: Final[dict[str, dict[str, Any]]] = {
    "promise.answered.v1": {"partly_promised": {"promise": PROMISE}, "refused": {"promise": _REFUSED}},
    "promise.answered.v2": {
        "routed": {"promise": _ROUTED},
        "partly_promised": {"promise": PROMISE},
        "refused": {"promise": _REFUSED},
        "awaiting_release": {"promise": _HELD},
        "with_alternative": {"promise": _WITH_ALTERNATIVE},
        "hold": {"promise": _KEPT},
    },
    "promise.changed.v1": {"confirmed": _CONFIRMED},
    "promise.changed.v2": {"confirmed": _CONFIRMED, "validation_released": _RELEASED, "expired": _EXPIRED},
}

_ANSWERED_BROKEN: Final[dict[str, tuple[str, Any]]] = {
    "outcome_unknown": ("promise.lines.0.outcome", "perhaps"),
    "promised_negative": ("promise.lines.0.promised", -1),
}
BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "promise.answered.v1": _ANSWERED_BROKEN,
    "promise.answered.v2": _ANSWERED_BROKEN,
    "promise.changed.v1": {"cause_unknown": ("cause", "mood")},
    "promise.changed.v2": {"cause_unknown": ("cause", "mood")},
}
