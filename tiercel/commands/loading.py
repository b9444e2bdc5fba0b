"""`tiercel load`: items and supply from a CSV file through the ATP's HTTP API, bad rows set aside with their reason.

Columns are named as the fields of the published language. A row is checked against it here, so that a bad one does not
keep the good ones from being applied; loading a file again changes nothing, because every entry is known by its name.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from pydantic import ValidationError

from services.contracts.catalogue import describe
from services.contracts.items import CatalogItem
from services.contracts.payload import Payload
from services.contracts.supply import ScheduledReceipt, SupplyMovement, SupplySnapshot

ROWS_AT_ONCE: Final = 1_000
SECONDS_MAX: Final = 120.0
WHOLE_NUMBERS: Final = frozenset(
    {
        "quantity",
        "on_hand",
        "cursor",
        "sequence",
        "version",
        "checking_horizon_days",
        "past_due_supply_days",
    }
)
YES_OR_NO: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
FLAGS: Final = frozenset({"active", "planned_receipts_count"})
KINDS: Final[Mapping[str, tuple[type[Payload], str]]] = {
    "items": (CatalogItem, "/v1/items"),
    "movements": (SupplyMovement, "/v1/supply/movements"),
    "snapshots": (SupplySnapshot, "/v1/supply/snapshots"),
    "receipts": (ScheduledReceipt, "/v1/supply/receipts"),
}


class LoadRefused(Exception):  # noqa: N818 - says what happened
    """The ATP refused a request as a whole; the text says why."""


@dataclass(slots=True)
class Loaded:
    """What became of a file."""

    rows: int = 0
    sent: int = 0
    set_aside: int = 0


def load(kind: str, file: Path, *, url: str, key: str, set_aside: Path) -> Loaded:
    """Load a file of one of `KINDS`; rows that break the schema go to `set_aside` with their number and reason."""
    model, path = KINDS[kind]
    loaded = Loaded()
    set_aside.parent.mkdir(parents=True, exist_ok=True)
    headers = {"Authorization": f"Bearer {key}"}
    with (
        httpx.Client(base_url=url, headers=headers, timeout=SECONDS_MAX) as client,
        set_aside.open("w", newline="") as report,
        file.open(encoding="utf-8-sig", newline="") as text,
    ):
        aside = csv.writer(report)
        aside.writerow(("row", "reason", "content"))
        good: list[Payload] = []
        for number, row in _rows(text):
            loaded.rows += 1
            try:
                good.append(model.model_validate(_values(row)))
            except ValidationError as error:
                loaded.set_aside += 1
                aside.writerow((number, describe(error), " | ".join(str(value) for value in row.values())))
            if len(good) == ROWS_AT_ONCE:
                loaded.sent += _send(client, path, good)
                good = []
        if good:
            loaded.sent += _send(client, path, good)
    return loaded


def _rows(text: Iterator[str]) -> Iterator[tuple[int, Mapping[str | None, str | list[str] | None]]]:
    yield from enumerate(csv.DictReader(text), start=1)


def _values(row: Mapping[str | None, str | list[str] | None]) -> dict[str, object]:
    """Cells as the values that the schema wants; an empty cell is left out."""
    found: dict[str, object] = {}
    for name, cell in row.items():
        if name is None:  # more cells than columns
            found["unexpected_cells"] = cell
        elif isinstance(cell, str) and cell.strip():
            found[name] = _value(name, cell.strip())
    return found


def _value(name: str, cell: str) -> object:
    if name in WHOLE_NUMBERS and cell.lstrip("+-").isdecimal() and len(cell) < len(str(10**18)):
        return int(cell)
    if name in FLAGS:
        return YES_OR_NO.get(cell.lower(), cell)
    return cell


def _send(client: httpx.Client, path: str, entries: list[Payload]) -> int:
    body = {"items": [entry.model_dump(mode="json", exclude_none=True) for entry in entries]}
    response = client.post(path, json=body)
    if response.is_error:
        raise LoadRefused(f"{response.status_code} {response.text[:500]}")
    return len(entries)
