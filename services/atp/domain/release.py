"""What comes off a commitment: given back with its postings, or shipped, which gives nothing back."""

from collections.abc import Sequence
from dataclasses import replace

from services.atp.domain.ceilings import owner
from services.atp.domain.model import Book, Planned, Posting
from services.atp.domain.taking import with_commitment


def release(book: Book, planned: Sequence[Planned]) -> None:
    """Give back planned quantities that have not shipped: the stock, and exactly what each was taken from."""
    for part in planned:
        _uncommit(book, part, part.quantity)
        for posting in part.postings:
            book.usage[posting.usage] = book.usage.get(posting.usage, 0) - posting.quantity


def ship(book: Book, part: Planned, quantity: int, *, on_hand_change: int | None = None) -> None:
    """Let a promised quantity leave: on hand and its commitment fall, its postings stay consumed.

    `on_hand_change`: what stock intake says instead of `-quantity` (0 where a count already includes the shipment).
    """
    _uncommit(book, part, quantity)
    position = book.positions[part.key]
    change = -quantity if on_hand_change is None else on_hand_change
    book.positions[part.key] = replace(position, on_hand=position.on_hand + change)


def divide(part: Planned, quantity: int) -> tuple[Planned, Planned]:
    """`split` for any quantity from 0 to all of the part; one half may be empty, without postings and cost."""
    if 0 < quantity < part.quantity:
        return split(part, quantity)
    nothing = replace(part, quantity=0, postings=(), cost_minor=0)
    return (part, nothing) if quantity else (nothing, part)


def split(part: Planned, quantity: int) -> tuple[Planned, Planned]:
    """A part in two, of `quantity` (0 < quantity < all) and of the rest; postings and cost are divided by quantity.

    Where the postings of one quota or hierarchy add up to the part, the first in two keeps what was taken first: what
    was borrowed is given back before what is its own.
    """
    first, rest = _divided(part.postings, quantity)
    cost = part.cost_minor * quantity // part.quantity
    return (
        replace(part, quantity=quantity, postings=first, cost_minor=cost),
        replace(part, quantity=part.quantity - quantity, postings=rest, cost_minor=part.cost_minor - cost),
    )


def _divided(postings: Sequence[Posting], quantity: int) -> tuple[tuple[Posting, ...], tuple[Posting, ...]]:
    wanted: dict[tuple[str, str], int] = {}
    first: list[Posting] = []
    rest: list[Posting] = []
    for posting in postings:
        left = wanted.setdefault(owner(posting), quantity)
        part = min(left, posting.quantity)
        wanted[owner(posting)] = left - part
        if part:
            first.append(replace(posting, quantity=part))
        if posting.quantity > part:
            rest.append(replace(posting, quantity=posting.quantity - part))
    return tuple(first), tuple(rest)


def _uncommit(book: Book, part: Planned, quantity: int) -> None:
    assumed = -quantity if part.assumed else 0
    book.positions[part.key] = with_commitment(book.positions[part.key], part.available_day, -quantity, assumed=assumed)
