"""Tiers in PostgreSQL: the current ones in `tier`, every version ever defined in `tier_version`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson

from services.chassis.database import Connection
from services.segment_registry.application.ports import Commander, TierLock, TierVersion
from services.segment_registry.domain.tier_cards import TierCard
from services.segment_registry.domain.tiers import Tier

# The tiers are locked as a whole by an advisory lock: row locks shared by every assignment would write to the row.
_LOCK_ID: Final = 4_217_101  # any number that no other advisory lock here uses
# Those whose assignment in force, an override before a normal one, is of the tier; with the default tier also those
# that are in none. Overrides and merged customers are few, so that each table is read once.
_SERVED: Final = """
WITH held AS (
    SELECT customer_id, kind, tier FROM assignment a WHERE superseded_at IS NULL
    AND effective_from <= $2 AND (effective_to IS NULL OR effective_to > $2)
    AND NOT EXISTS (SELECT FROM customer c WHERE c.customer_id = a.customer_id AND c.merged_into IS NOT NULL)
), served AS (
    SELECT customer_id, tier FROM held WHERE kind = 'override'
    UNION ALL
    SELECT customer_id, tier FROM held a WHERE kind = 'assigned'
    AND NOT EXISTS (SELECT FROM held o WHERE o.kind = 'override' AND o.customer_id = a.customer_id)
)
SELECT (SELECT count(*) FROM served WHERE tier = $1)
    + CASE WHEN (SELECT is_default FROM tier WHERE tier = $1)
        THEN (SELECT count(*) FROM customer WHERE merged_into IS NULL) - (SELECT count(*) FROM served)
        ELSE 0 END
"""
_LOCKS: Final = {
    TierLock.SHARED: "SELECT pg_advisory_xact_lock_shared($1)",
    TierLock.EXCLUSIVE: "SELECT pg_advisory_xact_lock($1)",
}


async def lock_tiers(connection: Connection, lock: TierLock) -> dict[str, Tier]:
    """All tiers as they are once the lock is held."""
    await connection.execute(_LOCKS[lock], _LOCK_ID)
    return await load_tiers(connection)


async def load_tiers(connection: Connection) -> dict[str, Tier]:
    """All tiers by rank."""
    rows = await connection.fetch(
        "SELECT tier, version, name, priority_rank, is_default, active, policy::text FROM tier ORDER BY priority_rank"
    )
    return {row["tier"]: Tier(**{**row, "policy": canonical(row["policy"])}) for row in rows}


def canonical(policy: str | bytes) -> str:
    """The one way to write a policy: PostgreSQL gives jsonb back with blanks and an order of its own."""
    return orjson.dumps(orjson.loads(policy), option=orjson.OPT_SORT_KEYS).decode()


async def save_tiers(connection: Connection, tiers: Sequence[Tier], commander: Commander, at: datetime) -> None:
    """Store new versions one after another: a former default must lose the mark before another gets it."""
    request_id, approver = commander.by or (None, None)
    for tier in tiers:
        values = (
            tier.tier,
            tier.version,
            tier.name,
            tier.priority_rank,
            tier.is_default,
            tier.active,
            tier.policy,
        )
        await connection.execute(
            "INSERT INTO tier (tier, version, name, priority_rank, is_default, active, policy)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tier) DO UPDATE"
            " SET version = excluded.version, name = excluded.name, priority_rank = excluded.priority_rank,"
            " is_default = excluded.is_default, active = excluded.active, policy = excluded.policy",
            *values,
        )
        await connection.execute(
            "INSERT INTO tier_version"
            " (tier, version, name, priority_rank, is_default, active, policy, author, defined_at,"
            " request_id, approver) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            *values,
            commander.author,
            at,
            request_id,
            approver,
        )


async def tier_in_use(connection: Connection, tier: str, at: datetime) -> bool:
    """Whether an assignment to the tier is in force at that moment or planned after it."""
    used: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM assignment WHERE tier = $1 AND superseded_at IS NULL"
        " AND (effective_to IS NULL OR effective_to > $2))",
        tier,
        at,
    )
    return used


async def default_tier_at(connection: Connection, at: datetime) -> str:
    """The tier that was the default at a moment; before the first definition, the first one."""
    found: str | None = await connection.fetchval(
        "SELECT tier FROM (SELECT DISTINCT ON (tier) tier, is_default FROM tier_version WHERE defined_at <= $1"
        " ORDER BY tier, version DESC) AS defined WHERE is_default",
        at,
    )
    if found is not None:
        return found
    first: str = await connection.fetchval(
        "SELECT tier FROM tier_version WHERE is_default ORDER BY defined_at, version LIMIT 1"
    )
    return first


async def customers_in_tier(connection: Connection, tier: str, at: datetime) -> int:
    """How many customers are served by the tier: those of the default tier too, and merged ones as who they are."""
    count: int = await connection.fetchval(_SERVED, tier, at)
    return count


async def newest_version(connection: Connection, tier: str) -> TierVersion | None:
    """Who defined the newest version when."""
    row = await connection.fetchrow(
        "SELECT version, author, defined_at FROM tier_version WHERE tier = $1 ORDER BY version DESC LIMIT 1", tier
    )
    return None if row is None else TierVersion(row["version"], row["author"], row["defined_at"])


async def load_cards(connection: Connection) -> dict[str, TierCard]:
    """The cards of the tiers that have one."""
    rows = await connection.fetch("SELECT tier, owner, codes FROM tier_card ORDER BY tier")
    return {row["tier"]: TierCard(row["owner"], orjson.loads(row["codes"])) for row in rows}


async def save_card(connection: Connection, tier: str, card: TierCard) -> None:
    """Store it whole."""
    await connection.execute(
        "INSERT INTO tier_card (tier, owner, codes) VALUES ($1, $2, $3)"
        " ON CONFLICT (tier) DO UPDATE SET owner = excluded.owner, codes = excluded.codes",
        tier,
        card.owner,
        orjson.dumps(dict(card.codes)).decode(),
    )
