"""The best plan of an order by a mixed-integer programme (HiGHS), written from the book and not from the search.

Columns: units of each line by each offer on each ship day of a window; whether a shipment leaves by an offer on a day.
Rows: what a line wants; what is there at a position by each day on which it grows; what may leave a location on a day;
no units without their shipment. Solved twice: most units first, then least cost for as many.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import highspy
import numpy as np

from services.atp.domain.model import Book, Capacity, Day, Offer, PositionKey, Request

SOLVER: Final = "HiGHS"
DAYS: Final = 12  # ship days looked at; nothing turns later in these worlds


@dataclass(frozen=True, slots=True)
class Part:
    """What the solver ships of a line."""

    line: int
    offer: Offer
    ship_day: Day
    quantity: int


@dataclass(frozen=True, slots=True)
class Optimum:
    """Units and cost (penalties included) of the best plan, and the plan."""

    units: int
    cost: int
    parts: tuple[Part, ...]


@dataclass
class _Rows:
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    index: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)

    def add(self, terms: list[tuple[int, float]], lower: float, upper: float) -> None:
        """One row."""
        self.lower.append(lower)
        self.upper.append(upper)
        self.index += [column for column, _ in terms]
        self.value += [value for _, value in terms]
        self.starts.append(len(self.index))


class Programme:
    """The programme of one order; `stock` and `capacity` False: as if they bound nothing."""

    def __init__(self, book: Book, request: Request, *, stock: bool = True, capacity: bool = True) -> None:
        self.book, self.request = book, request
        self.columns: list[tuple[int, Offer, Day]] = []
        self.shipments: list[tuple[Offer, Day]] = []
        self._columns()
        self.rows = _Rows()
        for number, line in enumerate(request.lines):
            self.rows.add([(index, 1.0) for index in self._of(number)], 0.0, float(line.quantity))
        self._link()
        if stock:
            self._stock()
        if capacity:
            self._capacity()

    def solve(self) -> Optimum:
        """Most units, then least cost."""
        tier, lines = self.request.tier, self.request.lines
        units = round(-self._solved([-1.0] * len(self.columns), None)[0])
        costs = [self._unit_cost(*column) for column in self.columns]
        _, values = self._solved(costs, units)
        taken = [round(value) for value in values[: len(self.columns)]]
        parts = tuple(Part(*column, quantity) for column, quantity in zip(self.columns, taken, strict=True) if quantity)
        used = {(part.offer.location_id, part.offer.service, part.ship_day): part.offer for part in parts}
        cost = sum(offer.cost_shipment_minor for offer in used.values())
        cost += tier.split_penalty_minor * max(0, len(used) - 1)
        cost += tier.backorder_penalty_minor * (sum(line.quantity for line in lines) - units)
        cost += sum(round(self._unit_cost(part.line, part.offer, part.ship_day)) * part.quantity for part in parts)
        return Optimum(units, cost, parts)

    def _columns(self) -> None:
        today = self.book.today
        for offer in self.book.offers["*"]:
            for ship_day in range(today + offer.processing_days, today + offer.processing_days + DAYS):
                self.shipments.append((offer, ship_day))
                for number, line in enumerate(self.request.lines):
                    if PositionKey(line.item_id, offer.location_id) not in self.book.positions:
                        continue
                    latest = line.latest_acceptable_arrival
                    if latest is None or ship_day + offer.transit_days <= latest:
                        self.columns.append((number, offer, ship_day))

    def _of(self, line: int) -> list[int]:
        return [index for index, column in enumerate(self.columns) if column[0] == line]

    def _unit_cost(self, line: int, offer: Offer, ship_day: Day) -> float:
        asked = self.request.lines[line]
        wanted = self.request.ordered_day + self.request.tier.lead_time_days
        if asked.requested_arrival is not None:
            wanted = asked.requested_arrival
        late = max(0, ship_day + offer.transit_days - wanted)
        return float(offer.cost_unit_minor + late * self.request.tier.lateness_penalty_minor)

    def _link(self) -> None:
        place = {(id(offer), day): number for number, (offer, day) in enumerate(self.shipments)}
        for index, (line, offer, day) in enumerate(self.columns):
            most = float(self.request.lines[line].quantity)
            self.rows.add([(index, 1.0), (len(self.columns) + place[id(offer), day], -most)], -highspy.kHighsInf, 0.0)

    def _stock(self) -> None:
        items = {line.item_id: None for line in self.request.lines}
        for key, position in self.book.positions.items():
            if key.item_id not in items:
                continue
            days = sorted({self.book.today, *(each.day for each in position.receipts)})
            for end in [*(day - 1 for day in days[1:]), self.book.today + 10**4]:
                there = position.on_hand - position.buffer
                there += sum(each.confirmed for each in position.receipts if each.day <= end)
                there -= sum(quantity for _, quantity in position.commitments)
                terms = [(index, 1.0) for index in self._drawing(key, end)]
                self.rows.add(terms, -highspy.kHighsInf, float(max(0, there)))

    def _drawing(self, key: PositionKey, end: Day) -> list[int]:
        return [
            index
            for index, (line, offer, day) in enumerate(self.columns)
            if PositionKey(self.request.lines[line].item_id, offer.location_id) == key
            and day - offer.processing_days <= end
        ]

    def _capacity(self) -> None:
        for everyone in self.book.capacities.values():
            for capacity in everyone:
                self._limit(capacity)

    def _limit(self, capacity: Capacity) -> None:
        by_day: dict[Day, list[tuple[int, float]]] = {}
        for index, (_, offer, day) in enumerate(self.columns):
            if offer.location_id == capacity.location_id and capacity.service in (None, offer.service):
                by_day.setdefault(day, []).append((index, 1.0))
        for day, terms in by_day.items():
            units = dict(capacity.exceptions).get(day, capacity.weekdays[(day - 1) % 7])
            self.rows.add(terms, -highspy.kHighsInf, float(units))

    def _solved(self, costs: list[float], units: int | None) -> tuple[float, list[float]]:
        rows, width = self.rows, len(self.columns)
        opening = [0.0] * len(self.shipments)
        if units is not None:
            penalty = self.request.tier.split_penalty_minor
            opening = [float(offer.cost_shipment_minor + penalty) for offer, _ in self.shipments]
        model = highspy.HighsLp()
        model.num_col_ = width + len(self.shipments)
        model.col_cost_ = np.array(costs + opening)
        model.col_lower_ = np.zeros(model.num_col_)
        uppers = [float(self.request.lines[line].quantity) for line, _, _ in self.columns]
        model.col_upper_ = np.array(uppers + [1.0] * len(self.shipments))
        model.integrality_ = [highspy.HighsVarType.kInteger] * model.num_col_
        lower, upper, starts = list(rows.lower), list(rows.upper), list(rows.starts)
        index, value = list(rows.index), list(rows.value)
        if units is not None:
            lower.append(float(units))
            upper.append(float(units))
            index += list(range(width))
            value += [1.0] * width
            starts.append(len(index))
        model.num_row_ = len(lower)
        model.row_lower_, model.row_upper_ = np.array(lower), np.array(upper)
        model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        model.a_matrix_.start_, model.a_matrix_.index_ = np.array(starts), np.array(index)
        model.a_matrix_.value_ = np.array(value)
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, wanted in (("output_flag", False), ("threads", 1), ("random_seed", 1), ("mip_rel_gap", 0.0)):
            solver.setOptionValue(option, wanted)
        solver.passModel(model)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise RuntimeError(f"{SOLVER} found no optimum: {solver.getModelStatus()}")
        return float(solver.getInfo().objective_function_value), list(solver.getSolution().col_value)
