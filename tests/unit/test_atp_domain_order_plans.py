"""Whole orders whose best plan is found only if the order is searched, and searched by every quantity."""

from dataclasses import replace

from services.atp.domain.model import (
    Book,
    Capacity,
    Item,
    Offer,
    Position,
    PositionKey,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
)
from services.atp.domain.promising import inquire

TODAY = 739_000
Part = tuple[str, str, int, int]


def _offer(location: str, service: str, *, shipment: int, unit: int = 0, transit: int = 0) -> Offer:
    return Offer(location, service, "road", 1, 0, transit, shipment, unit)


def _position(location: str, on_hand: int, *receipts: tuple[int, int]) -> Position:
    due = tuple(Receipts(TODAY + day, quantity) for day, quantity in receipts)
    return Position(PositionKey("A", location), 1, on_hand, receipts=due)


def _book(positions: list[Position], *offers: Offer, quotas: tuple[Quota, ...] = ()) -> Book:
    return Book(TODAY, {"A": Item("A")}, {each.key: each for each in positions}, {"*": offers}, quotas=quotas)


def _request(*lines: RequestLine, late: int, shipments_max: int | None = None) -> Request:
    tier = Tier("gold", 1, 1, lead_time_days=2, lateness_penalty_minor=late)
    return Request("erp", "o", tier, "GB", "web", TODAY, ship_complete=False, lines=lines, max_shipments=shipments_max)


def _parts(book: Book, request: Request) -> list[list[Part]]:
    """By line: location, service, quantity, days from today to its ship day."""
    return [
        sorted((part.key.location_id, part.service, part.quantity, part.ship_day - TODAY) for part in line.planned)
        for line in inquire(book, request).lines
    ]


def test_what_is_late_by_a_single_lane_is_split_where_a_shipment_costs_less_than_the_days_that_it_saves() -> None:
    book = _book([_position("L", 0, (3, 1), (4, 1))], _offer("L", "S", shipment=7))
    line = RequestLine("1", "A", 2)
    assert _parts(book, _request(line, late=15)) == [[("L", "S", 1, 3), ("L", "S", 1, 4)]]
    assert _parts(book, _request(line, late=7)) == [[("L", "S", 2, 4)]]


def test_a_line_leaves_another_what_neither_all_nor_nothing_of_a_choice_would() -> None:
    book = _book(
        [_position("L", 0, (1, 3), (3, 3))],
        _offer("L", "slow", shipment=50, transit=2),
        _offer("L", "dear", shipment=0, unit=40, transit=2),
        quotas=(Quota("q", "d", 1, TODAY + 1, TODAY + 3, 4, item_id="A"),),
    )
    lines = (
        RequestLine("1", "A", 4, TODAY + 3, TODAY + 5),
        RequestLine("2", "A", 5, minimum_quantity=5),
    )
    assert _parts(book, _request(*lines, late=5)) == [[("L", "slow", 1, 1)], [("L", "slow", 2, 1), ("L", "slow", 3, 4)]]


def test_lines_that_get_nothing_one_after_another_are_still_searched_as_one_order() -> None:
    leaving = (0, 1, 4, 1, 0, 3, 0)  # Monday first; today is a Wednesday
    book = replace(
        _book(
            [_position("L", 3), _position("M", 1, (1, 2))],
            _offer("L", "fast", shipment=7),
            _offer("L", "slow", shipment=50, unit=90, transit=1),
            _offer("M", "fast", shipment=300, unit=10),
            replace(_offer("M", "slow", shipment=0, unit=40, transit=1), processing_days=1),
        ),
        capacities={
            "L": (Capacity("l", "L", None, leaving),),
            "M": (Capacity("m", "M", "fast", (0, 2, 1, 2, 1, 1, 3)),),
        },
    )
    lines = (
        RequestLine("1", "A", 6, None, TODAY + 4, minimum_quantity=6),
        RequestLine("2", "A", 6, TODAY + 1, TODAY + 2, minimum_quantity=6),
    )
    found = _parts(book, _request(*lines, late=200, shipments_max=2))
    assert found == [[("L", "fast", 3, 0), ("M", "slow", 3, 2)], []]
