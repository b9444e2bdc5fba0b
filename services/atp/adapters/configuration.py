"""Lanes, locations, quotas and tiers, kept in memory under one version number.

Who changes one of them calls `raise_version` in the same transaction; a decision reads the number in its own.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

import orjson

from services.atp.application.content import micro_of, plain
from services.atp.application.ports import Configuration, EffectiveQuota
from services.atp.domain.model import Offer, Quota, Tier
from services.atp.domain.validation_rules import ValidationRules
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
_DOCK_TO_STOCK: Final = "SELECT location_id, dock_to_stock_days FROM location WHERE dock_to_stock_days > 0"
_ANY_PROTECTION: Final = "SELECT EXISTS (SELECT FROM protection)"
ANY_BLOCK: Final = "SELECT EXISTS (SELECT FROM customer_block)"  # of a customer, set or lifted

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
_QUANTITY_LIMITS: Final = ("line_quantity_max", "order_quantity_max")
_VALUE_LIMITS: Final = ("line_value_max", "order_value_min", "order_value_max")
_PERMITTED: Final = ("permitted_items", "permitted_item_groups", "permitted_channels", "permitted_zones")
NOTHING_VALIDATED: Final = ValidationRules()


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
    dock_to_stock = {row["location_id"]: row["dock_to_stock_days"] for row in await connection.fetch(_DOCK_TO_STOCK)}
    blocks: bool = await connection.fetchval(ANY_BLOCK)
    return Configuration(version, tiers, default, offers, tuple(quotas), protections, dock_to_stock, blocks)


def _tier(tier: str, version: int, rank: int, policy: dict[str, Any]) -> Tier:
    known = {name: policy[name] for name in _POLICY_FIELDS if name in policy}
    classes = tuple(policy.get("carrier_classes", ()))
    return Tier(tier, rank, version, carrier_classes=classes, validation=_validation(policy.get("validation")), **known)


def _validation(policy: dict[str, Any] | None) -> ValidationRules | None:
    if policy is None:
        return None
    limits = {name: policy.get(name) for name in _VALUE_LIMITS}
    values: dict[str, Any] = {
        f"{name}_micro": None if text is None else micro_of(plain(Decimal(text))) for name, text in limits.items()
    }
    quantities: dict[str, Any] = {name: policy.get(name) for name in _QUANTITY_LIMITS}
    lists: dict[str, Any] = {name: tuple(policy.get(name, ())) for name in _PERMITTED}
    rules = ValidationRules(**quantities, **values, **lists)
    return None if rules == NOTHING_VALIDATED else replace(rules, held=tuple(policy.get("held", ())))
