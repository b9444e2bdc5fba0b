"""Tiers: unique ranks, exactly one default, versions that only rise.

A definition replaces a tier whole. Naming another default takes the mark from the former one, which gets a new version
too: readers never see two defaults or none. A tier is never deleted; an inactive one takes no new customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

TIERS_MAX = 200  # more are micro-segments, which refine a tier; every reader holds all tiers in memory


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier at one version. `policy` is canonical JSON: the registry keeps it, others act on it."""

    tier: str
    version: int
    name: str
    priority_rank: int
    is_default: bool
    active: bool
    policy: str


class TierRefusal(StrEnum):
    """Why a definition was refused; where several apply, the first in this order is given."""

    VERSION_MISMATCH = "version_mismatch"
    TOO_MANY_TIERS = "too_many_tiers"
    RANK_TAKEN = "rank_taken"
    DEFAULT_REQUIRED = "default_required"
    DEFAULT_INACTIVE = "default_inactive"
    TIER_IN_USE = "tier_in_use"


@dataclass(frozen=True, slots=True)
class TierDefined:
    """The definition stands; `changed` are the tiers with a new version, a former default before the new one."""

    tier: Tier
    changed: tuple[Tier, ...]
    created: bool


@dataclass(frozen=True, slots=True)
class TierUnchanged:
    """The tier is defined so already."""

    tier: Tier


@dataclass(frozen=True, slots=True)
class TierRefused:
    """Nothing was altered; `other` is the tier in the way, if one is."""

    reason: TierRefusal
    other: Tier | None = None


def default_tier(tiers: Mapping[str, Tier]) -> Tier:
    """The tier of customers that are in none. A registry without one has not been set up: `LookupError`."""
    for tier in tiers.values():
        if tier.is_default:
            return tier
    raise LookupError("no default tier is defined")


def define_tier(
    tiers: Mapping[str, Tier], draft: Tier, *, expected_version: int | None, in_use: bool
) -> TierDefined | TierUnchanged | TierRefused:
    """Define a tier (`draft.version` is ignored).

    `expected_version` is the version that the author looked at (0: none yet; None: whatever it is). `in_use` says
    whether a customer is or will be in the tier.
    """
    former = tiers.get(draft.tier)
    version = former.version if former else 0
    if expected_version is not None and expected_version != version:
        return TierRefused(TierRefusal.VERSION_MISMATCH, former)
    if former is not None and replace(draft, version=version) == former:
        return TierUnchanged(former)
    refusal = _refusal(tiers, draft, former, in_use=in_use)
    if refusal is not None:
        return refusal
    tier = replace(draft, version=version + 1)
    return TierDefined(tier, (*_former_defaults(tiers, tier), tier), created=former is None)


def _refusal(tiers: Mapping[str, Tier], draft: Tier, former: Tier | None, *, in_use: bool) -> TierRefused | None:
    if former is None and len(tiers) >= TIERS_MAX:
        return TierRefused(TierRefusal.TOO_MANY_TIERS)
    for other in tiers.values():
        if other.tier != draft.tier and other.priority_rank == draft.priority_rank:
            return TierRefused(TierRefusal.RANK_TAKEN, other)
    others_default = any(other.is_default for other in tiers.values() if other.tier != draft.tier)
    if not draft.is_default and not others_default:
        return TierRefused(TierRefusal.DEFAULT_REQUIRED, former)
    if draft.is_default and not draft.active:
        return TierRefused(TierRefusal.DEFAULT_INACTIVE, former)
    if not draft.active and in_use:
        return TierRefused(TierRefusal.TIER_IN_USE, former)
    return None


def _former_defaults(tiers: Mapping[str, Tier], tier: Tier) -> tuple[Tier, ...]:
    if not tier.is_default:
        return ()
    return tuple(
        replace(other, is_default=False, version=other.version + 1)
        for other in tiers.values()
        if other.is_default and other.tier != tier.tier
    )
