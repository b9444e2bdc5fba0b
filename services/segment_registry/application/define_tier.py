"""Define a tier with its service policy, or change it whole."""

import orjson

from services.chassis.audit.chain import AuditEntry
from services.chassis.outbox import Lane
from services.segment_registry.application.ports import Commander, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import tier_policy
from services.segment_registry.domain import tiers
from services.segment_registry.domain.second_person import Need, SecondPersonNeeded
from services.segment_registry.domain.tiers import Tier, TierDefined, TierRefused, TierUnchanged


async def define_tier(
    transaction: RegistryTransaction,
    draft: Tier,
    *,
    expected_version: int | None,
    commander: Commander,
    approved: bool = False,
) -> TierDefined | TierUnchanged | TierRefused | SecondPersonNeeded:
    """Define a tier; the version of `draft` is ignored, `expected_version` as in the domain."""
    known = await transaction.lock_tiers(TierLock.EXCLUSIVE)
    now = await transaction.now()
    in_use = not draft.active and await transaction.tier_in_use(draft.tier, now)
    decision = tiers.define_tier(known, draft, expected_version=expected_version, in_use=in_use)
    if isinstance(decision, TierDefined) and not approved and (await transaction.change_rules()).tier_definitions:
        return SecondPersonNeeded((Need.TIER_DEFINITION,))
    if isinstance(decision, TierDefined):
        await transaction.save_tiers(decision.changed, commander, now)
        await transaction.publish([tier_policy(tier, commander.cause, now) for tier in decision.changed], Lane.URGENT)
        await transaction.append_audit([_entry(tier, commander.author) for tier in decision.changed], now)
    return decision


def _entry(tier: Tier, author: str) -> AuditEntry:
    detail = {
        "version": tier.version,
        "name": tier.name,
        "priority_rank": tier.priority_rank,
        "is_default": tier.is_default,
        "active": tier.active,
        "policy": orjson.Fragment(tier.policy),
    }
    return AuditEntry(author, "tier.defined", tier.tier, detail)
