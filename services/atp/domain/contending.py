"""Who takes part in a run of the re-decision: lines with what they want and what they have, as they stand in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from services.atp.domain.model import Day, LineDecision, Planned, Request, RequestLine
from services.atp.domain.promising import wanted_arrival
from services.atp.domain.release import divide
from services.atp.domain.strategies import Strategy, falls, gains

WIN_LATENESS_PENALTY_MINOR = 1_000_000  # a unit and day: whoever must be on time is, whatever its carriage costs
Place = tuple[object, ...]
Worth = tuple[int, int]


class Holding(NamedTuple):
    """An open part of a line. `moves`: it may be planned anew for something better; `falls`: others may take it."""

    line: str
    number: int
    planned: Planned
    moves: bool = True
    falls: bool = False


@dataclass(frozen=True, slots=True)
class Contender:
    """A line in a run; of an order that ships complete all its lines, in one contender.

    `service_key` is its place in the order of service. A line of `request` has the open rest as its quantity (0 where
    nothing is open), and its minimum unless something of it has shipped.
    """

    promise_id: str
    service_key: Place
    strategy: Strategy
    request: Request
    held: tuple[Holding, ...] = ()

    @property
    def place(self) -> Place:
        """Its place in the order of service, made unique."""
        return (self.service_key, self.promise_id)


class Taker(NamedTuple):
    """Somebody who took units from somebody else."""

    promise_id: str
    tier: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Move:
    """What a run decided for a contender.

    `kept` is what is left of each part that it held, in their order (a quantity of 0: nothing); `taken` are new parts
    by line; `decisions` the last ones of the lines that were asked for; `lost_to` who took what is not kept.
    """

    contender: Contender
    kept: tuple[Planned, ...]
    taken: tuple[tuple[str, Planned], ...]
    decisions: tuple[LineDecision, ...]
    lost_to: tuple[Taker, ...]

    @property
    def moved(self) -> bool:
        """Whether it has something else than before."""
        held = [each.planned.quantity for each in self.contender.held]
        return bool(self.taken) or [part.quantity for part in self.kept] != held


class Redecided(NamedTuple):
    """The moves of a run; `settled`: nothing that it could do in its bounds is left, as far as those asked go."""

    moves: list[Move]
    settled: bool


@dataclass(slots=True, eq=False)
class Part:
    """A part as it stands in the run; `number` is None for one that was decided in it."""

    line: str
    number: int | None
    planned: Planned
    moves: bool
    falls: bool


@dataclass(slots=True, eq=False)
class Standing:
    """A contender as it stands in the run."""

    contender: Contender
    parts: list[Part] = field(default_factory=list)
    decisions: dict[str, LineDecision] = field(default_factory=dict)
    lost_to: dict[str, Taker] = field(default_factory=dict)

    @classmethod
    def of(cls, contender: Contender) -> "Standing":
        """As it comes into the run."""
        return cls(contender, [Part(*each) for each in contender.held])

    @property
    def indivisible(self) -> bool:
        """Whether it gives up all that it has or nothing."""
        request = self.contender.request
        return request.ship_complete or any(line.minimum_quantity for line in request.lines)

    def rest(self, line: RequestLine) -> int:
        """What a line may still ask for: what is open of it now, or, where it may not gain, what it lost in the run."""
        held = sum(each.planned.quantity for each in self.contender.held if each.line == line.line)
        lost = held - self.quantity(line.line)
        return line.quantity + lost if gains(self.contender.strategy) else lost

    def quantity(self, line: str, without: Sequence[Part] = ()) -> int:
        """What it has of a line, some parts aside."""
        return sum(part.planned.quantity for part in self.parts if part.line == line and part not in without)

    def late(self) -> list[Part]:
        """The parts that arrive after they are wanted and may be planned anew."""
        wanted = self.wanted()
        found = [part for part in self.parts if part.planned.arrival_day > wanted[part.line]]
        if self.contender.request.ship_complete and found:
            found = self.parts
        movable = [part for part in found if part.moves]
        return movable if len(movable) == len(found) or not self.contender.request.ship_complete else []

    def wanted(self) -> dict[str, Day]:
        """The arrival that each line is measured against."""
        request = self.contender.request
        return {line.line: wanted_arrival(request, line) for line in request.lines}

    def asking(self, off: Sequence[Part]) -> Request:
        """The request for what is open and what these parts hold; lines that want nothing are left out."""
        request, strategy = self.contender.request, self.contender.strategy
        lines = []
        for line in request.lines:
            quantity = self.rest(line) + sum(part.planned.quantity for part in off if part.line == line.line)
            if quantity:
                minimum = 0 if self.quantity(line.line, off) else line.minimum_quantity
                lines.append(replace(line, quantity=quantity, minimum_quantity=minimum))
        tier = request.tier
        if strategy == "win":
            tier = replace(tier, lateness_penalty_minor=WIN_LATENESS_PENALTY_MINOR)
        return replace(request, tier=tier, lines=tuple(lines))

    def worth(self, off: Sequence[Part] = (), decided: Iterable[LineDecision] = ()) -> Worth:
        """What it would have, the less the better: (units, less), then units times days late."""
        wanted, found = self.wanted(), self._with(off, decided)
        late = sum(max(0, part.arrival_day - wanted[line]) * part.quantity for line, part in found)
        return -sum(part.quantity for _, part in found), late

    def loses_nothing(self, off: Sequence[Part], decided: Sequence[LineDecision]) -> bool:
        """Whether each line would have at least as much as it has by every day."""
        before, after = self._with((), ()), self._with(off, decided)
        return all(_by(after, line, part.arrival_day) >= _by(before, line, part.arrival_day) for line, part in before)

    def _with(self, off: Sequence[Part], decided: Iterable[LineDecision]) -> list[tuple[str, Planned]]:
        kept = [(part.line, part.planned) for part in self.parts if part not in off]
        return [*kept, *((line.line, part) for line in decided for part in line.planned)]

    def give_up(self, part: Part, quantity: int, taker: "Standing | None" = None) -> Planned:
        """Take a quantity off a part; what comes off, to be given back to the book."""
        part.planned, freed = divide(part.planned, part.planned.quantity - quantity)
        if not part.planned.quantity and part.number is None:
            self.parts.remove(part)
        if taker is not None:
            by = taker.contender
            before = self.lost_to.get(by.promise_id)
            self.lost_to[by.promise_id] = Taker(
                by.promise_id, by.request.tier.tier, quantity + (0 if before is None else before.quantity)
            )
        return freed

    def take(self, decided: Sequence[LineDecision]) -> None:
        """Note what it was decided to get."""
        may_fall = falls(self.contender.strategy)
        for line in decided:
            self.decisions[line.line] = line
            self.parts += [Part(line.line, None, planned, moves=True, falls=may_fall) for planned in line.planned]

    def move(self) -> Move:
        """What the run decided for it."""
        kept = {(part.line, part.number): part.planned for part in self.parts if part.number is not None}
        return Move(
            self.contender,
            tuple([kept[each.line, each.number] for each in self.contender.held]),
            tuple([(part.line, part.planned) for part in self.parts if part.number is None]),
            tuple([self.decisions[line] for line in sorted(self.decisions)]),
            tuple([self.lost_to[name] for name in sorted(self.lost_to)]),
        )


def _by(parts: Iterable[tuple[str, Planned]], line: str, day: Day) -> int:
    return sum(part.quantity for name, part in parts if name == line and part.arrival_day <= day)
