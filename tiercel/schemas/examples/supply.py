"""Examples of what a WMS or an ERP says about stock, items and fulfilment."""

from typing import Any, Final

from tiercel.schemas.examples.orders import ORDER

_AT: Final = {"sku": "SKU-0001", "location": "DC-NORTH"}

VALID: Final[dict[str, dict[str, Any]]] = {
    "supply.movement.v1": {
        "receipt": {
            "source": "wms",
            "reference": "GR-5001",
            **_AT,
            "kind": "receipt",
            "quantity": 480,
            "occurred_at": "2026-03-02T06:30:00Z",
            "sequence": 118,
            "receipt_reference": "PO-771-1",
        },
        "adjustment": {
            "source": "wms",
            "reference": "ADJ-90",
            **_AT,
            "kind": "adjustment",
            "quantity": -2,
            "occurred_at": "2026-03-02T07:00:00Z",
        },
    },
    "supply.snapshot.v1": {
        "with_cursor": {
            "source": "wms",
            "reference": "COUNT-2026-03-02",
            **_AT,
            "on_hand": 512,
            "as_of": "2026-03-02T20:00:00Z",
            "cursor": 118,
        },
        "without_cursor": {
            "source": "wms",
            "reference": "COUNT-2026-03-03",
            **_AT,
            "on_hand": 0,
            "as_of": "2026-03-03T20:00:00Z",
        },
    },
    "supply.movement.v2": {
        "receipt_for_inspection": {
            "source": "wms",
            "reference": "GR-5002",
            **_AT,
            "kind": "receipt",
            "quantity": 40,
            "occurred_at": "2026-03-02T06:35:00Z",
            "sequence": 119,
            "receipt_reference": "PO-771-1",
            "status": "quality",
        },
        "inspected": {
            "source": "wms",
            "reference": "QC-17",
            **_AT,
            "kind": "status_change",
            "quantity": 38,
            "occurred_at": "2026-03-02T11:00:00Z",
            "sequence": 120,
            "status": "quality",
            "to_status": "available",
        },
        "transfer_shipped": {
            "source": "wms",
            "reference": "TO-9-OUT",
            **_AT,
            "kind": "transfer_shipped",
            "quantity": -24,
            "occurred_at": "2026-03-03T15:00:00Z",
            "transfer_reference": "TO-9",
            "transfer_source": "erp",
        },
    },
    "supply.snapshot.v2": {
        "with_statuses": {
            "source": "wms",
            "reference": "COUNT-2026-03-04",
            **_AT,
            "on_hand": 512,
            "as_of": "2026-03-04T20:00:00Z",
            "cursor": 120,
            "statuses": {"quality": 2, "damaged": 1},
        },
        "available_only": {
            "source": "wms",
            "reference": "COUNT-2026-03-05",
            **_AT,
            "on_hand": 0,
            "as_of": "2026-03-05T20:00:00Z",
        },
    },
    "supply.transfer.v1": {
        "open": {
            "source": "erp",
            "reference": "TO-9",
            "sku": "SKU-0001",
            "from_location": "DC-NORTH",
            "to_location": "DC-SOUTH",
            "quantity": 24,
            "ship_date": "2026-03-03",
            "due": "2026-03-05",
        },
        "cancelled": {
            "source": "erp",
            "reference": "TO-9",
            "sku": "SKU-0001",
            "from_location": "DC-NORTH",
            "to_location": "DC-SOUTH",
            "quantity": 24,
            "ship_date": "2026-03-03",
            "due": "2026-03-05",
            "state": "cancelled",
            "version": 2,
        },
    },
    "supply.receipt.v1": {
        "announced": {
            "source": "erp",
            "reference": "PO-771-1",
            **_AT,
            "quantity": 480,
            "due": "2026-03-02",
            "certainty": "confirmed",
            "version": 1,
        },
        "withdrawn": {
            "source": "erp",
            "reference": "PO-772-1",
            **_AT,
            "quantity": 0,
            "due": "2026-03-09",
            "certainty": "planned",
            "version": 3,
        },
    },
    "supply.corrected.v1": {
        "corrected": {
            "source": "wms",
            "reference": "COUNT-2026-03-02",
            **_AT,
            "correction": -3,
            "on_hand": 509,
            "corrected_at": "2026-03-02T20:00:05Z",
        }
    },
    "catalog.item.v1": {
        "full": {
            "sku": "SKU-0001",
            "version": 4,
            "active": True,
            "planned_receipts_count": False,
            "checking_horizon_days": 90,
            "past_due_supply_days": 7,
        },
        "minimal": {"sku": "SKU-0002"},
    },
    "catalog.item.v2": {
        "full": {
            "sku": "SKU-0001",
            "version": 5,
            "active": True,
            "planned_receipts_count": False,
            "checking_horizon_days": 90,
            "past_due_supply_days": 7,
            "base_unit": "each",
            "units": [{"unit": "case", "quantity": 12}, {"unit": "pallet", "quantity": 960}],
            "pack_size": 12,
            "weight_grams": 340,
            "groups": ["tea", "loose-leaf"],
            "criticality": "essential",
            "substitutes": ["SKU-0007"],
            "backorders": {"policy": "limited", "limit": 480},
        },
        "minimal": {"sku": "SKU-0002"},
        "discontinued": {"sku": "SKU-0003", "version": 2, "backorders": {"policy": "discontinued"}},
    },
    "fulfilment.shipped.v1": {
        "shipped": {
            "source": "wms",
            "reference": "SHIP-3301",
            "order": ORDER,
            "line": "1",
            **_AT,
            "quantity": 8,
            "occurred_at": "2026-03-04T16:20:00Z",
            "sequence": 119,
            "carrier": "parcel",
            "actual_cost_minor": 595,
        }
    },
    "fulfilment.short_picked.v1": {
        "two_missing": {
            "source": "wms",
            "reference": "PICK-77-1",
            "order": ORDER,
            "line": "1",
            **_AT,
            "quantity": 2,
            "occurred_at": "2026-03-04T15:40:00Z",
            "sequence": 121,
        }
    },
    "fulfilment.returned.v1": {
        "into_inspection": {
            "source": "wms",
            "reference": "RMA-12",
            "order": ORDER,
            "line": "1",
            **_AT,
            "quantity": 1,
            "occurred_at": "2026-03-12T09:10:00Z",
        },
        "damaged": {
            "source": "wms",
            "reference": "RMA-13",
            "order": ORDER,
            "line": "1",
            **_AT,
            "quantity": 1,
            "occurred_at": "2026-03-12T09:12:00Z",
            "status": "damaged",
        },
    },
    "fulfilment.delivered.v1": {
        "delivered": {
            "source": "tms",
            "reference": "POD-8800",
            "order": ORDER,
            "line": "1",
            "quantity": 8,
            "occurred_at": "2026-03-06T11:05:00Z",
        }
    },
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "supply.movement.v1": {"kind_unknown": ("kind", "theft"), "quantity_decimal": ("quantity", 0.5)},
    "supply.snapshot.v1": {"on_hand_negative": ("on_hand", -1), "cursor_negative": ("cursor", -1)},
    "supply.movement.v2": {
        "kind_unknown": ("kind", "theft"),
        "status_unknown": ("status", "lost"),
    },
    "supply.snapshot.v2": {
        "on_hand_negative": ("on_hand", -1),
        "status_negative": ("statuses.quality", -1),
    },
    "supply.transfer.v1": {"quantity_zero": ("quantity", 0), "state_unknown": ("state", "lost")},
    "supply.receipt.v1": {
        "due_not_a_day": ("due", "2026-02-30"),
        "due_in_another_notation": ("due", "02.03.2026"),
        "certainty_unknown": ("certainty", "hoped for"),
    },
    "supply.corrected.v1": {"correction_decimal": ("correction", -0.5)},
    "catalog.item.v1": {"version_as_text": ("version", "4"), "sku_blank": ("sku", " ")},
    "catalog.item.v2": {
        "pack_zero": ("pack_size", 0),
        "unit_of_a_half": ("units.0.quantity", 0.5),
        "policy_unknown": ("backorders.policy", "sometimes"),
        "criticality_unknown": ("criticality", "rather"),
    },
    "fulfilment.short_picked.v1": {"quantity_zero": ("quantity", 0)},
    "fulfilment.returned.v1": {"status_unknown": ("status", "lost")},
    "fulfilment.shipped.v1": {"quantity_zero": ("quantity", 0)},
    "fulfilment.delivered.v1": {"order_without_source": ("order", {"order_id": "SO-10042"})},
}
