"""Whatever happens to promises, in whatever order and however often: what they hold is counted, and comes back once.

The commands go through their real handlers, on a batch in memory whose clock the test moves. What the promises hold is
added up from their parts, and held against what positions and counters say.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.atp.application.batch import Batch, Handler
from services.atp.application.cancel_order import Cancelling
from services.atp.application.commands import Answered, CancelOrder, ConfirmOrder, Origin, PlaceOrder
from services.atp.application.confirm_order import Confirming
from services.atp.application.holds import ExpireHold, Expiring
from services.atp.application.orders import OrderCopy
from services.atp.application.place_order import Placing
from services.atp.application.ports import Configuration, EffectiveQuota
from services.atp.application.workbook import Workbook
from services.atp.domain.model import Book, PositionKey, UsageKey
from services.atp.entrypoints.orders import place_command
from services.chassis.ids import new_id
from services.contracts.orders import OrderPlaced
from tests.support import promise_worlds as worlds

ORIGIN = Origin("correlation", "cause")
START = datetime(2026, 1, 1, tzinfo=UTC)
HOLD_SECONDS = 60
HANDLERS: dict[type[Any], Handler[Any]] = {
    PlaceOrder: Placing(),
    ConfirmOrder: Confirming(),
    CancelOrder: Cancelling(),
    ExpireHold: Expiring(),
}


@dataclass(frozen=True)
class Step:
    """Something that happens to the order of a number, after some seconds."""

    what: str
    number: int
    quantity: int
    seconds: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(("hold", "hold", "place", "expire", "expire", "cancel", "confirm")),
        st.integers(0, 3),
        st.integers(1, 9),
        st.sampled_from((0, 0, 20, 61)),
    ),
    min_size=2,
    max_size=14,
)


@dataclass
class Run:
    """A batch that lives through steps."""

    batch: Batch

    def take(self, step: Step) -> Any:
        """Carry a step out; its outcome."""
        self.batch.now += timedelta(seconds=step.seconds)
        command = _command(step)
        return HANDLERS[type(command)].decide(self.batch, command)

    def orders(self) -> list[OrderCopy]:
        return [order for order in self.batch.orders.values() if order.promise is not None]


def _command(step: Step) -> Any:
    order: dict[str, Any] = {
        "order": {"source": "shop", "order_id": f"o{step.number}", "version": 1},
        "customer": {"system": "erp", "id": "somebody"},
        "lines": [{"line": "1", "sku": "I1", "quantity": step.quantity}],
        "ordered_at": START.isoformat(),
    }
    if step.what == "hold":
        order["hold_seconds"] = HOLD_SECONDS
    placing = place_command(OrderPlaced.model_validate(order), ORIGIN)
    match step.what:
        case "place" | "hold":
            return placing
        case "expire":
            return ExpireHold(placing.key, ORIGIN)
        case "cancel":
            return CancelOrder(placing.key, 1, ORIGIN)
        case _:
            return ConfirmOrder(placing.key, 1, ORIGIN)


def _run(book: Book) -> Run:
    tier = worlds.TIERS[0]
    quotas = tuple(EffectiveQuota(quota, START, None) for quota in book.quotas)
    configuration = Configuration(1, {tier.tier: tier}, tier, book.offers, quotas, protections=True)
    copy = replace(book, positions=dict(book.positions), usage=dict(book.usage))
    batch = Batch(configuration, START, Workbook(copy), new_id(), "GBP", {}, {}, {}, {})
    return Run(batch)


def _committed(book: Book) -> Counter[tuple[PositionKey, int]]:
    found: Counter[tuple[PositionKey, int]] = Counter()
    for key, position in book.positions.items():
        for day, quantity in position.commitments:
            found[key, day] += quantity
    return found


def _held(run: Run) -> tuple[Counter[tuple[PositionKey, int]], Counter[UsageKey]]:
    """What the promises have by themselves: quantity by position and day, and what it was taken from."""
    quantities: Counter[tuple[PositionKey, int]] = Counter()
    usage: Counter[UsageKey] = Counter()
    for order in run.orders():
        assert order.promise is not None
        for part in order.promise.parts:
            if part.open:
                quantities[part.planned.key, part.planned.available_day] += part.open
                for posting in part.planned.postings:
                    usage[posting.usage] += posting.quantity
    return quantities, usage


@given(worlds.books(), steps)
def test_what_positions_and_counters_hold_is_what_promises_hold_after_every_step(book: Book, what: list[Step]) -> None:
    run = _run(book)
    opening = _committed(book)
    for step in what:
        run.take(step)
        quantities, usage = _held(run)
        assert _committed(run.batch.book) == opening + quantities
        assert {key: units for key, units in run.batch.book.usage.items() if units} == dict(usage)


@given(worlds.books(), steps)
def test_a_hold_that_ends_gives_back_all_that_it_had_and_only_once(book: Book, what: list[Step]) -> None:
    run = _run(book)
    for step in what:
        before = _committed(run.batch.book)
        order = run.batch.orders.get(_command(step).key if step.what in {"place", "hold"} else _key(step))
        held = order.promise if order is not None else None
        had = sum(part.open for part in held.parts) if held is not None else 0
        state = None if held is None else held.state
        outcome = run.take(step)
        freed = (before - _committed(run.batch.book)).total()
        if step.what == "expire" and getattr(outcome, "note", "") == "expired":
            assert (state, freed) == ("held", had)
            assert held is not None
            assert held.held_until is not None
            assert run.batch.now >= held.held_until
            again = run.take(replace(step, seconds=0))
            assert again.note == "gone"
            assert (before - _committed(run.batch.book)).total() == had
        elif step.what in {"expire", "confirm"}:
            assert freed == 0
        elif step.what == "cancel":
            assert freed in {0, had}


@given(worlds.books(), steps)
def test_when_everything_has_ended_everything_is_as_it_was(book: Book, what: list[Step]) -> None:
    run = _run(book)
    for step in what:
        run.take(step)
    for number in range(4):
        run.take(Step("expire", number, 1, 61))
        run.take(Step("cancel", number, 1, 0))
        run.take(Step("cancel", number, 1, 0))
    assert _committed(run.batch.book) == _committed(book)
    assert not any(run.batch.book.usage.values())
    for key, position in book.positions.items():
        after = run.batch.book.positions[key]
        assert (after.on_hand, after.receipts) == (position.on_hand, position.receipts)


@given(worlds.books(), steps)
def test_an_expired_hold_is_never_confirmed_even_if_nobody_swept_it(book: Book, what: list[Step]) -> None:
    run = _run(book)
    for step in what:
        run.take(step)
    for order in run.orders():
        promise = order.promise
        assert promise is not None
        if promise.state == "held":
            assert promise.held_until is not None
            run.batch.now = max(run.batch.now, promise.held_until)
            confirmed = HANDLERS[ConfirmOrder].decide(run.batch, ConfirmOrder(order.key, 1, ORIGIN))
            assert not isinstance(confirmed, Answered)


def _key(step: Step) -> Any:
    return _command(replace(step, what="place")).key
