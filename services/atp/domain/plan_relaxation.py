"""An order whose shipments are paid in part: the least that any plan of it can cost, as a linear programme.

Columns are choices. Of a shipment that is not decided yet each unit bears a share: its cost by the most that it can
carry, so that a full one is paid and any other is not. Rows are what lines want, what is there by each day, and what
quotas and capacities leave. Minima, packs, begun minor units, and lines that must not be split are left out.

Plans are ranked on one scale, a *rank*: most units, then least cost, then fewer shipments (`Relaxation.rank`).
"""

from collections.abc import Iterator, Mapping
from math import gcd
from typing import Final, NamedTuple

from services.atp.domain.linear_programme import Number, Programme
from services.atp.domain.plan_problem import Choice, Problem
from services.atp.domain.plan_state import Key, State
from services.atp.domain.taking import GRAMS

SHIPMENTS_MAX: Final = GRAMS - 1  # of an order: so many, one each in a rank, count less than a minor unit


class Source(NamedTuple):
    """What a row is about: what a line wants, a level of a stock, or a limit. `line`, `stock` or `limit` is not -1."""

    line: int = -1
    stock: int = -1
    place: int = -1
    limit: int = -1

    def left(self, state: State) -> int:
        """How much of it is left."""
        if self.line >= 0:
            return state.rest[self.line]
        return state.levels[self.stock][self.place] if self.stock >= 0 else state.limits[self.limit]


class Relaxation:
    """One order, of at most `SHIPMENTS_MAX` shipments. In its programme ranks are `scale` times finer."""

    def __init__(self, problem: Problem) -> None:
        """Nothing decided yet."""
        self.problem: Final = problem
        self._start: Final = State.of(problem)
        self.choices: Final = [choice for wish in problem.wishes for choice in wish.choices]
        self.scale: Final = 1 + sum([wish.need for wish in problem.wishes])
        # what a shipment adds to a rank; each bears a split, as `rank` knows
        self.openings: Final = [
            0 if each.is_open else GRAMS * (each.cost_minor + problem.split_penalty) + 1 for each in problem.shipments
        ]
        self.columns: Final[list[list[int]]] = [[] for _ in problem.shipments]
        for column, choice in enumerate(self.choices):
            self.columns[choice.shipment].append(column)
        self.wanted: Final = [self._wanted(line) for line in range(len(problem.wishes))]
        self.most: Final = [self._most(columns) for columns in self.columns]
        pairs = zip(self.openings, self.most, strict=True)
        self.shares: Final = [self.scale * opening // most for opening, most in pairs]
        self.unit: Final = self._unit()
        self.sources: Final = self._sources()
        self.packs: Final = {
            source: gcd(*[problem.wishes[self.choices[column].line].pack for column in columns])
            for source, columns in self.sources.items()
        }

    def rank(self, key: Key) -> int:
        """The rank of a plan: the less the better, in the order of plans, ship dates and locations aside."""
        problem, (less, cost, opened, _) = self.problem, key
        cost -= problem.backorder_penalty * (less + self.scale - 1)
        if opened and not problem.shipments_before:
            cost += problem.split_penalty
        return self.unit * less + GRAMS * cost + opened

    def served(self, choice: Choice) -> int:
        """What a unit by a choice adds to a rank, its shipment aside."""
        return choice.unit_cost - self.unit

    def programme(self) -> Programme:
        """The programme of the order."""
        costs = [self.scale * self.served(each) + self.shares[each.shipment] for each in self.choices]
        columns = list(self.sources.values())
        levels = [
            self.left(source, self._start) if source.line < 0 else self.wanted[source.line] for source in self.sources
        ]
        return Programme(costs, [dict.fromkeys(own, 1) for own in columns], levels)

    def left(self, source: Source, state: State) -> int:
        """How much of something is left, as far as whole packs of all that take from it can use it."""
        left = max(0, source.left(state))
        return left - left % self.packs[source]

    def opened(self, number: int) -> dict[int, int]:
        """How costs change when a shipment is paid: its units bear no share of it."""
        return dict.fromkeys(self.columns[number], -self.shares[number])

    def closed(self, number: int) -> dict[int, int]:
        """How costs change when a shipment may not be: none of its units is worth what it costs."""
        return dict.fromkeys(self.columns[number], 2 * self.scale * self.unit)

    def least(self, value: Number, paid: int, opened: int) -> int:
        """What no plan ranks below, given the programme's least, what shipments were paid, and how many."""
        rank = -(-value // self.scale) + paid
        behind = rank % GRAMS  # shipments of a plan of this rank
        if behind < opened:
            return rank + opened - behind
        if behind > min(len(self.openings), self.scale - 1):
            return rank + opened + GRAMS - behind
        return rank

    def unpaid(self, quantities: Mapping[int, Number], decided: Mapping[int, bool]) -> int | None:
        """The shipment of which most is not paid for by its shares; None: all that are used are paid.

        In an order with a greatest number of shipments none is paid until it is decided.
        """
        carried: dict[int, Number] = {}
        for column, quantity in quantities.items():
            number = self.choices[column].shipment
            if self.openings[number] and number not in decided:
                carried[number] = carried.get(number, 0) + quantity
        lacking = [
            (units * self.shares[number] - self.scale * self.openings[number], self.problem.shipments[number], number)
            for number, units in carried.items()
            if units < self.most[number] or self.problem.shipments_max is not None
        ]
        return min(lacking)[2] if lacking else None

    def _wanted(self, line: int) -> int:
        """What a line can have at most: all that it wants, or as much as one choice gives if it must not be split."""
        wish = self.problem.wishes[line]
        need = wish.need - wish.need % wish.pack
        if self.problem.split_allowed:
            return need
        return min(need, max([self._room(each) for each in wish.choices], default=0))

    def _room(self, choice: Choice) -> int:
        room = max(0, self._start.there(choice))
        return room - room % self.problem.wishes[choice.line].pack

    def _unit(self) -> int:
        """More than any plan costs; whole minor units, so that what is behind them in a rank counts shipments."""
        dearest = max([each.unit_cost for each in self.choices], default=0)
        return GRAMS * (sum(self.openings) + (dearest + GRAMS) * self.scale)

    def _most(self, columns: list[int]) -> int:
        """The most that a shipment can carry, whatever else leaves."""
        problem, by_stock = self.problem, dict[int, dict[int, int]]()
        choices = [self.choices[column] for column in columns]
        for each in choices:
            own = by_stock.setdefault(each.stock, {})
            own[each.line] = min(self.wanted[each.line], own.get(each.line, 0) + self._room(each))
        most = sum([min(max(problem.levels[stock]), sum(own.values())) for stock, own in by_stock.items()])
        shared = set(choices[0].limits).intersection(*[each.limits for each in choices[1:]]) if choices else ()
        return max(1, min([most, *[problem.limits[limit] for limit in shared]]))

    def _sources(self) -> dict[Source, list[int]]:
        """Columns by row; of rows with the same columns only the one that leaves least."""
        start, tightest = self._start, dict[tuple[int, ...], Source]()
        for source, columns in self._all_sources():
            key = tuple(columns)
            if key not in tightest or source.left(start) < tightest[key].left(start):
                tightest[key] = source
        return {source: list(key) for key, source in tightest.items() if self._binds(source, key, start)}

    def _all_sources(self) -> Iterator[tuple[Source, list[int]]]:
        by_source: dict[Source, list[int]] = {}
        for column, each in enumerate(self.choices):
            by_source.setdefault(Source(line=each.line), []).append(column)
            for place in range(each.place, len(self.problem.levels[each.stock])):
                by_source.setdefault(Source(stock=each.stock, place=place), []).append(column)
            for limit in dict.fromkeys(each.limits):
                by_source.setdefault(Source(limit=limit), []).append(column)
        yield from by_source.items()

    def _binds(self, source: Source, columns: tuple[int, ...], start: State) -> bool:
        """Whether lines want more than there is; what a line wants always binds."""
        lines = dict.fromkeys([self.choices[column].line for column in columns])
        wanted = sum([self.problem.wishes[line].need for line in lines])
        return source.line >= 0 or source.left(start) < wanted
