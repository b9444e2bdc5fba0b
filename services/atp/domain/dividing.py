"""Dividing a protection for several locations over its positions, so that a check stays local to a position.

By gross supply, largest remainder. Gross supply is lowered neither by promises nor by shipments: shares move when
supply changes and with nothing else, or a promise at one place would take from what is kept for others at another place
(docs/adr/0027-shares-move-with-supply-alone.md). What a position cannot cover beside all else that is kept there goes
to positions that can, those with most supply first; what nobody can cover stays where largest remainder put it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.atp.domain.fair_share import fair_share
from services.atp.domain.model import PositionKey, Protection
from services.atp.domain.protected_supply import Stand, consumed_key, gross_supply, is_hidden, kept
from services.atp.domain.supply_picture import changes, horizon, lookahead


class Place(NamedTuple):
    """A position that a protection is divided over.

    `supply`: gross, by the end of the period. `taken`: what the protection has given there. `cover`: what the position
    can still keep beside all else that is kept there (0 or more).
    """

    supply: int
    taken: int
    cover: int


def divided(
    whole: Mapping[PositionKey, Protection],
    beside: Mapping[PositionKey, Sequence[Protection]],
    stands: Mapping[PositionKey, Stand],
) -> dict[PositionKey, Protection]:
    """The rows of a protection: `whole` are its rows as if it had all of its quantity everywhere.

    `beside` is what keeps something at these positions besides. Where a narrower one of its tier counts, the row keeps
    what it gave. What is expected of the protection is divided like its quantity.
    """
    keys = sorted(whole)
    open_keys = [key for key in keys if not is_hidden(whole[key], beside[key])]
    given = {key: stands[key].usage.get(consumed_key(whole[key]), 0) for key in keys}
    total = max(0, whole[keys[0]].quantity - sum(given[key] for key in keys if key not in open_keys)) if keys else 0
    places = [place_of(whole[key], total, beside[key], stands[key]) for key in open_keys]
    shares = given | dict(zip(open_keys, over_places(total, places), strict=True))
    asked = whole[keys[0]].expected if keys else None
    expected = dict(zip(open_keys, fair_share(asked or 0, [place.supply for place in places]), strict=True))
    return {
        key: replace(
            whole[key],
            quantity=shares[key] if whole[key].basis == "quantity" else 0,
            expected=None if asked is None else expected.get(key, 0),
        )
        for key in keys
    }


def over_places(total: int, places: Sequence[Place]) -> list[int]:
    """What each place has of `total`, what it has given included. The shares add up to it, unless more was taken."""
    wanted = fair_share(total, [place.supply for place in places])
    shares = [
        max(place.taken, min(share, place.taken + place.cover)) for place, share in zip(places, wanted, strict=True)
    ]
    order = sorted(range(len(places)), key=lambda index: (-places[index].supply, index))
    left = total - sum(shares)
    for index in order if left > 0 else ():
        part = max(0, min(left, places[index].taken + places[index].cover - shares[index]))
        shares[index] += part
        left -= part
    for index in order if left > 0 else ():
        part = max(0, min(left, wanted[index] - shares[index]))
        shares[index] += part
        left -= part
    for index in reversed(order) if left < 0 else ():
        part = min(-left, shares[index] - places[index].taken)
        shares[index] -= part
        left += part
    return shares


def place_of(row: Protection, total: int, others: Sequence[Protection], stand: Stand) -> Place:
    """A position as seen by its row of a protection of `total` units; `others` are what keeps something there besides.

    A row covers no more than it would keep there if it had all: nothing beyond the receipts of a future period, nor
    beyond what is expected of it.
    """
    position, item, today, usage = stand
    supply = sum(quantity for _, quantity in gross_supply(row, stand)) - position.buffer
    by_day = changes(position, item, today)
    for _, steps in kept(others, position, item, today, usage):
        for day, quantity in steps:
            by_day[day] = by_day.get(day, 0) - quantity
    end = horizon(item, today)
    last = row.end if end is None else min(row.end, end - 1)
    free = lookahead(by_day, item, today).at(max(last, today))
    return Place(max(0, supply), usage.get(consumed_key(row), 0), max(0, min(free, _most(row, total, others, stand))))


def _most(row: Protection, total: int, others: Sequence[Protection], stand: Stand) -> int:
    """What a row would keep if it had all of its protection."""
    alone = replace(row, quantity=total)
    everyone = kept([*others, alone], stand.position, stand.item, stand.today, stand.usage)
    return next((sum(quantity for _, quantity in steps) for each, steps in everyone if each is alone), total)
