"""The smallest change where days differ: searched with the planner itself, in few steps.

`services.atp.domain.shortage` works out what lacks for a line in one part. Where quotas, the tier's own core
protections or the item's promising rule have periods, parts on several days may need less; where ship days have a
capacity, goods may come in time for another day. Each change is tried on a
copy of the book: applied, the line is feasible; one unit less, it is not. The search is bounded in steps, so that it is
deterministic and a refusal stays cheap; a change whose search ends early helps and may not be the smallest.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from services.atp.domain.capacity import limiting, with_more
from services.atp.domain.model import CUMULATIVE, Binding, Book, Day, Position, PositionKey
from services.atp.domain.outlook import FAR, Outlook, lanes_of, offers_of
from services.atp.domain.promising_rules import is_stricter
from services.atp.domain.routes import routes_of
from services.atp.domain.shortage import held_back_text, raised_text, with_less_held_back
from services.atp.domain.sourcing import units_by
from services.atp.domain.taking import Draft, with_receipts

STEPS_MAX: Final = 96  # plans tried for one line; a bisection of a thousand units takes ten
SHIPMENTS_MORE_MAX: Final = 8  # tried for one line; who wants few shipments does not take many more
_LATER: Final = re.compile(r", or a (requested|latest acceptable) arrival of \S+$")
_LIMITS: Final = frozenset({"quota", "capacity"})
Change = Mapping[Binding, int]


def smallest(outlook: Outlook, need: int, deadline: Day | None, found: Sequence[Binding]) -> tuple[Binding, ...]:
    """The bindings with the sizes of their changes made the smallest; what is not needed at all is left out."""
    in_one_part = outlook.adds_up or not outlook.draft.request.tier.split_allowed
    if in_one_part and not is_stricter(outlook.ask.item) and not any(lane.capacities for lane in outlook.lanes):
        return tuple(found)
    search = _Search(outlook, need, FAR if deadline is None else deadline)
    quotas = [each for each in found if each.kind in _LIMITS and each.needed]
    supplies = [each for each in found if each.kind == "supply" and each.needed]
    sizes: dict[Binding, int | None] = {each: each.needed for each in found}
    if quotas:
        together = search.least(_sizes([*supplies[:1], *quotas]))
        sizes |= together
    else:
        for each in supplies:
            sizes |= search.least({each: each.needed or 0})
    for each in found:
        if each.kind in {"protection", "buffer"} and each.needed:
            beside = {quota: sizes[quota] or 0 for quota in quotas}
            sizes[each] = search.least_beside(each, beside)
    return _told(found, sizes)


def lifting_helps(outlook: Outlook, stopped: Position, need: int, deadline: Day | None) -> bool:
    """Whether the line is feasible once a planner's stop of one position, or of its location, is lifted."""
    draft, ask = outlook.draft, outlook.ask
    positions = {**draft.book.positions, stopped.key: replace(stopped, stopped_through=None)}
    closed = {name: day for name, day in draft.book.closed.items() if name != stopped.key.location_id}
    book = replace(draft.book, positions=positions, usage=dict(draft.book.usage), closed=closed)
    routes = routes_of(book, draft.request, ask.item.item_id, offers_of(book, draft.request))
    lanes = lanes_of(book, routes.offers, ask.item.item_id)
    lifted = Outlook.of(Draft(book, draft.request, draft.in_turn, draft.place), ask, lanes)
    return units_by(lifted, FAR if deadline is None else deadline) >= need


def lifting_rule_helps(outlook: Outlook, need: int, deadline: Day | None) -> bool:
    """Whether the line is feasible once its item is promised by the cumulative rule."""
    ask = outlook.ask._replace(item=replace(outlook.ask.item, rule=CUMULATIVE))
    lifted = Outlook.of(outlook.draft, ask, outlook.lanes)
    return units_by(lifted, FAR if deadline is None else deadline) >= need


def shipments_needed(outlook: Outlook, need: int, deadline: Day | None) -> int | None:
    """How many shipments more than its greatest number make the line feasible; None: none do, or it has no limit."""
    draft = outlook.draft
    most = draft.request.max_shipments
    for more in range(1, SHIPMENTS_MORE_MAX + 1) if most is not None else ():
        request = replace(draft.request, max_shipments=(most or 0) + more)
        lifted = Outlook(draft.on_behalf_of(request), outlook.ask, outlook.lanes, outlook.quotas, outlook.rooms)
        if units_by(lifted, FAR if deadline is None else deadline) >= need:
            return more
    return None


@dataclass(slots=True)
class _Search:
    outlook: Outlook
    need: int
    deadline: Day
    steps: int = 0

    def least(self, change: Change) -> dict[Binding, int]:
        """Every part of a change as small as can be, one after another; the change itself if it does not help."""
        sizes = dict(change)
        if not self._helps(sizes):
            return sizes
        for part in change:
            sizes[part] = self._bisected(sizes, part)
        return sizes

    def least_beside(self, part: Binding, beside: Change) -> int | None:
        """The least of one part beside others; None if it does not help there, or less of the others would do."""
        sizes = {**beside, part: part.needed or 0}
        if not self._helps(sizes):
            return None
        sizes[part] = self._bisected(sizes, part)
        if any(self._helps({**sizes, other: sizes[other] - 1}) for other in beside if sizes[other]):
            return None
        return sizes[part]

    def _bisected(self, sizes: Change, part: Binding) -> int:
        enough, short = sizes[part], -1
        step = 1  # most changes are the smallest already: look close by first
        while enough - short > 1 and self.steps < STEPS_MAX:
            middle = max(short + 1, enough - step)
            if self._helps({**sizes, part: middle}):
                enough, step = middle, step * 2
            else:
                short, step = middle, max(1, (enough - middle) // 2)
        return enough

    def _helps(self, change: Change) -> bool:
        self.steps += 1
        draft, ask = self.outlook.draft, self.outlook.ask
        book = replace(draft.book, positions=dict(draft.book.positions), usage=dict(draft.book.usage))
        for binding, size in change.items():
            book = _applied(book, binding, ask.item.item_id, draft.request.channel, size)
        lanes = [lane._replace(capacities=limiting(book, lane.offer)) for lane in self.outlook.lanes]
        changed = Outlook.of(Draft(book, draft.request, draft.in_turn, draft.place), ask, lanes)
        return units_by(changed, self.deadline) >= self.need


def _sizes(bindings: Sequence[Binding]) -> dict[Binding, int]:
    return {each: each.needed or 0 for each in bindings}


def _applied(book: Book, binding: Binding, item_id: str, channel: str, size: int) -> Book:
    match binding.kind:
        case "supply":
            key = PositionKey(item_id, binding.reference)
            position = book.positions[key]
            if binding.day is None or binding.day <= book.today:
                position = replace(position, on_hand=position.on_hand + size)
            else:
                position = replace(position, receipts=with_receipts(position.receipts, binding.day, confirmed=size))
            return replace(book, positions={**book.positions, key: position})
        case "buffer":
            key = PositionKey(item_id, binding.reference)
            less = with_less_held_back(book.positions[key], channel, size)
            return replace(book, positions={**book.positions, key: less})
        case "quota":
            raised = [
                replace(quota, quantity=quota.quantity + size) if quota.quota_id == binding.reference else quota
                for quota in book.quotas
            ]
            return replace(book, quotas=tuple(raised))
        case "capacity":
            capacities = {
                location: tuple(
                    with_more(each, binding.day or book.today, size) if each.capacity_id == binding.reference else each
                    for each in everyone
                )
                for location, everyone in book.capacities.items()
            }
            return replace(book, capacities=capacities)
        case _:
            lowered = {
                key: tuple(
                    replace(each, quantity=each.quantity - size) if each.protection_id == binding.reference else each
                    for each in everyone
                )
                for key, everyone in book.protections.items()
            }
            return replace(book, protections=lowered)


def _told(found: Sequence[Binding], sizes: Mapping[Binding, int | None]) -> tuple[Binding, ...]:
    """The bindings with their new sizes, and sentences to match."""
    needed = [each for each in found if sizes[each] != 0]
    quotas = [each for each in needed if each.kind in _LIMITS]
    others = [each for each in needed if each.kind == "supply"]
    first = " and ".join(_part(each, sizes[each]) for each in (*others[:1], *quotas))
    told = []
    for each in needed:
        later = _LATER.search(each.would_help)
        size = sizes[each]
        help_ = first
        if size is not None and each.kind in {"supply", "protection", "buffer"} and each not in others[:1]:
            help_ = " and ".join((_part(each, size), *(_part(quota, sizes[quota]) for quota in quotas)))
        if each.kind in {"supply", "protection", "buffer", *_LIMITS} and (help_ or size is not None):
            each = replace(each, needed=size, would_help=help_ + (later.group() if later else ""))  # noqa: PLW2901
        told.append(each)
    return tuple(told)


def _part(binding: Binding, size: int | None) -> str:
    units = "1 unit" if size == 1 else f"{size} units"
    if binding.kind == "supply":
        by_day = "" if binding.day is None else f" by {date.fromordinal(binding.day).isoformat()}"
        return f"{size} more {'unit' if size == 1 else 'units'} at {binding.reference}{by_day}"
    if binding.kind == "buffer":
        return held_back_text(binding.reference, size or 0)
    if binding.kind == "capacity":
        return raised_text(binding.reference, binding.day or 0, size or 0)
    if binding.kind == "quota":
        return f"quota {binding.reference} raised by {units}"
    return f"protection {binding.reference} lowered by {units}"
