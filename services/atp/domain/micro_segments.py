"""Micro-segments: orders of a tier that are served by other values of its policy.

A micro-segment names one to five attributes of an order, each with the values that it may have, and matches an order
that has one of them in each. An order is served by at most one, as a whole: it has one policy, whatever its lines are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.atp.domain.model import Item, Tier


@dataclass(frozen=True, slots=True)
class MicroSegment:
    """Orders of a tier, and the fields of `Tier` that are different for them. An empty attribute is not named.

    An order is of an item group if each of its lines is of an item in that group.
    """

    name: str
    changes: Mapping[str, Any]
    item_groups: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    demand_profiles: tuple[str, ...] = ()

    @property
    def specificity(self) -> tuple[int, ...]:
        """The more attributes the more specific; of as many, by item group, then zone, channel, region and profile."""
        attributes = (self.item_groups, self.zones, self.channels, self.regions, self.demand_profiles)
        named = [int(bool(each)) for each in attributes]
        return (sum(named), *named)


@dataclass(frozen=True, slots=True)
class Traits:
    """What micro-segments look at of an order. An item that is not known is in no group.

    `demand_profile` is its customer's, as it was last told; None matches nothing that asks for one.
    """

    zone: str
    region: str | None
    channel: str
    items: Sequence[Item | None]
    demand_profile: str | None = None


def in_order(segments: Sequence[MicroSegment]) -> tuple[MicroSegment, ...]:
    """The most specific first; of equally specific ones (of other item groups) the one that was listed first."""
    return tuple(sorted(segments, key=lambda each: each.specificity, reverse=True))


def refined(tier: Tier, segments: Sequence[MicroSegment], order: Traits) -> Tier:
    """The tier as it serves an order: by the first of its micro-segments (`in_order`) that matches, which it names."""
    for each in segments:
        if _matches(each, order):
            return replace(tier, micro_segment=each.name, **each.changes)
    return tier


def _matches(segment: MicroSegment, order: Traits) -> bool:
    return (
        (not segment.zones or order.zone in segment.zones)
        and (not segment.channels or order.channel in segment.channels)
        and (not segment.regions or order.region in segment.regions)
        and (not segment.demand_profiles or order.demand_profile in segment.demand_profiles)
        and (not segment.item_groups or any(_of_group(group, order.items) for group in segment.item_groups))
    )


def _of_group(group: str, items: Sequence[Item | None]) -> bool:
    return all(item is not None and group in item.groups for item in items)
