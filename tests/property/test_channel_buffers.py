"""What is held back from a channel is never promised to it, and takes nothing from others."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.allocation import room_for
from services.atp.domain.model import Book, Request
from services.atp.domain.promising import decide, inquire
from services.atp.domain.supply_picture import UNLIMITED
from tests.property.test_promise_explanations import asked_alone, check_quantities
from tests.property.test_promising_rules import RuledAuditor
from tests.support import promise_worlds as worlds
from tests.support.promise_auditor import Auditor

held_back = st.one_of(
    worlds.books(waiting=True, held_back=True), worlds.books(waiting=True, held_back=True, ruled=True)
)


def _kept(book: Book, location: str) -> int:
    buffers = next(each.channel_buffers for key, each in book.positions.items() if key.location_id == location)
    return sum(quantity for channel, quantity in buffers if channel == "web")


@given(held_back)
def test_a_channel_is_offered_what_others_are_but_for_what_is_held_back(book: Book) -> None:
    item = book.items["I1"]
    for key, position in book.positions.items():
        for tier in worlds.TIERS:
            web, shop, nobody = (room_for(book, key, item, tier, channel=each) for each in ("web", "shop", None))
            for day in Auditor(book).days:
                assert shop.at(day) == nobody.at(day)
                held = 0 if nobody.at(day) == UNLIMITED else position.kept_from("web")
                assert web.at(day) == nobody.at(day) - held


@given(held_back, worlds.order_lists())
def test_no_part_goes_below_what_is_held_back_from_its_channel(book: Book, orders: list[Request]) -> None:
    ruled = book.items["I1"].rule.kind != "cumulative"
    copy = replace(book, positions=dict(book.positions), usage=dict(book.usage))
    auditor = (RuledAuditor if ruled else Auditor)(copy)
    for request in orders:
        for line in decide(book, request).lines:
            for part in line.planned:
                room = auditor.room(part.key, book.items["I1"], request.tier, part.available_day)
                kept = _kept(book, part.key.location_id) if request.channel == "web" else 0
                assert part.assumed or part.quantity + kept <= room
                auditor.take(request, replace(line, planned=(part,)))


@given(worlds.books(held_back=True, limited=False), worlds.requests(lines_max=1))
def test_the_same_order_by_another_channel_is_promised_at_least_as_much(book: Book, asked: Request) -> None:
    web, shop = (inquire(book, replace(asked_alone(asked), channel=each)).lines[0] for each in ("web", "shop"))
    assert sum(part.quantity for part in web.planned) <= sum(part.quantity for part in shop.planned)
    assert not any(binding.kind == "buffer" for binding in shop.why)


@given(worlds.books(locations=2, held_back=True, waiting=True), worlds.requests(lines_max=1))
def test_a_change_that_would_help_does_where_something_is_held_back(book: Book, asked: Request) -> None:
    check_quantities(book, replace(asked_alone(asked), channel="web"))


@given(worlds.books(locations=1, held_back=True, ruled=True), worlds.requests(lines_max=1))
def test_a_change_that_would_help_does_under_a_rule_where_something_is_held_back(book: Book, asked: Request) -> None:
    check_quantities(book, replace(asked_alone(asked), channel="web"))
