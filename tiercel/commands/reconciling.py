"""`tiercel reconcile-stock`: how every position stands, and what an extract of the ERP or the WMS says otherwise.

Without an extract it is the report before the first promise: stock, open commitments, receipts, the lowest availability
that results, the deficit, and what stands in the way of going live. An extract is a CSV file with the columns sku and
location and at least one of on_hand (available stock), committed (promised and not shipped) and receipts (still to
come, confirmed and planned); each that it has is compared. Rows of one position are added up. Every location of an item
that the extract names is compared: one that the extract leaves out counts as 0 there, one that the ATP does not know as
0 here. Items that the extract does not name are not compared. Deficits that are still being dealt out to promises are
waited for. Nothing is changed: a difference is a matter for a count.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx

from tiercel.commands.csv_files import FileRefused, Row, open_report, read_rows
from tiercel.commands.importing import ImportRefused, request

SECONDS_MAX: Final = 60.0
REVIEWS_SECONDS_MAX: Final = 60.0  # that deficits which are being dealt out are waited for
POLL_SECONDS: Final = 0.2
PENDING: Final = "review_pending"
POSITIONS_AT_ONCE: Final = 1_000
COMPARED: Final[Mapping[str, tuple[str, ...]]] = {
    "on_hand": ("on_hand",),
    "committed": ("committed",),
    "receipts": ("receipts_confirmed", "receipts_planned"),
}
_SHOWN: Final = ("on_hand", "buffer", "committed", "receipts_confirmed", "receipts_planned", "lowest", "lowest_on")


class Place(NamedTuple):
    """A position."""

    sku: str
    location: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of a position of which the two say different things."""

    place: Place
    figure: str
    extract: int
    tiercel: int

    @property
    def units(self) -> int:
        """How many units Tiercel has too many (or, negative, too few)."""
        return self.tiercel - self.extract


@dataclass(slots=True)
class Reconciled:
    """What was found; `differences` are those beyond the tolerance, the largest first."""

    positions: int = 0
    compared: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    deficits: dict[Place, tuple[int, str]] = field(default_factory=dict)
    hindrances: dict[Place, tuple[str, ...]] = field(default_factory=dict)

    @property
    def blocked(self) -> bool:
        """Whether something stands in the way: a difference beyond the tolerance, or a hindrance."""
        return bool(self.differences or self.hindrances)


def reconcile(extract: Path | None, *, url: str, key: str, report: Path, tolerance: int) -> Reconciled:
    """Compare, and write every position to `report`. Raises ImportRefused, also for an extract that cannot be read."""
    said = {} if extract is None else _read(extract)
    figures = [name for name in COMPARED if any(name in each for each in said.values())]
    named = dict.fromkeys(place.sku for place in said)
    found = Reconciled()
    headers = {"Authorization": f"Bearer {key}"}
    report.parent.mkdir(parents=True, exist_ok=True)
    with (
        httpx.Client(base_url=url, headers=headers, timeout=SECONDS_MAX) as client,
        report.open("w", newline="", encoding="utf-8") as file,
    ):
        write = open_report(file)
        columns = [f"{part}_{name}" for name in figures for part in ("extract", "difference")]
        write(("sku", "location", *_SHOWN, "deficit", "hindrances", *columns))
        known = _positions(client)
        for place, position in _all(known, said):
            compared = place.sku in named
            differences = _differences(place, position, said.get(place, {}), figures) if compared else []
            _note(found, place, position, differences, tolerance, compared=compared)
            told: list[int | str] = [cell for each in differences for cell in (each.extract, each.units)]
            told = told or [""] * len(columns)
            hindrances = [each for each in position.get("hindrances", ()) if each != PENDING]
            stands = [position.get(name, 0) for name in _SHOWN]
            write((*place, *stands, position.get("deficit", 0), " ".join(hindrances), *told))
        _await_reviews(client, found)
    found.differences.sort(key=_largest_first)
    return found


def _note(
    found: Reconciled,
    place: Place,
    position: Mapping[str, Any],
    differences: list[Difference],
    tolerance: int,
    *,
    compared: bool,
) -> None:
    found.positions += bool(position)
    found.compared += compared
    found.differing += any(each.units for each in differences)
    found.differences += [each for each in differences if abs(each.units) > tolerance]
    if position.get("deficit"):
        found.deficits[place] = (position["deficit"], position["lowest_on"])
    if position.get("hindrances"):
        found.hindrances[place] = tuple(position["hindrances"])


def _await_reviews(client: httpx.Client, found: Reconciled) -> None:
    """Look again where deficits were still being dealt out, until they are, or for `REVIEWS_SECONDS_MAX`."""
    deadline = time.monotonic() + REVIEWS_SECONDS_MAX
    for place in [place for place, hindrances in found.hindrances.items() if PENDING in hindrances]:
        while PENDING in found.hindrances[place] and time.monotonic() < deadline:
            page = request(client, "GET", "/v1/positions", params={"sku": place.sku, "limit": POSITIONS_AT_ONCE}).json()
            now = next(each for each in page["items"] if each["location"] == place.location)
            found.hindrances[place] = tuple(now["hindrances"])
            if PENDING in found.hindrances[place]:
                time.sleep(POLL_SECONDS)
        if not found.hindrances[place]:
            del found.hindrances[place]


def _differences(
    place: Place, position: Mapping[str, Any], said: Mapping[str, int], figures: list[str]
) -> list[Difference]:
    return [
        Difference(place, name, said.get(name, 0), sum(position.get(each, 0) for each in COMPARED[name]))
        for name in figures
    ]


def _all(known: Iterator[dict[str, Any]], said: Mapping[Place, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    """The positions that are known, then those of the extract that are not, which are nothing here."""
    left = dict.fromkeys(said)
    for position in known:
        place = Place(position["sku"], position["location"])
        left.pop(place, None)
        yield place, position
    yield from ((place, {}) for place in sorted(left))


def _positions(client: httpx.Client) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    while True:
        page = request(client, "GET", "/v1/positions", params={"limit": POSITIONS_AT_ONCE, **cursor}).json()
        yield from page["items"]
        if page["next_cursor"] is None:
            return
        cursor = {"cursor": page["next_cursor"]}


def _read(extract: Path) -> dict[Place, dict[str, int]]:
    said: dict[Place, dict[str, int]] = {}
    try:
        for row in read_rows(extract, columns=None, needed=("sku", "location")):
            of_position = said.setdefault(_place(extract, row), {})
            for name in COMPARED:
                if name in row.cells:
                    of_position[name] = of_position.get(name, 0) + _whole(extract, row, name)
    except FileRefused as error:
        raise ImportRefused(str(error)) from error
    if said and not any(said.values()):
        raise ImportRefused(f"{extract}: none of the columns {', '.join(COMPARED)}")
    return said


def _place(extract: Path, row: Row) -> Place:
    try:
        return Place(row.cells["sku"], row.cells["location"])
    except KeyError as error:
        raise ImportRefused(f"line {row.line} of {extract}: sku and location name a position") from error


def _whole(extract: Path, row: Row, name: str) -> int:
    try:
        return int(row.cells[name])
    except ValueError as error:
        raise ImportRefused(f"line {row.line} of {extract}: {name} is a whole number of base units") from error


def _largest_first(difference: Difference) -> tuple[int, Place, str]:
    return (-abs(difference.units), difference.place, difference.figure)
