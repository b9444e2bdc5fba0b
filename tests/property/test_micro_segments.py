"""Which micro-segment serves an order, against an oracle that asks each pair which of the two is more specific."""

from functools import cmp_to_key

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.micro_segments import MicroSegment, Traits, in_order, refined
from services.atp.domain.model import Item, Tier

TIER = Tier("gold", 1, 1)
ATTRIBUTES = ("item_groups", "zones", "channels", "regions")


def some(*names: str) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


@st.composite
def lists_of_segments(draw: st.DrawFn) -> list[MicroSegment]:
    """Segments whose lead time is their place in the list."""
    drawn = draw(
        st.lists(st.tuples(some("a", "b"), some("GB", "FR"), some("web", "edi"), some("EU", "UK")), max_size=6)
    )
    return [
        MicroSegment(f"s{place}", {"lead_time_days": place}, groups, zones, channels, regions)
        for place, (groups, zones, channels, regions) in enumerate(drawn)
        if groups or zones or channels or regions
    ]


items = st.one_of(st.none(), some("a", "b", "c").map(lambda groups: Item("I", groups=groups)))
orders = st.builds(
    Traits,
    zone=st.sampled_from(("GB", "FR", "DE")),
    region=st.sampled_from((None, "EU", "UK")),
    channel=st.sampled_from(("web", "edi", "shop")),
    items=st.lists(items, min_size=1, max_size=3),
)


def matches(segment: MicroSegment, order: Traits) -> bool:
    if segment.zones and order.zone not in segment.zones:
        return False
    if segment.channels and order.channel not in segment.channels:
        return False
    if segment.regions and order.region not in segment.regions:
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
