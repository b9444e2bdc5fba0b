"""Routing rules against readings of their own: which rule decides, which ways a line sees, and what that may cost."""

from dataclasses import replace
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.model import (
    Book,
    Item,
    Offer,
    OrderDecision,
    Position,
    PositionKey,
    Request,
    RequestLine,
    Tier,
)
from services.atp.domain.promising import inquire
from services.atp.domain.routes import routes_of
from services.atp.domain.routing_rules import (
    Attempt,
    FulfilmentMode,
    RoutingRules,
    SourcingRule,
    Substitution,
    fulfilment_mode,
    sourcing_rule,
    substitutions,
)

TODAY: Final = 740_000
LOCATIONS: Final = ("A", "B", "C", "D")
KINDS: Final = ("distribution_center", "store", "drop_ship")
CLASSES: Final = ("express", "road")
TIERS: Final = ("gold", "bronze")
ZONES: Final = ("Z1", "Z2")
GROUPS: Final = ("tea", "tools")


def _maybe(values: tuple[str, ...]) -> st.SearchStrategy[str | None]:
    return st.none() | st.sampled_from(values)


_RANKED = st.dictionaries(st.sampled_from(LOCATIONS), st.integers(1, 3), min_size=1).map(
    lambda ranks: tuple(sorted(ranks.items()))
)
_CONDITIONS = st.tuples(_maybe(TIERS), _maybe(ZONES))
_SOURCING = st.lists(
    st.builds(
        lambda of, group, ranked, in_turn: SourcingRule("r", 1, of[0], of[1], group, ranked, in_turn),
        _CONDITIONS,
        _maybe(GROUPS),
        _RANKED,
        st.booleans(),
    ),
    max_size=6,
).map(lambda rules: tuple(each._replace(reference=f"doc/{place}") for place, each in enumerate(rules)))
_ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        st.lists(st.sampled_from(KINDS), unique=True, max_size=2).map(tuple),
        st.lists(st.sampled_from(CLASSES), unique=True, max_size=1).map(tuple),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
_MODES = st.lists(
    st.builds(
        lambda of, criticality, attempts: FulfilmentMode("m", 1, of[0], of[1], criticality, attempts),
        _CONDITIONS,
        _maybe(("vital", "desirable")),
        _ATTEMPTS,
    ),
    max_size=6,
).map(lambda rules: tuple(each._replace(reference=f"doc/{place}") for place, each in enumerate(rules)))
_OFFERS = st.lists(
    st.builds(
        lambda location, kind, by, transit, cost: Offer(location, by, by, 1, 0, transit, cost, 0, kind=kind),
        st.sampled_from(LOCATIONS),
        st.sampled_from(KINDS),
        st.sampled_from(CLASSES),
        st.integers(0, 4),
        st.integers(0, 500),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda offer: (offer.location_id, offer.service),
).map(lambda offers: tuple(replace(each, kind=KINDS[LOCATIONS.index(each.location_id) % 3]) for each in offers))


def _first_best(rules: tuple[object, ...], conditions: list[tuple[object, object, object]]) -> object | None:
    """The first rule with the greatest (how many conditions, which); a reading of its own."""
    scored = [
        (-sum(one is not None for one in named), [one is None for one in named], place)
        for place, named in enumerate(conditions)
    ]
    return rules[min(scored)[2]] if scored else None


@given(rules=_SOURCING, tier=st.sampled_from(TIERS), zone=st.sampled_from(ZONES), group=_maybe(GROUPS))
def test_the_sourcing_rule_with_most_conditions_decides(
    rules: tuple[SourcingRule, ...], tier: str, zone: str, group: str | None
) -> None:
    groups = () if group is None else (group,)
    fits = tuple(
        each
        for each in rules
        if each.tier in {None, tier}
        and each.zone in {None, zone}
        and (each.item_group is None or each.item_group == group)
    )
    expected = _first_best(fits, [(each.item_group, each.tier, each.zone) for each in fits])
    assert sourcing_rule(RoutingRules(rules), tier, zone, groups) == expected


@given(
    rules=_MODES, tier=st.sampled_from(TIERS), zone=st.sampled_from(ZONES), criticality=_maybe(("vital", "desirable"))
)
def test_the_mode_with_most_conditions_decides(
    rules: tuple[FulfilmentMode, ...], tier: str, zone: str, criticality: str | None
) -> None:
    fits = tuple(
        each
        for each in rules
        if each.tier in {None, tier}
        and each.zone in {None, zone}
        and (each.criticality is None or each.criticality == criticality)
    )
    expected = _first_best(fits, [(each.criticality, each.tier, each.zone) for each in fits])
    assert fulfilment_mode(RoutingRules(modes=rules), tier, zone, criticality) == expected


def _decided(book: Book, quantity: int, wanted: int, offers: tuple[Offer, ...] | None = None) -> OrderDecision:
    """What a line gets with the rules, or with these ways and no rules."""
    if offers is not None:
        book = replace(book, offers={"Z1": offers}, routing=RoutingRules())
    tier = Tier("gold", 1, 1)
    line = RequestLine("1", "I", quantity, wanted)
    return inquire(book, Request("erp", "O", tier, "Z1", "default", TODAY, ship_complete=False, lines=(line,)))


@given(
    offers=_OFFERS,
    rules=st.tuples(_SOURCING, _MODES),
    stock=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    quantity=st.integers(1, 12),
    days=st.integers(0, 4),
)
def test_a_line_is_decided_as_if_there_were_only_the_first_ways_that_serve_it_whole_and_in_time(
    offers: tuple[Offer, ...],
    rules: tuple[tuple[SourcingRule, ...], tuple[FulfilmentMode, ...]],
    stock: list[int],
    quantity: int,
    days: int,
) -> None:
    item = Item("I", groups=("tea",), criticality="vital")
    positions = {
        PositionKey("I", location): Position(PositionKey("I", location), 1, on_hand)
        for location, on_hand in zip(LOCATIONS, stock, strict=True)
    }
    book = Book(TODAY, {"I": item}, positions, {"Z1": offers}, routing=RoutingRules(*rules))
    decision = _decided(book, quantity, TODAY + days).lines[0]
    rule = sourcing_rule(book.routing, "gold", "Z1", ("tea",))
    mode = fulfilment_mode(book.routing, "gold", "Z1", "vital")
    steps: dict[tuple[int, int], list[Offer]] = {}
    for offer in offers:
        rank = 1 if rule is None else dict(rule.locations).get(offer.location_id)
        attempts = [Attempt()] if mode is None else list(mode.attempts)
        place = next(
            (number for number, each in enumerate(attempts) if each.takes(offer.kind, offer.carrier_class)), None
        )
        if rank is None or place is None:
            continue
        in_turn = rank if rule is not None and rule.in_turn else 0
        steps.setdefault((place, in_turn), []).append(replace(offer, rank=rank))
    if not steps:
        assert decision.outcome == "no_source"
        return
    seen: list[Offer] = []
    for step in sorted(steps):
        seen += steps[step]
        alone = _decided(book, quantity, TODAY + days, tuple(seen)).lines[0]
        arrivals = [part.arrival_day for part in alone.planned]
        # A late plan may be cheaper than one in time, so what matters is what could be had in time.
        in_time = replace(book, offers={"Z1": tuple(seen)}, routing=RoutingRules())
        latest = RequestLine("1", "I", quantity, TODAY + days, TODAY + days)
        asked = Request("erp", "O", Tier("gold", 1, 1), "Z1", "default", TODAY, ship_complete=False, lines=(latest,))
        if sum(part.quantity for part in inquire(in_time, asked).lines[0].planned) == quantity:
            break
        assert not arrivals or sum(part.quantity for part in alone.planned) < quantity or max(arrivals) > TODAY + days
    expected = _decided(book, quantity, TODAY + days, tuple(seen)).lines[0]
    assert decision.planned == expected.planned
    used = {(part.key.location_id, part.service) for part in decision.planned}
    assert used <= {(offer.location_id, offer.service) for offer in routes_of(book, _asks(), "I", offers).offers}


def _asks() -> Request:
    return Request("erp", "O", Tier("gold", 1, 1), "Z1", "default", TODAY, ship_complete=False, lines=())


@given(
    rules=st.lists(
        st.builds(
            lambda of, names: Substitution("s", 1, names[0], names[1], *of),
            _CONDITIONS,
            st.permutations(["I", "J", "K"]),
        ),
        max_size=6,
    ),
    tier=st.sampled_from(TIERS),
)
def test_substitutes_are_those_that_rules_name_for_the_item_and_never_the_other_way_round(
    rules: list[Substitution], tier: str
) -> None:
    named = tuple(each._replace(reference=f"doc/{place}") for place, each in enumerate(rules))
    found = substitutions(RoutingRules(substitutions=named), tier, "Z1", "I", ("K",))
    fits = [each for each in named if each.item_id == "I" and each.tier in {None, tier} and each.zone in {None, "Z1"}]
    assert {each.substitute_id for each in found} == {"K", *(each.substitute_id for each in fits)}
    assert all(each.item_id == "I" for each in found)
    assert len(found) == len({each.substitute_id for each in found})
