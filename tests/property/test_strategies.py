"""Runs by strategy: who keeps, who gains, who falls, and for whom; against brute force where a world is small."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.contending import Contender, Holding, Move
from services.atp.domain.model import Book, Item, Offer, Planned, Position, PositionKey, Receipts, Request, RequestLine
from services.atp.domain.order_of_service import service_key
from services.atp.domain.promising import decide, wanted_arrival
from services.atp.domain.redecision import redecide, serve
from services.atp.domain.release import release
from services.atp.domain.strategies import STRATEGIES, Strategy
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor

START = datetime(2026, 1, 1, tzinfo=UTC)
KEEPS = ("win", "gain", "skip")
GAINING = ("win", "gain", "improve", "redistribute", "lose")
TAKES: dict[Strategy, tuple[Strategy, ...]] = {
    "win": ("improve", "redistribute", "fill", "lose"),
    "gain": ("improve", "redistribute", "fill", "lose"),
    "improve": ("redistribute", "fill", "lose"),
    "redistribute": ("redistribute", "fill", "lose"),
    "fill": (),
    "lose": ("lose",),
    "skip": (),
}
strategies = st.sampled_from(STRATEGIES)
# Whoever improves takes from no other such: that is no order of service, so that no best of all allocations says it.
by_order = st.sampled_from([each for each in STRATEGIES if each != "improve"])


@dataclass
class World:
    """A book and the contenders on it."""

    book: Book
    contenders: list[Contender]

    def copy(self) -> Book:
        """The book, to be changed by somebody else."""
        return replace(self.book, positions=dict(self.book.positions), usage=dict(self.book.usage))


def _contender(request: Request, strategy: Strategy, at: datetime, held: Sequence[Holding], name: str) -> Contender:
    had = {line.line: sum(each.planned.quantity for each in held if each.line == line.line) for line in request.lines}
    lines = tuple(replace(line, quantity=line.quantity - had[line.line]) for line in request.lines)
    key = service_key(request, request.lines[0], at)
    return Contender(name, key, strategy, replace(request, lines=lines), tuple(held))


@st.composite
def runs(draw: st.DrawFn, *, plain: bool = False, of: st.SearchStrategy[Strategy] = strategies) -> World:
    """Orders that were promised what there was; then there is more. `plain`: no minimum, no latest date, not whole."""
    book = draw(worlds.books(locations=1 if plain else 2, protected=not plain, limited=not plain, horizon=not plain))
    contenders = []
    for number, asked in enumerate(draw(worlds.order_lists(most=6))):
        request = asked
        if plain:
            lines = tuple(replace(each, latest_acceptable_arrival=None, minimum_quantity=0) for each in asked.lines)
            request = replace(asked, lines=lines, ship_complete=False)
        strategy, at = draw(of), START + timedelta(hours=draw(st.integers(0, 3)))
        decision = decide(book, request) if draw(st.booleans()) else None
        for line in request.lines:
            planned = {} if decision is None else {each.line: each.planned for each in decision.lines}
            flags = (draw(st.integers(0, 3)) > 0, strategy not in KEEPS and draw(st.integers(0, 3)) > 0)
            held = [Holding(line.line, n, part, *flags) for n, part in enumerate(planned.get(line.line, ()))]
            if request.ship_complete:
                continue
            contenders.append(_contender(replace(request, lines=(line,)), strategy, at, held, f"p{number}-{line.line}"))
        if request.ship_complete:
            parts = [] if decision is None else [(each.line, part) for each in decision.lines for part in each.planned]
            held = [Holding(line, n, part, *flags) for n, (line, part) in enumerate(parts)]
            contenders.append(_contender(request, strategy, at, held, f"p{number}"))
    key = min(book.positions)
    position = book.positions[key]
    book.positions[key] = replace(position, on_hand=position.on_hand + draw(st.integers(0, 9)))
    return World(book, contenders)


def _after(move: Move) -> list[tuple[str, Planned]]:
    kept = [(each.line, part) for each, part in zip(move.contender.held, move.kept, strict=True) if part.quantity]
    return [*kept, *move.taken]


def _before(contender: Contender) -> list[tuple[str, Planned]]:
    return [(each.line, each.planned) for each in contender.held]


def _by(parts: Sequence[tuple[str, Planned]], day: int, line: str) -> int:
    return sum(part.quantity for name, part in parts if part.arrival_day <= day and name == line)


def _units(parts: Sequence[tuple[str, Planned]]) -> int:
    return sum(part.quantity for _, part in parts)


def _outcome(world: World) -> dict[str, list[tuple[str, Planned]]]:
    """What everybody has after a run; the book is changed."""
    found = {each.promise_id: _before(each) for each in world.contenders}
    found |= {move.contender.promise_id: _after(move) for move in redecide(world.book, world.contenders).moves}
    return found


def _indivisible(contender: Contender) -> bool:
    return contender.request.ship_complete or any(line.minimum_quantity for line in contender.request.lines)


@given(runs(), st.data())
def test_the_order_of_the_rows_changes_nothing(world: World, data: st.DataObject) -> None:
    other = world.copy()
    assert redecide(world.book, world.contenders) == redecide(other, data.draw(st.permutations(world.contenders)))
    assert world.book.positions == other.positions
    assert {key: n for key, n in world.book.usage.items() if n} == {key: n for key, n in other.usage.items() if n}


@given(runs())
def test_who_wins_gains_or_is_skipped_keeps_by_every_day_what_it_has(world: World) -> None:
    after = _outcome(world)
    for contender in world.contenders:
        mine = after[contender.promise_id]
        if contender.strategy in KEEPS:
            for line, part in _before(contender):
                held = _by(_before(contender), part.arrival_day, line)
                assert _by(mine, part.arrival_day, line) >= held
        if contender.strategy == "skip":
            assert mine == _before(contender)
        if contender.strategy == "fill":
            assert _units(mine) <= _units(_before(contender))


@given(runs())
def test_what_may_not_fall_stays_as_it_is(world: World) -> None:
    for move in redecide(world.book, world.contenders).moves:
        for held, kept in zip(move.contender.held, move.kept, strict=True):
            if not held.falls and not held.moves:
                assert kept == held.planned


@given(runs())
def test_what_one_loses_another_gains_who_is_asked_earlier(world: World) -> None:
    before = {each.promise_id: _units(_before(each)) for each in world.contenders}
    order = {each.promise_id: (STRATEGIES.index(each.strategy), each.place) for each in world.contenders}
    by_id = {each.promise_id: each for each in world.contenders}
    moves = redecide(world.book, world.contenders).moves
    for move in moves:
        lost = [each for each in move.lost_to if each.quantity]
        for taker in lost:
            assert order[taker.promise_id] < order[move.contender.promise_id]
            assert move.contender.strategy in TAKES[by_id[taker.promise_id].strategy]
        if _units(_after(move)) < before[move.contender.promise_id]:
            assert lost
    whole = not any(_indivisible(each) for each in world.contenders)
    after = before | {move.contender.promise_id: _units(_after(move)) for move in moves}
    if whole:
        assert sum(after.values()) >= sum(before.values())


@given(runs())
def test_the_book_holds_exactly_what_everybody_has(world: World) -> None:
    """Whoever gives all back to the book as it is after a run finds the book as it was when nobody had anything."""
    start, end = world.copy(), world.copy()
    release(start, [part for each in world.contenders for _, part in _before(each)])
    moves = redecide(end, world.contenders).moves
    after = {each.promise_id: _before(each) for each in world.contenders}
    after |= {move.contender.promise_id: _after(move) for move in moves}
    release(end, [part for parts in after.values() for _, part in parts])
    assert _bare(end) == _bare(start)
    assert {key: n for key, n in end.usage.items() if n} == {key: n for key, n in start.usage.items() if n}


def _bare(book: Book) -> dict[PositionKey, Position]:
    """The positions but for their versions."""
    return {key: replace(each, version=0) for key, each in book.positions.items()}


@given(runs())
def test_no_day_is_short_that_was_not_or_shorter_than_it_was(world: World) -> None:
    before = world.copy()
    redecide(world.book, world.contenders)
    auditor_before, auditor = Auditor(before), Auditor(world.copy())
    item = world.book.items["I1"]
    for key in world.book.positions:
        for day in auditor.days:
            if day < auditor.end(item):
                assert auditor.level(key, item, day) >= min(0, auditor_before.level(key, item, day))


@given(runs(plain=True))
def test_nobody_who_gains_could_have_more_by_what_those_behind_it_may_lose(world: World) -> None:
    after = _outcome(world)
    (key,) = world.book.positions
    falls = {each.promise_id: {h.planned for h in each.held if h.falls} for each in world.contenders}
    for contender in world.contenders:
        if contender.strategy not in GAINING:
            continue
        line = contender.request.lines[0]
        wanting = line.quantity + _units(_before(contender)) - _units(after[contender.promise_id])
        mine = (STRATEGIES.index(contender.strategy), contender.place)
        copy = world.copy()
        for other in world.contenders:
            behind = (STRATEGIES.index(other.strategy), other.place) > mine
            if behind and other.strategy in TAKES[contender.strategy]:
                held = {h.planned for h in other.held}
                mind = [p for _, p in after[other.promise_id] if p not in held or p in falls[other.promise_id]]
                release(copy, mind)
        auditor = Auditor(copy)
        there_is = max(auditor.allowed(contender.request, key, day, in_turn=True) for day in auditor.days)
        assert min(wanting, there_is) <= 0


@given(runs(plain=True, of=st.just("gain")))
def test_where_all_gain_backorders_get_what_they_always_got_unless_somebody_comes_earlier(world: World) -> None:
    """Nobody loses, and the same units are served in all as by the order of service alone."""
    after = _outcome(world)
    for contender in world.contenders:
        assert _units(after[contender.promise_id]) >= _units(_before(contender))


@dataclass
class Small:
    """One position, one service, nothing that limits dates: what counts is units."""

    supply: int
    wanted: list[int]
    had: list[int]
    contenders: list[Contender]
    book: Book

    def allocations(self) -> Iterator[tuple[int, ...]]:
        """Everything that the strategies and the supply allow."""
        for each in product(*(range(quantity + 1) for quantity in self.wanted)):
            if sum(each) <= self.supply and all(map(self._allowed, self.contenders, each, self.had)):
                yield each

    @staticmethod
    def _allowed(contender: Contender, units: int, had: int) -> bool:
        match contender.strategy:
            case "win" | "gain":
                return units >= had
            case "skip":
                return units == had
            case "fill":
                return units <= had
            case _:
                return True


@st.composite
def small(draw: st.DrawFn) -> Small:
    """Some lines hold a part of the supply, others none; then more comes, or not."""
    key = PositionKey("I1", "L0")
    wanted = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    had = [draw(st.integers(0, quantity)) for quantity in wanted]
    kinds: list[Strategy] = [draw(by_order) for _ in wanted]
    # One that fills takes nothing from its own kind, so that dates decide which of them loses: there are none then.
    late = 0 if "fill" in kinds else draw(st.integers(0, 5))
    supply = sum(had) + draw(st.integers(0, 4))
    now = max(0, supply - late)
    position = Position(key, 1, now, receipts=(Receipts(worlds.TODAY + 3, supply - now),) if supply > now else ())
    book = Book(worlds.TODAY, {"I1": Item("I1")}, {key: position}, {"*": (Offer("L0", "S", "road", 1, 0, 1, 0, 0),)})
    contenders = []
    for number, (quantity, holds, strategy) in enumerate(zip(wanted, had, kinds, strict=True)):
        tier = draw(st.sampled_from(worlds.TIERS))
        line = RequestLine("1", "I1", quantity, worlds.TODAY + draw(st.integers(0, 4)))
        request = Request("erp", f"o{number}", tier, "GB", "web", worlds.TODAY, ship_complete=False, lines=(line,))
        asked = replace(request, lines=(replace(line, quantity=holds),))
        planned = decide(book, asked).lines[0].planned if holds else ()
        held = [Holding("1", n, part, moves=True, falls=strategy not in KEEPS) for n, part in enumerate(planned)]
        contenders.append(_contender(request, strategy, START, held, f"p{number}"))
    return Small(supply, wanted, had, contenders, book)


@given(small())
def test_a_run_ends_as_the_best_of_all_allocations_in_the_order_of_asking(world: Small) -> None:
    asked = sorted(
        range(len(world.wanted)),
        key=lambda n: (STRATEGIES.index(world.contenders[n].strategy), world.contenders[n].place),
    )
    best = max(world.allocations(), key=lambda units: [units[number] for number in asked])
    found = list(world.had)
    for move in redecide(world.book, world.contenders).moves:
        number = next(n for n, each in enumerate(world.contenders) if each is move.contender)
        found[number] = _units(_after(move))
    assert tuple(found) == best


@given(small())
def test_a_second_run_changes_nothing(world: Small) -> None:
    moves = {move.contender.promise_id: move for move in redecide(world.book, world.contenders).moves}
    again = []
    for contender in world.contenders:
        move = moves.get(contender.promise_id)
        parts = _before(contender) if move is None else _after(move)
        may_fall = contender.strategy not in KEEPS
        held = [Holding(line, n, part, falls=may_fall) for n, (line, part) in enumerate(parts)]
        line = contender.request.lines[0]
        rest = line.quantity + _units(_before(contender)) - _units(parts)
        request = replace(contender.request, lines=(replace(line, quantity=rest),))
        again.append(replace(contender, request=request, held=tuple(held)))
    assert not [move for move in redecide(world.book, again).moves if move.moved]


def test_who_comes_later_than_wanted_moves_up_when_somebody_leaves() -> None:
    """The conformance case `reprocess` B1: three purchase orders, three sales orders, the first is cancelled."""
    key, day = PositionKey("I1", "L0"), worlds.TODAY
    due = [(day + 15, 5), (day + 20, 5), (day + 21, 5)]
    position = Position(key, 1, 0, receipts=tuple(Receipts(*each) for each in due))
    book = Book(day, {"I1": Item("I1")}, {key: position}, {"*": (Offer("L0", "S", "road", 1, 0, 1, 0, 0),)})
    promised, contenders = [], []
    for number, wanted in enumerate((3, 5, 10)):
        line = RequestLine("1", "I1", 5, day + wanted)
        request = Request("erp", f"SO{number}", worlds.TIERS[0], "GB", "web", day, ship_complete=False, lines=(line,))
        (planned,) = decide(book, request).lines[0].planned
        promised.append(planned)
        contenders.append(_contender(request, "gain", START, [Holding("1", 1, planned)], f"SO{number}"))
    assert [part.arrival_day - day for part in promised] == [16, 21, 22]
    release(book, promised[:1])
    second, third = redecide(book, contenders[1:]).moves
    assert [part.arrival_day - day for _, part in second.taken] == [16]
    assert [part.arrival_day - day for _, part in third.taken] == [21]
    assert wanted_arrival(third.contender.request, third.contender.request.lines[0]) == day + 10
    assert serve(book, []) == []
