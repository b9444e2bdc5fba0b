"""Which changes need a second person, by the rules of change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.moves import Move
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.tiers import Tier, default_tier


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


def needs_of_move(
    rules: ChangeRules, customer: Customer, tiers: Mapping[str, Tier], move: Move, at: datetime
) -> tuple[Need, ...]:
    """Why a move needs a second person, in the order of `Need`; `at` says which contracts are in force."""
    former = tiers[move.from_tier or default_tier(tiers).tier]
    wanted = tiers[move.to_tier]
    if former == wanted:
        return ()
    needs = []
    if rules.jump_ranks_max is not None and _ranks_between(tiers, former, wanted) > rules.jump_ranks_max:
        needs.append(Need.JUMP)
    if rules.key_accounts and customer.record.strategic:
        needs.append(Need.KEY_ACCOUNT)
    contract = customer.record.contract
    downgrade = wanted.priority_rank > former.priority_rank
    if rules.contract_downgrades and downgrade and contract is not None and contract.in_force(at):
        needs.append(Need.CONTRACT_DOWNGRADE)
    return tuple(needs)


def needs_of_record(rules: ChangeRules, customer: Customer, record: CustomerRecord, at: datetime) -> tuple[Need, ...]:
    """Why another golden record needs a second person: it takes away what guards the customer's moves."""
    needs = []
    if rules.key_accounts and customer.record.strategic and not record.strategic:
        needs.append(Need.KEY_ACCOUNT)
    contract = customer.record.contract
    if rules.contract_downgrades and contract is not None and contract.in_force(at) and record.contract != contract:
        needs.append(Need.CONTRACT_DOWNGRADE)
    return tuple(needs)


def _ranks_between(tiers: Mapping[str, Tier], one: Tier, other: Tier) -> int:
    """How many ranks apart two tiers are, counted over those that take customers."""
    low, high = sorted((one.priority_rank, other.priority_rank))
    return 1 + sum(low < tier.priority_rank < high for tier in tiers.values() if tier.active)
