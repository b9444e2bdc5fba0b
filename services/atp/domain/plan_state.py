"""A plan of an order in the making: what is taken so far, what is left of everything, and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.atp.domain.outlook import Tie
from services.atp.domain.plan_problem import Choice, Problem
from services.atp.domain.taking import GRAMS

Taken = tuple[Choice, int]
Key = tuple[int, int, int, tuple[Tie, ...]]
Plan = tuple[Key, tuple[Taken, ...]]


def key_of(problem: Problem, taken: Sequence[Taken]) -> Key:
    """The place of a plan in the order of plans; the least is the best. Ties by line, the first ship date first."""
    need = sum([wish.need for wish in problem.wishes])
    units = sum([quantity for _, quantity in taken])
    used = dict.fromkeys([choice.shipment for choice, _ in taken])
    opened = [number for number in used if not problem.shipments[number].is_open]
    cost = sum([choice.cost(quantity) for choice, quantity in taken])
    cost += sum([problem.shipments[number].cost_minor for number in opened]) + problem.split_cost(len(opened))
    cost += problem.backorder_penalty * (need - units)
    return -units, cost, len(opened), tuple([choice.tie for choice, _ in taken])


@dataclass(slots=True)
class State:
    """What is taken so far, and what is left of everything."""

    problem: Problem
    rest: list[int]
    levels: list[list[int]]
    limits: list[int]
    used: list[int]  # pieces by shipment
    opened: int
    cost: int  # of pieces and shipments, penalties aside
    taken: list[Taken]

    @classmethod
    def of(cls, problem: Problem) -> "State":
        """Nothing taken yet."""
        return cls(
            problem,
            [wish.need for wish in problem.wishes],
            [list(levels) for levels in problem.levels],
            list(problem.limits),
            [0] * len(problem.shipments),
            0,
            0,
            [],
        )

    def room(self, choice: Choice) -> int:
        """What a choice may take now, in whole packs; 0 if it needs a shipment that the order may not have."""
        room = min(self.rest[choice.line], self.there(choice))
        if room <= 0 or not (self.used[choice.shipment] or self._may_open(choice.shipment)):
            return 0
        return room - room % self.problem.wishes[choice.line].pack

    def there(self, choice: Choice) -> int:
        """What stock, quotas and capacities leave for a choice now, whatever its line wants."""
        return min([*self.levels[choice.stock][choice.place :], *[self.limits[limit] for limit in choice.limits]])

    def adds(self, choice: Choice, quantity: int) -> int:
        """What a quantity costs more now, its shipment and the split included, in thousandths of a minor unit."""
        cost, problem, number = choice.unit_cost * quantity, self.problem, choice.shipment
        if not self.used[number] and not problem.shipments[number].is_open:
            split = problem.split_penalty if problem.shipments_before + self.opened else 0
            cost += GRAMS * (problem.shipments[number].cost_minor + split)
        return cost

    def take(self, choice: Choice, quantity: int) -> None:
        """Take a quantity."""
        self._move(choice, quantity)
        self.taken.append((choice, quantity))
        self.cost += choice.cost(quantity)
        number = choice.shipment
        self.used[number] += 1
        if self.used[number] == 1 and not self.problem.shipments[number].is_open:
            self.opened += 1
            self.cost += self.problem.shipments[number].cost_minor

    def undo(self, mark: int) -> None:
        """Give back all that was taken since there were `mark` pieces."""
        while len(self.taken) > mark:
            choice, quantity = self.taken.pop()
            self._move(choice, -quantity)
            self.cost -= choice.cost(quantity)
            number = choice.shipment
            self.used[number] -= 1
            if self.used[number] == 0 and not self.problem.shipments[number].is_open:
                self.opened -= 1
                self.cost -= self.problem.shipments[number].cost_minor

    def plan(self) -> Plan:
        """What is taken, as a plan."""
        taken = tuple(sorted(self.taken, key=_by_line))
        return key_of(self.problem, taken), taken

    def _may_open(self, number: int) -> bool:
        most, problem = self.problem.shipments_max, self.problem
        return most is None or problem.shipments[number].is_open or problem.shipments_before + self.opened < most

    def _move(self, choice: Choice, quantity: int) -> None:
        self.rest[choice.line] -= quantity
        levels = self.levels[choice.stock]
        for index in range(choice.place, len(levels)):
            levels[index] -= quantity
        for limit in choice.limits:
            self.limits[limit] -= quantity


def _by_line(taken: Taken) -> tuple[int, Tie, int]:
    choice, _ = taken
    return choice.line, choice.tie, choice.piece.day
