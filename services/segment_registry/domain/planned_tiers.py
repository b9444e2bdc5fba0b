"""Definitions of tiers that are decided now and come into effect by date."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import HORIZON

PLANS_MAX = 20  # of one tier; all are in every answer about its versions


@dataclass(frozen=True, slots=True)
class PlannedTier:
    """A definition (its version is ignored) that replaces the tier from a moment on.

    `request_id` and `approver` are those of the change request by which it was planned, if it was by one.
    """

    definition: Tier
    effective_from: datetime
    author: str
    planned_at: datetime
    request_id: str | None = None
    approver: str | None = None


class PlanRefusal(StrEnum):
    """Why a definition cannot be planned; where several apply, the first in this order is given."""

    PLAN_NOT_AHEAD = "plan_not_ahead"
    PLAN_TAKEN = "plan_taken"
    TOO_MANY_PLANS = "too_many_plans"
    PLAN_UNKNOWN = "plan_unknown"


def refusal_of_plan(plans: Sequence[PlannedTier], effective_from: datetime, now: datetime) -> PlanRefusal | None:
    """What stands against a plan of a tier with these plans.

    Of one moment there is one plan, and it stands until it is withdrawn: it was decided on, perhaps by two persons.
    Whether the definition is possible shows when it comes into effect: other tiers change until then.
    """
    if not now < effective_from <= now + HORIZON:
        return PlanRefusal.PLAN_NOT_AHEAD
    if any(each.effective_from == effective_from for each in plans):
        return PlanRefusal.PLAN_TAKEN
    return PlanRefusal.TOO_MANY_PLANS if len(plans) >= PLANS_MAX else None


def predecessor(plans: Sequence[PlannedTier], current: Tier | None, effective_from: datetime | None) -> Tier | None:
    """What a definition that comes into effect at a moment (None: now) replaces; None where there is nothing before."""
    before = [each for each in plans if effective_from is not None and each.effective_from < effective_from]
    return max(before, key=lambda each: each.effective_from).definition if before else current
