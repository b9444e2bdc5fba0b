"""`tiercel import`: master data and supply from CSV files through the ATP's HTTP API, bad rows set aside.

Columns are named as the fields of the published language; `--template KIND` prints them with an example. A list is
written with semicolons (`mon;tue`), the units of an item as `case=12;pallet=960`. A row is checked against the language
and against what it names (an item, a location, a calendar), so that a bad one does not keep the good ones from being
applied: it goes to a file with its line number and the reason. Importing a file again changes nothing more than once,
because every entry is known by its name or its version.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic import ValidationError

from services.atp.entrypoints.allocation_csv import defused
from services.contracts.catalogue import describe
from services.contracts.costs import ActivityRate, ActivityReported, LandedCost
from services.contracts.items import CatalogItem
from services.contracts.network import CatalogCalendar, CatalogLane, CatalogLocation, CatalogService, CatalogZone
from services.contracts.payload import Payload
from services.contracts.supply import Discrepancy, ScheduledReceipt, SupplyMovement, SupplySnapshot

ROWS_AT_ONCE: Final = 1_000
SECONDS_MAX: Final = 120.0
NUMBER_CHARS_MAX: Final = 18
WHOLE_NUMBERS: Final = frozenset(
    {
        "quantity",
        "on_hand",
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
        "transit_days",
        "rank",
        "cost_shipment_minor",
        "cost_unit_minor",
        "cost_kg_minor",
        "actual_cost_minor",
    }
)
YES_OR_NO: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
FLAGS: Final = frozenset({"active", "planned_receipts_count"})
LISTS: Final = frozenset({"groups", "substitutes", "weekdays", "closed", "opened"})
ORDER: Final = {"order_source": "source", "order_id": "order_id"}
BACKORDERS: Final = {"backorder_policy": "policy", "backorder_until": "until", "backorder_limit": "limit"}
RULES: Final = {
    "promising_rule": "kind",
    "rule_period_days": "period_days",
    "rule_backward_periods": "backward_periods",
    "rule_forward_periods": "forward_periods",
    "rule_accumulation_periods": "accumulation_periods",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """A kind of file: what a row is, where it goes, the names in it that must be known, and an example."""

    model: type[Payload]
    method: str
    path: str
    names: tuple[str, ...]
    example: Mapping[str, str]


_AT: Final = {"sku": "TEA-1", "location": "DC-1"}
_OF_ORDER: Final = {"order_source": "shop", "order_id": "A-1"}
SHEETS: Final[Mapping[str, Sheet]] = {
    "items": Sheet(
        CatalogItem,
        "POST",
        "/v1/items",
        (),
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
        {
            "calendar": "WORKING-DAYS",
            "weekdays": "mon;tue;wed;thu;fri",
            "closed": "2026-12-25;2027-01-01",
            "opened": "",
        },
    ),
    "locations": Sheet(
        CatalogLocation,
        "PUT",
        "/v1/locations/{location}",
        ("calendar",),
        {
            "location": "DC-1",
            "time_zone": "Europe/London",
            "calendar": "WORKING-DAYS",
            "processing_days": "0",
            "dock_to_stock_days": "0",
            "active": "yes",
        },
    ),
    "services": Sheet(
        CatalogService,
        "PUT",
        "/v1/services",
        ("pick_up_calendar",),
        {"service": "parcel", "pick_up_calendar": "WORKING-DAYS", "cut_off": "15:00", "active": "yes"},
    ),
    "lanes": Sheet(
        CatalogLane,
        "PUT",
        "/v1/lanes",
        ("location",),
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
        {
            "country": "GB",
            "postcode_prefix": "IV",
            "postcode_from": "",
            "postcode_to": "",
            "zone": "GB-HIGHLANDS",
            "active": "yes",
        },
    ),
    "stock": Sheet(
        SupplySnapshot,
        "POST",
        "/v1/supply/snapshots",
        ("sku", "location"),
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
    "landed-costs": Sheet(
        LandedCost,
        "POST",
        "/v1/costs/landed",
        ("sku",),
        {"sku": "TEA-1", "effective_from": "2026-01-01", "cost_minor": "425.5", "version": "1"},
    ),
    "activity-rates": Sheet(
        ActivityRate,
        "POST",
        "/v1/costs/rates",
        (),
        {"activity": "pick", "effective_from": "2026-01-01", "rate_minor": "38.5", "version": "1"},
    ),
    "activities": Sheet(
        ActivityReported,
        "POST",
        "/v1/fulfilments/activities",
        (),
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
}


class ImportRefused(Exception):  # noqa: N818 - says what happened
    """The ATP refused a request as a whole, or a file as a whole cannot be read; the text says why."""


@dataclass(slots=True)
class Imported:
    """What became of a file; `good` rows were sent, or would be."""

    rows: int = 0
    good: int = 0
    set_aside: int = 0


@dataclass(slots=True)
class _Known:
    """The names that the ATP knows, read when they are first needed."""

    client: httpx.Client
    _names: dict[str, frozenset[str]] = field(default_factory=dict)

    def lacks(self, sheet: Sheet, values: Mapping[str, Any]) -> str | None:
        """What a row names that is not known, in words."""
        for name in sheet.names:
            wanted, kind = values.get(name), name.removeprefix("pick_up_")
            if wanted is not None and wanted not in self._of(kind):
                return f"{name}: {wanted} is not known"
        return None

    def _of(self, kind: str) -> frozenset[str]:
        if kind not in self._names:
            found = self._items() if kind == "sku" else [each[kind] for each in self._get(f"/v1/{kind}s")["items"]]
            self._names[kind] = frozenset(found)
        return self._names[kind]

    def _items(self) -> Iterator[str]:
        after: str | None = ""
        while after is not None:
            page = self._get("/v1/items", after=after, limit=ROWS_AT_ONCE)
            yield from (item["sku"] for item in page["items"])
            after = page["next"]

    def _get(self, path: str, **query: str | int) -> dict[str, Any]:
        response = self.client.get(path, params=query)
        _check(response)
        document: dict[str, Any] = response.json()
        return document


def template(kind: str) -> str:
    """The columns of a kind of file, and an example."""
    example = SHEETS[kind].example
    return f"{','.join(example)}\n{','.join(example.values())}"


def import_file(kind: str, file: Path, *, url: str, key: str, set_aside: Path, dry_run: bool) -> Imported:
    """Import a file of one of `SHEETS`; a dry run checks everything and sends nothing. Raises ImportRefused."""
    sheet, imported = SHEETS[kind], Imported()
    set_aside.parent.mkdir(parents=True, exist_ok=True)
    headers = {"Authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=url, headers=headers, timeout=SECONDS_MAX) as client,
        set_aside.open("w", newline="") as report,
        file.open(encoding="utf-8-sig", newline="") as text,
    ):
        known, good = _Known(client), list[Payload]()
        aside = csv.writer(report)
        aside.writerow(("line", "reason", "content"))
        rows = csv.DictReader(text)
        for row in rows:
            imported.rows += 1
            entry = _entry(sheet, known, row)
            if isinstance(entry, str):
                imported.set_aside += 1
                content = " | ".join(str(value) for value in row.values())
                aside.writerow((rows.line_num, entry, defused(content)))
                continue
            imported.good += 1
            good.append(entry)
            if len(good) == ROWS_AT_ONCE:
                _send(client, sheet, good, dry_run=dry_run)
                good = []
        _send(client, sheet, good, dry_run=dry_run)
    return imported


def _entry(sheet: Sheet, known: _Known, row: Mapping[str | None, str | list[str] | None]) -> Payload | str:
    """The entry of a row, or why there is none."""
    values = _values(row)
    try:
        entry = sheet.model.model_validate(values)
    except ValidationError as error:
        return describe(error)
    return known.lacks(sheet, values) or entry


def _values(row: Mapping[str | None, str | list[str] | None]) -> dict[str, object]:
    """Cells as the values that the schema wants; an empty cell is left out."""
    found: dict[str, Any] = {}
    for name, cell in row.items():
        if name is None:  # more cells than columns
            found["unexpected_cells"] = cell
        elif isinstance(cell, str) and cell.strip():
            value = _value(name, cell.strip())
            if name in BACKORDERS:
                found.setdefault("backorders", {})[BACKORDERS[name]] = value
            elif name in RULES:
                found.setdefault("promising_rule", {})[RULES[name]] = value
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


def _send(client: httpx.Client, sheet: Sheet, entries: list[Payload], *, dry_run: bool) -> None:
    if dry_run or not entries:
        return
    bodies = [entry.model_dump(mode="json", exclude_none=True) for entry in entries]
    if "{" in sheet.path:  # one by one: the name is in the path
        for body in bodies:
            name = str(body.pop("location"))
            _check(client.request(sheet.method, sheet.path.format(location=name), json=body))
    else:
        _check(client.request(sheet.method, sheet.path, json={"items": bodies}))


def _check(response: httpx.Response) -> None:
    if response.is_error:
        raise ImportRefused(f"{response.status_code} {response.text[:500]}")
