"""The rules of change: what people may change, how much of it, and what of it needs a second person.

They are a versioned document of the registry. Without one nothing is limited and nobody is asked. A month is one of
UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

VALID_DAYS = 14  # of a request that nobody decided, unless the rules say otherwise
APPROVAL_HOURS = 72  # in which an approved change is carried out, unless the rules say otherwise


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """The document at one version; version 0 is the one that was never written.

    `override_budgets`: by tier, how many overrides into it may be decided in a month; a tier that is not named has no
    limit. What is past the budget needs a second person, as do: a move over more than `jump_ranks_max` ranks, any move
    of a key account, a downgrade of a customer with a contract in force, a bulk of more than `bulk_rows_max` customers,
    a definition of a tier, and a change of these rules. None, or False, asks nobody.
    """

    version: int = 0
    override_budgets: Mapping[str, int] = field(default_factory=dict)
    jump_ranks_max: int | None = None
    key_accounts: bool = False
    contract_downgrades: bool = False
    bulk_rows_max: int | None = None
    tier_definitions: bool = False
    rule_changes: bool = False
    request_valid_days: int = VALID_DAYS
    approval_valid_hours: int = APPROVAL_HOURS


NO_RULES = ChangeRules()


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
