"""The kinds of files that `tiercel import` takes: what a row is, where it goes, and how its cells are read.

Columns are named as the fields of the published language. A list is written with semicolons (`mon;tue`), the units of
an item as `case=12;pallet=960`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.contracts.costs import ActivityRate, ActivityReported, LandedCost
from services.contracts.cut_over import OpenOrder
from services.contracts.items import CatalogItem
from services.contracts.network import CatalogCalendar, CatalogLane, CatalogLocation, CatalogService, CatalogZone
from services.contracts.payload import Payload
from services.contracts.routing import CatalogFulfilmentModes, CatalogSourcingRules, CatalogSubstitutions
from services.contracts.supply import Buffer, Discrepancy, ScheduledReceipt, SupplyMovement, SupplySnapshot

NUMBER_CHARS_MAX: Final = 18
OPEN_ORDERS: Final = "open-orders"
WHOLE_NUMBERS: Final = frozenset(
    {
        "quantity",
        "on_hand",
        "buffer",
        "cursor",
        "sequence",
        "version",
        "checking_horizon_days",
        "past_due_supply_days",
        "pack_size",
        "weight_grams",
        "backorder_limit",
        "rule_period_days",
        "rule_backward_periods",
        "rule_forward_periods",
        "rule_accumulation_periods",
        "processing_days",
        "dock_to_stock_days",
        "ready_minutes",
        "lead_time_days",
        "transit_days",
        "rank",
        "cost_shipment_minor",
        "cost_unit_minor",
        "cost_kg_minor",
        "actual_cost_minor",
        "ordered",
        "promised",
        "shipped",
        "minimum_quantity",
    }
)
YES_OR_NO: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
FLAGS: Final = frozenset({"active", "planned_receipts_count", "ship_complete", "confirmed"})
LISTS: Final = frozenset({"groups", "substitutes", "weekdays", "closed", "opened"})
ORDER: Final = {"order_source": "source", "order_id": "order_id"}
BACKORDERS: Final = {"backorder_policy": "policy", "backorder_until": "until", "backorder_limit": "limit"}
HOLIDAYS: Final = {"holiday_country": "country", "holiday_subdivision": "subdivision"}
RULES: Final = {
    "promising_rule": "kind",
    "rule_period_days": "period_days",
    "rule_backward_periods": "backward_periods",
    "rule_forward_periods": "forward_periods",
    "rule_accumulation_periods": "accumulation_periods",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A kind of file: what a row is, where it goes, the names in it that must be known, what tells rows apart.

    Two rows with one `key` have to say the same. `required` columns are given where
    rows are not of the model's own shape.
    """

    model: type[Payload]
    method: str
    path: str
    names: tuple[str, ...]
    key: tuple[str, ...]
    example: Mapping[str, str]
    required: tuple[str, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """The columns that a file may have."""
        return frozenset(self.example) if self.required else frozenset({*self.example, *self.model.model_fields})

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that it must have."""
        fields = [name for name, field in self.model.model_fields.items() if field.is_required()]
        return self.required or tuple(name for one in fields for name in (ORDER if one == "order" else (one,)))


_AT: Final = {"sku": "TEA-1", "location": "DC-1"}
_OF_ORDER: Final = {"order_source": "shop", "order_id": "A-1"}
SHEETS: Final[Mapping[str, Sheet]] = {
    "items": Sheet(
        CatalogItem,
        "POST",
        "/v1/items",
        (),
        ("sku", "version"),
        {
            "sku": "TEA-1",
            "version": "1",
            "active": "yes",
            "base_unit": "each",
            "units": "case=12;pallet=960",
            "pack_size": "1",
            "weight_grams": "340",
            "groups": "tea",
            "criticality": "essential",
            "substitutes": "",
            "backorder_policy": "open",
            "backorder_until": "",
            "backorder_limit": "",
            "promising_rule": "cumulative",
            "rule_period_days": "",
            "rule_backward_periods": "",
            "rule_forward_periods": "",
            "rule_accumulation_periods": "",
            "checking_horizon_days": "",
            "past_due_supply_days": "7",
            "planned_receipts_count": "no",
        },
    ),
    "calendars": Sheet(
        CatalogCalendar,
        "PUT",
        "/v1/calendars",
        (),
        ("calendar", "version"),
        {
            "calendar": "WORKING-DAYS",
            "weekdays": "mon;tue;wed;thu;fri",
            "closed": "2026-12-25;2027-01-01",
            "opened": "",
            "holiday_country": "GB",
            "holiday_subdivision": "",
        },
    ),
    "locations": Sheet(
        CatalogLocation,
        "PUT",
        "/v1/locations/{location}",
        ("calendar",),
        ("location", "version"),
        {
            "location": "DC-1",
            "kind": "distribution_center",
            "time_zone": "Europe/London",
            "calendar": "WORKING-DAYS",
            "processing_days": "0",
            "dock_to_stock_days": "0",
            "closes_at": "",
            "ready_minutes": "",
            "lead_time_days": "",
            "active": "yes",
        },
    ),
    "services": Sheet(
        CatalogService,
        "PUT",
        "/v1/services",
        ("pick_up_calendar",),
        ("service", "version"),
        {
            "service": "parcel",
            "pick_up_calendar": "WORKING-DAYS",
            "cut_off": "15:00",
            "pick_up_time": "16:30",
            "active": "yes",
        },
    ),
    "lanes": Sheet(
        CatalogLane,
        "PUT",
        "/v1/lanes",
        ("location",),
        ("zone", "location", "service", "version"),
        {
            "zone": "*",
            "location": "DC-1",
            "service": "parcel",
            "carrier_class": "standard",
            "rank": "1",
            "transit_days": "2",
            "cost_shipment_minor": "450",
            "cost_unit_minor": "5",
            "cost_kg_minor": "0",
            "active": "yes",
        },
    ),
    "zones": Sheet(
        CatalogZone,
        "PUT",
        "/v1/zones",
        (),
        ("country", "postcode_prefix", "postcode_from", "postcode_to", "version"),
        {
            "country": "GB",
            "postcode_prefix": "IV",
            "postcode_from": "",
            "postcode_to": "",
            "zone": "GB-HIGHLANDS",
            "active": "yes",
        },
    ),
    "sourcing-rules": Sheet(
        CatalogSourcingRules,
        "PUT",
        "/v1/sourcing-rules/{document}",
        (),
        ("document",),
        {
            "document": "UK",
            "effective_from": "",
            "rule": "all",
            "tier": "",
            "zone": "",
            "item_group": "",
            "locations": "DC-1=1",
            "in_turn": "no",
        },
        ("document", "rule", "locations"),
    ),
    "fulfilment-modes": Sheet(
        CatalogFulfilmentModes,
        "PUT",
        "/v1/fulfilment-modes/{document}",
        (),
        ("document",),
        {
            "document": "MODES",
            "effective_from": "",
            "rule": "vital",
            "tier": "",
            "zone": "",
            "criticality": "vital",
            "attempts": "distribution_center/standard | /",
        },
        ("document", "rule", "attempts"),
    ),
    "substitutions": Sheet(
        CatalogSubstitutions,
        "PUT",
        "/v1/substitutions/{document}",
        ("sku",),
        ("document",),
        {
            "document": "TEA",
            "effective_from": "",
            "rule": "bags",
            "sku": "TEA-1",
            "substitute": "TEA-2",
            "tier": "",
            "zone": "",
            "quantity": "1",
            "substitute_quantity": "80",
        },
        ("document", "rule", "sku", "substitute"),
    ),
    "stock": Sheet(
        SupplySnapshot,
        "POST",
        "/v1/supply/snapshots",
        ("sku", "location"),
        ("source", "reference", "sku", "location"),
        {
            **_AT,
            "on_hand": "100",
            "as_of": "2026-01-05T08:00:00Z",
            "source": "wms",
            "reference": "OPENING",
            "cursor": "",
        },
    ),
    "receipts": Sheet(
        ScheduledReceipt,
        "POST",
        "/v1/supply/receipts",
        ("sku", "location"),
        ("source", "reference", "sku", "location", "version"),
        {
            **_AT,
            "quantity": "480",
            "due": "2026-12-01",
            "certainty": "confirmed",
            "source": "erp",
            "reference": "PO-771-1",
            "version": "1",
        },
    ),
    "movements": Sheet(
        SupplyMovement,
        "POST",
        "/v1/supply/movements",
        ("sku", "location"),
        ("source", "reference", "sku", "location"),
        {
            **_AT,
            "kind": "adjustment",
            "quantity": "-2",
            "occurred_at": "2026-01-05T09:00:00Z",
            "source": "wms",
            "reference": "ADJ-90",
            "sequence": "",
        },
    ),
    "buffers": Sheet(
        Buffer,
        "PUT",
        "/v1/buffers",
        ("sku", "location"),
        ("sku", "location", "channel"),
        {**_AT, "buffer": "5", "channel": "marketplace"},
    ),
    "landed-costs": Sheet(
        LandedCost,
        "POST",
        "/v1/costs/landed",
        ("sku",),
        ("sku", "effective_from", "version"),
        {"sku": "TEA-1", "effective_from": "2026-01-01", "cost_minor": "425.5", "version": "1"},
    ),
    "activity-rates": Sheet(
        ActivityRate,
        "POST",
        "/v1/costs/rates",
        (),
        ("activity", "effective_from", "version"),
        {"activity": "pick", "effective_from": "2026-01-01", "rate_minor": "38.5", "version": "1"},
    ),
    "activities": Sheet(
        ActivityReported,
        "POST",
        "/v1/fulfilments/activities",
        (),
        ("source", "reference"),
        {
            "source": "wms",
            "reference": "PAL-88",
            **_OF_ORDER,
            "activity": "pallet",
            "quantity": "2",
            "occurred_at": "2026-01-05T09:00:00Z",
            "actual_cost_minor": "",
        },
    ),
    "discrepancies": Sheet(
        Discrepancy,
        "POST",
        "/v1/fulfilments/discrepancies",
        (),
        ("source", "reference"),
        {
            "source": "crm",
            "reference": "CLAIM-51",
            **_OF_ORDER,
            "line": "1",
            "kind": "damaged",
            "quantity": "2",
            "occurred_at": "2026-01-07T10:00:00Z",
        },
    ),
    OPEN_ORDERS: Sheet(
        OpenOrder,
        "POST",
        "/v1/cut-over/orders",
        ("sku", "location"),
        ("order_source", "order_id"),
        {
            "order_source": "legacy",
            "order_id": "L-1",
            "version": "1",
            "customer_system": "shop",
            "customer_id": "C-9",
            "channel": "default",
            "zone": "",
            "country": "GB",
            "postcode": "IV2 3XY",
            "ordered_at": "2026-01-02T09:30:00Z",
            "ship_complete": "no",
            "confirmed": "yes",
            "line": "1",
            "sku": "TEA-1",
            "unit": "",
            "ordered": "30",
            "unit_price": "4.50",
            "requested_arrival": "",
            "latest_acceptable_arrival": "",
            "minimum_quantity": "",
            "promised": "24",
            "shipped": "6",
            "location": "DC-1",
            "service": "parcel",
            "ship_date": "2026-12-01",
            "arrival_date": "2026-12-03",
        },
        ("order_source", "order_id", "customer_system", "customer_id", "ordered_at", "line", "sku", "ordered"),
    ),
}


def template(kind: str) -> str:
    """The columns of a kind of file, and an example."""
    example = SHEETS[kind].example
    return f"{','.join(example)}\n{','.join(example.values())}"


def values_of(cells: Mapping[str, str]) -> dict[str, Any]:
    """Cells, none of them empty, as the values that the schema wants."""
    found: dict[str, Any] = {}
    for name, cell in cells.items():
        value = _value(name, cell)
        if name in BACKORDERS:
            found.setdefault("backorders", {})[BACKORDERS[name]] = value
        elif name in RULES:
            found.setdefault("promising_rule", {})[RULES[name]] = value
        elif name in HOLIDAYS:
            found.setdefault("holidays", {})[HOLIDAYS[name]] = value
        elif name in ORDER:
            found.setdefault("order", {})[ORDER[name]] = value
        else:
            found[name] = value
    return found


def _value(name: str, cell: str) -> object:
    if name in WHOLE_NUMBERS:
        return _number(cell)
    if name in FLAGS:
        return YES_OR_NO.get(cell.lower(), cell)
    if name in LISTS:
        return tuple(part.strip() for part in cell.split(";") if part.strip())
    if name == "units":
        pairs = (part.partition("=") for part in cell.split(";") if part.strip())
        return tuple({"unit": unit.strip(), "quantity": _number(quantity.strip())} for unit, _, quantity in pairs)
    return cell


def _number(cell: str) -> object:
    return int(cell) if cell.lstrip("+-").isdecimal() and len(cell) <= NUMBER_CHARS_MAX else cell
