"""Which changes need a second person, by the rules of change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.customers import Customer, served_tier
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import boundaries


class Need(StrEnum):
    """Why a second person is needed."""

    JUMP = "jump"
    KEY_ACCOUNT = "key_account"
    CONTRACT_DOWNGRADE = "contract_downgrade"
    BULK = "bulk"
    OVERRIDE_BUDGET = "override_budget"
    TIER_DEFINITION = "tier_definition"
    RULE_CHANGE = "rule_change"


@dataclass(frozen=True, slots=True)
class SecondPersonNeeded:
    """Nothing was altered: the change is to be proposed, and approved by somebody else."""

    needs: tuple[Need, ...]


class _Step(NamedTuple):
    """The tier by which a customer was served at a moment, and the one by which it would be."""

    former: Tier
    wanted: Tier
    moment: datetime


def needs_of_move(
    rules: ChangeRules, before: Customer, after: Customer, tiers: Mapping[str, Tier], at: datetime
) -> tuple[Need, ...]:
    """Why a change of a tier history needs a second person, in the order of `Need`; `at` is the moment of the change.

    Both histories are compared at every moment at which either changes, not at `at` alone: what lies below an override
    counts when that ends, and what would have ended goes on when it is replaced by what has no end.
    """
    if not _guarded(rules):
        return ()
    passed = [at, *boundaries(before.assignments), *boundaries(after.assignments)]
    steps = _steps(before, after, tiers, passed)
    found = {need for step in steps for need in _needs(rules, before.record, tiers, step, at)}
    return tuple(need for need in Need if need in found)


def needs_of_merge(
    rules: ChangeRules, duplicate: Customer, served: tuple[Customer, Customer], tiers: Mapping[str, Tier], at: datetime
) -> tuple[Need, ...]:
    """Why a merge or a split needs a second person; `served` are as whom the duplicate is served before and after it.

    It is served otherwise from `at` on, by another history, and is guarded by another record.
    """
    if not _guarded(rules):
        return ()
    before, after = served
    ahead = [each for each in (*boundaries(before.assignments), *boundaries(after.assignments)) if each > at]
    steps = _steps(before, after, tiers, [at, *ahead])
    records = (duplicate.record, before.record)
    moved = {need for step in steps for record in records for need in _needs(rules, record, tiers, step, at)}
    found = moved | dict.fromkeys(needs_of_record(rules, before, after.record, at)).keys()
    return tuple(need for need in Need if need in found)


def needs_of_record(rules: ChangeRules, customer: Customer, record: CustomerRecord, at: datetime) -> tuple[Need, ...]:
    """Why another golden record needs a second person: it takes away what guards the customer's moves."""
    needs = []
    if rules.key_accounts and customer.record.strategic and not record.strategic:
        needs.append(Need.KEY_ACCOUNT)
    contract = customer.record.contract
    if rules.contract_downgrades and contract is not None and contract.in_force(at) and record.contract != contract:
        needs.append(Need.CONTRACT_DOWNGRADE)
    return tuple(needs)


def _guarded(rules: ChangeRules) -> bool:
    return rules.jump_ranks_max is not None or rules.key_accounts or rules.contract_downgrades


def _steps(before: Customer, after: Customer, tiers: Mapping[str, Tier], moments: Sequence[datetime]) -> list[_Step]:
    return [
        _Step(tiers[served_tier(before, tiers, each).tier], tiers[served_tier(after, tiers, each).tier], each)
        for each in moments
    ]


def _needs(
    rules: ChangeRules, record: CustomerRecord, tiers: Mapping[str, Tier], step: _Step, at: datetime
) -> tuple[Need, ...]:
    """Why a customer with this record needs a second person to be served otherwise at one moment."""
    former, wanted, moment = step
    if former == wanted:
        return ()
    needs = []
    if rules.jump_ranks_max is not None and _ranks_between(tiers, former, wanted) > rules.jump_ranks_max:
        needs.append(Need.JUMP)
    if rules.key_accounts and record.strategic:
        needs.append(Need.KEY_ACCOUNT)
    contract = record.contract
    downgrade = wanted.priority_rank > former.priority_rank
    in_force = contract is not None and (contract.in_force(at) or contract.in_force(moment))
    if rules.contract_downgrades and downgrade and in_force:
        needs.append(Need.CONTRACT_DOWNGRADE)
    return tuple(needs)


def _ranks_between(tiers: Mapping[str, Tier], one: Tier, other: Tier) -> int:
    """How many ranks apart two tiers are, counted over those that take customers."""
    low, high = sorted((one.priority_rank, other.priority_rank))
    return 1 + sum(low < tier.priority_rank < high for tier in tiers.values() if tier.active)
