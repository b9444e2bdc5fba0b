"""Examples of routing rules on `catalog.v1`."""

from typing import Any, Final

_LOCATIONS: Final = [{"location": "DC-NORTH", "rank": 1}, {"location": "ST-LEEDS", "rank": 2}]

VALID: Final[dict[str, dict[str, Any]]] = {
    "catalog.sourcing_rules.v1": {
        "full": {
            "document": "UK",
            "version": 4,
            "author": "planning",
            "effective_from": "2026-12-01T00:00:00Z",
            "rules": [
                {
                    "rule": "gold-tea",
                    "tier": "gold",
                    "zone": "GB-HIGHLANDS",
                    "item_group": "tea",
                    "locations": _LOCATIONS,
                    "in_turn": True,
                },
                {"rule": "all", "locations": [{"location": "DC-NORTH"}]},
            ],
        },
        "withdrawn": {"document": "UK", "version": 5, "rules": []},
    },
    "catalog.fulfilment_modes.v1": {
        "full": {
            "document": "MODES",
            "version": 2,
            "rules": [
                {
                    "rule": "vital-gold",
                    "tier": "gold",
                    "criticality": "vital",
                    "attempts": [{"kinds": ["distribution_center"], "carrier_classes": ["express"]}, {}],
                },
                {
                    "rule": "desirable",
                    "zone": "GB",
                    "criticality": "desirable",
                    "attempts": [{"kinds": ["drop_ship"]}, {"kinds": ["distribution_center", "third_party"]}],
                },
            ],
        }
    },
    "catalog.substitutions.v1": {
        "full": {
            "document": "TEA",
            "version": 1,
            "rules": [
                {
                    "rule": "bags-for-tin",
                    "sku": "TEA-TIN",
                    "substitute": "TEA-BAG",
                    "tier": "gold",
                    "zone": "GB",
                    "quantity": 1,
                    "substitute_quantity": 80,
                }
            ],
        }
    },
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "catalog.sourcing_rules.v1": {
        "no_location": ("rules.0.locations", []),
        "rank_zero": ("rules.0.locations.0.rank", 0),
    },
    "catalog.fulfilment_modes.v1": {
        "kind_unknown": ("rules.0.attempts.0.kinds", ["drone"]),
        "nothing_tried": ("rules.0.attempts", []),
    },
    "catalog.substitutions.v1": {"ratio_zero": ("rules.0.quantity", 0)},
}
