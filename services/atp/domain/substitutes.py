"""Substitutes worth offering for a line that is short or late: what of them could be had, and by when.

Directed: rules, and an item itself, name what may stand in for it, never the other way round. Nothing is taken of
them; promising by substitution is another order's line. A substitute that the tier may not have, or that does not come
sooner than what is promised, is left out.
"""

from collections.abc import Iterator, Sequence

from services.atp.domain.model import Day, Item, LineDecision, Offer, RequestLine
from services.atp.domain.outlook import Ask, Outlook, lanes_of
from services.atp.domain.routes import routes_of
from services.atp.domain.routing_rules import Alternative, Substitution, substitutions
from services.atp.domain.sourcing import best_plan
from services.atp.domain.taking import Draft, Piece
from services.atp.domain.validation import permits_item


def alternatives(
    draft: Draft, offers: Sequence[Offer], item: Item, line: RequestLine, decision: LineDecision
) -> tuple[Alternative, ...]:
    """For each substitute that would help: how much of what is missing or late it could bring, and when."""
    return tuple(_found(draft, offers, item, line, decision))


def _found(
    draft: Draft, offers: Sequence[Offer], item: Item, line: RequestLine, decision: LineDecision
) -> Iterator[Alternative]:
    promised = sum(part.quantity for part in decision.planned)
    wanted = line.quantity - promised or line.quantity
    sooner_than = None if promised < line.quantity else max(part.arrival_day for part in decision.planned)
    for rule, substitute in _permitted(draft, item):
        quantity = wanted * rule.substitute_quantity // rule.quantity
        quantity -= quantity % substitute.pack_size
        routes = routes_of(draft.book, draft.request, substitute.item_id, offers)
        lanes = lanes_of(draft.book, routes.offers, substitute.item_id)
        if not quantity or not lanes:
            continue
        latest = line.latest_acceptable_arrival
        if sooner_than is not None:
            latest = sooner_than - 1 if latest is None else min(latest, sooner_than - 1)
        wish = decision.requested_arrival
        ask = Ask(substitute, quantity, 0, wish, latest, wish, as_late_as_possible=False)
        plan = best_plan(Outlook.of(draft, ask, lanes))
        if plan is not None and plan.units:
            replaces = plan.units * rule.quantity // rule.substitute_quantity
            yield Alternative(substitute.item_id, plan.units, _arrival(plan.pieces), replaces, rule.reference)


def _permitted(draft: Draft, item: Item) -> Iterator[tuple[Substitution, Item]]:
    book, request = draft.book, draft.request
    validation = request.tier.validation
    for rule in substitutions(book.routing, request.tier.tier, request.zone, item.item_id, item.substitutes):
        item_id = rule.substitute_id
        substitute = book.items.get(item_id)
        if substitute is None or not substitute.active:
            continue
        if validation is None or permits_item(validation, book, item_id):
            yield rule, substitute


def _arrival(pieces: Sequence[Piece]) -> Day:
    return max(piece.lane.arrival(piece.day) for piece in pieces)
