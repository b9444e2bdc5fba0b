"""Serving open backorders, and those who could have it earlier, in order of service and by their strategies.

A run asks its contenders in the order of their strategies (`services.atp.domain.strategies`), and of one strategy in
order of service, whatever the order of the input:

1. from what is free: its open rest, and what is late of it if that can be earlier;
2. where that is not all it wants, from those behind it that may fall: the last of them first, and no more than makes
   the same difference as if all of them had given up all. What an indivisible one (an order that ships complete, a line
   with a minimum) gives up beyond that is free for those who are asked next. Whoever lost something asks for as much,
   when it is its turn.

Where somebody gave something up, all are asked again, until nothing changes. Guarantees (tests/property): nothing is
taken that is not there; nobody who asks could have more, or have it earlier, by what those behind it may lose; who does
not fall has by every day at least what it had; what falls falls to somebody asked earlier, so that the units promised
in all never become fewer, but for what is left of an indivisible one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from services.atp.domain.contending import Contender, Part, Place, Redecided, Standing, Worth
from services.atp.domain.model import Book, LineDecision, OpenBackorder, Planned
from services.atp.domain.promising import decide
from services.atp.domain.release import divide, release
from services.atp.domain.service_rule import ServicePlace, SetAside
from services.atp.domain.set_aside import with_set_aside
from services.atp.domain.setting_aside import place_of, set_aside_for
from services.atp.domain.strategies import gains, may_take, sequence

ROUNDS_MAX: Final = 20  # of one run; each needs that somebody gave something up, and a further run goes on from there
TRIES_MAX: Final = 4_000  # of one run, to find who falls: some half second; a further run goes on from there


def serve(book: Book, backorders: Iterable[OpenBackorder]) -> list[tuple[OpenBackorder, LineDecision]]:
    """Decide the open rest of every backorder, first in the order of service first; the input's order is of no effect.

    A backorder's line says what is still wanted: the open quantity, and a minimum only while nothing was promised. The
    answers come in the order of service. An order that ships complete is served at its first line, whole or not at
    all: its backorders must be given together (the lines of `request` and no others, else it is left as it is).
    """
    ordered = sorted(backorders, key=_place)
    together: dict[str, list[OpenBackorder]] = {}
    for backorder in ordered:
        together.setdefault(backorder.promise_id, []).append(backorder)
    answers: list[tuple[OpenBackorder, LineDecision]] = []
    for backorder in ordered:
        if not backorder.request.ship_complete:
            answers += _serve_together(book, [backorder])
        elif backorder is together[backorder.promise_id][0]:
            answers += _serve_whole(book, together[backorder.promise_id])
    return answers


def redecide(book: Book, contenders: Iterable[Contender], through: Place | None = None) -> Redecided:
    """Decide anew what contenders have; changes the book. The moves of those who were asked, or lost, in their order.

    `through`: those behind this place may lose, and are asked by a later run. A line is in one contender.
    """
    ordered = sorted(contenders, key=_turn)
    run = _Run(book, [Standing.of(each) for each in ordered])
    for _ in range(ROUNDS_MAX):
        run.disturbed = False
        for standing in run.standings:
            if through is None or standing.contender.place <= through:
                run.ask(standing)
        if not run.disturbed:
            break
    moves = [each.move() for each in run.standings if each.decisions or each.lost_to]
    return Redecided(moves, settled=not run.disturbed and run.tries_left > 0)


class _Giving(NamedTuple):
    """A quantity of a part that falls."""

    giver: Standing
    part: Part
    quantity: int

    @property
    def freed(self) -> Planned:
        return divide(self.part.planned, self.part.planned.quantity - self.quantity)[1]


_Offer = tuple[_Giving, ...]  # what one giver gives up together


@dataclass(slots=True)
class _Run:
    book: Book
    standings: list[Standing]
    disturbed: bool = False
    tries_left: int = field(default=TRIES_MAX)

    def ask(self, asker: Standing) -> None:
        """Let a contender have what it can have; what there is of it is set aside for one that is old and needs all."""
        self._serve(asker)
        if self.book.service.set_aside is not None:
            self._set_aside(asker)

    def _set_aside(self, asker: Standing) -> None:
        """Set stock aside for whoever was asked, as there is some now, instead of what was before."""
        place, positions = place_of(asker), self.book.positions
        now = set_aside_for(self.book, asker)
        for key in sorted(positions):
            before = positions[key].set_aside
            if key in now or any(each.is_for(place) for each in before):
                after = with_set_aside(positions[key], now.get(key), place)
                if after != before:
                    positions[key] = replace(positions[key], set_aside=after)
                    self.disturbed = self.disturbed or _units(after) < _units(before)

    def _serve(self, asker: Standing) -> None:
        contender = asker.contender
        may_gain = gains(contender.strategy)
        late = asker.late() if may_gain else []
        open_rest = any(asker.rest(line) for line in contender.request.lines)
        if contender.request.ship_complete and asker.parts and open_rest:
            return  # of an order that was whole, some has shipped or was given back: what is left is not whole
        if late and (found := self._better(asker, (late, ()) if not open_rest else (late, []))):
            self._do(asker, found, ())
        elif open_rest:
            self._do(asker, (), ())
        if may_gain and (any(asker.rest(line) for line in contender.request.lines) or asker.late()):
            self._preempt(asker)

    def _place(self, asker: Standing) -> ServicePlace | None:
        """By which what is set aside for others is kept from it."""
        return None if self.book.service.set_aside is None else place_of(asker)

    def _better(self, asker: Standing, ways: Iterable[Sequence[Part]]) -> Sequence[Part]:
        """What to give back of one's own so as to have more, or the same earlier, from what is free."""
        best = asker.worth()
        found: Sequence[Part] = ()
        for off in ways:
            worth = self._worth(asker, off, ())
            if worth is not None and worth < best:
                best, found = worth, off
        return found

    def _do(self, asker: Standing, off: Sequence[Part], offers: Sequence[_Offer]) -> None:
        """Give back and decide, on the book itself."""
        freed = [part.planned for part in off]
        freed += [giving.freed for offer in offers for giving in offer]
        release(self.book, freed)
        request = asker.asking(off)
        decided = decide(self.book, request, in_turn=True, place=self._place(asker)).lines
        for part in off:
            asker.give_up(part, part.planned.quantity)
        for offer in offers:
            for giver, part, quantity in offer:
                giver.give_up(part, quantity, asker)
        asker.take(decided)
        self.disturbed = self.disturbed or bool(freed)

    def _preempt(self, asker: Standing) -> None:
        """Let those behind it fall, as far as that brings it something."""
        offers = self._offers(asker)
        if not offers:
            return
        best, off = asker.worth(), None
        late = asker.late()
        for own in ((), late) if late else ((),):
            worth = self._worth(asker, own, offers)
            if worth is not None and worth < best:
                best, off = worth, own
        if off is None:
            return
        needed = self._needed(asker, off, offers, best)
        if needed is not None:
            self._do(asker, off, needed)

    def _offers(self, asker: Standing) -> list[_Offer]:
        """What may fall for it, the last in the sequence first, and of a line what arrives last first."""
        items = dict.fromkeys(line.item_id for line in asker.contender.request.lines)
        found: list[_Offer] = []
        for giver in reversed(self.standings):
            if giver is asker:
                break
            if not may_take(asker.contender.strategy, giver.contender.strategy):
                continue
            parts = [part for part in giver.parts if part.planned.quantity]
            movable = [part for part in parts if part.falls]
            givings = [_Giving(giver, part, part.planned.quantity) for part in sorted(movable, key=_last_first)]
            if giver.indivisible:
                useful = any(part.planned.key.item_id in items for part in movable)
                found += [tuple(givings)] if useful and len(movable) == len(parts) else []
            else:
                found += [(giving,) for giving in givings if giving.part.planned.key.item_id in items]
        return found

    def _needed(
        self, asker: Standing, off: Sequence[Part], offers: Sequence[_Offer], target: Worth
    ) -> list[_Offer] | None:
        """The least of the offers, the last in the sequence first, with which it has as much as with all of them."""
        needed: list[_Offer] = []
        pool = list(offers)
        while not self._reaches(asker, off, needed, target):
            first, last = 1, len(pool)
            while first < last:
                middle = (first + last) // 2
                if self._reaches(asker, off, [*needed, *pool[:middle]], target):
                    last = middle
                else:
                    first = middle + 1
            if not pool or self.tries_left <= 0:
                return None
            beside = [*needed, *pool[: first - 1]]  # those asked later give up all before this one gives up anything
            needed.append(self._fewest(asker, off, [*beside, pool[first - 1]], len(beside), target))
            pool = pool[: first - 1]
        for place in range(len(needed)):
            needed[place] = self._fewest(asker, off, needed, place, target)
        return needed if self.tries_left > 0 else None

    def _fewest(
        self, asker: Standing, off: Sequence[Part], needed: Sequence[_Offer], place: int, target: Worth
    ) -> _Offer:
        """An offer with the least quantity, in whole packs, that still suffices with the other ones."""
        if len(needed[place]) > 1 or needed[place][0].giver.indivisible:
            return needed[place]
        (giving,) = needed[place]
        pack = self.book.items[giving.part.planned.key.item_id].pack_size
        first, last = 1, -(-giving.quantity // pack)
        while first < last:
            middle = (first + last) // 2
            less = (giving._replace(quantity=middle * pack),)
            if self._reaches(asker, off, [*needed[:place], less, *needed[place + 1 :]], target):
                last = middle
            else:
                first = middle + 1
        return (giving._replace(quantity=min(giving.quantity, last * pack)),)

    def _reaches(self, asker: Standing, off: Sequence[Part], offers: Sequence[_Offer], target: Worth) -> bool:
        worth = self._worth(asker, off, offers)
        return worth is not None and worth <= target

    def _worth(self, asker: Standing, off: Sequence[Part], offers: Sequence[_Offer]) -> Worth | None:
        """What it would have, tried on a copy of the book; None if it would lose something by it."""
        if self.tries_left <= 0:
            return None
        self.tries_left -= 1
        request = asker.asking(off)
        if not request.lines:
            return None
        book = self.book
        copy = replace(book, positions=dict(book.positions), usage=dict(book.usage), backlog=dict(book.backlog))
        release(copy, [part.planned for part in off] + [giving.freed for offer in offers for giving in offer])
        decided = decide(copy, request, in_turn=True, place=self._place(asker)).lines
        return asker.worth(off, decided) if asker.loses_nothing(off, decided) else None


def _serve_whole(book: Book, order: Sequence[OpenBackorder]) -> list[tuple[OpenBackorder, LineDecision]]:
    asked = sorted(line.line for line in order[0].request.lines)
    if asked != sorted(backorder.line.line for backorder in order):
        return []
    return _serve_together(book, order)


def _serve_together(book: Book, order: Sequence[OpenBackorder]) -> list[tuple[OpenBackorder, LineDecision]]:
    request = replace(order[0].request, lines=tuple(backorder.line for backorder in order))
    decision = decide(book, request, in_turn=True)
    return list(zip(order, decision.lines, strict=True))


def _place(backorder: OpenBackorder) -> Place:
    return (backorder.service_key, backorder.promise_id)


def _turn(contender: Contender) -> tuple[int, Place]:
    return (sequence(contender.strategy), contender.place)


def _units(kept: Iterable[SetAside]) -> int:
    return sum([each.units for each in kept])


def _last_first(part: Part) -> tuple[int, int]:
    return (-part.planned.arrival_day, -(part.number or 0))
