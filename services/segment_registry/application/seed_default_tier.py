"""The first start of a registry: a default tier, so that there is never a customer without one."""

from typing import Final

from services.segment_registry.application.define_tier import define_tier
from services.segment_registry.application.ports import Commander, RegistryTransaction
from services.segment_registry.domain.tiers import Tier, TierDefined

DEFAULT_TIER: Final = "standard"
DEFAULT_RANK: Final = 1_000  # leaves room for many tiers before it


async def seed_default_tier(transaction: RegistryTransaction, policy: str, commander: Commander) -> bool:
    """Define the default tier if no tier is known, with the policy given; whether it was needed."""
    if await transaction.tiers():
        return False
    draft = Tier(DEFAULT_TIER, 0, "Standard", DEFAULT_RANK, is_default=True, active=True, policy=policy)
    # Two processes may start at once: the second finds the tier defined as it wants it, or another tier.
    decision = await define_tier(transaction, draft, expected_version=None, commander=commander)
    return isinstance(decision, TierDefined)
