"""Open orders from rows: one row for each promised quantity of a line, or for a line of which nothing was promised.

What is said of the order and of the line is said once, or the same each time. The rows of an order may stand apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tiercel.commands.csv_files import Row
from tiercel.commands.import_sheets import values_of

OF_ORDER: Final = (
    "version",
    "customer_system",
    "customer_id",
    "channel",
    "zone",
    "country",
    "postcode",
    "ordered_at",
    "ship_complete",
    "confirmed",
)
OF_LINE: Final = (
    "sku",
    "unit",
    "ordered",
    "unit_price",
    "requested_arrival",
    "latest_acceptable_arrival",
    "minimum_quantity",
)
OF_PART: Final = ("promised", "shipped", "location", "service", "ship_date", "arrival_date")
_NAMED_OTHERWISE: Final = {"ordered": "quantity", "promised": "quantity"}


def by_order(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each order, in the order in which they come first."""
    found: dict[tuple[str | None, str | None], list[Row]] = {}
    for row in rows:
        found.setdefault((row.cells.get("order_source"), row.cells.get("order_id")), []).append(row)
    return list(found.values())


def order_of(rows: Sequence[Row]) -> dict[str, Any] | str:
    """The rows of one order as a document; or why they are none."""
    order: dict[str, str] = {}
    lines: dict[str, dict[str, str]] = {}
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        name = row.cells.get("line")
        if name is None:
            return f"line {row.line} of the file: no line of the order is named"
        line = lines.setdefault(name, {})
        for what, known in ((OF_ORDER, order), (OF_LINE, line)):
            differing = _add(row.cells, what, known)
            if differing is not None:
                return f"line {row.line} of the file: {differing} is not what another row of the order says"
        part = {each: row.cells[each] for each in OF_PART if each in row.cells}
        parts.setdefault(name, [])
        if part:
            parts[name].append(_read(part))
    named = {each: rows[0].cells[each] for each in ("order_source", "order_id") if each in rows[0].cells}
    return _document(
        _read({**named, **order}),
        [{"line": name, **_read(line), "promised": parts[name]} for name, line in lines.items()],
    )


def _add(cells: Mapping[str, str], names: Iterable[str], known: dict[str, str]) -> str | None:
    """Add cells to what is known; the name of one that says something else."""
    for name in names:
        cell = cells.get(name)
        if cell is not None and known.setdefault(name, cell) != cell:
            return name
    return None


def _read(cells: Mapping[str, str]) -> dict[str, Any]:
    return {_NAMED_OTHERWISE.get(name, name): value for name, value in values_of(cells).items()}


def _document(said: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {"order": said.pop("order", {}), "lines": lines}
    if "version" in said:
        document["order"]["version"] = said.pop("version")
    document["customer"] = {
        name: said.pop(f"customer_{name}") for name in ("system", "id") if f"customer_{name}" in said
    }
    ship_to = {name: said.pop(name) for name in ("zone", "country", "postcode") if name in said}
    return {**document, **({"ship_to": ship_to} if ship_to else {}), **said}
