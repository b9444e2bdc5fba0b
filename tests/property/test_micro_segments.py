"""Which micro-segment serves an order, against an oracle that asks each pair which of the two is more specific."""

from dataclasses import replace
from functools import cmp_to_key
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.atp.domain.micro_segments import MicroSegment, Traits, in_order, refined
from services.atp.domain.model import Item, Tier
from services.contracts.segments import TierPolicy

TIER = Tier("gold", 1, 1)
ATTRIBUTES = ("item_groups", "zones", "channels", "regions", "demand_profiles")


def some(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


@st.composite
def lists_of_segments(draw: st.DrawFn) -> list[MicroSegment]:
    """Segments whose lead time is their place in the list."""
    drawn = draw(
        st.lists(
            st.tuples(
                some("a", "b"),
                some("GB", "FR"),
                some("web", "edi"),
                some("EU", "UK"),
                some("smooth", "erratic", "lumpy"),
            ),
            max_size=6,
        )
    )
    return [
        MicroSegment(f"s{place}", {"lead_time_days": place}, *attributes)
        for place, attributes in enumerate(drawn)
        if any(attributes)
    ]


items = st.one_of(st.none(), some("a", "b", "c").map(lambda groups: Item("I", groups=groups)))
orders = st.builds(
    Traits,
    zone=st.sampled_from(("GB", "FR", "DE")),
    region=st.sampled_from((None, "EU", "UK")),
    channel=st.sampled_from(("web", "edi", "shop")),
    items=st.lists(items, min_size=1, max_size=3),
    demand_profile=st.sampled_from((None, "smooth", "erratic", "lumpy")),
)


def matches(segment: MicroSegment, order: Traits) -> bool:
    if segment.zones and order.zone not in segment.zones:
        return False
    if segment.channels and order.channel not in segment.channels:
        return False
    if segment.regions and order.region not in segment.regions:
        return False
    if segment.demand_profiles and order.demand_profile not in segment.demand_profiles:
        return False
    if not segment.item_groups:
        return True
    return bool({each for each in segment.item_groups if all(item and each in item.groups for item in order.items)})


def before(one: MicroSegment, other: MicroSegment) -> int:
    """Negative: the first is more specific, as the reference says it."""
    mine = {name for name in ATTRIBUTES if getattr(one, name)}
    others = {name for name in ATTRIBUTES if getattr(other, name)}
    if len(mine) != len(others):
        return len(others) - len(mine)
    for name in ATTRIBUTES:
        if (name in mine) != (name in others):
            return -1 if name in mine else 1
    return int(one.name[1:]) - int(other.name[1:])


@given(lists_of_segments(), orders)
def test_the_most_specific_one_that_matches_serves_an_order_and_is_named(
    segments: list[MicroSegment], order: Traits
) -> None:
    served = refined(TIER, in_order(segments), order)
    matching = sorted((each for each in segments if matches(each, order)), key=cmp_to_key(before))
    if matching:
        best = matching[0]
        assert (served.micro_segment, served.lead_time_days) == (best.name, best.changes["lead_time_days"])
    else:
        assert served is TIER
    assert (served.tier, served.priority_rank, served.strategy) == (TIER.tier, TIER.priority_rank, TIER.strategy)


@given(lists_of_segments(), orders)
def test_which_one_serves_orders_does_not_depend_on_a_profile_that_no_other_names(
    segments: list[MicroSegment], order: Traits
) -> None:
    """What is not asked for is not looked at, and a customer without a profile is served as if none asked for one."""
    without = [each for each in segments if not each.demand_profiles]
    unknown = replace(order, demand_profile=None)
    assert refined(TIER, in_order(segments), unknown) == refined(TIER, in_order(without), unknown)
    assert refined(TIER, in_order(without), order) == refined(TIER, in_order(without), unknown)


def document(segment: MicroSegment) -> dict[str, Any]:
    named = {name: getattr(segment, name) for name in ATTRIBUTES}
    return {"name": segment.name, "policy": {"lead_time_days": 1}, **named}


@given(lists_of_segments(), st.lists(orders, min_size=1, max_size=20))
def test_a_policy_whose_list_is_taken_leaves_no_two_that_serve_an_order_by_the_same_attributes(
    segments: list[MicroSegment], some_orders: list[Traits]
) -> None:
    try:
        TierPolicy.model_validate_json(orjson.dumps({"micro_segments": [document(each) for each in segments]}))
    except ValidationError:
        named = [{name for name in ATTRIBUTES if getattr(each, name)} for each in segments]
        assert any(one == other for place, one in enumerate(named) for other in named[:place])
        return
    for order in some_orders:
        one_group = replace(order, items=[item and replace(item, groups=item.groups[:1]) for item in order.items[:1]])
        found = [{name for name in ATTRIBUTES if getattr(each, name)} for each in segments if matches(each, one_group)]
        assert all(one != other for place, one in enumerate(found) for other in found[:place])
