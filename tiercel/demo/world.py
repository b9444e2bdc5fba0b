"""The little company that a replay runs: its tiers, its network and its rule for moving customers."""

from collections import Counter
from typing import Any, Final

from tiercel.demo.history import History
from tiercel.demo.stock_model import HOME, SECOND

SOURCE: Final = "shop"  # the order management system
WAREHOUSE: Final = "wms"  # the source of movements and shipments
PURCHASING: Final = "erp"  # the source of scheduled receipts
CUSTOMER_SYSTEM: Final = "shop"
LOWEST: Final = "bronze"

TIERS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    (
        "gold",
        {
            "name": "Gold",
            "priority_rank": 10,
            "policy": {
                "lead_time_days": 3,
                "carrier_classes": ["express", "standard"],
                "lateness_penalty_minor": 400,
                "backorder_penalty_minor": 4_000,
            },
        },
    ),
    (
        "silver",
        {
            "name": "Silver",
            "priority_rank": 20,
            "policy": {
                "lead_time_days": 5,
                "carrier_classes": ["express", "standard"],
                "lateness_penalty_minor": 100,
                "backorder_penalty_minor": 2_000,
            },
        },
    ),
    (
        "bronze",
        {
            "name": "Bronze",
            "priority_rank": 30,
            "is_default": True,
            "policy": {
                "lead_time_days": 7,
                "carrier_classes": ["standard"],
                "lateness_penalty_minor": 20,
                "backorder_penalty_minor": 1_000,
            },
        },
    ),
)

LOCATIONS: Final = (
    (HOME, {"time_zone": "Europe/London", "processing_days": 1}),
    (SECOND, {"time_zone": "Europe/London", "processing_days": 2}),
)


def lanes(history: History) -> list[dict[str, Any]]:
    """Lanes to the home zone (the commonest one) and to everywhere else, two carrier services each."""
    home = Counter(order.zone for order in history.orders).most_common(1)[0][0]
    found = []
    for zone, extra_days, extra_cost in ((home, 0, 0), ("*", 2, 600)):
        for rank, location in enumerate((HOME, SECOND), start=1):
            for service, days, shipment, unit in (("parcel", 3, 450, 4), ("next-day", 1, 950, 9)):
                found.append(
                    {
                        "zone": zone,
                        "location": location,
                        "service": service,
                        "carrier_class": "express" if service == "next-day" else "standard",
                        "rank": rank,
                        "transit_days": days + (extra_days if service == "parcel" else extra_days // 2),
                        "cost_shipment_minor": shipment + extra_cost,
                        "cost_unit_minor": unit,
                    }
                )
        if home == "*":
            break
    return found
