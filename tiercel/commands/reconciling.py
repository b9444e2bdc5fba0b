"""`tiercel reconcile-stock`: what the ATP holds against an extract of the ERP or the WMS, position by position.

The extract is a CSV file with the columns sku, location and on_hand (available stock). Every location of an item that
the extract names is compared: one that the extract leaves out counts as 0 there, one that the ATP does not know as 0
here. Items that the extract does not name are not looked at. Nothing is changed: a difference is a matter for a count.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tiercel.commands.importing import ImportRefused

SECONDS_MAX: Final = 60.0
NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Difference:
    """A position of which the two say different things."""

    sku: str
    location: str
    extract: int
    tiercel: int

    @property
    def units(self) -> int:
        """How many units Tiercel has too many (or, negative, too few)."""
        return self.tiercel - self.extract


def reconcile(extract: Path, *, url: str, key: str, report: Path) -> tuple[int, list[Difference]]:
    """How many positions were compared, and those that differ, the largest difference first; also into `report`.

    Raises ImportRefused, also for an extract that cannot be read.
    """
    said = _read(extract)
    found: list[Difference] = []
    compared = 0
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=url, headers=headers, timeout=SECONDS_MAX) as client:
        for sku, by_location in said.items():
            held = _held(client, sku)
            for location in sorted({*by_location, *held}):
                compared += 1
                found.append(Difference(sku, location, by_location.get(location, 0), held.get(location, 0)))
    differing = sorted((each for each in found if each.units), key=_largest_first)
    with report.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("sku", "location", "extract", "tiercel", "difference"))
        table.writerows((each.sku, each.location, each.extract, each.tiercel, each.units) for each in differing)
    return compared, differing


def _read(extract: Path) -> dict[str, dict[str, int]]:
    said: dict[str, dict[str, int]] = {}
    with extract.open(encoding="utf-8-sig", newline="") as text:
        rows = csv.DictReader(text)
        for row in rows:
            try:
                sku, location, on_hand = row["sku"].strip(), row["location"].strip(), int(row["on_hand"])
            except (KeyError, AttributeError, ValueError) as error:
                raise ImportRefused(f"line {rows.line_num} of {extract}: sku, location and a whole on_hand") from error
            of_item = said.setdefault(sku, {})
            of_item[location] = of_item.get(location, 0) + on_hand
    return said


def _held(client: httpx.Client, sku: str) -> dict[str, int]:
    response = client.get(f"/v1/stock/{sku}")
    if response.status_code == NOT_FOUND:
        return {}
    if response.is_error:
        raise ImportRefused(f"{response.status_code} {response.text[:500]}")
    return {each["location"]: each["statuses"].get("available", 0) for each in response.json()["locations"]}


def _largest_first(difference: Difference) -> tuple[int, str, str]:
    return (-abs(difference.units), difference.sku, difference.location)
