"""The whole of a small order, branch and bound: no plan of it is better than the one that is kept.

Line by line, each choice is left out, or takes all that there is room for, or what the lines after it cannot use. The
bound of a branch is what its open lines cost by themselves: carriage, lateness, and of every shipment that is not open
yet the part that a unit bears at least, as it carries no more than its lines want and its day lets leave.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import Final

from services.atp.domain.plan_problem import Choice, Problem
from services.atp.domain.plan_state import Plan, State
from services.atp.domain.taking import GRAMS


class Branches:
    """The search of one order. `best` is a plan to begin with; `nodes_max` bounds the branches."""

    def __init__(self, problem: Problem, best: Plan, nodes_max: int) -> None:
        self.problem: Final = problem
        self.best = best
        self.nodes = 0
        self._nodes_max: Final = nodes_max
        self._state: Final = State.of(problem)
        self._shares: Final = [_share(problem, number) for number in range(len(problem.shipments))]

    def search(self) -> bool:
        """Look at all plans that may be better; False: the bound in nodes was reached before."""
        lines = range(len(self.problem.wishes))
        for order in permutations(lines) if is_shared(self.problem) else [tuple(lines)]:
            self._branch(order, 0, 0)
        return not self.is_spent()

    def is_spent(self) -> bool:
        """Whether the bound in nodes was reached."""
        return self.nodes >= self._nodes_max

    def _branch(self, order: Sequence[int], depth: int, index: int) -> None:
        state = self._state
        if depth == len(order):
            found = state.plan()
            if found[0] < self.best[0]:
                self.best = found
            return
        self.nodes += 1
        if self.is_spent() or self._is_hopeless(order, depth, index):
            return
        line = order[depth]
        wish, rest = self.problem.wishes[line], state.rest[line]
        is_done = rest == 0 or (rest < wish.need and not self.problem.split_allowed)
        if is_done or index == len(wish.choices):
            if rest == wish.need or wish.need - rest >= wish.minimum:
                self._branch(order, depth + 1, 0)
            return
        choice, mark = wish.choices[index], len(state.taken)
        for quantity in self._quantities(choice, order[depth + 1 :]):
            state.take(choice, quantity)
            self._branch(order, depth, index + 1)
            state.undo(mark)
        self._branch(order, depth, index + 1)

    def _quantities(self, choice: Choice, later: Sequence[int]) -> list[int]:
        """All that there is room for; and what is left of it when lines that come later take theirs first."""
        room = self._state.room(choice)
        if room <= 0:
            return []
        pack, found = self.problem.wishes[choice.line].pack, [room]
        for line in later:
            lefts = [each - self._state.rest[line] for each in found]
            found += [left - left % pack for left in lefts if left >= pack]
        return sorted(dict.fromkeys(found), reverse=True)

    def _is_hopeless(self, order: Sequence[int], depth: int, index: int) -> bool:
        """Whether nothing that comes of a branch is better than the best plan, ship dates and locations aside."""
        units, cost = self._bound(order, depth, index)
        return (-units, cost, self._state.opened) >= self.best[0][:3]

    def least(self) -> tuple[int, int]:
        """Units that no plan gives more than, and what no plan of as many costs less than."""
        return self._bound(range(len(self.problem.wishes)), 0, 0)

    def _bound(self, order: Sequence[int], depth: int, index: int) -> tuple[int, int]:
        state, problem = self._state, self.problem
        short = sum([state.rest[line] for line in order[:depth]])
        thousandths = 0
        for place, line in enumerate(order[depth:]):
            units, least = self._least(line, index if place == 0 else 0)
            short += state.rest[line] - units
            thousandths += least
        total = sum([wish.need for wish in problem.wishes]) - short
        before = problem.shipments_before + state.opened
        cost = state.cost + problem.split_penalty * max(0, before - 1) + problem.backorder_penalty * short
        if before == 0:
            cost -= problem.split_penalty  # the shares of shipments count one split too many
        cost -= problem.split_penalty * max(0, problem.shipments_before - 1)
        return total, cost - (-thousandths // GRAMS)

    def _least(self, line: int, index: int) -> tuple[int, int]:
        """What a line can still have by itself, and the least that it costs, in thousandths."""
        state, shares = self._state, self._shares
        rest, units, cost = state.rest[line], 0, 0
        open_choices = self.problem.wishes[line].choices[index:]
        priced = [
            (each.unit_cost + (0 if state.used[each.shipment] else shares[each.shipment]), each)
            for each in open_choices
        ]
        for unit_cost, choice in sorted(priced, key=_price):
            part = min(rest - units, *state.levels[choice.stock][choice.place :])
            for limit in choice.limits:
                part = min(part, state.limits[limit])
            if part > 0:
                units += part
                cost += part * unit_cost
                if units == rest:
                    break
        return units, cost


def is_shared(problem: Problem) -> bool:
    """Whether lines could want the same units."""
    users: dict[tuple[str, int], int] = {}
    for wish in problem.wishes:
        for choice in wish.choices:
            names = [("stock", choice.stock), *(("limit", limit) for limit in choice.limits)]
            if any(users.setdefault(name, choice.line) != choice.line for name in names):
                return True
    return False


def _share(problem: Problem, number: int) -> int:
    """What a unit of a shipment bears of its cost and of the split at least, in thousandths of a minor unit."""
    shipment = problem.shipments[number]
    if shipment.is_open:
        return 0
    own = [[each for each in wish.choices if each.shipment == number] for wish in problem.wishes]
    most = sum([wish.need for wish, choices in zip(problem.wishes, own, strict=True) if choices])
    choices = [each for line in own for each in line]
    for limit in choices[0].limits if choices else ():
        if all(limit in each.limits for each in choices):
            most = min(most, problem.limits[limit])
    return GRAMS * (shipment.cost_minor + problem.split_penalty) // max(1, most)


def _price(priced: tuple[int, Choice]) -> int:
    return priced[0]
