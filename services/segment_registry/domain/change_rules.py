"""The rules of change: a versioned document of the registry about what people may change, and how much of it.

Without a document nothing is limited. A month is one of UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """The document at one version; version 0 is the one that was never written.

    `override_budgets`: by tier, how many overrides into it may be decided in a month; a tier that is not named has no
    limit.
    """

    version: int = 0
    override_budgets: Mapping[str, int] = field(default_factory=dict)


class RulesRefusal(StrEnum):
    """Why a document was refused; where several apply, the first in this order is given."""

    RULES_VERSION_MISMATCH = "rules_version_mismatch"
    RULES_TIER_UNKNOWN = "rules_tier_unknown"


@dataclass(frozen=True, slots=True)
class RulesRefused:
    """Nothing was altered."""

    reason: RulesRefusal
    version: int


def refusal_of(
    current: ChangeRules, draft: ChangeRules, tiers: Mapping[str, object], expected_version: int | None
) -> RulesRefused | None:
    """What stands against a new document; `expected_version` is the version that its author looked at (None: any)."""
    if expected_version is not None and expected_version != current.version:
        return RulesRefused(RulesRefusal.RULES_VERSION_MISMATCH, current.version)
    if any(tier not in tiers for tier in draft.override_budgets):
        return RulesRefused(RulesRefusal.RULES_TIER_UNKNOWN, current.version)
    return None


def month_of(moment: datetime) -> date:
    """The first day of the month in which a decision counts."""
    return moment.date().replace(day=1)
