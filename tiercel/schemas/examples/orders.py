"""Examples of commands on orders and of the record of what became of them."""

from typing import Any, Final

ORDER: Final = {"source": "webshop", "order_id": "SO-10042", "version": 1}
CUSTOMER: Final = {"system": "webshop", "id": "C00017"}

_PLACED_V1: Final[dict[str, Any]] = {
    "full": {
        "order": ORDER,
        "customer": CUSTOMER,
        "lines": [
            {
                "line": "1",
                "sku": "SKU-0001",
                "quantity": 12,
                "unit_price": "4.95",
                "requested_arrival": "2026-03-09",
                "latest_acceptable_arrival": "2026-03-20",
                "minimum_quantity": 6,
            },
            {"line": "2", "sku": "SKU-0002", "quantity": 1},
        ],
        "ordered_at": "2026-03-02T10:15:00Z",
        "ship_to": {"zone": "GB"},
        "channel": "web",
        "requested_arrival": "2026-03-10",
        "latest_acceptable_arrival": "2026-03-31",
        "ship_complete": False,
    },
    "minimal": {
        "order": {"source": "webshop", "order_id": "SO-10043"},
        "customer": CUSTOMER,
        "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 1}],
    },
    "same_sku_twice": {
        "order": {"source": "webshop", "order_id": "SO-10044"},
        "customer": CUSTOMER,
        "lines": [
            {"line": "1", "sku": "SKU-0001", "quantity": 1},
            {"line": "2", "sku": "SKU-0001", "quantity": 2},
        ],
    },
}

_ACCEPTED: Final[dict[str, Any]] = {
    "order": ORDER,
    "change": "accepted",
    "sequence": 1,
    "customer_id": "c-17",
    "customer": CUSTOMER,
    "tier": "silver",
    "channel": "web",
    "zone": "GB",
    "ordered_at": "2026-03-02T10:15:00Z",
    "occurred_at": "2026-03-02T10:15:00.123456Z",
    "lines": [
        {"line": "1", "sku": "SKU-0001", "quantity": 12, "unit_price": "4.95", "promised_quantity": 8},
        {"line": "2", "sku": "SKU-0002", "quantity": 1, "promised_quantity": 1},
    ],
    "currency": "GBP",
    "cost_minor": 640,
}

_RECORDED_V1: Final[dict[str, Any]] = {
    "accepted": _ACCEPTED,
    "cancelled_of_unknown_customer": {
        "order": {**ORDER, "version": 2},
        "change": "cancelled",
        "sequence": 2,
        "customer_id": None,
        "customer": CUSTOMER,
        "tier": "bronze",
        "channel": "web",
        "zone": "GB",
        "ordered_at": "2026-03-02T10:15:00Z",
        "occurred_at": "2026-03-03T08:00:00Z",
        "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 0, "unit_price": "4.95"}],
        "currency": "GBP",
    },
}

VALID: Final[dict[str, dict[str, Any]]] = {
    "order.placed.v1": _PLACED_V1,
    "order.placed.v2": {
        **_PLACED_V1,
        "with_unit_and_postcode": {
            "order": {"source": "webshop", "order_id": "SO-10045"},
            "customer": CUSTOMER,
            "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 2, "unit": "case"}],
            "ship_to": {"country": "GB", "postcode": "EC1A 1BB"},
        },
        "hold": {
            "order": {"source": "webshop", "order_id": "CART-77"},
            "customer": CUSTOMER,
            "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 1}],
            "hold_seconds": 900,
        },
        "entered_by_somebody": {
            "order": {"source": "webshop", "order_id": "SO-10046"},
            "customer": CUSTOMER,
            "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 1}],
            "entered_by": "agent-7",
        },
    },
    "order.confirmed.v1": {"confirmed": {"order": ORDER}},
    "order.cancelled.v1": {
        "with_reason": {"order": {**ORDER, "version": 2}, "reason": "customer changed their mind"},
        "minimal": {"order": {**ORDER, "version": 2}},
    },
    "order.amended.v1": {
        "more_of_it": {
            "order": {**ORDER, "version": 2},
            "customer": CUSTOMER,
            "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 15}],
            "reason": "three more guests",
        },
        "planned_anew": {
            "order": {**ORDER, "version": 3},
            "customer": CUSTOMER,
            "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 15, "requested_arrival": "2026-03-20"}],
            "replan": True,
        },
    },
    "order.released.v1": {
        "two_of_it": {"order": {**ORDER, "version": 4}, "lines": [{"line": "1", "quantity": 2}]},
        "at_a_location": {
            "order": {**ORDER, "version": 5},
            "lines": [{"line": "1", "quantity": 1, "location": "DC-NORTH"}],
            "reason": "picked up elsewhere",
        },
    },
    "order.transferred.v1": {
        "to_another_location": {
            "order": {**ORDER, "version": 6},
            "line": "1",
            "quantity": 5,
            "from_location": "DC-NORTH",
            "to_location": "DC-SOUTH",
        },
        "to_another_order": {
            "order": {"source": "webshop", "order_id": "CART-77", "version": 2},
            "line": "1",
            "to_order": {"order_id": "SO-10042", "line": "2"},
        },
    },
    "order.revived.v1": {
        "as_a_hold": {"order": {"source": "webshop", "order_id": "CART-77", "version": 2}, "hold_seconds": 900},
        "as_a_promise": {"order": {"source": "webshop", "order_id": "CART-77", "version": 2}, "reason": "came back"},
    },
    "order.recorded.v1": _RECORDED_V1,
    "order.recorded.v2": {
        **_RECORDED_V1,
        "short_by_a_quota": {
            **_ACCEPTED,
            "lines": [{"line": "1", "sku": "SKU-0001", "quantity": 12, "promised_quantity": 8, "quota_reached": True}],
            "entered_by": "agent-7",
        },
        "expedited": {
            **_ACCEPTED,
            "change": "promise_changed",
            "sequence": 2,
            "act": {"kind": "expedited", "by": "planner-3"},
        },
    },
}

_PLACED_BROKEN_V1: Final[dict[str, tuple[str, Any]]] = {
    "quantity_zero": ("lines.0.quantity", 0),
    "quantity_negative": ("lines.0.quantity", -1),
    "quantity_decimal": ("lines.0.quantity", 1.5),
    "quantity_huge": ("lines.0.quantity", 1_000_000_000_001),
    "quantity_as_text": ("lines.0.quantity", "12"),
    "no_lines": ("lines", []),
    "date_as_number": ("requested_arrival", 20260310),
    "moment_without_offset": ("ordered_at", "2026-03-02T10:15:00"),
    "price_negative": ("lines.0.unit_price", -0.01),
    "price_in_words": ("lines.0.unit_price", "1e3"),
    "tier_spoofed": ("tier", "gold"),
    "id_too_long": ("order.order_id", "x" * 129),
    "id_with_line_break": ("customer.id", "C1\nadmin"),
    "version_zero": ("order.version", 0),
}

_RECORDED_BROKEN_V1: Final[dict[str, tuple[str, Any]]] = {
    "change_unknown": ("change", "lost"),
    "sequence_zero": ("sequence", 0),
    "line_negative": ("lines.0.quantity", -3),
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "order.placed.v1": _PLACED_BROKEN_V1,
    "order.placed.v2": {
        **_PLACED_BROKEN_V1,
        "country_in_words": ("ship_to", {"country": "Britain"}),
    },
    "order.confirmed.v1": {"order_id_empty": ("order.order_id", "")},
    "order.cancelled.v1": {"reason_with_nul": ("reason", "a\x00b")},
    "order.amended.v1": {"quantity_zero": ("lines.0.quantity", 0), "replan_in_words": ("replan", "yes please")},
    "order.released.v1": {"quantity_negative": ("lines.0.quantity", -2), "no_lines": ("lines", [])},
    "order.transferred.v1": {"quantity_zero": ("quantity", 0)},
    "order.revived.v1": {"hold_forever": ("hold_seconds", 10**9)},
    "order.recorded.v1": _RECORDED_BROKEN_V1,
    "order.recorded.v2": {**_RECORDED_BROKEN_V1, "act_of_nobody": ("act", {"kind": "expedited"})},
}
