"""Deciding one order on a book: per line what is promised from where and when, what is backordered, and why.

Lines are decided one after another on the same book, so that lines of one order see each other. A line without a
requested arrival wants to arrive within its tier's lead time of the order day; one in the past is served at the
earliest. Without a latest acceptable arrival a line takes what comes, however late. What cannot be promised is
backordered, unless the line can never be served as things are configured (unknown or inactive item, no lane), or may
not be (`services.atp.domain.validation`). Confirmed quantities are whole packs (`services.atp.domain.units`), and a
rest waits as far as its item's policy lets it (`services.atp.domain.backordering`).

Ship complete: every line whole or none at all, and all to arrive on one day if that can be.
"""

from collections.abc import Sequence
from dataclasses import replace

from services.atp.domain.backordering import all_may_wait, with_rest_settled
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
from services.atp.domain.outlook import Ask, Outlook, Plan, offers_of, stopped_of
from services.atp.domain.routes import Routes, because_ruled_out, lanes_for, routes_of
from services.atp.domain.sourcing import best_plan
from services.atp.domain.substitutes import alternatives
from services.atp.domain.taking import Draft
from services.atp.domain.units import because_of_pack, because_of_unit, in_whole_packs
from services.atp.domain.validation import PASSED, needs_validation, verdict


def decide(book: Book, request: Request, *, in_turn: bool = False) -> OrderDecision:
    """Decide an order and take what it is promised off the book.

    `in_turn`: the request is a backorder that is served in order of service; those who wait are not ahead of it.
    """
    found = PASSED if in_turn or not needs_validation(request) else verdict(book, request)
    draft = Draft(book, request, in_turn)
    offers = offers_of(book, request)
    lines = [
        _stopped(request, line, *found.stopped[line.line])
        if line.line in found.stopped
        else _decide_line(draft, offers, line)
        for line in request.lines
    ]
    if request.ship_complete and len(found.stopped) < len(lines):
        lines = _held_together(draft, offers, lines)
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


def _decide_line(draft: Draft, offers: Sequence[Offer], line: RequestLine, aim: Day | None = None) -> LineDecision:
    """`aim`: the day on which the whole order is to arrive; the line ships as late as that allows."""
    wanted = wanted_arrival(draft.request, line)
    routes = routes_of(draft.book, draft.request, line.item_id, offers)
    stop = _hopeless(draft, routes, line)
    if stop is not None:
        return _refused(line, wanted, *stop)
    item = draft.book.items[line.item_id]
    whole = in_whole_packs(line, item)
    if whole is None:
        return _answer(line, wanted, "backordered", (), (because_of_pack(line, item),))
    decision = _decide_packs(draft, routes, whole, _ask(draft.request, whole, item, wanted, aim))
    if routes.rules:
        decision = replace(decision, routed_by=routes.rules)
    if decision.outcome == "promised" and decision.quantity == line.quantity:
        return decision
    return _with_rest(draft, offers, line, decision)


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


def _decide_packs(draft: Draft, routes: Routes, line: RequestLine, ask: Ask) -> LineDecision:
    """Decide a line whose quantities are whole packs."""
    lanes = lanes_for(draft, ask, routes)
    if not lanes:
        return _without_lanes(draft, routes.offers, line, ask.wanted)
    return _settle(Outlook.of(draft, ask, lanes), line)


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


def _settle(outlook: Outlook, line: RequestLine) -> LineDecision:
    ask, plan = outlook.ask, best_plan(outlook)
    if plan is None or plan.units < ask.minimum:
        outcome = "backordered" if plan is None else "below_minimum"
        return _answer(line, ask.wanted, outcome, (), explain(outlook, plan))
    outcome = _outcome(ask, plan)
    why = () if outcome == "promised" else explain(outlook, plan)
    planned = tuple([outlook.draft.take(ask.item, piece, outlook.quotas) for piece in plan.pieces])
    return _answer(line, ask.wanted, outcome, planned, why)


def _outcome(ask: Ask, plan: Plan) -> str:
    if plan.units < ask.quantity:
        return "partly_promised"
    arrival = max([piece.lane.arrival(piece.day) for piece in plan.pieces])
    return "promised_late" if arrival > ask.wanted else "promised"


def _answer(
    line: RequestLine, wanted: Day, outcome: str, planned: tuple[Planned, ...], why: tuple[Binding, ...]
) -> LineDecision:
    rest = line.quantity - sum([part.quantity for part in planned])
    return LineDecision(line.line, line.item_id, line.quantity, outcome, wanted, planned, rest, why)


def _stopped(request: Request, line: RequestLine, outcome: str, why: tuple[Binding, ...]) -> LineDecision:
    return LineDecision(line.line, line.item_id, line.quantity, outcome, wanted_arrival(request, line), why=why)


def _refused(line: RequestLine, wanted: Day, outcome: str, why: Binding) -> LineDecision:
    return LineDecision(line.line, line.item_id, line.quantity, outcome, wanted, why=(why,))


def _held_together(draft: Draft, offers: Sequence[Offer], lines: list[LineDecision]) -> list[LineDecision]:
    """All lines whole or none; and closer together, if that can be, than where each line goes by itself."""
    if any(_is_short(line) for line in lines):
        draft.undo()
        return _all_unmet(draft, lines)
    first, last = _arrivals(lines)
    if first == last:
        return lines
    draft.undo()
    together = [_decide_line(draft, offers, line, last) for line in draft.request.lines]
    if not any(_is_short(line) for line in together) and _arrivals(together)[0] > first:
        return together
    draft.undo()
    return [_decide_line(draft, offers, line) for line in draft.request.lines]


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
