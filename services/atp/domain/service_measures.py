"""What one order adds to the measures of its tier. Definitions, with formulas and sources, are in docs/measures.md.

An order is measured from what is stored of it: the revisions of its promise, its commitments, what the warehouse did
and what was reported. The result is a sum of amounts by (day, measure, detail), so that totals are kept by adding what
is new and taking away what was added before, and any order of events ends in the same totals.

    base revision   the first answer of the order's content: the first of all, or the one after an amendment
    due day         the last arrival that the base promised for the line; the requested arrival where it promised none
    demand          what was ordered of a line that could be served, less what the customer gave back unshipped
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from services.atp.domain.model import Day

FREIGHT: Final = "freight"
# Outcomes of lines that were demand, whatever they got; the others asked for what may not be promised.
DEMAND: Final = (
    "no_source",
    "stopped",
    "ship_complete_unmet",
    "below_minimum",
    "backordered",
    "partly_promised",
    "promised_late",
    "promised",
)
BINDING_NOT: Final = ("held", "expired", "awaiting_release")  # states in which nobody has ordered anything yet
WITHDRAWN: Final = ("cancelled",)
RESETS: Final = ("amended", "transferred", "revived", "validation_released")  # the customer asked for something else
GIVEN_BACK: Final = ("released",)  # the customer gave back a part
PREEMPTING: Final = (
    "supply_arrived",
    "supply_changed",
    "stock_freed",
    "tier_changed",
    "allocation_changed",
    "routing_changed",
    "reassigned",
    "withdrawn",
    "preempted",
    "execution",
    "backorder_came",
    "reprocessed",
)
CHURNING: Final = (*PREEMPTING, "expedited", "stop_lifted", "horizon_reached")  # changes that no customer asked for
OVERRIDES: Final = ("expedited", "reassigned", "withdrawn")  # a person put the rules aside
COUNTED_ACTIVITIES: Final = ("order", "line", "pick", "delivery", "return")


class AmountKey(NamedTuple):
    """Where an amount belongs."""

    day: Day
    measure: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A promised quantity of a line."""

    quantity: int
    ship_day: Day
    arrival_day: Day


@dataclass(frozen=True, slots=True)
class AnsweredLine:
    """One line of an answer."""

    line: str
    item_id: str
    quantity: int
    outcome: str
    promised: int
    backordered: int
    requested_day: Day
    schedule: tuple[Scheduled, ...] = ()
    why: tuple[str, ...] = ()  # kinds of what bound, most important first


@dataclass(frozen=True, slots=True)
class Revision:
    """One answer. `cause` is what made it (empty: the order came), `day` when."""

    cause: str
    day: Day
    tier: str
    basis: str
    state: str
    lines: tuple[AnsweredLine, ...]
    cost_minor: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """A commitment: what was planned of a line, and what of it has shipped."""

    line: str
    item_id: str
    location_id: str
    quantity: int
    shipped: int
    available_day: Day
    cost_minor: int


@dataclass(frozen=True, slots=True)
class Done:
    """What the warehouse or the carrier did with a line, on a day."""

    kind: str
    line: str
    quantity: int
    day: Day
    actual_cost_minor: int | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """A discrepancy of a line, or an activity for the order."""

    kind: str
    what: str
    quantity: int
    day: Day
    line: str | None = None
    actual_cost_minor: int | None = None


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """All that is stored of an order and counts: revisions from the first to the current one."""

    revisions: tuple[Revision, ...]
    taken: tuple[Taken, ...] = ()
    done: tuple[Done, ...] = ()
    reported: tuple[Reported, ...] = ()


@dataclass(frozen=True, slots=True)
class MeasuredLine:
    """A line of demand against its promise."""

    line: str
    item_id: str
    ordered: int
    due_day: Day
    ship_by_day: Day
    requested_day: Day
    shipped: int
    shipped_in_time: int
    delivered: int
    complete_day: Day | None

    @property
    def on_time_in_full(self) -> bool:
        """Whether all of it was delivered by the due day."""
        return self.complete_day is not None and self.complete_day <= self.due_day


class Amounts:
    """A sum under construction; zeros leave no trace."""

    def __init__(self) -> None:
        self._sums: dict[AmountKey, int] = {}

    def add(self, day: Day, measure: str, amount: int = 1, detail: str = "") -> None:
        """Add to one sum."""
        key = AmountKey(day, measure, detail)
        self._sums[key] = self._sums.get(key, 0) + amount

    def sums(self) -> dict[AmountKey, int]:
        """The sums that are not zero, in order."""
        return {key: self._sums[key] for key in sorted(self._sums) if self._sums[key]}


def base_of(record: OrderRecord) -> Revision:
    """The first answer of the order's content."""
    return [each for each in record.revisions if not each.cause or each.cause in RESETS][-1]


def measure(record: OrderRecord, lines: Sequence[MeasuredLine] | None = None) -> dict[AmountKey, int]:
    """What the order adds, by day, measure and detail; `lines` are its `measured_lines`, where they are known."""
    amounts = Amounts()
    base, current = base_of(record), record.revisions[-1]
    if current.state not in BINDING_NOT:
        _add_answer(amounts, base)
        _add_changes(amounts, record.revisions)
        lines = measured_lines(record) if lines is None else lines
        for line in lines:
            _add_line(amounts, line)
        _add_order(amounts, record, lines)
        _add_counted(amounts, record, base)
    _add_freight(amounts, record)
    return amounts.sums()


def measured_lines(record: OrderRecord) -> list[MeasuredLine]:
    """The lines of demand, in the order of the base revision; one that the customer withdrew unshipped is none."""
    current = {line.line: line for line in record.revisions[-1].lines}
    withdrawn = record.revisions[-1].state in WITHDRAWN
    given_back = any(each.cause in GIVEN_BACK for each in record.revisions)
    shipments, deliveries = _by_line(record.done, "shipped"), _by_line(record.done, "delivered")
    found = []
    for asked in base_of(record).lines:
        if asked.outcome not in DEMAND:
            continue
        shipped = shipments.get(asked.line, [])
        left = sum(each.quantity for each in shipped)
        now = current.get(asked.line, asked)
        ordered = min(left, asked.quantity) if withdrawn else asked.quantity
        if given_back and not withdrawn:
            ordered = min(asked.quantity, now.promised + now.backordered)
        if ordered:
            found.append(_measured(asked, ordered, shipped, deliveries.get(asked.line, [])))
    return found


def missed_days(lines: Iterable[MeasuredLine]) -> tuple[Day, Day] | None:
    """The first and last due day of lines that have missed something so far; None if none has."""
    days = [each.due_day for each in lines if not each.on_time_in_full or each.shipped_in_time < each.ordered]
    return (min(days), max(days)) if days else None


def is_accurate(record: OrderRecord, lines: Sequence[MeasuredLine]) -> bool:
    """Whether nothing of a delivered order was wrong: no discrepancy, and what shipped is what was ordered."""
    faulty = any(each.kind == "discrepancy" for each in record.reported)
    return not faulty and all(line.shipped == line.ordered for line in lines)


def worsened(before: Sequence[Scheduled], after: Sequence[Scheduled]) -> bool:
    """Whether by some day less is promised than before."""
    if before == after:
        return False
    days = sorted({each.arrival_day for each in before})
    return any(_by(before, day) > _by(after, day) for day in days)


def _by_line(done: Iterable[Done], kind: str) -> dict[str, list[Done]]:
    found: dict[str, list[Done]] = {}
    for each in done:
        if each.kind == kind:
            found.setdefault(each.line, []).append(each)
    return found


def _measured(asked: AnsweredLine, ordered: int, shipments: Sequence[Done], deliveries: Sequence[Done]) -> MeasuredLine:
    ship_by = max((each.ship_day for each in asked.schedule), default=asked.requested_day)
    delivered, complete = 0, None
    for day, quantity in sorted([(each.day, each.quantity) for each in deliveries]):
        delivered += quantity
        if delivered >= ordered and complete is None:
            complete = day
    in_time = sum(each.quantity for each in shipments if each.day <= ship_by)
    return MeasuredLine(
        asked.line,
        asked.item_id,
        ordered,
        max((each.arrival_day for each in asked.schedule), default=asked.requested_day),
        ship_by,
        asked.requested_day,
        sum(each.quantity for each in shipments),
        min(ordered, in_time),
        min(ordered, delivered),
        complete,
    )


def _add_answer(amounts: Amounts, base: Revision) -> None:
    day = base.day
    demand = [line for line in base.lines if line.outcome in DEMAND]
    amounts.add(day, "lines_refused", sum(line.outcome not in (*DEMAND, "cancelled") for line in base.lines))
    if not demand:
        return
    amounts.add(day, "orders_answered")
    amounts.add(day, "overrides", int(base.basis == "caller_override"), "tier")
    for line in demand:
        in_time = _by(line.schedule, line.requested_day)
        amounts.add(day, "lines_answered")
        amounts.add(day, "units_ordered", line.quantity)
        amounts.add(day, "units_promised", line.promised)
        amounts.add(day, "units_promised_on_time", in_time)
        amounts.add(day, "lines_promised_on_time_in_full", int(in_time >= line.quantity))


def _add_changes(amounts: Amounts, revisions: Sequence[Revision]) -> None:
    for before, after in pairwise(revisions):
        amounts.add(after.day, "overrides", int(after.cause in OVERRIDES), after.cause)
        if after.cause in PREEMPTING:
            now = {line.line: line.schedule for line in after.lines}
            lost = [line for line in before.lines if worsened(line.schedule, now.get(line.line, ()))]
            amounts.add(after.day, "lines_preempted", len(lost))
        if after.cause in CHURNING:
            _add_churn(amounts, before, after)


def _add_churn(amounts: Amounts, before: Revision, after: Revision) -> None:
    """What a change made better and worse, and what it costs more (or less, negative): see docs/measures.md."""
    now = {line.line: line.schedule for line in after.lines}
    for line in before.lines:
        schedule = now.get(line.line, ())
        if worsened(line.schedule, schedule):
            amounts.add(after.day, "changes_worsened", 1, after.cause)
        elif worsened(schedule, line.schedule):
            amounts.add(after.day, "changes_improved", 1, after.cause)
    amounts.add(after.day, "changes_cost", after.cost_minor - before.cost_minor, after.cause)
    amounts.add(after.day, "changes_late_unit_days", _late_unit_days(after) - _late_unit_days(before), after.cause)
    amounts.add(after.day, "changes_open_units", _open_units(after) - _open_units(before), after.cause)


def _late_unit_days(revision: Revision) -> int:
    return sum(
        part.quantity * max(0, part.arrival_day - line.requested_day)
        for line in revision.lines
        for part in line.schedule
    )


def _open_units(revision: Revision) -> int:
    return sum(line.backordered for line in revision.lines)


def _add_line(amounts: Amounts, line: MeasuredLine) -> None:
    day = line.due_day
    amounts.add(day, "lines_due")
    amounts.add(day, "units_due", line.ordered)
    amounts.add(day, "units_shipped_in_time", line.shipped_in_time)
    amounts.add(day, "units_delivered", line.delivered)
    if line.complete_day is None:
        return
    amounts.add(day, "lines_delivered")
    amounts.add(day, "lines_on_time_in_full", int(line.on_time_in_full))
    amounts.add(day, "lines_delivered_as_requested", int(line.complete_day <= line.requested_day))
    amounts.add(day, "lines_late", int(not line.on_time_in_full))
    amounts.add(day, "days_late", max(0, line.complete_day - line.due_day))


def _add_order(amounts: Amounts, record: OrderRecord, lines: Sequence[MeasuredLine]) -> None:
    if lines and all(line.complete_day is not None for line in lines):
        day = max(line.due_day for line in lines)
        amounts.add(day, "orders_delivered")
        amounts.add(day, "orders_accurate", int(is_accurate(record, lines)))


def _add_counted(amounts: Amounts, record: OrderRecord, base: Revision) -> None:
    """Activities to be charged at their rate; a reported one with its own cost takes the place of a counted one."""
    demand = sum(line.outcome in DEMAND for line in base.lines)
    done: dict[str, list[tuple[Day, int]]] = {
        "order": [(base.day, 1)] if demand else [],
        "line": [(base.day, demand)] if demand else [],
        "pick": sorted([(each.day, 1) for each in record.done if each.kind == "shipped"]),
        "delivery": [(day, 1) for day in sorted({each.day for each in record.done if each.kind == "delivered"})],
        "return": sorted([(each.day, 1) for each in record.done if each.kind == "returned"]),
    }
    for report in record.reported:
        if report.kind != "activity":
            continue
        if report.actual_cost_minor is not None:
            amounts.add(report.day, "cost_actual", report.actual_cost_minor, report.what)
        elif report.what not in COUNTED_ACTIVITIES:
            done.setdefault(report.what, []).append((report.day, report.quantity))
    for activity in sorted(done):
        paid = sum(
            each.quantity
            for each in record.reported
            if each.kind == "activity" and each.what == activity and each.actual_cost_minor is not None
        )
        if activity not in COUNTED_ACTIVITIES:
            paid = 0
        for day, count in done[activity]:
            instead = min(paid, count)
            paid -= instead
            amounts.add(day, "activity", count - instead, activity)


def _add_freight(amounts: Amounts, record: OrderRecord) -> None:
    """Freight and goods of what has left: the actual cost where it was told, the lane's for the rest of the line."""
    taken: dict[str, list[Taken]] = {}
    for part in record.taken:
        taken.setdefault(part.line, []).append(part)
    for line, left in _by_line(record.done, "shipped").items():
        parts = taken.get(line, [])
        shipments = sorted(left, key=lambda each: each.day)
        planned = sum(each.cost_minor * each.shipped // each.quantity for each in parts)
        covered = sum(each.shipped for each in parts)
        untold = [each for each in shipments if each.actual_cost_minor is None]
        quantity = sum(each.quantity for each in untold)
        for each in shipments:
            amounts.add(each.day, "cost_actual", each.actual_cost_minor or 0, FREIGHT)
            item = next((part.item_id for part in parts), _item_of(record, line))
            if item is not None:
                amounts.add(each.day, "goods_units", each.quantity, item)
        if untold:
            charged = min(quantity, covered)
            amounts.add(untold[-1].day, "cost_rate", planned * charged // covered if covered else 0, FREIGHT)
            amounts.add(untold[-1].day, "cost_missing", quantity - charged, FREIGHT)


def _item_of(record: OrderRecord, line: str) -> str | None:
    return next((each.item_id for each in record.revisions[-1].lines if each.line == line), None)


def _by(schedule: Iterable[Scheduled], day: Day) -> int:
    return sum(each.quantity for each in schedule if each.arrival_day <= day)
