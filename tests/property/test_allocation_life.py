"""Promises of three tiers live through every command under every kind of limit; the auditor counts what they hold.

The commands go through their handlers on one batch. After every step the auditor is told what each promise holds and
has shipped, and by which tier, and nothing else: what it then says that everybody may take must be what the engine
says.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.atp.application.amend_order import Amending, AmendOrder
from services.atp.application.batch import Batch, Handler
from services.atp.application.cancel_order import Cancelling
from services.atp.application.commands import CancelOrder, ConfirmOrder, Origin, PlaceOrder
from services.atp.application.confirm_order import Confirming
from services.atp.application.content import Content, ContentLine, CustomerKey, OrderKey, encode, fingerprint_of
from services.atp.application.customers import Customer, TierAssignment
from services.atp.application.holds import ExpireHold, Expiring
from services.atp.application.orders import OrderCopy, Part
from services.atp.application.place_order import Placing
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Configuration, EffectiveHierarchy, EffectiveQuota
from services.atp.application.reassign_part import Reassigning, ReassignPart
from services.atp.application.release_part import ReleasedLine, ReleasePart, Releasing
from services.atp.application.revive_hold import ReviveHold, Reviving
from services.atp.application.transfer_part import TransferPart, TransferringPart
from services.atp.application.withdraw_part import Withdrawing, WithdrawPart
from services.atp.application.workbook import Workbook
from services.atp.domain.model import Book, Request
from tests.support import allocation_worlds as worlds
from tests.support.allocation_auditor import AllocationAuditor, Grant
from tests.support.allocation_views import audited_rooms, offered_rooms

START = datetime.fromordinal(worlds.TODAY).replace(tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ORIGIN = Origin("correlation", "cause")
PLANNER = Planner("planner", "because", worlds.TODAY + 3)
HOLD_SECONDS = 600
ORDERS = 4
HANDLERS: dict[type[Any], Handler[Any]] = {
    PlaceOrder: Placing(),
    AmendOrder: Amending(),
    ConfirmOrder: Confirming(),
    CancelOrder: Cancelling(),
    ReleasePart: Releasing(),
    TransferPart: TransferringPart(),
    ReviveHold: Reviving(),
    ExpireHold: Expiring(),
    WithdrawPart: Withdrawing(),
    ReassignPart: Reassigning(),
}
KINDS = (
    "place",
    "hold",
    "amend",
    "confirm",
    "cancel",
    "release",
    "move",
    "hand over",
    "revive",
    "withdraw",
    "reassign",
)


@dataclass(frozen=True)
class Step:
    """What is asked of the order of a number; `other` is another order, or a place."""

    what: str
    number: int
    quantity: int
    other: int
    minutes: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from((*KINDS, "place", "hold", "expire")),
        st.integers(0, ORDERS - 1),
        st.integers(1, 7),
        st.integers(0, ORDERS - 1),
        st.sampled_from((0, 0, 6)),
    ),
    min_size=3,
    max_size=10,
)


def _batch(book: Book) -> Batch:
    tiers = {tier.tier: tier for tier in worlds.TIERS}
    customers = {
        CustomerKey("erp", tier.tier): Customer(tier.tier, (TierAssignment(tier.tier, LONG_AGO, None, 1),))
        for tier in worlds.TIERS
    }
    configuration = Configuration(
        1,
        tiers,
        worlds.TIERS[-1],
        book.offers,
        tuple(EffectiveQuota(quota, LONG_AGO, None) for quota in book.quotas),
        protections=True,
        hierarchies=tuple(EffectiveHierarchy(tree, LONG_AGO, None) for tree in book.hierarchies),
        regions=book.regions,
    )
    copy = replace(book, positions=dict(book.positions), usage={})
    return Batch(configuration, START, Workbook(copy), UUID(int=1), "GBP", {}, customers, {}, {})


def _command(batch: Batch, step: Step) -> Any:
    """The command for a step, at the next version of its order."""
    key, other = (OrderKey("shop", f"o{number}") for number in (step.number, step.other))
    order = batch.orders.get(key)
    promise = None if order is None else order.promise
    version, revision = (order.version if order else 0) + 1, promise.revision if promise else 1
    line = ContentLine("1", "I1", step.quantity, None, None, None, 0)
    customer = CustomerKey("erp", worlds.TIERS[step.number % len(worlds.TIERS)].tier)
    content = Content(customer, "GB", "web", START, ship_complete=False, lines=(line,))
    encoded = encode(content)
    asked = fingerprint_of(encoded)
    place = f"L{step.other % len(batch.book.positions)}"
    name = b"%d" % version
    commands = {
        "place": PlaceOrder(key, 1, content, encoded, asked, ORIGIN),
        "hold": PlaceOrder(key, 1, content, encoded, asked, ORIGIN, hold_seconds=HOLD_SECONDS),
        "amend": AmendOrder(key, version, content, encoded, asked, asked, ORIGIN, replan=step.other % 2 == 0),
        "confirm": ConfirmOrder(key, version - 1, ORIGIN),
        "cancel": CancelOrder(key, version, ORIGIN),
        "expire": ExpireHold(key, ORIGIN),
        "release": ReleasePart(key, version, (ReleasedLine("1", step.quantity),), name, ORIGIN),
        "move": TransferPart(key, version, "1", step.quantity, None, place, None, name, ORIGIN),
        "hand over": TransferPart(key, version, "1", step.quantity, None, None, (other, "1"), name, ORIGIN),
        "revive": ReviveHold(key, version, name, ORIGIN, hold_seconds=HOLD_SECONDS),
        "withdraw": WithdrawPart(key, revision, "1", step.quantity, None, PLANNER, ORIGIN),
        "reassign": ReassignPart(key, revision, "1", step.quantity, None, other, "1", PLANNER, ORIGIN),
    }
    return commands[step.what]


def _take(batch: Batch, step: Step) -> None:
    """Carry a step out, if it makes sense for the order as it is."""
    key, other = (OrderKey("shop", f"o{number}") for number in (step.number, step.other))
    known = [batch.orders.get(each) for each in (key, other)]
    needs_other = step.what in {"hand over", "reassign"}
    if step.what not in {"place", "hold"} and (known[0] is None or (needs_other and known[1] is None)):
        return
    batch.now += timedelta(minutes=step.minutes)
    command = _command(batch, step)
    HANDLERS[type(command)].decide(batch, command)


def _grants(batch: Batch) -> list[Grant]:
    """What the promises hold, as the auditor is told it."""
    return [
        _grant(order, part)
        for _, order in sorted(batch.orders.items())
        if order.promise is not None
        for part in order.promise.parts
        if part.open or part.shipped
    ]


def _grant(order: OrderCopy, part: Part) -> Grant:
    tier = next(each for each in worlds.TIERS if each.tier == part.tier)
    request = Request("shop", order.key.order_id, tier, "GB", "web", worlds.TODAY, ship_complete=False, lines=())
    posted = tuple(((posting.usage, posting.quantity),) for posting in part.planned.postings)
    planned = part.planned
    return Grant(request, planned.key, planned.available_day, worlds.TODAY, planned.assumed, part.open, (), posted)


@given(worlds.books(), steps)
def test_what_everybody_may_take_follows_from_what_promises_hold_after_every_command(
    book: Book, what: list[Step]
) -> None:
    batch = _batch(book)
    for step in what:
        _take(batch, step)
        auditor = AllocationAuditor(replace(book, positions=dict(book.positions)), grants=_grants(batch))
        assert offered_rooms(batch.book, auditor.days) == audited_rooms(auditor)
        counted = {key: units for key, units in batch.book.usage.items() if units}
        assert counted == auditor.counters()


@given(worlds.books(), steps)
def test_no_command_promises_more_than_there_is(book: Book, what: list[Step]) -> None:
    batch = _batch(book)
    for step in what:
        before = AllocationAuditor(book, grants=_grants(batch)).levels()
        _take(batch, step)
        for place, level in AllocationAuditor(book, grants=_grants(batch)).levels().items():
            assert level >= 0 or level >= before[place]


@given(worlds.books(), steps)
def test_when_every_order_has_ended_nothing_is_held_or_counted(book: Book, what: list[Step]) -> None:
    batch = _batch(book)
    for step in what:
        _take(batch, step)
    for number in range(ORDERS):
        for kind in ("expire", "cancel", "cancel"):
            _take(batch, Step(kind, number, 1, 0, 20))
    assert not any(batch.book.usage.values())
    assert batch.book.positions == book.positions
