"""The whole of an order, branch and bound: no plan of it is better than the one that is kept.

A branch pays a shipment, or does without it: the one of which the least plan (`services.atp.domain.plan_relaxation`)
uses most that it has not paid for. Where all that are used are paid, that plan is the best of its branch. Where it
cannot be taken as it is (minima, packs, fractions, begun minor units), the branch is searched line by line
(`services.atp.domain.plan_leaves`), by the prices of what is scarce there. Where lines must not be split, a least plan
that splits them says little, and the whole is searched line by line.

Bounded in work: entries of tableaus, and choices of lines, that are looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.atp.domain.linear_programme import Number, Programme
from services.atp.domain.plan_leaves import Leaf, is_in_few_packs
from services.atp.domain.plan_problem import Problem
from services.atp.domain.plan_relaxation import Relaxation
from services.atp.domain.plan_state import Plan, State
from services.atp.domain.taking import GRAMS

CHOICE_WORK: Final = 5  # what a choice that is looked at takes, in entries


@dataclass(frozen=True, slots=True)
class _Branch:
    """Plans with some shipments paid (True) and without others (False)."""

    programme: Programme
    decided: Mapping[int, bool]
    paid: int
    opened: int


class Branches:
    """The search of one order. `best` is a plan to begin with; `work_max` bounds the work.

    Carriage by weight is rounded up by piece. To the last minor unit is looked for where the search is `to_the_unit`;
    otherwise a plan may cost less by what its pieces were rounded up by, at most.
    """

    def __init__(self, problem: Problem, best: Plan, work_max: int, *, to_the_unit: bool) -> None:
        self.best = best
        self.branches = 0
        self.work = 0
        self._problem: Final = problem
        self._work_max: Final = work_max
        self._relaxation: Final = Relaxation(problem)
        self._is_rounded = not to_the_unit and any(each.unit_cost % GRAMS for each in self._relaxation.choices)
        self._every_quantity: Final = to_the_unit and is_in_few_packs(problem)
        self._rank = self._rank_of(best)
        self._least: int | None = None
        self._state: Final = State.of(problem)

    def search(self) -> bool:
        """Look at all plans that may be better; False: the bound in work was reached before."""
        if not self._problem.split_allowed:
            return self._search_leaf([0] * len(self._relaxation.sources), {})
        branches = [_Branch(self._relaxation.programme(), {}, 0, 0)]
        while branches:
            found = self._looked_at(branches.pop())
            if found is None:
                return False
            branches += found
        return True

    def is_near(self, percent: int) -> bool:
        """Whether no plan has more units, and none of as many costs less than so much of what the best one costs.

        That is what the search knew when it began, so it is also known where it ended at its bound.
        """
        if self._least is None:
            return False
        cost = self._rank - self._relaxation.unit * self.best[0][0]
        return self._least + cost * (100 - percent) // 100 >= self._rank

    def _looked_at(self, branch: _Branch) -> list[_Branch] | None:
        """The branches of a branch, the one to be looked at first in the end; None: the bound was reached."""
        relaxation, programme = self._relaxation, branch.programme
        self.branches += 1
        is_solved = programme.solve(self._work_max - self.work)
        self.work += programme.work
        if not is_solved:
            return None
        least = relaxation.least(programme.value, branch.paid, branch.opened)
        if self._least is None:
            self._least = least
        if least >= self._rank or self._carries_less(branch):
            return []
        quantities = programme.quantities()
        self._keep(self._taken(quantities))
        if least >= self._rank:
            return []
        number = relaxation.unpaid(quantities, branch.decided)
        if number is not None:
            return self._divided(branch, number)
        return [] if self._search_leaf(programme.prices(), branch.decided) else None

    def _search_leaf(self, prices: Sequence[int], decided: Mapping[int, bool]) -> bool:
        """Search a branch line by line; False: the bound was reached before."""
        leaf = Leaf(self._relaxation, prices, decided, self.best, every_quantity=self._every_quantity)
        is_searched = leaf.search((self._work_max - self.work) // CHOICE_WORK)
        self.work += leaf.work * CHOICE_WORK
        self._keep(leaf.best)
        return is_searched

    def _divided(self, branch: _Branch, number: int) -> list[_Branch]:
        """A branch without a shipment, and one with it: none but those that are paid, if it may have no more."""
        relaxation, problem, decided = self._relaxation, self._problem, branch.decided
        with_it = branch.programme.copy()
        with_it.change(relaxation.opened(number))
        opened, more = branch.opened + 1, {number: True}
        if problem.shipments_max is not None and problem.shipments_before + opened >= problem.shipments_max:
            others = [each for each, cost in enumerate(relaxation.openings) if cost and each not in decided]
            for each in others:
                if each != number:
                    with_it.change(relaxation.closed(each))
                    more[each] = False
        without = branch.programme
        without.change(relaxation.closed(number))
        without.work = 0
        return [
            _Branch(without, {**decided, number: False}, branch.paid, branch.opened),
            _Branch(with_it, {**decided, **more}, branch.paid + relaxation.openings[number], opened),
        ]

    def _carries_less(self, branch: _Branch) -> bool:
        """Whether as many shipments as the order may have carry fewer units than the best plan gives."""
        problem, most = self._problem, self._relaxation.most
        if problem.shipments_max is None:
            return False
        undecided, units = [], 0
        for number, (carried, each) in enumerate(zip(most, problem.shipments, strict=True)):
            if each.is_open or branch.decided.get(number):
                units += carried
            elif number not in branch.decided:
                undecided.append(carried)
        may_open = max(0, problem.shipments_max - problem.shipments_before - branch.opened)
        units += sum(sorted(undecided, reverse=True)[:may_open])
        return units < -self.best[0][0]

    def _keep(self, found: Plan) -> None:
        if found[0] < self.best[0]:
            self.best = found
            self._rank = self._rank_of(found)

    def _rank_of(self, plan: Plan) -> int:
        """What a plan has to rank below in order to be looked for."""
        return self._relaxation.rank(plan[0]) - (GRAMS * len(plan[1]) if self._is_rounded else 0)

    def _taken(self, quantities: Mapping[int, Number]) -> Plan:
        """What can be taken of the least plan as it is: whole packs, no line below its minimum or in several parts."""
        state, choices = self._state, self._relaxation.choices
        largest = sorted(quantities.items(), key=_most_first)
        for column, quantity in largest:
            choice, room = choices[column], state.room(choices[column])
            wish = self._problem.wishes[choice.line]
            if self._problem.split_allowed:
                room = min(room, int(quantity))
            elif state.rest[choice.line] < wish.need:
                continue
            if room >= wish.pack:
                state.take(choice, room - room % wish.pack)
        kept = [
            (choice, quantity)
            for choice, quantity in state.taken
            if self._problem.wishes[choice.line].need - state.rest[choice.line]
            >= self._problem.wishes[choice.line].minimum
        ]
        state.undo(0)
        for choice, quantity in kept:
            state.take(choice, quantity)
        plan = state.plan()
        state.undo(0)
        return plan


def _most_first(taken: tuple[int, Number]) -> tuple[Number, int]:
    column, quantity = taken
    return -quantity, column
