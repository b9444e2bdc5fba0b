"""Setting aside for old orders that take all or nothing, against a model of one pile; and what it leaves alone.

The model knows nothing of positions, days or plans: it has a number of free units, a queue in order of service, and by
name what is set aside.
"""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.contending import Contender, Move
from services.atp.domain.model import Book, Item, Offer, Position, PositionKey, Request, RequestLine
from services.atp.domain.order_of_service import service_key
from services.atp.domain.promising import decide
from services.atp.domain.redecision import redecide
from services.atp.domain.service_rule import Criterion, ServiceRule, SetAsideRule
from services.atp.domain.set_aside import in_force, within_supply
from services.atp.domain.supply_picture import atp
from tests.property.test_strategies import World, runs
from tests.support import promise_worlds as worlds

KEY = PositionKey("I1", "L0")
AFTER, LASTS = 2, 4
RULE = ServiceRule(criteria=(Criterion("tier_rank"), Criterion("age")), set_aside=SetAsideRule(AFTER, LASTS))


@dataclass
class Waits:
    """Somebody of the model who waits: `need` is what must be there at one time, 1 if it takes any."""

    place: tuple[int, int]
    rest: int
    need: int
    came: int
    promised: int = 0
    aside: int = 0

    def asked(self, free: int, today: int) -> int:
        """What it takes of what is there for it, and what of it is set aside."""
        whole = self.need > 1
        self.aside = 0
        if free >= self.need:
            taken = min(self.rest, free)
            self.rest, self.promised, self.need = self.rest - taken, self.promised + taken, 1
            return taken
        if whole and self.came + AFTER <= today < self.came + AFTER + LASTS:
            self.aside = max(0, min(self.need, free))
        return 0


@dataclass
class Pile:
    """The model."""

    free: int = 0
    today: int = worlds.TODAY
    queue: list[Waits] = field(default_factory=list)

    def free_for(self, place: tuple[int, int]) -> int:
        """What is there for whoever has a place."""
        ahead = [each for each in self.queue if each.place < place and self.today < each.came + AFTER + LASTS]
        return self.free - sum(each.aside for each in ahead)

    def run(self) -> None:
        """Ask all who wait, in order."""
        self.queue.sort(key=lambda each: each.place)
        for each in self.queue:
            self.free -= each.asked(self.free_for(each.place), self.today)
        self.trim()

    def trim(self) -> None:
        """No more is set aside than there is, for the first first."""
        left = self.free
        for each in sorted(self.queue, key=lambda each: each.place):
            each.aside = min(each.aside, left) if self.today < each.came + AFTER + LASTS else 0
            left -= each.aside


@dataclass
class Shop:
    """The same in the domain: one position, one way, everybody gains."""

    book: Book
    pile: Pile = field(default_factory=Pile)
    orders: list[tuple[Waits, Contender]] = field(default_factory=list)

    def come(self, tier: int, quantity: int, need: int, *, whole: bool) -> None:
        """An order that is placed: what it gets at once, and that it waits for the rest."""
        number = len(self.orders)
        place = (worlds.TIERS[tier].priority_rank, number)
        minimum = 0 if whole else need if need > 1 else 0
        line = RequestLine("1", "I1", quantity, minimum_quantity=minimum)
        day = self.book.today
        named = ("erp", f"o{number:03}", worlds.TIERS[tier], "GB", "web")
        request = Request(*named, day, ship_complete=whole, lines=(line,))
        waits = Waits(place, quantity, need, day)
        promised = sum(part.quantity for part in decide(self.book, request).lines[0].planned)
        free = self.pile.free_for(place)
        if free >= need:
            self.pile.free -= min(free, quantity)
            waits = Waits(place, quantity - min(free, quantity), 1, day, min(free, quantity))
        assert promised == waits.promised
        moment = datetime.combine(datetime.fromordinal(day), datetime.min.time(), UTC) + timedelta(seconds=number)
        contender = Contender(f"p{number}", service_key(request, line, moment, RULE), "gain", request)
        self.orders.append((waits, _with_rest(contender, waits.rest, started=promised > 0)))
        self.pile.queue = [each for each, _ in self.orders if each.rest]
        self.settle()

    def run(self) -> None:
        """Ask all who wait."""
        waiting = {contender.promise_id: waits for waits, contender in self.orders if waits.rest}
        before = {name: waits.promised for name, waits in waiting.items()}
        moves = redecide(self.book, [each for waits, each in self.orders if waits.rest]).moves
        self.pile.run()
        taken = {move.contender.promise_id: _units(move) for move in moves}
        for name, waits in waiting.items():
            assert taken.get(name, 0) == waits.promised - before[name]
        self.orders = [(waits, _with_rest(each, waits.rest, started=waits.promised > 0)) for waits, each in self.orders]
        self.pile.queue = [each for each, _ in self.orders if each.rest]
        self.settle()

    def receive(self, units: int) -> None:
        """Units come, and all who wait are asked."""
        position = self.book.positions[KEY]
        self.book.positions[KEY] = replace(position, on_hand=position.on_hand + units)
        self.pile.free += units
        self.run()

    def wait(self, days: int) -> None:
        """Days pass, and all who wait are asked."""
        self.book.today += days
        self.pile.today += days
        self.run()

    def settle(self) -> None:
        """What is set aside is what the model says; and no more is promised or kept than there is."""
        position = self.book.positions[KEY]
        self.book.positions[KEY] = position = replace(
            position, set_aside=within_supply(position, self.book.items["I1"], self.book.today)
        )
        self.pile.trim()
        committed = sum(quantity for _, quantity in position.commitments)
        assert self.pile.free == position.on_hand - committed >= 0
        found = {each.place[3]: each.units for each in in_force(position, RULE, self.book.today)}
        assert found == {c.request.order_id: waits.aside for waits, c in self.orders if waits.rest and waits.aside}
        assert sum(found.values()) <= self.pile.free


def _with_rest(contender: Contender, rest: int, *, started: bool) -> Contender:
    line = replace(contender.request.lines[0], quantity=rest)
    if started:
        line = replace(line, minimum_quantity=0)
    return replace(contender, request=replace(contender.request, lines=(line,)))


def _units(move: Move) -> int:
    return sum(part.quantity for _, part in move.taken)


def _shop() -> Shop:
    offer = Offer("L0", "S", "road", 1, 0, 1, 0, 0)
    return Shop(Book(worlds.TODAY, {"I1": Item("I1")}, {KEY: Position(KEY, 1, 0)}, {"*": (offer,)}, service=RULE))


some = st.integers(1, 6)
orders = st.tuples(st.integers(0, 2), some, st.sampled_from(("any", "whole", "minimum")), some)
happenings = st.one_of(orders, st.tuples(st.just("receive"), some), st.tuples(st.just("wait"), st.integers(1, 3)))


@given(st.lists(happenings, max_size=25))
def test_everybody_gets_what_the_model_gives_and_as_much_is_set_aside(happened: list[tuple[object, ...]]) -> None:
    shop = _shop()
    for each in happened:
        match each:
            case ("receive", int(units)):
                shop.receive(units)
            case ("wait", int(days)):
                shop.wait(days)
            case (int(tier), int(quantity), str(kind), int(minimum)):
                need = {"any": 1, "whole": quantity, "minimum": min(quantity, minimum)}[kind]
                shop.come(tier, quantity, need, whole=kind == "whole")


@given(st.integers(2, 12), st.lists(st.tuples(some, st.lists(st.tuples(some, st.booleans()), max_size=3)), min_size=1))
def test_the_first_is_served_once_as_many_units_have_come_as_it_needs_whoever_wants_some(
    need: int, arrivals: list[tuple[int, list[tuple[int, bool]]]]
) -> None:
    """The bound on starvation: within its days, after at most as many arrivals as it needs units."""
    shop = _shop()
    shop.come(1, need, need, whole=True)
    shop.wait(AFTER)
    old, came = shop.orders[0][0], 0
    for units, newcomers in arrivals:
        assert old.promised == (need if came >= need else 0)
        came += units
        shop.receive(units)
        for quantity, whole in newcomers:
            shop.come(1 + quantity % 2, quantity, quantity if whole else 1, whole=whole)
    assert old.promised == (need if came >= need else 0)


@given(runs())
def test_a_rule_that_nobody_is_old_enough_for_changes_nothing(world: World) -> None:
    other = replace(world.copy(), service=replace(world.book.service, set_aside=SetAsideRule(1, 366)))
    assert redecide(world.book, world.contenders) == redecide(other, world.contenders)
    assert world.book.positions == other.positions


def _at_once(world: World) -> Book:
    """The book of a world in which everybody is old enough."""
    return replace(world.copy(), service=replace(world.book.service, set_aside=SetAsideRule(0, 366)))


@given(runs(of=st.just("gain")))
def test_those_before_the_first_who_takes_all_or_nothing_have_what_they_would_have_had(world: World) -> None:
    """Nobody moves what he has already: what somebody behind moves away from would be there for those before, too."""
    waiting = [replace(each, held=()) for each in world.contenders if any(line.quantity for line in each.request.lines)]
    with_it = {move.contender.promise_id: move.taken for move in redecide(_at_once(world), waiting).moves}
    without = {move.contender.promise_id: move.taken for move in redecide(world.book, waiting).moves}
    for contender in sorted(waiting, key=lambda each: each.place):
        name = contender.promise_id
        assert with_it.get(name, ()) == without.get(name, ())
        if contender.request.ship_complete or contender.request.lines[0].minimum_quantity:
            break


@given(runs())
def test_no_more_is_set_aside_by_any_day_than_there_is_nor_than_is_needed(world: World) -> None:
    book = _at_once(world)
    redecide(book, world.contenders)
    item = book.items["I1"]
    kept: dict[tuple[str, str], int] = {}
    for position in book.positions.values():
        settled = within_supply(position, item, book.today)
        for day in {day for each in settled for day, _ in each.steps}:
            by_then = sum(units for each in settled for start, units in each.steps if start <= day)
            assert by_then <= atp(position, item, book.today, day)
        assert within_supply(replace(position, set_aside=settled), item, book.today) == settled
        for each in position.set_aside:
            name = (each.place[3], each.place[4])
            kept[name] = kept.get(name, 0) + each.units
    for (order_id, line), units in kept.items():
        contender = next(
            each
            for each in world.contenders
            if each.request.order_id == order_id and each.request.lines[0].line == line
        )
        asked = contender.request.lines
        assert contender.strategy in {"win", "gain", "improve", "redistribute", "lose"}
        need = sum(each.quantity for each in asked)
        if not contender.request.ship_complete:
            need = min(asked[0].quantity, asked[0].minimum_quantity)
        assert 0 < units <= need
