"""Allocation held against an auditor of its own arithmetic, through everything that can happen to a position."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.allocation import quota_left, remaining
from services.atp.domain.model import Book, LineDecision, Planned, PositionKey, Receipts, Request
from services.atp.domain.promising import decide, inquire
from services.atp.domain.protected_supply import counts_shipment, shipped_key
from services.atp.domain.release import divide, release, ship
from tests.support import allocation_worlds as worlds
from tests.support.allocation_auditor import ENDLESS, AllocationAuditor
from tests.support.allocation_views import Rooms, audited_rooms, offered_rooms

TODAY = worlds.TODAY
STEPS = ("promise", "promise", "promise", "batch", "give back", "ship", "receipt", "count", "time")


@dataclass
class Life:
    """A book and its auditor, who are told the same; `parts` are the engine's, in the order of the auditor's grants.

    A part is what was not given back, shipped or not.
    """

    book: Book
    auditor: AllocationAuditor
    parts: list[Planned]

    @classmethod
    def of(cls, book: Book) -> "Life":
        copy = replace(book, positions=dict(book.positions), usage={})
        return cls(copy, AllocationAuditor(replace(book, positions=dict(book.positions))), [])

    def rooms(self) -> Rooms:
        """What the engine offers every tier on every day."""
        return offered_rooms(self.book, self.auditor.days)

    def audited(self) -> Rooms:
        """The same by the auditor."""
        return audited_rooms(self.auditor)

    def grant(self, request: Request, line: LineDecision) -> None:
        """Hold each part of a decision against the rules, then note it."""
        for part in line.planned:
            allowed = self.auditor.allowed(request, part.key, part.available_day)
            assert 0 < part.quantity <= allowed, (part, allowed)
            self.auditor.take(request, part.key, part.available_day, part.quantity, assumed=part.assumed)
            self.parts.append(part)

    def promise(self, request: Request) -> None:
        """Promise an order: nothing is sold twice, and nobody loses what is kept for him."""
        before, guaranteed = self.auditor.levels(), self.auditor.guaranteed(request.tier)
        answer = inquire(self.book, request)
        decision = decide(self.book, request)
        assert decision == answer
        for line in decision.lines:
            self.grant(request, line)
        for name, level in self.auditor.levels().items():
            assert level >= 0 or level == before[name]
        if decision.lines and any(line.planned for line in decision.lines):
            after = self.auditor.owners_rooms()
            for place, kept in guaranteed.items():
                assert kept <= 0 or after[place] >= kept, place

    def give_back(self, place: int, quantity: int) -> None:
        """Give a quantity back, as a cancel, an expiry, an amendment and a release in part do."""
        part = self.parts[place]
        kept, freed = divide(part, part.quantity - quantity)
        release(self.book, [freed])
        self.parts[place] = kept
        self.auditor.give_back(place, quantity)

    def ship(self, place: int, quantity: int) -> None:
        """Let goods leave; it changes nothing for anybody."""
        rooms = self.rooms()
        part = self.parts[place]
        ship(self.book, part, quantity)
        for protection in self.book.protections.get(part.key, ()):
            if counts_shipment(protection, self.book.today):
                name = shipped_key(protection)
                self.book.usage[name] = self.book.usage.get(name, 0) + quantity
        self.auditor.ship(place, quantity)
        assert self.rooms() == rooms

    def supply(self, key: PositionKey, **changes: Any) -> None:
        """A receipt is moved or lowered, or the stock is counted: both are told the same of what is real."""
        position = self.book.positions[key]
        ours = self.auditor.positions[key]
        if "receipts" in changes:
            assumed = {each.day: each.assumed for each in position.receipts if each.assumed}
            real = {each.day: each for each in changes["receipts"]}
            both = [replace(real.get(day, Receipts(day, 0)), assumed=assumed.get(day, 0)) for day in real | assumed]
            self.book.positions[key] = replace(position, receipts=tuple(sorted(both, key=lambda each: each.day)))
        else:
            self.book.positions[key] = replace(position, **changes)
        self.auditor.positions[key] = replace(ours, **changes)

    def pass_days(self, days: int) -> None:
        """Time passes."""
        self.book.today += days
        self.auditor.today += days


def _happens(life: Life, data: st.DataObject, number: int) -> None:
    kind = data.draw(st.sampled_from(STEPS))
    open_places = [place for place, grant in enumerate(life.auditor.grants) if grant.open]
    due = [place for place in open_places if _may_ship(life, place)]
    key = data.draw(st.sampled_from(sorted(life.book.positions)))
    if kind == "give back" and open_places:
        place = data.draw(st.sampled_from(open_places))
        life.give_back(place, data.draw(st.integers(1, life.auditor.grants[place].open)))
    elif kind == "ship" and due:
        place = data.draw(st.sampled_from(due))
        life.ship(place, data.draw(st.integers(1, life.auditor.grants[place].open)))
    elif kind == "receipt":
        receipts = data.draw(worlds.positions(key)).receipts
        life.supply(key, receipts=receipts)
    elif kind == "count":
        life.supply(key, on_hand=data.draw(st.integers(-2, 16)))
    elif kind == "time":
        life.pass_days(data.draw(st.integers(1, 4)))
    else:
        for more in range(2 if kind == "batch" else 1):
            life.promise(data.draw(worlds.requests(number=number * 2 + more)))


def _may_ship(life: Life, place: int) -> bool:
    grant = life.auditor.grants[place]
    return grant.day <= life.book.today and not grant.assumed


def _lives(book: Book, data: st.DataObject, steps: int) -> Iterator[Life]:
    life = Life.of(book)
    for number in range(steps):
        _happens(life, data, number)
        yield life


@given(worlds.books(), worlds.requests(), st.data())
def test_what_everybody_may_take_is_what_the_auditor_counts_whatever_happens(
    book: Book, asked: Request, data: st.DataObject
) -> None:
    for life in _lives(book, data, steps=5):
        assert life.rooms() == life.audited()
        for day in life.auditor.days:
            left = quota_left(life.book, asked, asked.lines[0], day)
            assert (ENDLESS if left is None else left) == life.auditor.quota_left(asked, day)


@given(worlds.books(mixed=True), st.data())
def test_what_everybody_may_take_is_what_the_auditor_counts_where_modes_meet(book: Book, data: st.DataObject) -> None:
    life = Life.of(book)
    for number in range(3):
        for line in decide(life.book, request := data.draw(worlds.requests(number=number))).lines:
            life.grant(request, line)
        assert life.rooms() == life.audited()


@given(worlds.books(), st.data())
def test_what_a_protection_keeps_is_what_the_auditor_counts(book: Book, data: st.DataObject) -> None:
    for life in _lives(book, data, steps=4):
        item = life.book.items["I1"]
        for key in life.book.positions:
            for protection, kept in life.auditor.remainders(key):
                found = {day: remaining(life.book, protection, item, day) for day in life.auditor.days}
                assert found == kept


@given(worlds.books(), st.data())
def test_counters_hold_what_was_taken_and_not_given_back(book: Book, data: st.DataObject) -> None:
    for life in _lives(book, data, steps=6):
        counted = {key: units for key, units in life.book.usage.items() if units and key.kind != "shipped"}
        assert counted == life.auditor.counters()


@given(worlds.books(), st.data())
def test_when_all_is_given_back_all_is_as_it_was(book: Book, data: st.DataObject) -> None:
    life = Life.of(book)
    rooms = life.rooms()
    for number in range(3):
        life.promise(data.draw(worlds.requests(number=number)))
    for place in data.draw(st.permutations(range(len(life.parts)))):
        quantity = life.parts[place].quantity
        first = data.draw(st.integers(0, quantity))
        for part in (each for each in (first, quantity - first) if each):
            life.give_back(place, part)
    assert life.book.positions == book.positions
    assert not any(life.book.usage.values())
    assert life.rooms() == rooms


@given(worlds.books(), worlds.requests(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(book: Book, request: Request, chance: Any) -> None:
    def mixed(rows: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(chance.sample(rows, len(rows)))

    other = replace(
        book,
        positions=dict(mixed(tuple(book.positions.items()))),
        offers={zone: mixed(rows) for zone, rows in book.offers.items()},
        protections={key: mixed(rows) for key, rows in book.protections.items()},
        quotas=mixed(book.quotas),
        hierarchies=tuple(replace(tree, nodes=mixed(tree.nodes)) for tree in book.hierarchies),
        usage={},
    )
    assert decide(book, request) == decide(other, request)
    assert (book.positions, book.usage) == (other.positions, other.usage)


@given(worlds.books(), st.data())
def test_a_whole_line_gets_the_earliest_day_that_everything_allows(book: Book, data: st.DataObject) -> None:
    (key, *_) = sorted(book.positions)
    life = Life.of(replace(book, offers={"*": (book.offers["*"][0],)}))
    for number in range(3):
        asked = data.draw(worlds.requests(number=number))
        quantity = asked.lines[0].quantity
        line = replace(
            asked.lines[0], requested_arrival=TODAY, latest_acceptable_arrival=None, minimum_quantity=quantity
        )
        request = replace(asked, lines=(line,), ship_complete=True, tier=replace(asked.tier, split_allowed=False))
        days = (day for day in life.auditor.days if life.auditor.allowed(request, key, day) >= quantity)
        earliest = next(days, None)
        (answer,) = decide(life.book, request).lines
        assert [(part.available_day, part.quantity) for part in answer.planned] == [
            (day, quantity) for day in (earliest,) if day is not None
        ]
        life.grant(request, answer)
