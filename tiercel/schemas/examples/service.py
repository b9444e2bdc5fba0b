"""Examples of what things cost, what was done for an order, and how a tier was served."""

from typing import Any, Final

from tiercel.schemas.examples.orders import ORDER

VALID: Final[dict[str, dict[str, Any]]] = {
    "catalog.landed_cost.v1": {
        "from_a_day_on": {"sku": "SKU-0001", "effective_from": "2026-01-01", "cost_minor": "4.25", "version": 2},
        "withdrawn": {"sku": "SKU-0001", "effective_from": "2026-01-01", "cost_minor": None, "version": 3},
    },
    "catalog.activity_rate.v1": {
        "pick": {"activity": "pick", "effective_from": "2026-01-01", "rate_minor": "38.5", "version": 1}
    },
    "order.costed.v1": {
        "shipped": {
            "order": ORDER,
            "sequence": 3,
            "customer_id": "0198c7d2-5b1e-7000-8000-000000000001",
            "customer": {"system": "shop", "id": "C-1001"},
            "currency": "GBP",
            "costed_at": "2026-03-05T18:00:00Z",
            "days": [
                {"day": "2026-03-03", "cost_to_serve_minor": "57.5", "goods_minor": "0"},
                {"day": "2026-03-04", "cost_to_serve_minor": "645", "goods_minor": "4250.25", "missing": 1},
            ],
        }
    },
    "fulfilment.activity.v1": {
        "pallets": {
            "source": "wms",
            "reference": "PAL-88",
            "order": ORDER,
            "activity": "pallet",
            "quantity": 2,
            "occurred_at": "2026-03-04T16:00:00Z",
        },
        "contact_with_its_cost": {
            "source": "crm",
            "reference": "CALL-1207",
            "order": ORDER,
            "activity": "contact",
            "occurred_at": "2026-03-05T09:12:00Z",
            "actual_cost_minor": 780,
        },
    },
    "fulfilment.discrepancy.v1": {
        "damaged": {
            "source": "crm",
            "reference": "CLAIM-51",
            "order": ORDER,
            "line": "1",
            "kind": "damaged",
            "quantity": 2,
            "occurred_at": "2026-03-07T10:00:00Z",
        }
    },
    "service.breached.v1": {
        "opened": {
            "tier": "gold",
            "sequence": 4,
            "month": "2026-03",
            "measure": "on_time_in_full",
            "state": "opened",
            "target_bp": 9_800,
            "actual_bp": 9_641,
            "achieved": 806,
            "total": 836,
            "cause": "late_supply",
            "causes": [{"cause": "late_supply", "missed": 21}, {"cause": "execution", "missed": 9}],
            "policy_version": 3,
            "determined_at": "2026-03-20T04:00:00Z",
        },
        "recovered": {
            "tier": "gold",
            "sequence": 5,
            "month": "2026-03",
            "measure": "fill_rate",
            "state": "recovered",
            "target_bp": 9_800,
            "actual_bp": 9_812,
            "achieved": 41_210,
            "total": 42_000,
            "cause": None,
            "causes": [],
            "policy_version": 3,
            "determined_at": "2026-03-28T04:00:00Z",
        },
    },
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "catalog.landed_cost.v1": {"cost_negative": ("cost_minor", "-1"), "day_as_number": ("effective_from", 20260101)},
    "catalog.activity_rate.v1": {"activity_unknown": ("activity", "coffee")},
    "fulfilment.activity.v1": {"quantity_zero": ("quantity", 0)},
    "fulfilment.discrepancy.v1": {"kind_unknown": ("kind", "ugly")},
    "order.costed.v1": {
        "cost_below_zero": ("days", [{"day": "2026-03-03", "cost_to_serve_minor": "-1", "goods_minor": "0"}])
    },
    "service.breached.v1": {"month_without_year": ("month", "03"), "target_above_all": ("target_bp", 10_001)},
}
