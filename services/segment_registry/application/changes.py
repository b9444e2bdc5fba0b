"""What a change request can ask for, and how it is carried out once somebody else has approved it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from services.segment_registry.application.assign_tier import move_customers
from services.segment_registry.application.change_customers import CustomerUnknown
from services.segment_registry.application.define_change_rules import RulesView, define_change_rules
from services.segment_registry.application.define_tier import define_tier
from services.segment_registry.application.end_assignment import end_assignment
from services.segment_registry.application.import_customers import import_customers
from services.segment_registry.application.keep_records import ContractTierUnknown, SequenceMoved, keep_record
from services.segment_registry.application.merge_customers import merge_customers, split_customer
from services.segment_registry.application.plan_tiers import PlanRefused, plan_tier, withdraw_plan
from services.segment_registry.application.ports import Commander, RegistryReader, RegistryTransaction
from services.segment_registry.domain import tiers
from services.segment_registry.domain.change_rules import ChangeRules, RulesRefused
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.imports import ImportRow
from services.segment_registry.domain.merging import MergeDone, MergeRefused
from services.segment_registry.domain.moves import Moved, MoveRefused, MoveRequest
from services.segment_registry.domain.planned_tiers import PlannedTier, refusal_of_plan
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.domain.tiers import Tier, TierDefined, TierRefusal, TierRefused, TierUnchanged
from services.segment_registry.domain.timeline import Grounds, Unchanged


@dataclass(frozen=True, slots=True)
class MoveChange:
    """Customers that are to move, all of them or none."""

    moves: tuple[tuple[str, MoveRequest], ...]


@dataclass(frozen=True, slots=True)
class EndChange:
    """An assignment that is to end."""

    customer_id: str
    sequence: int
    reason: str


@dataclass(frozen=True, slots=True)
class ImportChange:
    """A bulk of customers."""

    rows: tuple[ImportRow, ...]


@dataclass(frozen=True, slots=True)
class TierChange:
    """A tier, whole; `base_version` is the version that its author looked at."""

    definition: Tier
    base_version: int | None
    effective_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlanWithdrawal:
    """What is planned for a tier at a moment, and is not to come into effect."""

    tier: str
    effective_from: datetime


@dataclass(frozen=True, slots=True)
class RulesChange:
    """The rules of change, whole."""

    rules: ChangeRules
    base_version: int | None


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A golden record, whole."""

    customer_id: str
    record: CustomerRecord


@dataclass(frozen=True, slots=True)
class MergeChange:
    """A duplicate that is to be merged into another customer, or (`into` None) to be split off again."""

    customer_id: str
    into: str | None
    reason: str


Change = MergeChange | MoveChange | EndChange | ImportChange | TierChange | PlanWithdrawal | RulesChange | RecordChange


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a change could not be carried out: the code that the single command gives, and for whom."""

    code: str
    customer_id: str | None = None


async def objection_to_date(reader: RegistryReader, change: Change) -> Failure | None:
    """What stands against the moment from which a definition of a tier is to be in effect, if one is named."""
    if not isinstance(change, TierChange) or change.effective_from is None:
        return None
    plans = await reader.tier_plans(change.definition.tier)
    refusal = refusal_of_plan(plans, change.effective_from, await reader.now())
    return None if refusal is None else Failure(refusal)


async def objection_to(reader: RegistryReader, change: Change) -> Failure | None:
    """What stands against a definition of a tier before anybody is asked to approve it; of other changes nothing.

    Whether it can be carried out shows when it is: the registry moves on until then.
    """
    if not isinstance(change, TierChange):
        return None
    definition, known = change.definition, await reader.tiers()
    if change.effective_from is not None:
        former = known.get(definition.tier)
        if change.base_version not in {None, former.version if former else 0}:
            return Failure(TierRefusal.VERSION_MISMATCH)
        return await objection_to_date(reader, change)
    in_use = not definition.active and await reader.tier_in_use(definition.tier, await reader.now())
    return _failure(tiers.define_tier(known, definition, expected_version=change.base_version, in_use=in_use))


async def carry_out(
    transaction: RegistryTransaction, change: Change, commander: Commander, *, approved: bool = True
) -> Failure | None:
    """Carry out a change, whole or not at all; `commander` is who proposed it. Only one of a tier may be unapproved."""
    match change:
        case MoveChange(moves):
            signed = [(customer_id, _signed(wanted, commander.author)) for customer_id, wanted in moves]
            return _failure_of_moves(await move_customers(transaction, signed, commander.cause, approved=True))
        case EndChange(customer_id, sequence, reason):
            grounds = Grounds(reason, commander.author)
            outcome = await end_assignment(transaction, customer_id, sequence, grounds, commander.cause, approved=True)
            return _failure_of_moves([(customer_id, outcome)])
        case ImportChange(rows):
            await import_customers(transaction, rows, commander, approved=True)
            return None
        case TierChange() | PlanWithdrawal():
            return await _carry_out_of_tier(transaction, change, commander, approved=approved)
        case RulesChange(rules, base_version):
            view = await define_change_rules(
                transaction, rules, expected_version=base_version, commander=commander, approved=True
            )
            return _failure(view)
        case MergeChange() | RecordChange():
            return await _carry_out_of_customer(transaction, change, commander)


async def _carry_out_of_tier(
    transaction: RegistryTransaction, change: TierChange | PlanWithdrawal, commander: Commander, *, approved: bool
) -> Failure | None:
    if isinstance(change, PlanWithdrawal):
        moment = change.effective_from
        return _failure(await withdraw_plan(transaction, change.tier, moment, commander, approved=approved))
    if change.effective_from is None:
        defined = await define_tier(
            transaction,
            change.definition,
            expected_version=change.base_version,
            commander=commander,
            approved=approved,
        )
        return _failure(defined)
    planned = await plan_tier(
        transaction,
        change.definition,
        change.effective_from,
        commander,
        expected_version=change.base_version,
        approved=approved,
    )
    return _failure(planned)


async def _carry_out_of_customer(
    transaction: RegistryTransaction, change: MergeChange | RecordChange, commander: Commander
) -> Failure | None:
    match change:
        case MergeChange(customer_id, into, reason):
            if into is None:
                done = await split_customer(transaction, customer_id, reason, commander, approved=True)
            else:
                done = await merge_customers(transaction, customer_id, into, reason, commander, approved=True)
            return _failure_of_merge(customer_id, done)
        case RecordChange(customer_id, record):
            kept = await keep_record(
                transaction, customer_id, record, expected_sequence=None, commander=commander, approved=True
            )
            return None if isinstance(kept, Customer) else _failure_of_record(customer_id, kept)


def _signed(wanted: MoveRequest, author: str) -> MoveRequest:
    return replace(wanted, grounds=replace(wanted.grounds, author=author))


def _failure_of_moves(
    outcomes: Sequence[tuple[str, Moved | Unchanged | MoveRefused | CustomerUnknown | SecondPersonNeeded]],
) -> Failure | None:
    for customer_id, outcome in outcomes:
        match outcome:
            case CustomerUnknown():
                return Failure("customer_unknown", customer_id)
            case MoveRefused(reason):
                return Failure(reason, customer_id)
            case _:
                continue
    return None


def _failure_of_merge(
    customer_id: str, outcome: MergeDone | MergeRefused | CustomerUnknown | SecondPersonNeeded
) -> Failure | None:
    if isinstance(outcome, MergeRefused):
        return Failure(outcome.reason, customer_id)
    return Failure("customer_unknown", customer_id) if isinstance(outcome, CustomerUnknown) else None


def _failure_of_record(
    customer_id: str, outcome: CustomerUnknown | ContractTierUnknown | SequenceMoved | SecondPersonNeeded
) -> Failure:
    code = "contract_tier_unknown" if isinstance(outcome, ContractTierUnknown) else "customer_unknown"
    return Failure(code, customer_id)


def _failure(
    outcome: TierDefined
    | TierUnchanged
    | TierRefused
    | PlannedTier
    | PlanRefused
    | RulesView
    | RulesRefused
    | SecondPersonNeeded,
) -> Failure | None:
    if isinstance(outcome, SecondPersonNeeded):
        return Failure("approval_required")
    reason: Enum | None = outcome.reason if isinstance(outcome, TierRefused | PlanRefused | RulesRefused) else None
    return None if reason is None else Failure(str(reason.value))
