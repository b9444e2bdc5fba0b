"""Examples of what is said of the network on `catalog.v1`."""

from typing import Any, Final

VALID: Final[dict[str, dict[str, Any]]] = {
    "catalog.location.v1": {
        "full": {
            "location": "DC-NORTH",
            "kind": "distribution_center",
            "time_zone": "Europe/London",
            "calendar": "UK-WORKING-DAYS",
            "processing_days": 1,
            "dock_to_stock_days": 1,
            "active": True,
            "version": 3,
        },
        "minimal": {"location": "DC-SOUTH"},
    },
    "catalog.lane.v1": {
        "full": {
            "zone": "GB-HIGHLANDS",
            "location": "DC-NORTH",
            "service": "parcel",
            "carrier_class": "standard",
            "rank": 1,
            "transit_days": 3,
            "cost_shipment_minor": 450,
            "cost_unit_minor": 5,
            "cost_kg_minor": 60,
            "active": True,
            "version": 2,
        }
    },
    "catalog.service.v1": {
        "full": {
            "service": "parcel",
            "pick_up_calendar": "UK-WORKING-DAYS",
            "cut_off": "15:00",
            "active": True,
            "version": 1,
        }
    },
    "catalog.calendar.v1": {
        "full": {
            "calendar": "UK-WORKING-DAYS",
            "weekdays": ["mon", "tue", "wed", "thu", "fri"],
            "closed": ["2026-12-25", "2026-12-28"],
            "opened": ["2026-12-19"],
            "holidays": {"country": "GB", "subdivision": "SCT"},
            "version": 7,
        },
        "minimal": {"calendar": "WEEKDAYS"},
    },
    "catalog.zone.v1": {
        "prefix": {"country": "GB", "postcode_prefix": "IV", "zone": "GB-HIGHLANDS", "active": True, "version": 1},
        "range": {"country": "DE", "postcode_from": "80331", "postcode_to": "81929", "zone": "DE-MUNICH"},
        "country": {"country": "GB", "zone": "GB"},
        "every_other_country": {"country": "*", "zone": "ABROAD"},
    },
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "catalog.location.v1": {"days_negative": ("processing_days", -1), "kind_unknown": ("kind", "ship")},
    "catalog.lane.v1": {"transit_decimal": ("transit_days", 1.5), "rank_zero": ("rank", 0)},
    "catalog.service.v1": {"cut_off_in_words": ("cut_off", "noon")},
    "catalog.calendar.v1": {"no_day_open": ("weekdays", []), "country_in_words": ("holidays.country", "Scotland")},
    "catalog.zone.v1": {"country_in_words": ("country", "Britain")},
}
