"""The whole life of promises, driven command by command through their handlers, against a model of a few numbers.

The model knows one item at one place: what is free, and per order what it wants, holds, waits for and has shipped. It
predicts every answer. After every step the book is held against the orders: stock is conserved, nothing is oversold,
and every counter is what the parts have posted; at the end everything is given back, and only what shipped is left.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.atp.application.amend_order import Amending, AmendOrder
from services.atp.application.batch import Batch
from services.atp.application.cancel_order import Cancelling
from services.atp.application.commands import (
    Answered,
    CancelOrder,
    ConfirmOrder,
    NotPossible,
    OlderVersion,
    Origin,
    OtherContent,
    Outcome,
    PlaceOrder,
    WrongState,
)
from services.atp.application.confirm_order import Confirming
from services.atp.application.content import Content, ContentLine, CustomerKey, OrderKey, encode, fingerprint_of
from services.atp.application.giving_back import show_parts
from services.atp.application.holds import ExpireHold, Expiring
from services.atp.application.orders import PromiseCopy
from services.atp.application.place_order import Placing
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Configuration
from services.atp.application.release_part import ReleasedLine, ReleasePart, Releasing
from services.atp.application.revive_hold import ReviveHold, Reviving
from services.atp.application.transfer_part import TransferPart, TransferringPart
from services.atp.application.withdraw_part import Withdrawing, WithdrawPart
from services.atp.application.workbook import Workbook
from services.atp.domain.model import Book, Item, Offer, Position, PositionKey, Protection, Quota, Tier, UsageKey

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
TODAY = START.date().toordinal()
KEY = PositionKey("I1", "L1")
TIER = Tier("only", 1, 1)
OFFER = Offer("L1", "road", "road", 1, 0, 2, 500, 7)
QUOTA = Quota("Q", "d", 1, TODAY, TODAY + 90, 10**9)
PROTECTION = Protection("P", "d", 1, KEY, "only", 1, TODAY, TODAY + 90, 5)
COUNTERS = (UsageKey("protection", "P", TODAY), UsageKey("quota", "Q", TODAY))
ORIGIN = Origin("correlation", "cause")
HOLD_SECONDS = 600
QUANTITIES = st.integers(1, 6)


@dataclass
class Modelled:
    """An order as the model sees it."""

    version: int
    state: str
    wanted: int
    held: int = 0
    shipped: int = 0
    ends: datetime | None = None

    @property
    def open(self) -> bool:
        return self.state in {"held", "promised", "confirmed"}


def content_of(quantity: int) -> Content:
    line = ContentLine("1", "I1", quantity, None, None, None, 0)
    return Content(CustomerKey("erp", "c"), "*", "web", START, ship_complete=False, lines=(line,))


class PromiseLife(RuleBasedStateMachine):
    """Commands in any order, on one batch that never ends."""

    @initialize(on_hand=st.integers(0, 12))
    def begin(self, on_hand: int) -> None:
        book = Book(
            TODAY,
            {"I1": Item("I1")},
            {KEY: Position(KEY, 1, on_hand)},
            {"*": (OFFER,)},
            {KEY: (PROTECTION,)},
            (QUOTA,),
        )
        configuration = Configuration(1, {"only": TIER}, TIER, {"*": (OFFER,)}, (), protections=True)
        self.batch = Batch(configuration, START, Workbook(book), UUID(int=1), "GBP", {}, {}, {}, {})
        self.on_hand = on_hand
        self.orders: dict[OrderKey, Modelled] = {}
        self.free = on_hand

    # What is driven

    def drive(self, handler: Any, command: Any) -> Outcome:
        outcome: Outcome = handler.decide(self.batch, command)
        return outcome

    def pick(self, data: st.DataObject) -> tuple[OrderKey, Modelled]:
        key = data.draw(st.sampled_from(sorted(self.orders)))
        return key, self.orders[key]

    def settle(self, order: Modelled) -> None:
        """What the model makes of an order's time: a hold is expired from its end on."""
        if order.state == "held" and order.ends is not None and order.ends <= self.batch.now:
            order.state = "overdue"

    @rule(quantity=QUANTITIES, held=st.booleans())
    def place(self, quantity: int, held: bool) -> None:
        key = OrderKey("shop", f"o{len(self.orders)}")
        content = content_of(quantity)
        encoded = encode(content)
        command = PlaceOrder(key, 1, content, encoded, fingerprint_of(encoded), ORIGIN)
        if held:
            command = replace(command, hold_seconds=HOLD_SECONDS)
        assert isinstance(self.drive(Placing(), command), Answered)
        got = min(quantity, self.free)
        order = Modelled(1, "promised", quantity, got)
        if held:
            order.state = "held" if got else "refused"
            order.ends = self.batch.now + timedelta(seconds=HOLD_SECONDS)
        self.free -= got
        self.orders[key] = order

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def confirm(self, data: st.DataObject) -> None:
        key, order = self.pick(data)
        outcome = self.drive(Confirming(), ConfirmOrder(key, order.version, ORIGIN))
        if order.open:
            assert isinstance(outcome, Answered)
            order.state = "confirmed"
        else:
            assert isinstance(outcome, WrongState)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        key, order = self.pick(data)
        outcome = self.drive(Cancelling(), CancelOrder(key, order.version, ORIGIN))
        if order.state == "closed":
            assert isinstance(outcome, WrongState)
            return
        assert isinstance(outcome, Answered)
        self.free, order.held, order.state = self.free + order.held, 0, "cancelled"

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def sweep(self, data: st.DataObject) -> None:
        key, order = self.pick(data)
        self.drive(Expiring(), ExpireHold(key, ORIGIN))
        if order.state == "overdue":
            self.free, order.held, order.state = self.free + order.held, 0, "expired"

    @rule(minutes=st.integers(1, 12))
    def time_passes(self, minutes: int) -> None:
        self.batch.now += timedelta(minutes=minutes)
        for order in self.orders.values():
            self.settle(order)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), quantity=QUANTITIES, replan=st.booleans())
    def amend(self, data: st.DataObject, quantity: int, replan: bool) -> None:
        key, order = self.pick(data)
        content = content_of(quantity)
        encoded = encode(content)
        fingerprint = fingerprint_of(encoded)
        command = AmendOrder(key, order.version + 1, content, encoded, fingerprint, fingerprint, ORIGIN, replan=replan)
        outcome = self.drive(Amending(), command)
        if isinstance(outcome, Answered) and not outcome.first:
            assert quantity == self.promise(key).content.lines[0].quantity
            order.version += 1
            return
        if not order.open and order.state != "refused":
            assert isinstance(outcome, WrongState)
            return
        if quantity < order.shipped:
            assert isinstance(outcome, NotPossible)
            assert outcome.why == "shipped"
            return
        assert isinstance(outcome, Answered)
        got = min(quantity - order.shipped, order.held + self.free)
        self.free += order.held - got
        order.held, order.wanted, order.version = got, quantity, order.version + 1
        if order.state == "refused":
            order.state, order.ends = "promised", None

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), quantity=QUANTITIES)
    def release(self, data: st.DataObject, quantity: int) -> None:
        key, order = self.pick(data)
        released = (ReleasedLine("1", quantity),)
        command = ReleasePart(key, order.version + 1, released, b"%d" % (order.version + 1), ORIGIN)
        outcome = self.drive(Releasing(), command)
        if not order.open:
            assert isinstance(outcome, WrongState)
        elif quantity > order.held:
            assert isinstance(outcome, NotPossible)
        else:
            assert isinstance(outcome, Answered)
            self.released(order, quantity)
            again = self.drive(Releasing(), command)
            assert isinstance(again, Answered)
            assert not again.first

    def released(self, order: Modelled, quantity: int) -> None:
        order.held, order.version = order.held - quantity, order.version + 1
        waits = order.wanted - order.shipped - order.held - quantity
        self.free += quantity
        if order.held or waits:
            order.wanted -= quantity
        elif order.shipped:
            order.state, order.wanted = "closed", order.wanted - quantity
        else:
            order.state = "cancelled"

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), held=st.booleans())
    def revive(self, data: st.DataObject, held: bool) -> None:
        key, order = self.pick(data)
        seconds = HOLD_SECONDS if held else None
        outcome = self.drive(Reviving(), ReviveHold(key, order.version + 1, b"r", ORIGIN, hold_seconds=seconds))
        if order.state not in {"expired", "overdue"}:
            assert isinstance(outcome, WrongState)
            return
        if order.state == "overdue":
            self.free, order.held, order.state = self.free + order.held, 0, "expired"
        got = min(order.wanted - order.shipped, self.free)
        if not got:
            assert isinstance(outcome, NotPossible)
            return
        assert isinstance(outcome, Answered)
        self.free -= got
        order.held, order.version, order.state = got, order.version + 1, "held" if held else "promised"
        order.ends = self.batch.now + timedelta(seconds=HOLD_SECONDS) if held else None

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), quantity=QUANTITIES)
    def withdraw(self, data: st.DataObject, quantity: int) -> None:
        key, order = self.pick(data)
        planner = Planner("planner", "because", TODAY + 1)
        command = WithdrawPart(key, self.promise(key).revision, "1", quantity, None, planner, ORIGIN)
        outcome = self.drive(Withdrawing(), command)
        if not order.open:
            assert isinstance(outcome, WrongState)
        elif quantity > order.held:
            assert isinstance(outcome, NotPossible)
        else:
            assert isinstance(outcome, Answered)
            order.held -= quantity
            self.free += quantity
            assert isinstance(self.drive(Withdrawing(), command), NotPossible)

    @precondition(lambda self: len(self.orders) > 1)
    @rule(data=st.data(), quantity=QUANTITIES)
    def hand_over(self, data: st.DataObject, quantity: int) -> None:
        key, order = self.pick(data)
        to, taker = self.pick(data)
        command = TransferPart(
            key, order.version + 1, "1", quantity, None, None, (to, "1"), b"%d" % (order.version + 1), ORIGIN
        )
        rest = self.promise(to).backorders.get("1")
        outcome = self.drive(TransferringPart(), command)
        if not order.open:
            assert isinstance(outcome, WrongState)
        elif to == key or rest is None or rest.quantity < quantity or order.held < quantity or not taker.open:
            assert isinstance(outcome, NotPossible)
        else:
            assert isinstance(outcome, Answered)
            self.released(order, quantity)
            self.free -= quantity
            taker.held += quantity

    @precondition(lambda self: any(order.held for order in self.orders.values()))
    @rule(data=st.data(), quantity=QUANTITIES)
    def ship(self, data: st.DataObject, quantity: int) -> None:
        key, order = self.pick(data)
        promise = self.promise(key)
        left = quantity = min(quantity, order.held)
        for part in promise.parts:
            taken = min(left, part.open)
            if taken:
                self.batch.workbook.ship(part.planned, taken)
                part.open, part.shipped, left = part.open - taken, part.shipped + taken, left - taken
        document = orjson.loads(promise.document)
        show_parts(document["lines"][0], promise)
        promise.document = orjson.dumps(document)
        order.held, order.shipped, self.on_hand = (
            order.held - quantity,
            order.shipped + quantity,
            self.on_hand - quantity,
        )

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), handler=st.sampled_from((Releasing, Reviving)))
    def an_older_or_equal_version_changes_nothing(self, data: st.DataObject, handler: Any) -> None:
        key, order = self.pick(data)
        before = self.promise(key).document
        other = b"never sent before"
        command: Any = ReleasePart(key, order.version, (ReleasedLine("1", 1),), other, ORIGIN)
        if handler is Reviving:
            command = ReviveHold(key, order.version - 1, other, ORIGIN)
        assert isinstance(self.drive(handler(), command), OtherContent | OlderVersion)
        assert self.promise(key).document == before

    # What holds after every step

    def promise(self, key: OrderKey) -> PromiseCopy:
        promise = self.batch.orders[key].promise
        assert promise is not None
        return promise

    @invariant()
    def stock_is_conserved_and_nothing_is_oversold(self) -> None:
        if not hasattr(self, "batch"):
            return
        position = self.batch.book.positions[KEY]
        committed = sum(quantity for _, quantity in position.commitments)
        parts = [part for key in self.orders for part in self.promise(key).parts]
        assert committed == sum(part.open for part in parts)
        assert position.on_hand == self.on_hand
        assert self.free == position.on_hand - committed >= 0

    @invariant()
    def every_counter_is_what_the_parts_have_posted(self) -> None:
        if not hasattr(self, "batch"):
            return
        for counter in COUNTERS:
            posted = 0
            for key in self.orders:
                for part in self.promise(key).parts:
                    own = [each.quantity for each in part.planned.postings if each.usage == counter]
                    assert sum(own) == part.open + part.shipped
                    posted += sum(own)
            assert self.batch.book.usage.get(counter, 0) == posted

    @invariant()
    def every_promise_is_what_the_model_says(self) -> None:
        for key, order in getattr(self, "orders", {}).items():
            promise = self.promise(key)
            (line,) = orjson.loads(promise.document)["lines"]
            assert promise.state == {"overdue": "held"}.get(order.state, order.state)
            assert sum(part.open for part in promise.parts) == order.held
            assert line["promised"] == order.held + order.shipped
            assert sum(part["quantity"] for part in line["schedule"]) == line["promised"]
            if order.state in {"promised", "confirmed"}:
                assert line["quantity"] == order.wanted
                assert line["promised"] + line["backordered"] == order.wanted
            if not order.open:
                assert not promise.backorders

    def teardown(self) -> None:
        """Everything that has not shipped comes back, exactly."""
        if not hasattr(self, "batch"):
            return
        for key, order in self.orders.items():
            self.drive(Cancelling(), CancelOrder(key, order.version, ORIGIN))
        position = self.batch.book.positions[KEY]
        assert position.commitments == ()
        assert position.on_hand == self.on_hand
        shipped = sum(order.shipped for order in self.orders.values())
        assert [self.batch.book.usage.get(counter, 0) for counter in COUNTERS] == [shipped, shipped]


TestPromiseLife: Callable[..., Any] = PromiseLife.TestCase
