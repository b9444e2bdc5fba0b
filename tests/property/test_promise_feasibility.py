"""Every promise is feasible when it is made, sells nothing twice, and takes nothing that is kept for others."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.allocation import confirmable, quota_left, remaining
from services.atp.domain.model import Book, LineDecision, Planned, Request
from services.atp.domain.promising import decide, inquire
from services.atp.domain.release import release, ship, split
from services.atp.domain.supply_picture import atp, running_supply
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor


def _copy(book: Book) -> Book:
    return replace(book, positions=dict(book.positions), usage=dict(book.usage))


@given(worlds.books(waiting=True))
def test_what_a_tier_may_take_is_what_the_auditor_counts(book: Book) -> None:
    auditor = Auditor(book)
    item = book.items["I1"]
    for key in book.positions:
        for tier in worlds.TIERS:
            for day in auditor.days:
                counted = auditor.room(key, item, tier, day)
                assert min(confirmable(book, key, item, tier, day), 10**15) == counted


@given(worlds.books(protected=False))
def test_the_supply_picture_is_what_the_auditor_counts(book: Book) -> None:
    auditor = Auditor(book)
    item = book.items["I1"]
    for key, position in book.positions.items():
        curve = running_supply(position, item, book.today)
        for day in auditor.days:
            place = max(index for index, start in enumerate(curve.days) if start <= day)
            assert curve.supply[place] == auditor.supply(key, item, day)
            assert curve.committed[place] == auditor.owed(key, item, day)
            assert curve.available[place] == auditor.level(key, item, day)
        for day in auditor.days:
            if day < auditor.end(item):
                lowest = min(auditor.level(key, item, s) for s in auditor.days if day <= s < auditor.end(item))
                assert atp(position, item, book.today, day) == max(0, lowest)


@given(worlds.books(protected=False, limited=False))
def test_look_ahead_never_falls_as_the_day_grows(book: Book) -> None:
    item = book.items["I1"]
    for position in book.positions.values():
        offers = [atp(position, item, book.today, day) for day in Auditor(book).days]
        assert offers == sorted(offers)


@given(worlds.books(waiting=True), worlds.order_lists())
def test_every_part_was_allowed_when_it_was_taken(book: Book, orders: list[Request]) -> None:
    auditor = Auditor(_copy(book))
    for request in orders:
        for line in decide(book, request).lines:
            for part in line.planned:
                assert part.quantity <= auditor.allowed(request, part.key, part.available_day)
                auditor.take(request, replace(line, planned=(part,)))


@given(worlds.books(waiting=True), worlds.order_lists())
def test_no_decision_makes_a_level_negative_or_more_negative(book: Book, orders: list[Request]) -> None:
    auditor = Auditor(_copy(book))
    item = book.items["I1"]
    for request in orders:
        before = auditor.levels(item)
        for line in decide(book, request).lines:
            auditor.take(request, line)
        for (key, day), level in auditor.levels(item).items():
            if day < auditor.end(item):
                assert level >= 0 or level == before[key, day]


@given(worlds.books(mixed=False), worlds.order_lists())
def test_a_protected_tier_loses_nothing_to_those_it_is_protected_from(book: Book, orders: list[Request]) -> None:
    auditor = Auditor(_copy(book))
    item = book.items["I1"]
    for request in orders:
        promised = {
            (key, protection.protection_id, day): min(
                auditor.room(key, item, tier, day), auditor.remaining(protection, item, day)
            )
            for key, everyone in book.protections.items()
            for protection in everyone
            for tier in worlds.TIERS
            if tier.tier == protection.tier != request.tier.tier
            if protection.mode == "core" or protection.priority_rank < request.tier.priority_rank
            for day in range(max(protection.start, book.today), protection.end + 1)
            if day in auditor.days
        }
        for line in decide(book, request).lines:
            auditor.take(request, line)
        for key, everyone in book.protections.items():
            for protection in everyone:
                owner = next(tier for tier in worlds.TIERS if tier.tier == protection.tier)
                for day in auditor.days:
                    if (key, protection.protection_id, day) in promised:
                        assert auditor.room(key, item, owner, day) >= promised[key, protection.protection_id, day]


@given(worlds.books(), worlds.order_lists())
def test_counters_hold_what_was_taken(book: Book, orders: list[Request]) -> None:
    auditor = Auditor(_copy(book))
    for request in orders:
        for line in decide(book, request).lines:
            auditor.take(request, line)
    item = book.items["I1"]
    for everyone in book.protections.values():
        for protection in everyone:
            for day in auditor.days:
                assert remaining(book, protection, item, day) == auditor.remaining(protection, item, day)
    for request in orders:
        for day in auditor.days:
            left = quota_left(book, request, request.lines[0], day)
            counted = auditor.quota_left(request, "I1", day)
            assert left == counted or (left is None and counted == 10**15)


@given(worlds.books(), worlds.order_lists())
def test_what_is_promised_and_waiting_is_what_was_asked(book: Book, orders: list[Request]) -> None:
    for request in orders:
        decision = decide(book, request)
        assert [line.line for line in decision.lines] == [line.line for line in request.lines]
        assert decision.cost_minor == sum(part.cost_minor for line in decision.lines for part in line.planned)
        for line, asked in zip(decision.lines, request.lines, strict=True):
            promised = sum(part.quantity for part in line.planned)
            assert promised + line.backordered == line.quantity == asked.quantity
            assert promised == 0 or promised >= min(asked.minimum_quantity, asked.quantity)
            assert line.outcome == "promised" or line.why
            assert all(_is_consistent(part, book, asked.latest_acceptable_arrival) for part in line.planned)
        if request.ship_complete:
            assert _is_whole(decision.lines) or not any(line.planned for line in decision.lines)


def _is_consistent(part: Planned, book: Book, latest: int | None) -> bool:
    offer = next(o for o in book.offers["*"] if (o.location_id, o.service) == (part.key.location_id, part.service))
    return (
        part.quantity > 0
        and part.available_day >= book.today
        and part.ship_day == part.available_day + offer.processing_days
        and part.arrival_day == part.ship_day + offer.transit_days
        and (latest is None or part.arrival_day <= latest)
    )


def _is_whole(lines: tuple[LineDecision, ...]) -> bool:
    return all(line.planned and not line.backordered for line in lines)


@given(worlds.books(), worlds.order_lists(most=2), worlds.requests(number=9))
def test_an_inquiry_answers_what_a_decision_would_and_changes_nothing(
    book: Book, orders: list[Request], asked: Request
) -> None:
    for request in orders:
        decide(book, request)
    positions, usage = dict(book.positions), dict(book.usage)
    answer = inquire(book, asked)
    assert (book.positions, book.usage) == (positions, usage)
    assert decide(book, asked) == answer


@given(worlds.books(waiting=True), worlds.order_lists(), st.randoms(use_true_random=False))
def test_the_order_of_input_rows_changes_nothing(book: Book, orders: list[Request], chance: st.DataObject) -> None:
    shuffled = _shuffled(book, chance)
    for request in orders:
        assert decide(book, request) == decide(shuffled, request)
    assert book.positions == shuffled.positions
    assert book.usage == shuffled.usage


def _shuffled(book: Book, chance: st.DataObject) -> Book:
    def mixed(rows: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(chance.sample(rows, len(rows)))  # type: ignore[attr-defined]

    return Book(
        book.today,
        book.items,
        dict(mixed(tuple(book.positions.items()))),  # type: ignore[arg-type]
        {zone: mixed(rows) for zone, rows in book.offers.items()},  # type: ignore[misc]
        {key: mixed(rows) for key, rows in book.protections.items()},  # type: ignore[misc]
        mixed(book.quotas),  # type: ignore[arg-type]
        dict(book.usage),
    )


@given(worlds.books(), worlds.order_lists(), st.data())
def test_what_is_given_back_is_exactly_what_was_taken(book: Book, orders: list[Request], data: st.DataObject) -> None:
    before = _copy(book)
    parts = [part for request in orders for line in decide(book, request).lines for part in line.planned]
    for part in data.draw(st.permutations(parts)):
        if part.quantity > 1 and data.draw(st.booleans()):
            first, rest = split(part, data.draw(st.integers(1, part.quantity - 1)))
            release(book, [rest])
            release(book, [first])
        else:
            release(book, [part])
    assert book.positions == before.positions
    assert not any(book.usage.values())


@given(worlds.books(), worlds.order_lists())
def test_shipping_what_was_promised_changes_nothing_for_anybody(book: Book, orders: list[Request]) -> None:
    parts = [part for request in orders for line in decide(book, request).lines for part in line.planned]
    item = book.items["I1"]
    rooms = [
        (key, tier, day, confirmable(book, key, item, tier, day))
        for key in book.positions
        for tier in worlds.TIERS
        for day in Auditor(book).days
    ]
    for part in parts:
        if part.available_day == book.today and not part.assumed:
            ship(book, part, part.quantity)
    for key, tier, day, room in rooms:
        assert confirmable(book, key, item, tier, day) == room
