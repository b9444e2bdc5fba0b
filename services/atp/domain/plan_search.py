"""Searching for the best plan of a whole order: which shipments to open, and what each line takes by which of them.

Order of plans: most units; then least cost (carriage, shipments, lateness, split and backorder penalties); then fewer
shipments. Ship dates and locations decide among the equals that are met.

1. A plan to compare with: line by line, what costs least a unit first.
2. The whole, by branch and bound (`services.atp.domain.plan_branches`). An order of at most `LINES_EXACT` lines of few
   packs by `LOCATIONS_EXACT` locations and `SERVICES_EXACT` services ends there, exactly. Most larger ones end there
   too, exactly but for how minima, packs and begun minor units divide what is scarce.
3. What did not end: a neighbourhood search over sets of shipments, from the best plan met and from sets that are filled
   with the cheapest choices first. A shipment is dropped, added or exchanged as long as the plan gets better; then
   worse neighbours are tried, each change held while the rest gets better around it. Where the least that any plan can
   cost is near, the second part is left out.

Bounded in what is looked at and not in time, so that one input has one answer; `Found.budget_spent` says when a bound
was reached.
Guarantee (tests/property): every plan found can be taken, and where the search is exact none is better.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, permutations
from operator import mul
from typing import Final, NamedTuple

from services.atp.domain.plan_branches import Branches
from services.atp.domain.plan_problem import Choice, Problem
from services.atp.domain.plan_relaxation import SHIPMENTS_MAX
from services.atp.domain.plan_state import Key, Plan, State, Taken
from services.atp.domain.taking import GRAMS

LINES_EXACT: Final = 3
LOCATIONS_EXACT: Final = 3
SERVICES_EXACT: Final = 2
# Choices and lines looked at, and pieces taken again, in the neighbourhoods of one order; some 50 ms of a processor.
NEAR_NODES_MAX: Final = 90_000
FAR_NODES_MAX: Final = 180_000  # the same, with the neighbourhoods behind worse plans
NEAR_PERCENT: Final = 97  # of a plan's cost: one that no plan can fall below is searched no further
# Entries and choices looked at in the search of the whole: some 0.2 s of a processor. Of 500 orders of up to 6 lines by
# 5 locations by 3 services 99 % need less.
WORK_MAX: Final = 1_000_000
# The same of a small order, less than two seconds. Of 2,300 drawn ones (up to 6 units a line, packs, minima, weights,
# quotas, capacities) 99 % needed less than 40,000, and all less than 2,900,000.
WORK_SMALL_MAX: Final = 3_000_000
NEIGHBOURS_MAX: Final = 24  # shipments added or exchanged that are tried, the most promising first
NEIGHBOURS_BEHIND_MAX: Final = 8  # the same, behind a worse plan
NONE: Final = -1  # no shipment
NO_CHANGE: Final = (NONE, NONE)
FORBIDDING: Final = 10**12  # thousandths of a minor unit: more than any unit costs
STARTS_MAX: Final = 2  # plans by several shipments, and by single ones, from which a search starts
Change = tuple[int, int]  # a shipment added, and one dropped for it
Take = Callable[[Sequence[Choice]], bool]


class Found(NamedTuple):
    """A plan: what each choice takes, in order of lines; its place in the order of plans; how it was found.

    `is_exact`: the search ended, so that no plan comes before it; of an order that is not small, beyond roundings.
    """

    taken: tuple[Taken, ...]
    key: Key
    nodes: int
    branches: int
    budget_spent: bool
    is_exact: bool


def search(problem: Problem) -> Found:
    """The best plan found."""
    near = _Neighbourhood(problem)
    is_small = _is_small(problem)
    branches = Branches(problem, near.first(), WORK_SMALL_MAX if is_small else WORK_MAX, to_the_unit=is_small)
    if len(problem.shipments) <= SHIPMENTS_MAX and branches.search():
        best = branches.best
        return Found(best[1], best[0], near.nodes, branches.branches, budget_spent=False, is_exact=True)
    best = near.search([branches.best, *near.starts()[:STARTS_MAX]])
    if not branches.is_near(NEAR_PERCENT):
        best = near.search_further(best)
    return Found(best[1], best[0], near.nodes, branches.branches, budget_spent=True, is_exact=False)


def _is_small(problem: Problem) -> bool:
    services: dict[str, dict[str, None]] = {}
    for each in problem.shipments:
        services.setdefault(each.location_id, {})[each.service] = None
    return (
        len(problem.wishes) <= LINES_EXACT
        and len(services) <= LOCATIONS_EXACT
        and all(len(each) <= SERVICES_EXACT for each in services.values())
    )


class _Neighbourhood:
    """From several sets of shipments to sets of which no neighbour is better."""

    def __init__(self, problem: Problem) -> None:
        self.nodes = 0
        self._until = NEAR_NODES_MAX
        self._held = NO_CHANGE
        self._problem: Final = problem
        self._state: Final = State.of(problem)
        self._orders: Final = _orders(len(problem.wishes))
        self._ranks: Final = [_ranks(wish.choices) for wish in problem.wishes]
        self._cheapest: Final = [
            {number: wish.choices[ranks[0]].unit_cost for number, ranks in own.items()}
            for wish, own in zip(problem.wishes, self._ranks, strict=True)
        ]

    def is_spent(self) -> bool:
        """Whether the budget in nodes is used up."""
        return self.nodes >= self._until

    def first(self) -> Plan:
        """Line by line, what costs least a unit first: a plan to compare with."""
        return self._greedy(self._orders[0], self._take_cheapest)

    def starts(self) -> list[Plan]:
        """Plans from which a search may start, the best first."""
        several = [
            self._greedy(order, take) for order in self._orders for take in (self._take_cheapest, self._take_best)
        ]
        several += [self._filled(start) for start in self._starts()]
        single = [self._filled([number]) for number in range(len(self._problem.shipments))]
        starts = [*sorted(several, key=_place)[:STARTS_MAX], *sorted(single, key=_place)[:STARTS_MAX]]
        return sorted(starts, key=_place)

    def search(self, starts: Sequence[Plan]) -> Plan:
        """The best plan found from some plans."""
        found = []
        for number, start in enumerate(starts, 1):
            self._until = NEAR_NODES_MAX * number // len(starts)
            found.append(self._descended(start, self._better))
        return min(found, key=_place)

    def search_further(self, best: Plan) -> Plan:
        """The best plan found from worse neighbours of the best, each with its change held for one descent."""
        self._until = FAR_NODES_MAX
        tried: dict[Change, None] = {}
        while not self.is_spent():
            allowed = _shipments(best)
            changes = [(other, dropped) for _, other, dropped in sorted(self._promises(best, allowed))]
            changes += [(NONE, dropped) for dropped in allowed]
            found = self._better_behind(best, [change for change in changes if change not in tried], tried)
            if found is None:
                break
            best = found
        return best

    def _better_behind(self, best: Plan, changes: Sequence[Change], tried: dict[Change, None]) -> Plan | None:
        allowed = _shipments(best)
        for change in changes:
            if self.is_spent():
                break
            tried[change] = None
            added, dropped = change
            kept = [each for each in allowed if each != dropped]
            self._held = change
            found = self._descended(self._filled(kept if added == NONE else [*kept, added]), self._better_by_shipments)
            self._held = NO_CHANGE
            if found[0] < best[0]:
                return self._descended(found, self._better)
        return None

    def _starts(self) -> Iterator[Sequence[int]]:
        """All ship days of each location and service, and of each location."""
        by_lane: dict[tuple[str, str], list[int]] = {}
        for number, each in enumerate(self._problem.shipments):
            by_lane.setdefault((each.location_id, each.service), []).append(number)
            by_lane.setdefault((each.location_id, ""), []).append(number)
        for name in sorted(by_lane):
            yield by_lane[name]

    def _descended(self, start: Plan, step: Callable[[Plan], Plan | None]) -> Plan:
        current = start
        while not self.is_spent():
            better = step(current)
            if better is None:
                break
            current = better
        return current

    def _better(self, current: Plan) -> Plan | None:
        lines = range(len(self._problem.wishes))
        by_shipments = map(self._filled, self._neighbours(current))
        allowed = _shipments(current)
        alone = (self._rebuilt(current, some, None) for some in permutations(lines, 1))
        within = (self._rebuilt(current, some, allowed) for some in permutations(lines, 2))
        pairs = (self._rebuilt(current, some, None) for some in permutations(lines, 2))
        for found in chain(by_shipments, alone, within, pairs):
            if found[0] < current[0]:
                return found
            if self.is_spent():
                break
        return None

    def _better_by_shipments(self, current: Plan) -> Plan | None:
        """By other sets of shipments alone, whatever is left of the budget."""
        return next((each for each in map(self._filled, self._neighbours(current)) if each[0] < current[0]), None)

    def _rebuilt(self, current: Plan, lines: Sequence[int], allowed: Sequence[int] | None) -> Plan:
        """Lines planned anew beside all others, each by what costs least a unit then."""
        self.nodes += len(current[1])
        for choice, quantity in current[1]:
            if choice.line not in lines:
                self._state.take(choice, quantity)
        return self._greedy(lines, self._take_cheapest, allowed)

    def _neighbours(self, current: Plan) -> Iterator[Sequence[int]]:
        """Each shipment dropped; then those added or exchanged that promise most, if what they carry had room."""
        allowed = _shipments(current)
        kept, forbidden = self._held
        for number in allowed:
            if number != kept:
                yield [each for each in allowed if each != number]
        promising = sorted(self._promises(current, allowed))
        most = NEIGHBOURS_MAX
        if self._held != NO_CHANGE:
            promising = [each for each in promising if each[1] != forbidden and (kept == NONE or each[2] != kept)]
            most = NEIGHBOURS_BEHIND_MAX
        for _, other, dropped in promising[:most]:
            yield [*(each for each in allowed if each != dropped), other]

    def _promises(self, current: Plan, allowed: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """What a plan costs more (in thousandths) with a shipment added, and another one (or none) dropped for it."""
        problem, cheapest = self._problem, self._cheapest
        pieces = [(choice.line, choice.shipment, choice.unit_cost, quantity) for choice, quantity in current[1]]
        for line, wish in enumerate(problem.wishes):
            short = wish.need - sum([quantity for owner, _, _, quantity in pieces if owner == line])
            pieces += [(line, -1, FORBIDDING, short)] if short else []
        for other in range(len(problem.shipments)):
            if other in allowed:
                continue
            saved = [min(0, cheapest[line].get(other, FORBIDDING) - cost) * units for line, _, cost, units in pieces]
            opening = GRAMS * (problem.shipments[other].cost_minor + problem.split_penalty)
            yield opening + sum(saved), other, NONE
            for dropped in allowed:
                moved = [
                    min([cheapest[line].get(each, FORBIDDING) for each in (*allowed, other) if each != dropped]) - cost
                    for line, number, cost, _ in pieces
                    if number == dropped
                ]
                stays = [part for part, piece in zip(saved, pieces, strict=True) if piece[1] != dropped]
                units_moved = [units for _, number, _, units in pieces if number == dropped]
                change = sum(map(mul, moved, units_moved)) + sum(stays) + opening
                yield change - GRAMS * (problem.shipments[dropped].cost_minor + problem.split_penalty), other, dropped

    def _filled(self, allowed: Sequence[int]) -> Plan:
        """The best of the plans that take the cheapest choices first, within a set of shipments."""
        orders = [*self._orders, self._by_regret(allowed)] if len(self._orders) > 1 else self._orders
        return min([self._filled_in(order, allowed) for order in orders], key=_place)

    def _by_regret(self, allowed: Sequence[int]) -> list[int]:
        """Lines by what it costs them not to have their cheapest shipment, the dearest first."""
        regrets = []
        for line, wish in enumerate(self._problem.wishes):
            cheapest = self._cheapest[line]
            costs = sorted([cheapest[number] for number in allowed if number in cheapest])
            second = costs[1] if len(costs) > 1 else FORBIDDING
            regrets.append((-(second - costs[0]) * wish.need if costs else 0, line))
        return [line for _, line in sorted(regrets)]

    def _filled_in(self, order: Sequence[int], allowed: Sequence[int]) -> Plan:
        state = self._state
        self.nodes += len(order)
        for line in order:
            mark, wish, choices = len(state.taken), self._problem.wishes[line], self._within(line, allowed)
            if self._problem.split_allowed:
                self.nodes += len(choices)
                self._take_all(choices)
            else:
                self._take_best(choices)
            if wish.need - state.rest[line] < wish.minimum:
                state.undo(mark)
        return self._planned()

    def _planned(self) -> Plan:
        plan = self._state.plan()
        self._state.undo(0)
        return plan

    def _take_all(self, choices: Sequence[Choice]) -> None:
        state = self._state
        for choice in choices:
            quantity = state.room(choice)
            if quantity > 0:
                state.take(choice, quantity)
                if not state.rest[choice.line]:
                    return

    def _take_best(self, choices: Sequence[Choice]) -> bool:
        """Take the choice that gives most, and of those the one that costs least now; False: there is none."""
        self.nodes += len(choices)
        priced = [
            (-room, self._state.adds(each, room), rank)
            for rank, each in enumerate(choices)
            if (room := self._state.room(each)) > 0
        ]
        if priced:
            less, _, rank = min(priced)
            self._state.take(choices[rank], -less)
        return bool(priced)

    def _greedy(self, order: Sequence[int], take: Take, allowed: Sequence[int] | None = None) -> Plan:
        """Line by line, again and again what is taken first then; within a set of shipments, if there is one."""
        state = self._state
        self.nodes += len(order)
        for line in order:
            mark, wish = len(state.taken), self._problem.wishes[line]
            choices = wish.choices if allowed is None else self._within(line, allowed)
            if not self._problem.split_allowed:
                self._take_best(choices)
            while state.rest[line] and self._problem.split_allowed and take(choices):
                pass
            if wish.need - state.rest[line] < wish.minimum:
                state.undo(mark)
        return self._planned()

    def _within(self, line: int, allowed: Sequence[int]) -> list[Choice]:
        """A line's choices within a set of shipments, the cheapest first."""
        ranks, choices = self._ranks[line], self._problem.wishes[line].choices
        return [choices[rank] for rank in sorted([rank for number in allowed for rank in ranks.get(number, ())])]

    def _take_cheapest(self, choices: Sequence[Choice]) -> bool:
        """Take the choice that costs least a unit now, its shipment included; False: there is none."""
        self.nodes += len(choices)
        priced = [
            (self._state.adds(each, room) // room, -room, rank)
            for rank, each in enumerate(choices)
            if (room := self._state.room(each)) > 0
        ]
        if priced:
            _, less, rank = min(priced)
            self._state.take(choices[rank], -less)
        return bool(priced)


def _shipments(plan: Plan) -> list[int]:
    return sorted(dict.fromkeys([choice.shipment for choice, _ in plan[1]]))


def _orders(lines: int) -> list[list[int]]:
    order = list(range(lines))
    return [order, order[::-1]] if lines > 1 else [order]


def _ranks(choices: Sequence[Choice]) -> dict[int, list[int]]:
    """The places of choices, the cheapest first, by shipment."""
    found: dict[int, list[int]] = {}
    for rank, choice in enumerate(choices):
        found.setdefault(choice.shipment, []).append(rank)
    return found


def _place(plan: Plan) -> Key:
    return plan[0]
