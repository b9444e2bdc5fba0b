"""Define tiers by date: planned now, in effect from a moment on, with every version and plan to be seen."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from services.chassis.audit.chain import AuditEntry
from services.chassis.ids import new_id
from services.segment_registry.application.define_tier import define_tier
from services.segment_registry.application.ports import (
    ByRequest,
    Cause,
    Commander,
    RegistryReader,
    RegistryTransaction,
    TierLock,
    TierOfTime,
)
from services.segment_registry.domain.change_requests import ChangeRequest
from services.segment_registry.domain.planned_tiers import PlannedTier, PlanRefusal, refusal_of_plan
from services.segment_registry.domain.second_person import Need, SecondPersonNeeded
from services.segment_registry.domain.tiers import Tier, TierDefined, TierRefusal, TierRefused

VERSIONS_MAX: Final = 100  # of one answer, the newest
REQUESTS_OF_TIER_MAX: Final = 50  # of one answer, the oldest; the list of change requests has all


@dataclass(frozen=True, slots=True)
class PlanRefused:
    """Nothing was altered."""

    reason: PlanRefusal


@dataclass(frozen=True, slots=True)
class TierTimes:
    """The newest versions of a tier, the newest first, what is planned, the earliest first, and what is asked for."""

    versions: list[TierOfTime]
    plans: list[PlannedTier]
    requests: list[ChangeRequest]
    now: datetime


@dataclass(frozen=True, slots=True)
class PlanWorked:
    """A plan of a tier whose moment came: `changed` versions were made; None where it could not be, by `refusal`."""

    tier: str
    changed: int | None
    refusal: str | None = None


async def plan_tier(
    transaction: RegistryTransaction,
    definition: Tier,
    effective_from: datetime,
    commander: Commander,
    *,
    expected_version: int | None = None,
    approved: bool = False,
) -> PlannedTier | PlanRefused | TierRefused | SecondPersonNeeded:
    """Plan a definition of a tier, one that exists or a new one; `expected_version` as where one is defined."""
    known = await transaction.lock_tiers(TierLock.EXCLUSIVE)
    now = await transaction.now()
    former = known.get(definition.tier)
    if expected_version is not None and expected_version != (former.version if former else 0):
        return TierRefused(TierRefusal.VERSION_MISMATCH, former)
    refusal = refusal_of_plan(await transaction.tier_plans(definition.tier), effective_from, now)
    if refusal is not None:
        return PlanRefused(refusal)
    if not approved and (await transaction.change_rules()).tier_definitions:
        return SecondPersonNeeded((Need.TIER_DEFINITION,))
    plan = PlannedTier(definition, effective_from, commander.author, now, *(commander.by or ()))
    await transaction.save_tier_plan(plan)
    await transaction.append_audit([_entry(plan, commander.author, "tier.planned")], now)
    return plan


async def withdraw_plan(
    transaction: RegistryTransaction,
    tier: str,
    effective_from: datetime,
    commander: Commander,
    *,
    approved: bool = False,
) -> PlannedTier | PlanRefused | SecondPersonNeeded:
    """Withdraw what is planned for a tier at a moment; it takes as many people as to plan it."""
    await transaction.lock_tiers(TierLock.EXCLUSIVE)
    found = [each for each in await transaction.tier_plans(tier) if each.effective_from == effective_from]
    if not found:
        return PlanRefused(PlanRefusal.PLAN_UNKNOWN)
    if not approved and (await transaction.change_rules()).tier_definitions:
        return SecondPersonNeeded((Need.TIER_DEFINITION,))
    now = await transaction.now()
    await transaction.drop_tier_plan(tier, effective_from)
    await transaction.append_audit([_entry(found[0], commander.author, "tier.plan_withdrawn")], now)
    return found[0]


async def tier_times(reader: RegistryReader, tier: str) -> TierTimes:
    """Versions and plans of a tier, and the change requests about it that are not closed."""
    now = await reader.now()
    requests = [
        each
        for each in await reader.requests_of_tier(tier, REQUESTS_OF_TIER_MAX)
        if each.state_at(now) is each.state  # what has expired is closed
    ]
    return TierTimes(await reader.tier_versions(tier, VERSIONS_MAX), await reader.tier_plans(tier), requests, now)


async def settle_plan(transaction: RegistryTransaction) -> PlanWorked | None:
    """Let the earliest plan that is due come into effect; None when there is none, or while a replay collects.

    One that is not possible any more is dropped with an entry in the audit trail that says why.
    """
    if await transaction.collecting():
        return None
    if await transaction.due_tier_plan(await transaction.now()) is None:
        return None
    await transaction.lock_tiers(TierLock.EXCLUSIVE)
    now = await transaction.now()
    plan = await transaction.due_tier_plan(now)
    if plan is None:
        return None
    start = str(new_id())
    by = None if plan.request_id is None else ByRequest(plan.request_id, plan.approver)
    commander = Commander(plan.author, Cause(start, start), by)
    await transaction.drop_tier_plan(plan.definition.tier, plan.effective_from)
    outcome = await define_tier(transaction, plan.definition, expected_version=None, commander=commander, approved=True)
    if isinstance(outcome, TierRefused):
        entry = _entry(plan, plan.author, "tier.plan_failed", refusal=outcome.reason)
        await transaction.append_audit([entry], now)
        return PlanWorked(plan.definition.tier, None, outcome.reason)
    return PlanWorked(plan.definition.tier, len(outcome.changed) if isinstance(outcome, TierDefined) else 0)


def _entry(plan: PlannedTier, author: str, action: str, *, refusal: str | None = None) -> AuditEntry:
    tier = plan.definition
    detail = {
        "effective_from": plan.effective_from,
        "name": tier.name,
        "priority_rank": tier.priority_rank,
        "is_default": tier.is_default,
        "active": tier.active,
        "policy": orjson.Fragment(tier.policy),
    }
    if refusal is not None:
        detail["refusal"] = refusal
    return AuditEntry(author, action, tier.tier, detail)
