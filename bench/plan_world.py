"""Made-up orders to be planned, each with its book: by a seed, the same on every machine."""

from random import Random
from typing import Final

from services.atp.domain.model import (
    Book,
    Capacity,
    Item,
    Offer,
    Position,
    PositionKey,
    Receipts,
    Request,
    RequestLine,
    Tier,
)

TODAY: Final = 740_000
SMALL: Final = (3, 3, 2)  # lines, locations and services at most: what is searched whole
LARGE: Final = (6, 5, 3)
World = tuple[Book, Request]


def world(seed: int) -> World:
    """Even seeds make a small order, odd ones a larger one."""
    chance = Random(seed)
    lines_max, locations_max, services_max = SMALL if seed % 2 == 0 else LARGE
    locations = chance.randint(2, locations_max)
    services = chance.randint(1, services_max)
    count = chance.randint(2, lines_max)
    items = [f"I{number}" for number in range(max(1, count - chance.randint(0, 1)))]
    lines = tuple(_line(chance, str(number), chance.choice(items)) for number in range(count))
    places = [f"L{number}" for number in range(locations)]
    positions = [_position(chance, PositionKey(item, place)) for item in items for place in places]
    book = Book(
        TODAY,
        {item: Item(item) for item in items},
        {each.key: each for each in positions if each is not None},
        {"*": tuple(offer for place in places for offer in _offers(chance, place, services))},
        capacities={place: _capacities(chance, place) for place in places},
    )
    tier = Tier(
        "gold",
        1,
        1,
        lead_time_days=4,
        lateness_penalty_minor=chance.choice((5, 20, 60)),
        split_penalty_minor=chance.choice((0, 100, 300)),
        backorder_penalty_minor=5_000,
    )
    return book, Request("bench", f"N-{seed}", tier, "GB", "web", TODAY, ship_complete=False, lines=lines)


def _line(chance: Random, name: str, item: str) -> RequestLine:
    wanted, latest = TODAY + chance.randint(1, 6), chance.choice((None, TODAY + 9))
    return RequestLine(name, item, chance.randint(2, 20), wanted, latest)


def _position(chance: Random, key: PositionKey) -> Position | None:
    if chance.random() < 0.2:
        return None
    days = sorted(chance.sample(range(1, 8), chance.randint(0, 2)))
    receipts = tuple(Receipts(TODAY + day, chance.randint(1, 15)) for day in days)
    return Position(key, 1, chance.choice((0, 3, 8, 20, 60)), receipts=receipts)


def _offers(chance: Random, place: str, services: int) -> list[Offer]:
    """The faster a service, the dearer it is, on the whole."""
    processing = chance.randint(0, 1)
    return [
        Offer(
            place,
            f"S{number}",
            "road",
            rank=number + 1,
            processing_days=processing,
            transit_days=3 - number + chance.randint(0, 1),
            cost_shipment_minor=chance.choice((200, 400, 600, 900)) * (number + 1),
            cost_unit_minor=chance.choice((5, 10, 20, 40)) * (number + 1),
        )
        for number in range(services)
    ]


def _capacities(chance: Random, place: str) -> tuple[Capacity, ...]:
    kind = chance.random()
    if kind < 0.4:
        return ()
    if kind < 0.75:
        return (Capacity(f"{place}-all", place, None, tuple(chance.choice((4, 8, 12, 20)) for _ in range(7))),)
    return (Capacity(f"{place}-slow", place, "S0", tuple(chance.choice((3, 6, 10)) for _ in range(7))),)
