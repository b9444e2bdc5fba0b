"""Planned definitions of tiers in PostgreSQL."""

from datetime import datetime

import asyncpg

from services.chassis.database import Connection
from services.segment_registry.adapters.tier_rows import canonical
from services.segment_registry.application.ports import ByRequest, TierOfTime
from services.segment_registry.domain.planned_tiers import PlannedTier
from services.segment_registry.domain.tiers import Tier

_COLUMNS = (
    "tier, effective_from, name, priority_rank, is_default, active, policy::text, author, planned_at,"
    " request_id, approver"
)
_VERSION_COLUMNS = (
    "tier, version, name, priority_rank, is_default, active, policy::text, author, defined_at, request_id, approver"
)


async def plans_of(connection: Connection, tier: str) -> list[PlannedTier]:
    """What is planned for a tier, the earliest first."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM tier_planned WHERE tier = $1 ORDER BY effective_from",  # noqa: S608 - a constant
        tier,
    )
    return [_plan(row) for row in rows]


async def due_plan(connection: Connection, now: datetime) -> PlannedTier | None:
    """The earliest plan whose moment has come."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM tier_planned WHERE effective_from <= $1"  # noqa: S608 - a constant
        " ORDER BY effective_from, tier LIMIT 1",
        now,
    )
    return None if row is None else _plan(row)


async def save_plan(connection: Connection, plan: PlannedTier) -> None:
    """Store it."""
    tier = plan.definition
    await connection.execute(
        "INSERT INTO tier_planned"
        " (tier, effective_from, name, priority_rank, is_default, active, policy, author, planned_at,"
        " request_id, approver) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tier.tier,
        plan.effective_from,
        tier.name,
        tier.priority_rank,
        tier.is_default,
        tier.active,
        tier.policy,
        plan.author,
        plan.planned_at,
        plan.request_id,
        plan.approver,
    )


async def drop_plan(connection: Connection, tier: str, effective_from: datetime) -> None:
    """It came into effect, failed, or was withdrawn."""
    await connection.execute("DELETE FROM tier_planned WHERE tier = $1 AND effective_from = $2", tier, effective_from)


async def versions_of(connection: Connection, tier: str, limit: int) -> list[TierOfTime]:
    """The newest versions of a tier, the newest first."""
    rows = await connection.fetch(
        f"SELECT {_VERSION_COLUMNS} FROM tier_version"  # noqa: S608 - a constant
        " WHERE tier = $1 ORDER BY version DESC LIMIT $2",
        tier,
        limit,
    )
    return [_version(row) for row in rows]


async def version_at(connection: Connection, tier: str, at: datetime) -> TierOfTime | None:
    """The version that was in effect at a moment."""
    row = await connection.fetchrow(
        f"SELECT {_VERSION_COLUMNS} FROM tier_version"  # noqa: S608 - a constant
        " WHERE tier = $1 AND defined_at <= $2 ORDER BY version DESC LIMIT 1",
        tier,
        at,
    )
    return None if row is None else _version(row)


def _plan(row: asyncpg.Record) -> PlannedTier:
    by = _by(row) or (None, None)
    return PlannedTier(_tier(row, 0), row["effective_from"], row["author"], row["planned_at"], *by)


def _version(row: asyncpg.Record) -> TierOfTime:
    return TierOfTime(_tier(row, row["version"]), row["author"], row["defined_at"], _by(row))


def _by(row: asyncpg.Record) -> ByRequest | None:
    return None if row["request_id"] is None else ByRequest(str(row["request_id"]), row["approver"])


def _tier(row: asyncpg.Record, version: int) -> Tier:
    return Tier(
        row["tier"],
        version,
        row["name"],
        row["priority_rank"],
        row["is_default"],
        row["active"],
        canonical(row["policy"]),
    )
