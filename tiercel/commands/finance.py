"""`tiercel reconcile`: orders, units, revenue and cost per customer and month, against an extract of finance.

The extract (`--control`) is a CSV file with the columns month (`2026-01`, of the order, in UTC), customer_system,
customer_id and at least one of orders, units, revenue and cost; each that it has is compared. Amounts are in the major
unit. A customer is named as some system names it (`tiercel`: by the registry's id); names that mean one customer of the
registry, merged ones too, are added up. Months that the extract does not name are not compared; a customer that one
side lacks in a month counts as nothing there.

Tiercel's side is what was recorded (`orders.recorded.v1`): an order with anything that counts is one order; units and
revenue are of its lines, quantity times unit price; cost is the shipping cost of its promise. The report has every
customer and month; for each difference beyond the tolerance the events that made Tiercel's figure are listed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Final, NamedTuple

from services.reclassifier.domain.costs import minor_digits
from tiercel.commands.csv_files import FileRefused, Row, open_report, read_rows
from tiercel.commands.importing import ImportRefused
from tiercel.reaching import reach
from tiercel.recorded_orders import Crosswalk, RecordedOrder, read_orders

COUNTS: Final = ("orders", "units")
AMOUNTS: Final = ("revenue", "cost")
FIGURES: Final = (*COUNTS, *AMOUNTS)
NAMES: Final = ("month", "customer_system", "customer_id")
ZERO: Final = Decimal(0)
DIGITS: Final = 60  # a line has up to 30 (quantity times price), their sum some more; the usual 28 would round
MONTH_PATTERN: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
AMOUNT_PATTERN: Final = re.compile(
    r"-?[0-9]{1,24}(\.[0-9]{1,9})?"
)  # as finance writes them; what else Decimal reads, no


class Cell(NamedTuple):
    """A customer of the registry in a month."""

    month: str
    customer: str


class Difference(NamedTuple):
    """A figure on which the two differ by more than the tolerance."""

    cell: Cell
    figure: str
    control: Decimal
    tiercel: Decimal


@dataclass(slots=True)
class Compared:
    """What was found; `differing` counts all figures that differ, `differences` has those beyond the tolerance."""

    cells: int = 0
    figures: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)


@dataclass(slots=True)
class _Month:
    """What Tiercel recorded of a customer in a month."""

    figures: dict[str, Decimal] = field(default_factory=lambda: dict.fromkeys(FIGURES, ZERO))
    orders: list[RecordedOrder] = field(default_factory=list)


async def reconcile(
    control: Path, data: Path | None, *, report: Path, events: Path, tolerances: Mapping[str, Decimal]
) -> Compared:
    """Compare, and write all cells to `report` and the events behind differences to `events`.

    Raises:
        ImportRefused: the extract cannot be read.
    """
    async with reach(data) as reached:
        crosswalk = await Crosswalk.read(reached.event_log)
        recorded = await read_orders(reached.event_log)
    with localcontext(prec=DIGITS):
        return _reconciled(recorded, crosswalk, control, report, events, tolerances)


def _reconciled(  # noqa: PLR0917 - private, called with all of them
    recorded: Mapping[tuple[str, str], RecordedOrder],
    crosswalk: Crosswalk,
    control: Path,
    report: Path,
    events: Path,
    tolerances: Mapping[str, Decimal],
) -> Compared:
    said, figures = _read(control, crosswalk)
    months = frozenset(cell.month for cell in said)
    known = _by_cell(recorded.values(), crosswalk, months)
    found = Compared()
    with (
        report.open("w", newline="", encoding="utf-8") as out,
        events.open("w", newline="", encoding="utf-8") as listed,
    ):
        row, event = open_report(out), open_report(listed)
        row((*NAMES[:1], "customer", *(f"{side}_{name}" for name in figures for side in ("control", "tiercel"))))
        event(("month", "customer", "source", "order_id", "event_id", "sequence", "change", "ordered_at", *FIGURES))
        for cell in sorted(said.keys() | known.keys()):
            month = known.get(cell, _Month())
            theirs = said.get(cell, {})
            row((*cell, *(_told(value) for name in figures for value in (theirs.get(name, ZERO), month.figures[name]))))
            if _compare(found, cell, theirs, month, figures, tolerances):
                for line in _events_of(cell, month):
                    event(line)
    return found


def _compare(  # noqa: PLR0917 - private, called with all of them
    found: Compared,
    cell: Cell,
    theirs: Mapping[str, Decimal],
    month: _Month,
    figures: Iterable[str],
    tolerances: Mapping[str, Decimal],
) -> bool:
    """Whether anything of the cell differs by more than it may."""
    found.cells += 1
    before = len(found.differences)
    for name in figures:
        found.figures += 1
        control, own = theirs.get(name, ZERO), month.figures[name]
        found.differing += control != own
        if abs(control - own) > tolerances[name]:
            found.differences.append(Difference(cell, name, control, own))
    return len(found.differences) > before


def _events_of(cell: Cell, month: _Month) -> Iterator[tuple[object, ...]]:
    """Each event of each order, the orders by time; the figures stand beside the event that counts."""
    for order in sorted(month.orders, key=lambda each: (each.record["ordered_at"], each.record["order"]["order_id"])):
        figures = figures_of(order)
        names = (order.record["order"]["source"], order.record["order"]["order_id"])
        for told in sorted(order.told.values(), key=lambda each: each.sequence):
            counts = told.sequence == order.record["sequence"]
            shown = tuple(_told(figures[name]) if counts else "" for name in FIGURES)
            yield (*cell, *names, told.event_id, told.sequence, told.change, order.record["ordered_at"], *shown)


def figures_of(order: RecordedOrder) -> dict[str, Decimal]:
    """What one order adds to its customer's month."""
    lines = list(order.lines)
    return {
        "orders": Decimal(bool(lines)),
        "units": Decimal(sum(line.quantity for line in lines)),
        "revenue": sum((line.quantity * line.unit_price for line in lines if line.unit_price is not None), ZERO),
        "cost": Decimal(order.record["cost_minor"]).scaleb(-minor_digits(order.record["currency"])),
    }


def _by_cell(recorded: Iterable[RecordedOrder], crosswalk: Crosswalk, months: frozenset[str]) -> dict[Cell, _Month]:
    found: dict[Cell, _Month] = defaultdict(_Month)
    for order in recorded:
        month = datetime.fromisoformat(order.record["ordered_at"]).astimezone(UTC).strftime("%Y-%m")
        if month in months:
            of_cell = found[Cell(month, _customer(order, crosswalk))]
            of_cell.orders.append(order)
            for name, amount in figures_of(order).items():
                of_cell.figures[name] += amount
    return dict(found)


def _customer(order: RecordedOrder, crosswalk: Crosswalk) -> str:
    if order.record["customer_id"] is not None:
        return crosswalk.customer("tiercel", order.record["customer_id"])
    return crosswalk.customer(order.record["customer"]["system"], order.record["customer"]["id"])


def _read(control: Path, crosswalk: Crosswalk) -> tuple[dict[Cell, dict[str, Decimal]], list[str]]:
    """What the extract says, and which figures it has."""
    said: dict[Cell, dict[str, Decimal]] = {}
    try:
        for row in read_rows(control, columns=frozenset((*NAMES, *FIGURES)), needed=NAMES):
            of_cell = said.setdefault(_cell(row, crosswalk), {})
            for name in FIGURES:
                if name in row.cells:
                    of_cell[name] = of_cell.get(name, ZERO) + _amount(row, name)
    except FileRefused as error:
        raise ImportRefused(str(error)) from error
    figures = [name for name in FIGURES if any(name in each for each in said.values())]
    if not figures:
        raise ImportRefused(f"{control} has none of {', '.join(FIGURES)} in any row: nothing could be compared")
    return said, figures


def _cell(row: Row, crosswalk: Crosswalk) -> Cell:
    if row.surplus:  # as of a separator within a number
        raise FileRefused(f"line {row.line}: {row.surplus} more cells than columns")
    return Cell(_month(row), crosswalk.customer(_name(row, "customer_system"), _name(row, "customer_id")))


def _month(row: Row) -> str:
    month = _name(row, "month")
    if not MONTH_PATTERN.fullmatch(month):
        raise FileRefused(f"line {row.line}: month is written as 2026-01")
    return month


def _name(row: Row, name: str) -> str:
    if name not in row.cells:
        raise FileRefused(f"line {row.line}: {name} is missing")
    return row.cells[name]


def _amount(row: Row, name: str) -> Decimal:
    written = row.cells[name]
    amount = Decimal(written) if AMOUNT_PATTERN.fullmatch(written) else None
    if amount is None or (name in COUNTS and amount != amount.to_integral_value()):
        raise FileRefused(f"line {row.line}: {name} is no {'whole number' if name in COUNTS else 'amount'}")
    return amount


def _told(amount: Decimal) -> str:
    """In plain digits, without zeros that say nothing."""
    return format(amount.normalize(), "f")
