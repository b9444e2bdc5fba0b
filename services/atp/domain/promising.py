"""Deciding one order on a book: per line what is promised from where and when, what is backordered, and why.

Lines are planned together (`services.atp.domain.order_planning`): they share stock, quotas, capacity and shipments, and
the order in which they are written is of no effect. A line without a requested arrival wants to arrive within its
tier's lead time of the order day; one in the past is served at the earliest. Without a latest acceptable arrival a line
takes what comes, however late. What cannot be promised is backordered, unless the line can never be served as things
are configured (unknown or inactive item, no lane), or may not be (`services.atp.domain.validation`). Confirmed
quantities are whole packs (`services.atp.domain.units`), and a rest waits as far as its item's policy lets it
(`services.atp.domain.backordering`).

Ship complete: every line whole or none at all, and all to arrive on one day if that can be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.atp.domain.backordering import all_may_wait, with_rest_settled
from services.atp.domain.ceilings import ceilings_for
from services.atp.domain.explanation import (
    because_inactive,
    because_incomplete,
    because_no_lane,
    because_not_stocked,
    because_stopped,
    because_unknown,
    explain,
)
from services.atp.domain.model import (
    Binding,
    Book,
    Day,
    Item,
    LineDecision,
    Offer,
    OrderDecision,
    Planned,
    Request,
    RequestLine,
)
from services.atp.domain.order_planning import Wanted, planned_alone, planned_together
from services.atp.domain.outlook import Ask, Outlook, Plan, offers_of, stopped_of
from services.atp.domain.routes import Routes, because_ruled_out, lanes_for, routes_of
from services.atp.domain.service_rule import ServicePlace
from services.atp.domain.sourcing import best_plan
from services.atp.domain.substitutes import alternatives
from services.atp.domain.taking import Draft, Piece
from services.atp.domain.units import because_of_pack, because_of_unit, in_whole_packs
from services.atp.domain.validation import PASSED, needs_validation, verdict

Stopped = Mapping[str, tuple[str, tuple[Binding, ...]]]


class _Vain(NamedTuple):
    """A line that gets nothing beside all others, and why."""

    outlook: Outlook
    plan: Plan | None
    why: tuple[Binding, ...]


def decide(book: Book, request: Request, *, in_turn: bool = False, place: ServicePlace | None = None) -> OrderDecision:
    """Decide an order and take what it is promised off the book.

    `in_turn`: the request is a backorder that is served in order of service; those who wait are not ahead of it. What
    is set aside for those before its `place` is kept from it.
    """
    found = PASSED if in_turn or not needs_validation(request) else verdict(book, request)
    draft = Draft(book, request, in_turn, place)
    offers = offers_of(book, request)
    lines = _decide_lines(draft, offers, found.stopped)
    if request.ship_complete and len(found.stopped) < len(lines):
        lines = _held_together(draft, offers, lines, found.stopped)
    cost = sum(part.cost_minor for line in lines for part in line.planned)
    return OrderDecision(tuple(lines), cost, draft.budget_spent)


def inquire(book: Book, request: Request) -> OrderDecision:
    """What `decide` would answer; the book stays as it is."""
    copy = replace(book, positions=dict(book.positions), usage=dict(book.usage), backlog=dict(book.backlog))
    return decide(copy, request)


def wanted_arrival(request: Request, line: RequestLine) -> Day:
    """The arrival day that a line is measured against."""
    if line.requested_arrival is not None:
        return line.requested_arrival
    return request.ordered_day + request.tier.lead_time_days


class _Line(NamedTuple):
    """A line that can be planned: as asked, in whole packs of its item, and its ways."""

    asked: RequestLine
    packs: RequestLine
    routes: Routes
    wanted: Wanted


def _decide_lines(
    draft: Draft, offers: Sequence[Offer], stopped: Stopped, aim: Day | None = None
) -> list[LineDecision]:
    """`aim`: the day on which the whole order is to arrive; it ships as late as that allows."""
    lines = draft.request.lines
    if len(lines) == 1 and not stopped:
        only = _prepared(draft, offers, lines[0], aim)
        return [_finished(draft, offers, only, _alone(draft, only)) if isinstance(only, _Line) else only]
    decided: dict[str, LineDecision] = {}
    open_lines: list[_Line] = []
    mark = draft.mark()
    for line in sorted(lines, key=_place):
        if line.line in stopped:
            decided[line.line] = _stopped(draft.request, line, *stopped[line.line])
            continue
        prepared = _prepared(draft, offers, line, aim)
        if isinstance(prepared, _Line):
            open_lines.append(prepared)
            if len(prepared.routes.steps) > 1 and len(lines) > 1:
                _take_alone(draft, prepared)  # the next line tries its ways beside it
        else:
            decided[line.line] = prepared
    draft.undo(mark)
    answers = _together(draft, open_lines)
    for each, answer in zip(open_lines, answers, strict=True):
        decided[each.asked.line] = _finished(draft, offers, each, answer)
    return [decided[line.line] for line in lines]


def _place(line: RequestLine) -> tuple[int, str]:
    """Lines are served by their names, numbers as numbers: the order in which they are written is of no effect."""
    return len(line.line), line.line


def _prepared(draft: Draft, offers: Sequence[Offer], line: RequestLine, aim: Day | None) -> _Line | LineDecision:
    """What is to be planned of a line; its answer, if nothing can be."""
    wanted = wanted_arrival(draft.request, line)
    routes = routes_of(draft.book, draft.request, line.item_id, offers)
    stop = _hopeless(draft, routes, line)
    if stop is not None:
        return _refused(line, wanted, *stop)
    item = draft.book.items[line.item_id]
    whole = in_whole_packs(line, item)
    if whole is None:
        return _answer(line, wanted, "backordered", (), (because_of_pack(line, item),))
    ask = _ask(draft.request, whole, item, wanted, aim)
    return _Line(line, whole, routes, Wanted(ask, lanes_for(draft, ask, routes)))


def _alone(draft: Draft, line: _Line) -> LineDecision:
    """Decide the only line that can be planned."""
    ask, lanes = line.wanted
    if not lanes:
        return _without_lanes(draft, line.routes.offers, line.packs, ask.wanted)
    outlook = Outlook.of(draft, ask, lanes)
    plan = planned_alone(outlook)
    return _answered(outlook, line.packs, plan, _why(outlook, plan))


def _together(draft: Draft, lines: Sequence[_Line]) -> list[LineDecision]:
    """Decide several lines; each answer says what bound its line beside all others."""
    planned = planned_together(draft, [line.wanted for line in lines])
    in_vain = _in_vain(draft, lines, planned)
    answers: list[LineDecision] = []
    for place, line in enumerate(lines):
        ask, lanes = line.wanted
        if not lanes:
            answers.append(_without_lanes(draft, line.routes.offers, line.packs, ask.wanted))
            continue
        if place in in_vain:
            outlook, plan, why = in_vain[place]
            answers.append(_answered(outlook, line.packs, plan, why))
            continue
        if _is_served(ask, planned[place]):
            answers.append(_answer(line.packs, ask.wanted, "promised", _take(draft, line, planned[place]), ()))
            continue
        mark = draft.mark()
        for other, pieces in zip(lines[place + 1 :], planned[place + 1 :], strict=True):
            _take(draft, other, pieces)
        outlook = Outlook.of(draft, ask, lanes)
        plan = outlook.plan(planned[place]) if planned[place] else best_plan(outlook)
        why = _why(outlook, plan)
        draft.undo(mark)
        answers.append(_answered(outlook, line.packs, plan, why))
    return answers


def _in_vain(draft: Draft, lines: Sequence[_Line], planned: Sequence[Sequence[Piece]]) -> dict[int, _Vain]:
    """Lines that get nothing, by place, with what bound them beside all others, which are taken once for all of them.

    One by one they would take time by the square of the lines.
    """
    empty = [place for place, line in enumerate(lines) if line.wanted.lanes and not planned[place]]
    if len(empty) < 2:  # noqa: PLR2004 - a single one is looked at in its turn
        return {}
    found: dict[int, _Vain] = {}
    mark = draft.mark()
    for line, pieces in zip(lines, planned, strict=True):
        _take(draft, line, pieces)
    for place in empty:
        outlook = Outlook.of(draft, *lines[place].wanted)
        plan = best_plan(outlook)
        if plan is None or not plan.units:
            found[place] = _Vain(outlook, plan, _why(outlook, plan))
    draft.undo(mark)
    return found


def _is_served(ask: Ask, pieces: Sequence[Piece]) -> bool:
    """Whether pieces are all that a line wants, in time."""
    return sum([piece.quantity for piece in pieces]) == ask.quantity and _last_arrival(pieces) <= ask.wanted


def _take_alone(draft: Draft, line: _Line) -> None:
    ask, lanes = line.wanted
    plan = best_plan(Outlook.of(draft, ask, lanes)) if lanes else None
    if plan is not None and plan.units >= ask.minimum:
        _take(draft, line, plan.pieces)


def _take(draft: Draft, line: _Line, pieces: Sequence[Piece]) -> tuple[Planned, ...]:
    item, book = line.wanted.ask.item, draft.book
    quotas = ceilings_for(book, draft.request, item) if book.quotas or book.hierarchies else ()
    return tuple([draft.take(item, piece, quotas) for piece in pieces])


def _finished(draft: Draft, offers: Sequence[Offer], line: _Line, decision: LineDecision) -> LineDecision:
    """The answer with the rules that led to it, and its rest settled."""
    if line.routes.rules:
        decision = replace(decision, routed_by=line.routes.rules)
    if decision.outcome == "promised" and decision.quantity == line.asked.quantity:
        return decision
    return _with_rest(draft, offers, line.asked, decision)


def _hopeless(draft: Draft, routes: Routes, line: RequestLine) -> tuple[str, Binding] | None:
    """Why a line can never be served as things are configured, if so."""
    item = draft.book.items.get(line.item_id)
    if item is None:
        return "unknown_item", because_unknown(line)
    if not item.active:
        return "item_inactive", because_inactive(line)
    if line.unit is not None:
        return "unknown_unit", because_of_unit(line, item)
    if not draft.in_turn and in_whole_packs(line, item) is None:
        return "below_pack", because_of_pack(line, item)
    if routes.offers:
        return None
    return "no_source", because_ruled_out(draft.request, routes) if routes.rules else because_no_lane(draft.request)


def _with_rest(draft: Draft, offers: Sequence[Offer], line: RequestLine, decision: LineDecision) -> LineDecision:
    """Let the rest wait as far as it may, and name substitutes; whoever is served in turn waits already."""
    item = draft.book.items[line.item_id]
    if draft.in_turn:
        rest = decision.backordered + line.quantity - decision.quantity
        return replace(decision, quantity=line.quantity, backordered=rest)
    if item.substitutes or draft.book.routing.substitutions:
        decision = replace(decision, alternatives=alternatives(draft, offers, item, line, decision))
    decision = with_rest_settled(draft.book, item, line, decision)
    if decision.backordered and item.backorders.policy == "limited":
        draft.let_wait(item.item_id, decision.backordered)
    return decision


def _without_lanes(draft: Draft, offers: Sequence[Offer], line: RequestLine, wanted: Day) -> LineDecision:
    """Nothing that may be promised from: it is stopped, or kept nowhere."""
    stopped = stopped_of(draft.book, offers, line.item_id)
    if stopped:
        return _answer(line, wanted, "stopped", (), tuple([because_stopped(draft.book, each) for each in stopped]))
    return _answer(line, wanted, "backordered", (), because_not_stocked(line, offers))


def _ask(request: Request, line: RequestLine, item: Item, wanted: Day, aim: Day | None) -> Ask:
    latest = line.latest_acceptable_arrival
    if aim is not None:
        latest = aim if latest is None else min(aim, latest)
    return Ask(
        item,
        line.quantity,
        min(line.minimum_quantity, line.quantity),
        wanted,
        latest,
        wanted if aim is None else aim,
        aim is not None or not request.tier.as_soon_as_possible,
    )


def _why(outlook: Outlook, plan: Plan | None) -> tuple[Binding, ...]:
    """What bound a line, before it takes what is planned."""
    if plan is not None and plan.units >= outlook.ask.minimum and _outcome(outlook.ask, plan) == "promised":
        return ()
    return explain(outlook, plan)


def _answered(outlook: Outlook, line: RequestLine, plan: Plan | None, why: tuple[Binding, ...]) -> LineDecision:
    """Take what is planned, and say so."""
    ask = outlook.ask
    if plan is None or plan.units < ask.minimum:
        outcome = "backordered" if plan is None else "below_minimum"
        return _answer(line, ask.wanted, outcome, (), why)
    planned = tuple([outlook.draft.take(ask.item, piece, outlook.quotas) for piece in plan.pieces])
    return _answer(line, ask.wanted, _outcome(ask, plan), planned, why)


def _outcome(ask: Ask, plan: Plan) -> str:
    if plan.units < ask.quantity:
        return "partly_promised"
    return "promised_late" if _last_arrival(plan.pieces) > ask.wanted else "promised"


def _last_arrival(pieces: Sequence[Piece]) -> Day:
    return max([piece.lane.arrival(piece.day) for piece in pieces])


def _answer(
    line: RequestLine, wanted: Day, outcome: str, planned: tuple[Planned, ...], why: tuple[Binding, ...]
) -> LineDecision:
    rest = line.quantity - sum([part.quantity for part in planned])
    return LineDecision(line.line, line.item_id, line.quantity, outcome, wanted, planned, rest, why)


def _stopped(request: Request, line: RequestLine, outcome: str, why: tuple[Binding, ...]) -> LineDecision:
    return LineDecision(line.line, line.item_id, line.quantity, outcome, wanted_arrival(request, line), why=why)


def _refused(line: RequestLine, wanted: Day, outcome: str, why: Binding) -> LineDecision:
    return LineDecision(line.line, line.item_id, line.quantity, outcome, wanted, why=(why,))


def _held_together(
    draft: Draft, offers: Sequence[Offer], lines: list[LineDecision], stopped: Stopped
) -> list[LineDecision]:
    """All lines whole or none; and closer together, if that can be, than where each line goes by itself."""
    if any(_is_short(line) for line in lines):
        draft.undo()
        return _all_unmet(draft, lines)
    first, last = _arrivals(lines)
    if first == last:
        return lines
    draft.undo()
    together = _decide_lines(draft, offers, stopped, last)
    if not any(_is_short(line) for line in together) and _arrivals(together)[0] > first:
        return together
    draft.undo()
    return _decide_lines(draft, offers, stopped)


def _arrivals(lines: Sequence[LineDecision]) -> tuple[Day, Day]:
    """The first and the last arrival."""
    days = [part.arrival_day for line in lines for part in line.planned]
    return min(days), max(days)


def _all_unmet(draft: Draft, lines: list[LineDecision]) -> list[LineDecision]:
    """No line gets anything; all wait for all, unless one of them can never be served, or may not wait."""
    is_hopeless = any(_promised(line) + line.backordered < line.quantity for line in lines)
    is_hopeless = is_hopeless or not (draft.in_turn or all_may_wait(draft.book, lines))
    unmet = because_incomplete(draft.request, [line.line for line in lines if _is_short(line)])
    for line in lines:
        if line.item_id in draft.book.backlog and not (is_hopeless or draft.in_turn):
            draft.let_wait(line.item_id, line.quantity)
    return [
        line
        if _is_refused(line)
        else replace(
            line,
            outcome="ship_complete_unmet",
            planned=(),
            backordered=0 if is_hopeless else line.quantity,
            why=(*(line.why if _is_short(line) else ()), unmet),
        )
        for line in lines
    ]


def _promised(line: LineDecision) -> int:
    return sum([part.quantity for part in line.planned])


def _is_short(line: LineDecision) -> bool:
    return _promised(line) < line.quantity


def _is_refused(line: LineDecision) -> bool:
    return not line.planned and not line.backordered
