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
    """A definition (its version is ignored) that replaces the tier from a moment on."""

    definition: Tier
    effective_from: datetime
    author: str
    planned_at: datetime


class PlanRefusal(StrEnum):
    """Why a definition cannot be planned; where several apply, the first in this order is given."""

    PLAN_NOT_AHEAD = "plan_not_ahead"
    TOO_MANY_PLANS = "too_many_plans"
    PLAN_UNKNOWN = "plan_unknown"


def refusal_of_plan(plans: Sequence[PlannedTier], effective_from: datetime, now: datetime) -> PlanRefusal | None:
    """What stands against a plan of a tier with these plans; one for the same moment is replaced.

    Whether the definition is possible shows when it comes into effect: other tiers change until then.
    """
    if not now < effective_from <= now + HORIZON:
        return PlanRefusal.PLAN_NOT_AHEAD
    others = [each for each in plans if each.effective_from != effective_from]
    return PlanRefusal.TOO_MANY_PLANS if len(others) >= PLANS_MAX else None
