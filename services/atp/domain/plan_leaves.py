"""One branch of an order, line by line: which of its plans is the best, by what is scarce there.

Each choice is left out, or takes all that there is room for, or less. Of a small order every quantity is tried: other
choices of the line, or of lines that share what it takes, may do better with any of the rest. Of others only what the
lines after it cannot use is, so that what is found may not be the best of the branch.

A bound is what the open lines cost by themselves, if they pay for what is scarce, less what all that is left of it is
worth (the Lagrangian relaxation: M. L. Fisher, Management Science 27, 1981; any prices make a bound, those of the least
plan a good one).
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Final

from services.atp.domain.plan_problem import Choice, Problem
from services.atp.domain.plan_relaxation import Relaxation
from services.atp.domain.plan_state import Plan, State
from services.atp.domain.taking import GRAMS

PACKS_MAX: Final = 12  # of a line: to try every quantity of more could take seconds
DEPTH_MAX: Final = 300  # lines and pieces of a plan that is searched; one with more would nest too many calls


class Leaf:
    """The search of one branch. `best` is a plan to begin with; `work` counts choices looked at."""

    def __init__(
        self,
        relaxation: Relaxation,
        prices: Sequence[int],
        decided: Mapping[int, bool],
        best: Plan,
        *,
        every_quantity: bool,
    ) -> None:
        """`prices` by row of the relaxation; shipments that are decided for are paid whether they are used or not.

        `every_quantity` of a choice is tried, or those alone that are left by others.
        """
        self.best = best
        self.work = 0
        self._relaxation: Final = relaxation
        self._problem: Final = relaxation.problem
        self._decided: Final = decided
        self._every_quantity: Final = every_quantity
        paid = [relaxation.openings[number] for number, is_paid in decided.items() if is_paid]
        self._paid: Final = sum(paid)
        self._opened: Final = sum([opening > 0 for opening in paid])
        self._work_max = 0
        self._state: Final = State.of(relaxation.problem)
        self._rank = relaxation.rank(best[0])
        self._scarce: Final = [
            (source, price)
            for source, price in zip(relaxation.sources, prices, strict=True)
            if price and source.line < 0
        ]
        self._choices: Final = [
            tuple([each for each in wish.choices if decided.get(each.shipment, True)])
            for wish in relaxation.problem.wishes
        ]
        self._costs: Final = self._priced(prices)

    def search(self, work_max: int) -> bool:
        """Look at all plans that may be better; False: it is too long, or so many choices were looked at before."""
        self._work_max = work_max
        lines = range(len(self._problem.wishes))
        in_one_order = self._every_quantity or not is_shared(self._problem)
        orders = [tuple(lines)] if in_one_order else permutations(lines)
        return all(self._branch(order, 0, 0) for order in orders)

    def _branch(self, order: Sequence[int], depth: int, start: int) -> bool:
        state = self._state
        if depth == len(order):
            self._keep(state.plan())
            return True
        if depth > DEPTH_MAX:
            return False
        line = order[depth]
        wish, choices = self._problem.wishes[line], self._choices[line]
        for index in range(start, len(choices)):
            rest = state.rest[line]
            if rest == 0 or (rest < wish.need and not self._problem.split_allowed):
                break
            if self.work >= self._work_max or depth + len(state.taken) > DEPTH_MAX:
                return False
            if self._bound(order, depth, index) >= self._rank:
                return True
            mark = len(state.taken)
            for quantity in self._quantities(choices[index], order[depth + 1 :]):
                state.take(choices[index], quantity)
                is_searched = self._branch(order, depth, index + 1)
                state.undo(mark)
                if not is_searched:
                    return False
        return 0 < wish.need - state.rest[line] < wish.minimum or self._branch(order, depth + 1, 0)

    def _quantities(self, choice: Choice, later: Sequence[int]) -> list[int]:
        """All that there is room for, and less; or what is left of it when lines that come later take theirs first."""
        room, pack = self._state.room(choice), self._problem.wishes[choice.line].pack
        if room <= 0:
            return []
        if self._every_quantity:
            return list(range(room, 0, -pack))
        found = [room]
        for line in later:
            lefts = [each - self._state.rest[line] for each in found]
            found += [left - left % pack for left in lefts if left >= pack]
        return sorted(dict.fromkeys(found), reverse=True)

    def _keep(self, found: Plan) -> None:
        if found[0] < self.best[0]:
            self.best = found
            self._rank = self._relaxation.rank(found[0])

    def _bound(self, order: Sequence[int], depth: int, index: int) -> int:
        """What no plan that comes of a branch ranks below, if shipments that are decided for are used."""
        relaxation, state, problem = self._relaxation, self._state, self._problem
        paid, opened = self._paid, self._opened
        for number, pieces in enumerate(state.used):
            if pieces and number not in self._decided:
                paid += relaxation.openings[number]
                opened += 1 if relaxation.openings[number] else 0
        units = sum([wish.need for wish in problem.wishes]) - sum(state.rest)
        taken = sum([choice.cost(quantity) for choice, quantity in state.taken])
        value = -sum([price * relaxation.left(source, state) for source, price in self._scarce])
        for place, line in enumerate(order[depth:]):
            value += self._least(line, index if place == 0 else 0)
        return relaxation.least(value, paid + GRAMS * taken - relaxation.unit * units, opened)

    def _least(self, line: int, index: int) -> int:
        """What the rest of a line adds to a rank at least, what is scarce paid for, in the programme's measure."""
        state, least = self._state, 0
        rest, shares = state.rest[line], self._relaxation.shares
        self.work += len(self._choices[line]) - index
        priced = []
        for cost, choice in self._costs[line][index:]:
            is_paid = state.used[choice.shipment] or choice.shipment in self._decided
            priced.append((cost if is_paid else cost + shares[choice.shipment], choice))
        for cost, choice in sorted(priced, key=_cost):
            if not rest or cost >= 0:
                break
            part = min(rest, state.there(choice))
            part -= part % self._problem.wishes[line].pack
            if part > 0 and self._problem.split_allowed:
                rest -= part
                least += part * cost
            elif part > 0:
                least = min(least, part * cost)
        return least

    def _priced(self, prices: Sequence[int]) -> list[list[tuple[int, Choice]]]:
        """Choices by line with what a unit adds to a rank, what is scarce paid for, their shipments aside."""
        relaxation = self._relaxation
        costs = [relaxation.scale * relaxation.served(choice) for choice in relaxation.choices]
        for (source, columns), price in zip(relaxation.sources.items(), prices, strict=True):
            for column in columns if source.line < 0 else ():
                costs[column] += price
        found: list[list[tuple[int, Choice]]] = [[] for _ in self._choices]
        for cost, choice in zip(costs, relaxation.choices, strict=True):
            if self._decided.get(choice.shipment, True):
                found[choice.line].append((cost, choice))
        return found


def is_in_few_packs(problem: Problem) -> bool:
    """Whether every quantity of every choice can be tried."""
    return all(wish.need <= PACKS_MAX * wish.pack for wish in problem.wishes)


def is_shared(problem: Problem) -> bool:
    """Whether lines could want the same units."""
    users: dict[tuple[str, int], int] = {}
    for wish in problem.wishes:
        for choice in wish.choices:
            names = [("stock", choice.stock), *(("limit", limit) for limit in choice.limits)]
            if any(users.setdefault(name, choice.line) != choice.line for name in names):
                return True
    return False


def _cost(priced: tuple[int, Choice]) -> int:
    return priced[0]
