"""Amending an order: it keeps what it has unless the new plan is better, or a new plan is asked for.

Two ways are compared on copies of the book, each with what it lets go given back first, so that an order never stands
in its own way:

- *keep*: every part stays, the latest to arrive is cut first where less is wanted now; what is wanted beyond that is
  decided. A part that would arrive after the latest acceptable day does not stay.
- *new*: everything is given back and the whole order is decided anew.

The new plan is better if it promises more units, or as many with less lateness (units times days against the arrival
that is wanted now). Otherwise the order keeps what it has, also where a new plan would cost less: a change that brings
its customer nothing is a nuisance. An order that ships complete keeps its parts only if they are all that it wants;
otherwise it is decided anew, and if that cannot be whole, it stays as it was (None), unless a new plan was asked for.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from services.atp.domain.model import Book, OrderDecision, Planned, Request, RequestLine
from services.atp.domain.promising import decide, wanted_arrival
from services.atp.domain.release import divide, release

Worth = tuple[int, int]


class Held(NamedTuple):
    """An open part of an order: its line, its number there, and what it holds."""

    line: str
    number: int
    planned: Planned


class Change(NamedTuple):
    """What stays of each part (quantity, in the order of the parts), and what is decided after the rest came back."""

    kept: tuple[int, ...]
    asked: Request | None


def amend(
    book: Book, request: Request, held: Sequence[Held], *, replan: bool = False, pinned: Sequence[str] = ()
) -> Change | None:
    """Which of the two ways an amended order takes; the book stays as it is. None: it cannot be, and stays as it was.

    `request` has what is wanted now and has not shipped, `held` the open parts. A part whose line is not in the request
    any more, or is of another item, is given back. Parts of `pinned` lines are never planned anew.
    """
    keep = _keep(request, held, pinned)
    new = Change((0,) * len(held), request)
    if pinned:
        return keep
    if replan or not any(keep.kept):
        return new
    if request.ship_complete and keep.asked is not None:
        return new if _is_whole(_tried(book, held, new)) else None
    return new if _worth(book, request, held, new) < _worth(book, request, held, keep) else keep


def given_back(held: Sequence[Held], change: Change) -> list[Planned]:
    """What comes off the parts."""
    return [divide(part.planned, kept)[1] for part, kept in zip(held, change.kept, strict=True) if _is_cut(part, kept)]


def _is_cut(part: Held, kept: int) -> bool:
    return kept < part.planned.quantity


def _keep(request: Request, held: Sequence[Held], pinned: Sequence[str]) -> Change:
    kept = [0] * len(held)
    asked: list[RequestLine] = []
    for line in request.lines:
        left, latest = line.quantity, line.latest_acceptable_arrival
        for index in sorted(_of(held, line), key=lambda index: (held[index].planned.arrival_day, held[index].number)):
            part = held[index].planned
            if latest is None or part.arrival_day <= latest or line.line in pinned:
                kept[index] = min(left, part.quantity)
                left -= kept[index]
        if left:
            minimum = 0 if left < line.quantity else line.minimum_quantity
            asked.append(replace(line, quantity=left, minimum_quantity=minimum))
    return Change(tuple(kept), _beside(replace(request, lines=tuple(asked)), held, kept) if asked else None)


def _beside(request: Request, held: Sequence[Held], kept: Sequence[int]) -> Request:
    """The request of an order that keeps these parts: if it limits its shipments, theirs count."""
    if request.max_shipments is None:
        return request
    staying = [part.planned for part, quantity in zip(held, kept, strict=True) if quantity]
    shipments = [*request.shipments, *((each.key.location_id, each.service, each.ship_day) for each in staying)]
    return replace(request, shipments=tuple(dict.fromkeys(shipments)))


def _of(held: Sequence[Held], line: RequestLine) -> list[int]:
    """The places of a line's parts."""
    return [
        index for index, part in enumerate(held) if part.line == line.line and part.planned.key.item_id == line.item_id
    ]


def _tried(book: Book, held: Sequence[Held], change: Change) -> OrderDecision | None:
    """What a change would be decided like, on a copy of the book; None if nothing is to be decided."""
    if change.asked is None:
        return None
    copy = replace(book, positions=dict(book.positions), usage=dict(book.usage))
    release(copy, given_back(held, change))
    return decide(copy, change.asked)


def _is_whole(decision: OrderDecision | None) -> bool:
    return decision is None or all(line.planned and not line.backordered for line in decision.lines)


def _worth(book: Book, request: Request, held: Sequence[Held], change: Change) -> Worth:
    """The less, the better."""
    wanted = {line.line: wanted_arrival(request, line) for line in request.lines}
    parts = [(part.line, divide(part.planned, kept)[0]) for part, kept in zip(held, change.kept, strict=True) if kept]
    decision = _tried(book, held, change)
    if decision is not None:
        parts += [(line.line, part) for line in decision.lines for part in line.planned]
    units = sum(part.quantity for _, part in parts)
    late = sum(max(0, part.arrival_day - wanted[line]) * part.quantity for line, part in parts)
    return -units, late
