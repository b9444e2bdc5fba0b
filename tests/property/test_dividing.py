"""Protections for several locations: the shares add up, and move with supply alone."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.dividing import Place, divided, over_places
from services.atp.domain.fair_share import rationed
from services.atp.domain.model import Book, Item, Offer, PositionKey, Protection, Tier
from services.atp.domain.promising import decide
from services.atp.domain.protected_supply import Stand, counts_shipment, shipped_key
from services.atp.domain.release import ship
from tests.support import allocation_worlds as worlds
from tests.support.allocation_auditor import AllocationAuditor

TODAY = worlds.TODAY
PLACES = st.lists(st.builds(Place, st.integers(0, 12), st.integers(0, 5), st.integers(0, 12)), min_size=1, max_size=4)


@given(st.integers(0, 30), PLACES)
def test_shares_add_up_and_keep_what_was_given(total: int, places: list[Place]) -> None:
    shares = over_places(total, places)
    given = sum(place.taken for place in places)
    assert sum(shares) == max(total, given)
    assert all(share >= place.taken for share, place in zip(shares, places, strict=True))


@given(st.integers(0, 30), PLACES)
def test_nothing_is_kept_uncovered_while_a_place_could_cover_it(total: int, places: list[Place]) -> None:
    shares = over_places(total, places)
    lacking = sum(max(0, share - each.taken - each.cover) for share, each in zip(shares, places, strict=True))
    spare = sum(max(0, each.taken + each.cover - share) for share, each in zip(shares, places, strict=True))
    assert lacking == 0 or spare == 0


@given(st.integers(0, 30), PLACES, st.data())
def test_shares_stay_while_what_covers_them_is_left(total: int, places: list[Place], data: st.DataObject) -> None:
    """A promise to others lowers the cover, by no more than what the share does not need."""
    shares = over_places(total, places)
    lowered = [
        each._replace(cover=data.draw(st.integers(min(each.cover, max(0, share - each.taken)), each.cover)))
        for each, share in zip(places, shares, strict=True)
    ]
    assert over_places(total, lowered) == shares


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5), st.integers(0, 30), st.data())
def test_nobodys_ration_changes_while_everybody_takes_within_his(
    nodes: list[tuple[int, int]], free: int, data: st.DataObject
) -> None:
    wanted, taken = [node[0] for node in nodes], [node[1] for node in nodes]
    shares = rationed(wanted, taken, free)
    assert all(min(used, most) <= share <= most for used, share, most in zip(taken, shares, wanted, strict=True))
    assert sum(max(0, share - used) for share, used in zip(shares, taken, strict=True)) <= free
    more = [used + data.draw(st.integers(0, max(0, share - used))) for used, share in zip(taken, shares, strict=True)]
    assert rationed(wanted, more, free - sum(more) + sum(taken)) == shares


@st.composite
def companies(draw: st.DrawFn) -> tuple[Book, list[Protection]]:
    """Up to three places with protections of one position, and one or two for all places; all of one mode."""
    keys = [PositionKey("I1", f"L{place}") for place in range(draw(st.integers(2, 3)))]
    mode = draw(worlds.MODES)
    beside = {
        key: tuple(
            replace(each, scope=0, upcoming=False) for each in draw(worlds.protections(key, mode)) if not each.scope
        )
        for key in keys
    }
    item = Item("I1", planned_receipts_count=draw(st.booleans()))
    offers = tuple(Offer(key.location_id, "road", "road", 1, 0, 0, 0, 0) for key in keys)
    book = Book(TODAY, {"I1": item}, {key: draw(worlds.positions(key)) for key in keys}, {"*": offers}, beside)
    wholes = []
    for number in range(draw(st.integers(1, 2))):
        tier = draw(st.sampled_from(worlds.TIERS))
        start = draw(st.integers(TODAY - 3, TODAY + 5))
        wholes.append(
            Protection(
                f"whole{number}",
                f"w{number}",
                1,
                keys[0],
                tier.tier,
                tier.priority_rank,
                start,
                start + draw(st.integers(0, 8)),
                draw(st.integers(0, 20)),
                mode,
                scope=2 - number,
                expected=draw(st.sampled_from((None, None, 6))),
            )
        )
    return book, sorted(wholes, key=lambda each: (each.priority_rank, each.scope, each.start))


def _divide(book: Book, wholes: list[Protection], beside: dict[PositionKey, tuple[Protection, ...]]) -> None:
    """As is done whenever supply changes."""
    item = book.items["I1"]
    stands = {key: Stand(position, item, TODAY, book.usage) for key, position in book.positions.items()}
    kept = dict(beside)
    for whole in wholes:
        rows = {key: replace(whole, protection_id=f"{whole.protection_id}@{key.location_id}", key=key) for key in kept}
        for key, row in divided(rows, kept, stands).items():
            kept[key] = (*kept[key], row)
    book.protections = kept


@given(companies(), st.data())
def test_nobody_loses_what_is_kept_for_him_to_others_promises_or_to_shipments_when_shares_are_divided_again(
    company: tuple[Book, list[Protection]], data: st.DataObject
) -> None:
    book, wholes = company
    beside = dict(book.protections)
    book = replace(book, positions=dict(book.positions), usage={}, protections={})
    _divide(book, wholes, beside)
    grants = AllocationAuditor(replace(book, positions=dict(book.positions)))
    for number in range(3):
        request = data.draw(worlds.requests(number=number))
        guaranteed = _guaranteed(grants, wholes, request.tier)
        for line in decide(book, request).lines:
            for part in line.planned:
                grants.take(request, part.key, part.available_day, part.quantity, assumed=part.assumed)
                if part.available_day == TODAY and data.draw(st.booleans()):
                    ship(book, part, part.quantity)
                    _count(book, part.key, part.quantity)
                    grants.ship(len(grants.grants) - 1, part.quantity)
        _divide(book, wholes, beside)
        grants.book = replace(book, positions=grants.book.positions)
        after = _guaranteed(grants, wholes, request.tier)
        assert all(after[name] >= kept for name, kept in guaranteed.items() if kept > 0)


def _count(book: Book, key: PositionKey, quantity: int) -> None:
    for each in book.protections[key]:
        if counts_shipment(each, TODAY):
            book.usage[shipped_key(each)] = book.usage.get(shipped_key(each), 0) + quantity


def _guaranteed(auditor: AllocationAuditor, wholes: list[Protection], tier: Tier) -> dict[tuple[str, int], int]:
    """What others may take by day within what is kept for them, at a position or, of a divided one, everywhere."""
    divided_ids = tuple(each.protection_id for each in wholes)
    found: dict[tuple[str, int], int] = {}
    for (_, protection_id, day), kept in auditor.guaranteed(tier).items():
        whole = protection_id.partition("@")[0]
        name = (whole if whole in divided_ids else protection_id, day)
        found[name] = found.get(name, 0) + kept
    return found
