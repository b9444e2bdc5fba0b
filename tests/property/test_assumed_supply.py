"""What is assumed beyond the checking horizon, as days go by, against a ledger of promises and receipts."""

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import Book, Item, Offer, Planned, Position, PositionKey, Request, RequestLine, Tier
from services.atp.domain.promising import decide
from services.atp.domain.release import release, ship
from services.atp.domain.supply_picture import still_assumed
from services.atp.domain.taking import with_receipts

TODAY = 740_000
KEY = PositionKey("I1", "L1")
HORIZON_DAYS = 5
ITEM = Item("I1", checking_horizon_days=HORIZON_DAYS)
TIER = Tier("gold", 1, 1, lead_time_days=0)
OFFER = Offer("L1", "road", "road", 1, 0, 0, 0, 0)

Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(("promise", "promise", "give_back", "receipt", "withdraw", "ship", "next_day", "next_day")),
        st.integers(0, 14),
        st.integers(1, 9),
    ),
    max_size=24,
)


@dataclass
class Life:
    """A position, and beside it what was promised and what is due, each by itself."""

    book: Book
    open: list[Planned] = field(default_factory=list)
    due: list[tuple[int, int]] = field(default_factory=list)

    def step(self, kind: str, number: int, quantity: int) -> None:
        today = self.book.today
        match kind:
            case "promise":
                line = RequestLine("1", "I1", quantity, today + number, today + number)
                request = Request("erp", "o", TIER, "GB", "web", today, ship_complete=False, lines=(line,))
                self.open += decide(self.book, request).lines[0].planned
            case "give_back" if self.open:
                release(self.book, [self.open.pop(number % len(self.open))])
            case "receipt":
                self._reschedule(today + number, quantity)
            case "withdraw" if self.due:
                day, withdrawn = self.due.pop(number % len(self.due))
                self._reschedule(day, -withdrawn)
            case "ship" if self.open and self.book.positions[KEY].on_hand >= self.open[0].quantity:
                part = self.open.pop(0)
                ship(self.book, part, part.quantity)
            case "next_day":
                self.book = replace(self.book, today=today + 1)

    def _reschedule(self, day: int, quantity: int) -> None:
        position = self.book.positions[KEY]
        if quantity > 0:
            self.due.append((day, quantity))
        receipts = with_receipts(position.receipts, day, confirmed=quantity)
        self.book.positions[KEY] = replace(position, receipts=receipts)

    def level(self, day: int) -> int:
        """A(day) by the ledger: what is real, less all that is promised by then."""
        counted = [quantity for due, quantity in self.due if self.book.today - ITEM.past_due_supply_days <= due <= day]
        owed = [part.quantity for part in self.open if part.available_day <= day]
        return self.book.positions[KEY].on_hand + sum(counted) - sum(owed)


@given(st.integers(0, 9), steps)
def test_nothing_within_the_horizon_is_promised_that_is_not_really_there(on_hand: int, told: list[Step]) -> None:
    life = Life(Book(TODAY, {"I1": ITEM}, {KEY: Position(KEY, 1, on_hand)}, {"*": (OFFER,)}))
    for step in told:
        today = life.book.today
        days = range(today, today + HORIZON_DAYS)
        before = {day: life.level(day) for day in days}
        life.step(*step)
        if step[0] == "promise":
            assert all(life.level(day) >= 0 or life.level(day) == before[day] for day in days)


@given(st.integers(0, 9), steps)
def test_every_promise_beyond_the_horizon_has_its_assumed_receipt_as_long_as_it_is_open(
    on_hand: int, told: list[Step]
) -> None:
    life = Life(Book(TODAY, {"I1": ITEM}, {KEY: Position(KEY, 1, on_hand)}, {"*": (OFFER,)}))
    for step in told:
        life.step(*step)
        pegged: dict[int, int] = {}
        for part in life.open:
            if part.assumed:
                pegged[part.available_day] = pegged.get(part.available_day, 0) + part.quantity
        assert {each.day: each.assumed for each in life.book.positions[KEY].receipts if each.assumed} == pegged
        end = life.book.today + HORIZON_DAYS
        assumed = {
            each.day: each.quantity + each.replaced
            for each in still_assumed(life.book.positions[KEY], ITEM, life.book.today)
        }
        assert assumed == {day: quantity for day, quantity in pegged.items() if day >= end}


@given(st.integers(0, 9), steps)
def test_a_real_receipt_replaces_what_is_assumed_unit_by_unit(on_hand: int, told: list[Step]) -> None:
    """Units that are due from the horizon on, but for what lacks before it, one by one to the latest day they fit."""
    life = Life(Book(TODAY, {"I1": ITEM}, {KEY: Position(KEY, 1, on_hand)}, {"*": (OFFER,)}))
    for step in told:
        life.step(*step)
        end = life.book.today + HORIZON_DAYS
        lacking = max(0, -life.level(end - 1))
        units = sorted(day for day, quantity in life.due if day >= end for _ in range(quantity))[lacking:]
        replaced: dict[int, int] = {}
        for part in sorted(life.open, key=lambda each: each.available_day):
            for _ in range(part.quantity if part.available_day >= end else 0):
                fitting = [unit for unit in units if unit <= part.available_day]
                if fitting:
                    units.remove(fitting[-1])
                    replaced[part.available_day] = replaced.get(part.available_day, 0) + 1
        found = still_assumed(life.book.positions[KEY], ITEM, life.book.today)
        assert {each.day: each.replaced for each in found if each.replaced} == replaced
