"""Allocation documents as planners write them, and as the rows that are stored; capacities: `capacity_documents`."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from services.atp.application.planning import AllocationKind, HierarchyRow, PeriodsOverlap, ProtectionRow, QuotaRow
from services.atp.domain.model import Node
from services.atp.entrypoints.capacity_documents import CapacityDocument
from services.contracts.payload import Code, Day, Identifier, Moment, Payload, QuantityOrZero, broken_rule

ENTRIES_MAX: Final = 1_000  # lines of one document, nodes of one hierarchy
LOCATIONS_MAX: Final = 200  # of one protection; more are all of them
PERIODS_MAX: Final = 60  # of one hierarchy: five years of months
DAYS_MAX: Final = 365
RANK_MAX: Final = 1_000_000
RATIO_MAX: Final = 1_000_000
WINDOW_MAX: Final = 60  # periods back or forth
Days = Annotated[int, Field(strict=True, ge=0, le=DAYS_MAX)]
Periods = Annotated[int, Field(strict=True, ge=0, le=WINDOW_MAX)]
Percent = Annotated[Decimal, Field(ge=0, le=100, max_digits=5, decimal_places=2)]


class Period(Payload):
    """Days from first to last, both inclusive; a year at most."""

    start: Day
    end: Day

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if not 0 <= (self.end - self.start).days < DAYS_MAX + 1:
            raise broken_rule("a period ends on or after its start, within a year")
        return self


class ProtectionLine(Period):
    """A minimum kept for a tier: units, a percentage of gross supply, or a ratio of it.

    At one `location`, at several `locations`, or, without either, at all that stock the item; a number is then divided
    over them by supply, largest remainder, again when supply changes. Ratios share the whole gross supply of a position
    and period among the lines of the document. It lapses `lapse_days` before its end (default: a quarter of it; never,
    where it is `unconsumable`: an emergency stock under a name that is no tier's). `expected_qty` is the demand of the
    tier expected in the whole period: no more is kept than is expected of its rest. `strict_privilege`: what a request
    wants beyond its own protection is restricted by this one, also if it is its own tier's.
    """

    sku: Identifier
    location: Code | None = None
    locations: Annotated[tuple[Code, ...], Field(min_length=1, max_length=LOCATIONS_MAX)] | None = None
    tier: Code
    protected_qty: QuantityOrZero | None = None
    percent: Percent | None = None
    ratio: Annotated[int, Field(strict=True, ge=1, le=RATIO_MAX)] | None = None
    mode: Literal["prioritised", "core"] = "prioritised"
    lapse_days: Days | None = None
    carry_stock: bool = False
    unconsumable: bool = False
    strict_privilege: bool = False
    expected_qty: QuantityOrZero | None = None

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if sum(each is not None for each in (self.protected_qty, self.percent, self.ratio)) != 1:
            raise broken_rule("exactly one of protected_qty, percent and ratio says how much is protected")
        if self.location is not None and self.locations is not None:
            raise broken_rule("a protection is for one location or for several, not both")
        return self

    def row(self) -> ProtectionRow:
        """As it is stored."""
        days = (self.end - self.start).days + 1
        lapse = self.lapse_days
        if lapse is None:
            lapse = 0 if self.unconsumable else days // 4
        basis, share = "quantity", 0
        if self.percent is not None:
            basis, share = "percent", int(self.percent * 100)
        elif self.ratio is not None:
            basis, share = "ratio", self.ratio
        return ProtectionRow(
            item_id=self.sku,
            locations=self.locations if self.location is None else (self.location,),
            is_group=self.location is None,
            tier=self.tier,
            start_day=self.start.toordinal(),
            end_day=self.end.toordinal(),
            quantity=self.protected_qty or 0,
            mode=self.mode,
            lapse_days=lapse,
            carry_stock=self.carry_stock,
            basis=basis,
            share=share,
            unconsumable=self.unconsumable,
            strict=self.strict_privilege,
            expected=self.expected_qty,
        )


class QuotaLine(Period):
    """A maximum for the orders that match everything that it names; what is not named matches everything.

    Lines that name the same and have a window are the periods of one quota, apart from each other: what a period lacks
    is taken from up to `backward_periods` before it and `forward_periods` after it, nearest first. Periods that ended
    before today are closed. `customer` is the registry's id.
    """

    quantity: QuantityOrZero
    tier: Code | None = None
    sku: Identifier | None = None
    item_group: Code | None = None
    zone: Code | None = None
    region: Code | None = None
    channel: Code | None = None
    customer: Identifier | None = None
    backward_periods: Periods = 0
    forward_periods: Periods = 0

    def combination(self) -> tuple[object, ...]:
        """What it is a maximum for."""
        names = (self.tier, self.sku, self.item_group, self.zone, self.region, self.channel, self.customer)
        return (*names, self.backward_periods, self.forward_periods)

    def row(self, series: int) -> QuotaRow:
        """As it is stored."""
        return QuotaRow(
            series,
            self.start.toordinal(),
            self.end.toordinal(),
            self.quantity,
            self.tier,
            self.sku,
            self.zone,
            self.channel,
            self.region,
            self.customer,
            self.item_group,
            self.backward_periods,
            self.forward_periods,
        )


class HierarchyNode(Payload):
    """A node: those of its parent's orders whose attribute has the value.

    `quantities` are what it has in each period, besides what its children have. `priority` 1 is most important.
    `borrow_policy` says whether siblings that are more important may borrow what it has; not for days from today up to
    `lock_window_days`.
    """

    node: Code
    parent: Code | None = None
    attribute: Literal["region", "zone", "tier", "channel", "customer"]
    value: Identifier
    priority: Annotated[int, Field(strict=True, ge=1, le=RANK_MAX)] = 1
    quantities: Annotated[tuple[QuantityOrZero, ...], Field(min_length=1, max_length=PERIODS_MAX)]
    borrow_policy: Literal["none", "siblings"] = "none"
    lock_window_days: Days = 0


class HierarchyPool(Payload):
    """What all orders have that match no node without a parent."""

    node: Code
    quantities: Annotated[tuple[QuantityOrZero, ...], Field(min_length=1, max_length=PERIODS_MAX)]


class ProtectionDocument(Payload):
    """Protections that change together. Without `effective_from` they are in effect at once."""

    kind: ClassVar[AllocationKind] = "protection"
    effective_from: Moment | None = None
    lines: Annotated[tuple[ProtectionLine, ...], Field(max_length=ENTRIES_MAX)]

    def rows(self) -> tuple[ProtectionRow, ...]:
        """As they are stored."""
        return tuple(line.row() for line in self.lines)

    def body(self) -> dict[str, Any]:
        """What is kept of the document beside its rows."""
        return {"lines": [line.model_dump(mode="json") for line in self.lines]}


class QuotaDocument(Payload):
    """Quotas that change together. Without `effective_from` they are in effect at once."""

    kind: ClassVar[AllocationKind] = "quota"
    effective_from: Moment | None = None
    lines: Annotated[tuple[QuotaLine, ...], Field(max_length=ENTRIES_MAX)]

    def series(self) -> list[int]:
        """By line the number of the line that its quota begins with. Raises PeriodsOverlap."""
        first: dict[tuple[object, ...], int] = {}
        periods: dict[int, list[tuple[date, date]]] = {}
        numbers: list[int] = []
        for number, line in enumerate(self.lines, start=1):
            windowed = line.backward_periods or line.forward_periods
            mine = first.setdefault(line.combination(), number) if windowed else number
            numbers.append(mine)
            periods.setdefault(mine, []).append((line.start, line.end))
        for spans in periods.values():
            _refuse_overlap(spans)
        return numbers

    def rows(self) -> tuple[QuotaRow, ...]:
        """As they are stored. Raises PeriodsOverlap."""
        return tuple(line.row(series) for line, series in zip(self.lines, self.series(), strict=True))

    def body(self) -> dict[str, Any]:
        """What is kept of the document beside its rows."""
        lines = zip(self.lines, self.series(), strict=True)
        return {"lines": [{**line.model_dump(mode="json"), "series": series} for line, series in lines]}


class HierarchyDocument(Payload):
    """Allocations of one item as a tree, for example region > tier > customer: a maximum for all its orders.

    An order belongs to the deepest node that it matches, or to the pool. It takes from its own node, then from the
    parents, then from less important siblings that lend. With `fair_share`, quantities are divided by largest remainder
    where there is too little supply for all of them, again whenever supply changes.
    """

    kind: ClassVar[AllocationKind] = "hierarchy"
    effective_from: Moment | None = None
    sku: Identifier
    periods: Annotated[tuple[Period, ...], Field(min_length=1, max_length=PERIODS_MAX)]
    nodes: Annotated[tuple[HierarchyNode, ...], Field(max_length=ENTRIES_MAX)]
    pool: HierarchyPool
    fair_share: bool = False

    @model_validator(mode="after")
    def _a_tree(self) -> Self:
        names = [*(node.node for node in self.nodes), self.pool.node]
        if len(dict.fromkeys(names)) != len(names):
            raise broken_rule("every node has a name of its own")
        seen = {self.pool.node: None}  # a parent comes before its children, so there is no circle
        for node in self.nodes:
            if node.parent is not None and (node.parent not in seen or node.parent == self.pool.node):
                raise broken_rule("the parent of a node is one that comes before it, and not the pool")
            seen[node.node] = None
        given = [*(node.quantities for node in self.nodes), self.pool.quantities]
        if any(len(quantities) != len(self.periods) for quantities in given):
            raise broken_rule("every node has a quantity for each period")
        starts = [period.start for period in self.periods]
        if starts != sorted(starts):
            raise broken_rule("periods come in order")
        return self

    def rows(self) -> tuple[HierarchyRow]:
        """As it is stored. Raises PeriodsOverlap."""
        _refuse_overlap([(period.start, period.end) for period in self.periods])
        nodes = [
            Node(
                node.node,
                node.parent,
                node.attribute,
                node.value,
                node.priority,
                node.quantities,
                lends=node.borrow_policy == "siblings",
                lock_days=node.lock_window_days,
            )
            for node in self.nodes
        ]
        pool = Node(self.pool.node, None, "none", "", RANK_MAX, self.pool.quantities)
        periods = tuple((period.start.toordinal(), period.end.toordinal()) for period in self.periods)
        return (HierarchyRow(self.sku, periods, (*nodes, pool), self.pool.node, self.fair_share),)

    def body(self) -> dict[str, Any]:
        """What is kept of the document beside its row."""
        return self.model_dump(mode="json", exclude={"effective_from"})


Document = ProtectionDocument | QuotaDocument | HierarchyDocument | CapacityDocument


def _refuse_overlap(spans: Sequence[tuple[date, date]]) -> None:
    ordered = sorted(spans)
    if any(after[0] <= before[1] for before, after in pairwise(ordered)):
        raise PeriodsOverlap
