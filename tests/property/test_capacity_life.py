"""Promises of three tiers live through every command under daily capacities; another count says what is booked.

The commands go through their handlers on one batch. After every step the bookings are counted anew from what promises
hold and have shipped, by arithmetic that shares nothing with the engine: by location, service, ship day and tier. They
must be the engine's counters; no day is ever beyond its units, nor into what a share still keeps from others.
"""

import zlib
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.atp.application.amend_order import Amending, AmendOrder
from services.atp.application.batch import Batch, Handler
from services.atp.application.cancel_order import Cancelling
from services.atp.application.commands import CancelOrder, ConfirmOrder, Origin, PlaceOrder
from services.atp.application.confirm_order import Confirming
from services.atp.application.content import Content, ContentLine, CustomerKey, OrderKey, encode, fingerprint_of
from services.atp.application.customers import Customer, TierAssignment
from services.atp.application.expedite_order import ExpediteOrder, Expediting
from services.atp.application.holds import ExpireHold, Expiring
from services.atp.application.move_away import MoveAway, MovingAway
from services.atp.application.place_order import Placing
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Configuration
from services.atp.application.reassign_part import Reassigning, ReassignPart
from services.atp.application.release_part import ReleasedLine, ReleasePart, Releasing
from services.atp.application.reproduce import reproduce
from services.atp.application.revive_hold import ReviveHold, Reviving
from services.atp.application.transfer_part import TransferPart, TransferringPart
from services.atp.application.withdraw_part import Withdrawing, WithdrawPart
from services.atp.application.workbook import Workbook, digest_of
from services.atp.domain.model import (
    Book,
    Capacity,
    CapacityShare,
    Item,
    Offer,
    Position,
    PositionKey,
    ProtectionMode,
    Tier,
)

TODAY = 740_000
START = datetime.fromordinal(TODAY).replace(tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
ORIGIN = Origin("correlation", "cause")
PLANNER = Planner("planner", "because", TODAY + 3)
TIERS = (Tier("gold", 1, 1), Tier("silver", 2, 1), Tier("bronze", 3, 1))
LOCATIONS = ("L0", "L1")
SERVICES = ("air", "road")
STOCK = 40
ORDERS = 4
HANDLERS: dict[type[Any], Handler[Any]] = {
    PlaceOrder: Placing(),
    AmendOrder: Amending(),
    ConfirmOrder: Confirming(),
    CancelOrder: Cancelling(),
    ExpireHold: Expiring(),
    ExpediteOrder: Expediting(),
    MoveAway: MovingAway(),
    ReassignPart: Reassigning(),
    ReleasePart: Releasing(),
    ReviveHold: Reviving(),
    TransferPart: TransferringPart(),
    WithdrawPart: Withdrawing(),
}
KINDS = (
    "amend",
    "confirm",
    "cancel",
    "expire",
    "expedite",
    "evacuate",
    "reassign",
    "release",
    "revive",
    "move",
    "give",
)


@dataclass(frozen=True)
class Step:
    """What is asked of the order of a number; `other` is another order, a place, or days."""

    what: str
    number: int
    quantity: int
    other: int
    minutes: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from((*KINDS, "withdraw", "ship", "place", "place", "place", "hold")),
        st.integers(0, ORDERS - 1),
        st.integers(1, 7),
        st.integers(0, ORDERS - 1),
        st.sampled_from((0, 0, 6)),
    ),
    min_size=3,
    max_size=12,
)
UNITS = st.integers(0, 9)
MODES: st.SearchStrategy[ProtectionMode] = st.sampled_from(("prioritised", "core"))


@st.composite
def _capacity(draw: st.DrawFn, location: str, service: str | None) -> Capacity:
    days = draw(st.lists(st.integers(TODAY, TODAY + 6), max_size=3, unique=True))
    mode = draw(MODES)
    tiers = draw(st.lists(st.sampled_from(TIERS), max_size=2, unique=True))
    return Capacity(
        location if service is None else f"{location}@{service}",
        location,
        service,
        tuple(draw(st.lists(UNITS, min_size=7, max_size=7))),
        tuple((day, draw(UNITS)) for day in sorted(days)),
        tuple(CapacityShare(each.tier, each.priority_rank, draw(st.integers(0, 3)), mode) for each in tiers),
    )


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Plenty of stock at two locations with two services each, and capacities of some of them."""
    offers = tuple(
        Offer(location, service, "any", 1 + place, draw(st.integers(0, 1)), 1 + 2 * number, 10, 1 + number)
        for place, location in enumerate(LOCATIONS)
        for number, service in enumerate(SERVICES)
    )
    capacities: dict[str, tuple[Capacity, ...]] = {}
    for location in LOCATIONS:
        named = draw(st.lists(st.sampled_from((None, *SERVICES)), max_size=3, unique=True))
        if named:
            capacities[location] = tuple(draw(_capacity(location, service)) for service in named)
    keys = [PositionKey("I1", location) for location in LOCATIONS]
    positions = {key: Position(key, 1, STOCK) for key in keys}
    return Book(TODAY, {"I1": Item("I1")}, positions, {"*": offers}, capacities=capacities)


def _batch(book: Book) -> Batch:
    customers = {
        CustomerKey("erp", tier.tier): Customer(tier.tier, (TierAssignment(tier.tier, LONG_AGO, None, 1),))
        for tier in TIERS
    }
    configuration = Configuration(1, {tier.tier: tier for tier in TIERS}, TIERS[-1], book.offers, (), protections=False)
    copy = replace(book, positions=dict(book.positions), usage={})
    return Batch(configuration, START, Workbook(copy), UUID(int=1), "GBP", {}, customers, {}, {})


def _command(batch: Batch, step: Step) -> Any:
    """The command for a step, at the next version of its order."""
    key, other = (OrderKey("shop", f"o{number}") for number in (step.number, step.other))
    order = batch.orders.get(key)
    promise = None if order is None else order.promise
    version, revision = (order.version if order else 0) + 1, promise.revision if promise else 1
    latest = TODAY + 2 + step.other if step.quantity % 2 else None
    line = ContentLine("1", "I1", step.quantity, None, latest, None, 0)
    customer = CustomerKey("erp", TIERS[step.number % len(TIERS)].tier)
    content = Content(customer, "GB", "web", START, ship_complete=False, lines=(line,))
    encoded = encode(content)
    asked = fingerprint_of(encoded)
    place = LOCATIONS[step.other % len(LOCATIONS)]
    name = b"%d" % version
    commands = {
        "place": PlaceOrder(key, 1, content, encoded, asked, ORIGIN),
        "hold": PlaceOrder(key, 1, content, encoded, asked, ORIGIN, hold_seconds=300),
        "amend": AmendOrder(key, version, content, encoded, asked, asked, ORIGIN, replan=step.other % 2 == 0),
        "confirm": ConfirmOrder(key, version - 1, ORIGIN),
        "cancel": CancelOrder(key, version, ORIGIN),
        "expire": ExpireHold(key, ORIGIN),
        "expedite": ExpediteOrder(key, revision, PLANNER, ORIGIN),
        "evacuate": MoveAway(key, place, ORIGIN),
        "release": ReleasePart(key, version, (ReleasedLine("1", step.quantity),), name, ORIGIN),
        "move": TransferPart(key, version, "1", step.quantity, None, place, None, name, ORIGIN),
        "give": TransferPart(key, version, "1", step.quantity, None, None, (other, "1"), name, ORIGIN),
        "revive": ReviveHold(key, version, name, ORIGIN, hold_seconds=300),
        "withdraw": WithdrawPart(key, revision, "1", step.quantity, None, PLANNER, ORIGIN),
        "reassign": ReassignPart(key, revision, "1", step.quantity, None, other, "1", PLANNER, ORIGIN),
    }
    return commands[step.what]


def _take(batch: Batch, step: Step) -> None:
    """Carry a step out, if it makes sense for the order as it is."""
    known = [batch.orders.get(OrderKey("shop", f"o{number}")) for number in (step.number, step.other)]
    if step.what not in {"place", "hold"} and (
        known[0] is None or (step.what in {"give", "reassign"} and known[1] is None)
    ):
        return
    batch.now += timedelta(minutes=step.minutes)
    if step.what == "ship":
        _ship(batch, step)
        return
    batch.book.closed = {LOCATIONS[step.other % len(LOCATIONS)]: TODAY} if step.what == "evacuate" else {}
    command = _command(batch, step)
    HANDLERS[type(command)].decide(batch, command)
    batch.book.closed = {}


def _ship(batch: Batch, step: Step) -> None:
    """Let some of an order's first open part leave, as the warehouse does."""
    order = batch.orders[OrderKey("shop", f"o{step.number}")]
    parts = order.promise.parts if order.promise is not None and order.promise.state == "confirmed" else []
    part = next((each for each in parts if each.open), None)
    if part is not None:
        quantity = min(part.open, step.quantity)
        batch.workbook.ship(part.live, quantity)
        part.open -= quantity
        part.shipped += quantity


def _booked(batch: Batch) -> Counter[tuple[str, str, int, str]]:
    """What promises hold and have shipped, by location, service, ship day and tier."""
    found: Counter[tuple[str, str, int, str]] = Counter()
    for order in batch.orders.values():
        for part in order.promise.parts if order.promise is not None else ():
            planned = part.planned
            found[planned.key.location_id, planned.service, planned.ship_day, part.tier] += part.open + part.shipped
    return found


def _counted(batch: Batch) -> dict[tuple[str, int], int]:
    """The counters as they must be."""
    found: Counter[tuple[str, int]] = Counter()
    for (location, service, day, tier), quantity in _booked(batch).items():
        for each in batch.book.capacities.get(location, ()):
            if each.service in (None, service):
                found[each.capacity_id, day] += quantity
                if tier in {share.tier for share in each.shares}:
                    found[f"{each.capacity_id}/{tier}", day] += quantity
    return {key: quantity for key, quantity in found.items() if quantity}


def _units(capacity: Capacity, day: int) -> int:
    named = dict(capacity.exceptions)
    return named.get(day, capacity.weekdays[datetime.fromordinal(day).weekday()])


@given(books(), STEPS)
def test_counters_are_what_promises_have_booked_after_every_command(book: Book, what: list[Step]) -> None:
    batch = _batch(book)
    for step in what:
        _take(batch, step)
        counted = {(key.limit_id, key.period_start): units for key, units in batch.book.usage.items() if units}
        assert counted == _counted(batch)


@given(books(), STEPS)
def test_no_day_is_booked_beyond_its_units(book: Book, what: list[Step]) -> None:
    batch = _batch(book)
    known = {each.capacity_id: each for own in book.capacities.values() for each in own}
    for step in what:
        _take(batch, step)
        for (name, day), quantity in _counted(batch).items():
            assert name not in known or quantity <= _units(known[name], day)


@given(books(), STEPS)
def test_others_never_book_what_is_kept_for_the_best_tier(book: Book, what: list[Step]) -> None:
    batch = _batch(book)
    for step in what:
        before = _counted(batch)
        _take(batch, step)
        after = _counted(batch)
        for each in (capacity for own in book.capacities.values() for capacity in own):
            kept = sum(share.quantity for share in each.shares if share.tier == "gold")
            for name, day in after:
                if name != each.capacity_id:
                    continue
                gold = f"{name}/gold", day
                others = [found.get((name, day), 0) - found.get(gold, 0) for found in (before, after)]
                left = max(0, kept - after.get(gold, 0))
                assert others[1] <= others[0] or after[name, day] + left <= max(_units(each, day), 0)


@given(books(), STEPS)
def test_when_every_order_has_ended_only_what_has_shipped_is_booked(book: Book, what: list[Step]) -> None:
    batch = _batch(book)
    for step in what:
        _take(batch, step)
    for number in range(ORDERS):
        for kind in ("expire", "cancel", "cancel"):
            _take(batch, Step(kind, number, 1, 0, 20))
    shipped: Counter[str] = Counter()
    for (location, service, _, _), quantity in _booked(batch).items():
        shipped[f"{location}@{service}"] += quantity
    assert sum(shipped.values()) == sum(
        part.shipped for order in batch.orders.values() if order.promise is not None for part in order.promise.parts
    )
    assert {(key.limit_id, key.period_start): n for key, n in batch.book.usage.items() if n} == _counted(batch)


@given(books(), STEPS)
def test_decisions_under_capacities_can_be_made_again_from_their_record(book: Book, what: list[Step]) -> None:
    batch = _batch(book)
    for step in what:
        _take(batch, replace(step, what="confirm") if step.what == "evacuate" else step)
    record = batch.workbook.record(UUID(int=1), START)
    if record is not None:
        stored = orjson.loads(zlib.decompress(record.input))["decided"]
        assert digest_of(reproduce(record.input)) == stored
