"""Which ways a line sees: those that routing rules leave of the ways to its zone, in the order in which they are tried.

    ways to the zone ─ sourcing rule ─▶ from its locations, at its ranks
                     ─ fulfilment mode ─▶ those that an attempt names, attempt by attempt
                     ─ tried in turn ─▶ the first steps by which the line is whole and in time, else all

Without rules a line sees all of them at once. What is chosen among the ways that it sees is not decided here.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from services.atp.domain.model import Binding, Book, Day, Offer, Request
from services.atp.domain.outlook import FAR, Ask, Outlook, lanes_of, offers_of
from services.atp.domain.routing_rules import FulfilmentMode, RoutedBy, SourcingRule, fulfilment_mode, sourcing_rule
from services.atp.domain.sourcing import units_by
from services.atp.domain.taking import Draft, Lane

UNRANKED: Final = 0
_NAMES: Final = {"sourcing_rule": "sourcing rule", "fulfilment_mode": "fulfilment mode"}


class Routes(NamedTuple):
    """The ways of a line in the steps in which they are tried, and the rules that made them so."""

    steps: tuple[Sequence[Offer], ...]
    sourcing: SourcingRule | None = None
    mode: FulfilmentMode | None = None

    @property
    def offers(self) -> Sequence[Offer]:
        """All ways that may be tried."""
        return self.steps[0] if len(self.steps) == 1 else [offer for step in self.steps for offer in step]

    @property
    def rules(self) -> tuple[RoutedBy, ...]:
        """The rules that decided, as an answer names them."""
        kinds: tuple[tuple[Literal["sourcing_rule", "fulfilment_mode"], SourcingRule | FulfilmentMode | None], ...]
        kinds = (("sourcing_rule", self.sourcing), ("fulfilment_mode", self.mode))
        return tuple(RoutedBy(kind, rule.reference, rule.version) for kind, rule in kinds if rule is not None)


def routes_of(book: Book, request: Request, item_id: str, offers: Sequence[Offer]) -> Routes:
    """What the rules leave of a request's ways for an item. One that is from a given place is not ruled."""
    item = book.items.get(item_id)
    if item is None or not (book.routing.sourcing or book.routing.modes):
        return Routes((offers,))
    if request.location_id is not None or request.pick_up_at is not None:
        return Routes((offers,))
    tier, zone = request.tier.tier, request.zone
    rule = sourcing_rule(book.routing, tier, zone, item.groups)
    mode = fulfilment_mode(book.routing, tier, zone, item.criticality)
    if rule is not None:
        ranks = dict(rule.locations)
        offers = [replace(each, rank=ranks[each.location_id]) for each in offers if each.location_id in ranks]
    return Routes(_steps(offers, rule, mode), rule, mode)


def lanes_for(draft: Draft, ask: Ask, routes: Routes) -> list[Lane]:
    """The lanes among which a plan is chosen: of the first steps that serve the line whole and in time, else all."""
    seen: list[Lane] = []
    for place, step in enumerate(routes.steps, start=1):
        lanes = lanes_of(draft.book, step, ask.item.item_id)
        seen += lanes
        if place == len(routes.steps):
            break
        if lanes and units_by(Outlook.of(draft, ask, seen), ask.wanted) >= ask.quantity:
            break
    return seen


def because_of_rules(outlook: Outlook, need: int, deadline: Day | None, units: int) -> tuple[Binding, ...]:
    """The rules without which the line would be feasible, each by itself."""
    draft, ask = outlook.draft, outlook.ask
    book, request = draft.book, draft.request
    if not (book.routing.sourcing or book.routing.modes):
        return ()
    offers = offers_of(book, request)
    routes = routes_of(book, request, ask.item.item_id, offers)
    found = []
    for named in routes.rules:
        is_sourcing = named.kind == "sourcing_rule"
        without = book.routing._replace(sourcing=()) if is_sourcing else book.routing._replace(modes=())
        wider = routes_of(replace(book, routing=without), request, ask.item.item_id, offers).offers
        lanes = lanes_of(book, wider, ask.item.item_id)
        if not lanes or units_by(Outlook.of(draft, ask, lanes), FAR if deadline is None else deadline) < need:
            continue
        new = sorted({lane.offer.location_id for lane in lanes} - {lane.offer.location_id for lane in outlook.lanes})
        help_ = f"{_NAMES[named.kind]} {named.reference} lifted" + (f", for example for {new[0]}" if new else "")
        found.append(Binding(named.kind, named.reference, units, deadline, request.tier.tier, help_))
    return tuple(found)


def because_ruled_out(request: Request, routes: Routes) -> Binding:
    """The rules leave no way at all."""
    named = routes.rules[-1]
    names = " and ".join(f"{_NAMES[each.kind]} {each.reference}" for each in routes.rules)
    return Binding(named.kind, named.reference, 0, tier=request.tier.tier, would_help=f"a way that {names} allows")


def _steps(
    offers: Sequence[Offer], rule: SourcingRule | None, mode: FulfilmentMode | None
) -> tuple[Sequence[Offer], ...]:
    """The ways by attempt, and within one by rank where ranks are tried in turn; steps without any are left out."""
    by_step: dict[tuple[int, int], list[Offer]] = {}
    for offer in offers:
        attempt = 0 if mode is None else _attempt(mode, offer)
        if attempt is None:
            continue
        rank = offer.rank if rule is not None and rule.in_turn else UNRANKED
        by_step.setdefault((attempt, rank), []).append(offer)
    return tuple(by_step[step] for step in sorted(by_step)) or ((),)


def _attempt(mode: FulfilmentMode, offer: Offer) -> int | None:
    """The first attempt that takes a way; None: no attempt does."""
    taking = (place for place, each in enumerate(mode.attempts) if each.takes(offer.kind, offer.carrier_class))
    return next(taking, None)
