"""Lanes, locations, quotas and tiers, kept in memory under one version number.

Who changes one of them calls `raise_version` in the same transaction; a decision reads the number in its own.
"""

from typing import Any, Final

import orjson

from services.atp.application.ports import Configuration, EffectiveQuota
from services.atp.domain.model import Offer, Quota, Tier
from services.chassis.database import Connection

_VERSION: Final = "SELECT version FROM configuration"
_RAISE: Final = "UPDATE configuration SET version = version + 1"
_TIERS: Final = "SELECT tier, version, priority_rank, is_default, policy FROM tier ORDER BY tier"
_OFFERS: Final = """
SELECT zone, location_id, service, carrier_class, rank, processing_days, transit_days,
       cost_shipment_minor, cost_unit_minor
FROM lane JOIN location USING (location_id) WHERE lane.active AND location.active
ORDER BY zone, rank, location_id, service
"""
_QUOTAS: Final = """
SELECT quota_id, document_id, document_version, start_day, end_day, quantity, tier, item_id, zone, channel,
       effective_from, effective_to
FROM quota ORDER BY quota_id
"""
_ANY_PROTECTION: Final = "SELECT EXISTS (SELECT FROM protection)"

# Serves customers until the registry was heard of; ranks behind every tier that the registry defines.
TIER_BEFORE_ANY: Final = Tier("default", priority_rank=1_000_000, policy_version=1)
_POLICY_FIELDS: Final = (
    "lead_time_days",
    "split_allowed",
    "as_soon_as_possible",
    "lateness_penalty_minor",
    "split_penalty_minor",
    "backorder_penalty_minor",
)


class ConfigurationCache:
    """The configuration of one process, read again when its version moved."""

    def __init__(self) -> None:
        self._held: Configuration | None = None

    async def current(self, connection: Connection) -> Configuration:
        """The configuration at the version that this transaction sees."""
        version: int = await connection.fetchval(_VERSION)
        held = self._held
        if held is None or held.version != version:
            self._held = held = await _read(connection, version)
        return held


async def raise_version(connection: Connection) -> None:
    """Tell all processes that the configuration changed, once this transaction has committed."""
    await connection.execute(_RAISE)


async def _read(connection: Connection, version: int) -> Configuration:
    tiers: dict[str, Tier] = {}
    default = TIER_BEFORE_ANY
    for row in await connection.fetch(_TIERS):
        tier = _tier(row["tier"], row["version"], row["priority_rank"], orjson.loads(row["policy"]))
        tiers[tier.tier] = tier
        if row["is_default"]:
            default = tier
    offers: dict[str, tuple[Offer, ...]] = {}
    for zone, *offer in await connection.fetch(_OFFERS):
        offers[zone] = (*offers.get(zone, ()), Offer(*offer))
    quotas = [
        EffectiveQuota(Quota(*quota), effective_from, effective_to)
        for *quota, effective_from, effective_to in await connection.fetch(_QUOTAS)
    ]
    protections: bool = await connection.fetchval(_ANY_PROTECTION)
    return Configuration(version, tiers, default, offers, tuple(quotas), protections)


def _tier(tier: str, version: int, rank: int, policy: dict[str, Any]) -> Tier:
    known = {name: policy[name] for name in _POLICY_FIELDS if name in policy}
    return Tier(tier, rank, version, carrier_classes=tuple(policy.get("carrier_classes", ())), **known)
