"""Duplicates: a customer that was registered twice is merged into the other record, and split off again if need be.

    active --merge--> merged (keeps its identifiers, tier history and record; serves and takes nothing)
    merged --split--> active (as it was kept: what was planned meanwhile counts, or has passed)

Whoever asks for any of its identifiers gets the customer that it was merged into, and that one's tier, the default tier
or not. Merges form trees of a bounded height.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.segment_registry.domain.customers import Customer, moment_for, served_tier
from services.segment_registry.domain.moves import Move
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import Grounds

MERGES_DEEP_MAX = 5  # one into another into another; those who follow published merges stop at eight


class MergeRefusal(StrEnum):
    """Why a merge or split was refused; where several apply, the first in this order is given."""

    MERGED_WITH_ITSELF = "merged_with_itself"
    MERGED_CUSTOMER = "merged_customer"
    MERGES_TOO_DEEP = "merges_too_deep"
    NOT_MERGED = "not_merged"


@dataclass(frozen=True, slots=True)
class MergeDone:
    """The duplicate as it is now, and its move; no move where it is served by the same tier as before."""

    customer: Customer
    move: Move | None


@dataclass(frozen=True, slots=True)
class MergeRefused:
    """Nothing was altered."""

    reason: MergeRefusal


def merge(  # noqa: PLR0917 - both customers, and what is known of them
    duplicate: Customer, into: Customer, height: int, tiers: Mapping[str, Tier], grounds: Grounds, now: datetime
) -> MergeDone | MergeRefused:
    """Merge a duplicate; `height` is how deep the merges into the duplicate are (0: none)."""
    if duplicate.customer_id == into.customer_id:
        return MergeRefused(MergeRefusal.MERGED_WITH_ITSELF)
    if duplicate.merged_into is not None or into.merged_into is not None:
        return MergeRefused(MergeRefusal.MERGED_CUSTOMER)
    if height + 1 > MERGES_DEEP_MAX:
        return MergeRefused(MergeRefusal.MERGES_TOO_DEEP)
    return _changed(duplicate, into.customer_id, (duplicate, into), tiers, grounds, now)


def split(
    duplicate: Customer, root: Customer, tiers: Mapping[str, Tier], grounds: Grounds, now: datetime
) -> MergeDone | MergeRefused:
    """Split a duplicate off again; `root` is the customer by which it is served until now."""
    if duplicate.merged_into is None:
        return MergeRefused(MergeRefusal.NOT_MERGED)
    return _changed(duplicate, None, (root, duplicate), tiers, grounds, now)


def _changed(  # noqa: PLR0917 - private, called with all of them
    duplicate: Customer,
    merged_into: str | None,
    served: tuple[Customer, Customer],
    tiers: Mapping[str, Tier],
    grounds: Grounds,
    now: datetime,
) -> MergeDone:
    moment = moment_for(duplicate, now)
    sequence = duplicate.sequence + 1
    changed = replace(
        duplicate, sequence=sequence, timeline_sequence=sequence, changed_at=moment, merged_into=merged_into
    )
    before, after = (served_tier(each, tiers, moment) for each in served)
    if before.tier == after.tier:
        return MergeDone(changed, None)
    until = after.by.effective_to if after.by else None
    return MergeDone(changed, Move(duplicate.customer_id, sequence, before.tier, after.tier, moment, until, grounds))
