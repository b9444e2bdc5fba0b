"""Traces of orders, priority acts and what tiers are to get, in PostgreSQL; and the sums that detection looks at.

Whoever writes a row first has written it: each is told by one record alone. Sums join the orders as they stand, so
that a merge or a cancellation counts at the next look.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import asyncpg

from services.chassis.arrays import flags, text_array, texts
from services.chassis.database import Connection
from services.reclassifier.domain.detections import Limits
from services.reclassifier.domain.splits import Sized
from services.reclassifier.domain.traces import Act, TierTerms, Trace
from services.reclassifier.domain.workarounds import Entered, UsersActs

ROWS_MAX: Final = 200_000  # sums of one question: about 100 MB while they are looked at; what is beyond is not
KEEP_DAYS: Final = 100  # the longest window, and a week for whoever is late

_ADD_TRACES: Final = f"""
INSERT INTO order_trace (source, order_id, ordered_at, tier, zone, channel, entered_by, in_full, quota_reached)
SELECT * FROM unnest({text_array(1)}, {text_array(2)}, {text_array(3)}::timestamptz[], {text_array(4)}, {text_array(5)},
    {text_array(6)}, {text_array(7)}, $8::text::bool[], $9::text::bool[])
    AS given (source, order_id, ordered_at, tier, zone, channel, entered_by, in_full, quota)
ORDER BY source COLLATE "C", order_id COLLATE "C"
ON CONFLICT DO NOTHING
"""  # noqa: S608 - constants
_ADD_ACTS: Final = """
INSERT INTO priority_act (source, order_id, sequence, kind, actor, acted_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[])
    AS given (source, order_id, sequence, kind, actor, acted_at)
ORDER BY source COLLATE "C", order_id COLLATE "C", sequence
ON CONFLICT DO NOTHING
"""
_SAVE_TERMS: Final = """
INSERT INTO tier_terms AS known VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tier) DO UPDATE SET version = excluded.version, rank = excluded.rank,
    in_full_target_bp = excluded.in_full_target_bp, on_time_target_bp = excluded.on_time_target_bp,
    order_quantity_max = excluded.order_quantity_max, order_value_max_micros = excluded.order_value_max_micros
WHERE known.version < excluded.version
"""
_ENTERED: Final = """
WITH named AS MATERIALIZED (
    SELECT DISTINCT o.owner FROM order_trace t JOIN recorded_order o USING (source, order_id)
    WHERE ordered_at > $1 AND ordered_at <= $2 AND entered_by IS NOT NULL
)
SELECT t.entered_by, o.owner, t.zone, t.tier, count(*) AS orders
FROM order_trace t JOIN recorded_order o USING (source, order_id) JOIN named USING (owner)
WHERE ordered_at > $1 AND ordered_at <= $2
GROUP BY t.entered_by, o.owner, t.zone, t.tier
ORDER BY t.entered_by, o.owner, t.zone, t.tier LIMIT $3
"""
_ACTS: Final = """
WITH acted AS MATERIALIZED (
    SELECT actor, count(*) AS acts, count(DISTINCT (source, order_id)) AS orders FROM priority_act
    WHERE acted_at > $1 AND acted_at <= $2 GROUP BY actor ORDER BY acts DESC, actor LIMIT $3
), desk AS (
    SELECT entered_by, count(*) AS entered FROM order_trace
    WHERE ordered_at > $1 AND ordered_at <= $2 AND entered_by IN (SELECT actor FROM acted) GROUP BY entered_by
)
SELECT actor, acts, orders, coalesce(entered, 0) FROM acted LEFT JOIN desk ON entered_by = actor
ORDER BY acts DESC, actor
"""
_SIZED: Final = """
WITH traced AS MATERIALIZED (
    SELECT t.*, o.owner, o.ordered_units, o.ordered_value_micros,
        o.reference_system || '/' || o.reference_id || '/' || t.channel AS named
    FROM order_trace t JOIN recorded_order o USING (source, order_id)
    WHERE ordered_at > $1 AND ordered_at <= $2 AND NOT o.cancelled
), short AS MATERIALIZED (SELECT owner, entered_by FROM traced WHERE quota_reached)
SELECT traced.* FROM traced LEFT JOIN tier_terms m USING (tier)
WHERE ordered_units * 100 >= m.order_quantity_max * $3 OR ordered_value_micros * 100 >= m.order_value_max_micros * $3
    OR owner IN (SELECT owner FROM short)
    OR entered_by IN (SELECT entered_by FROM short WHERE entered_by IS NOT NULL)
ORDER BY owner, ordered_at, source, order_id LIMIT $4
"""


async def add_traces(connection: Connection, traces: Sequence[Trace]) -> None:
    """Store what is not stored yet."""
    if traces:
        await connection.execute(
            _ADD_TRACES,
            texts([one.key.source for one in traces]),
            texts([one.key.order_id for one in traces]),
            texts([one.ordered_at.isoformat() for one in traces]),
            texts([one.tier for one in traces]),
            texts([one.zone for one in traces]),
            texts([one.channel for one in traces]),
            texts([one.entered_by for one in traces]),
            flags([one.in_full for one in traces]),
            flags([one.quota_reached for one in traces]),
        )


async def add_acts(connection: Connection, acts: Sequence[Act]) -> None:
    """Store what is not stored yet."""
    rows = [(*one.key, one.sequence, one.kind, one.user, one.at) for one in acts]
    if rows:
        await connection.execute(_ADD_ACTS, *(list(column) for column in zip(*rows, strict=True)))


async def save_terms(connection: Connection, terms: Sequence[TierTerms]) -> None:
    """Store what is newer than what is known; there are few tiers."""
    for one in terms:
        value = one.order_value_max_micros
        await connection.execute(
            _SAVE_TERMS,
            one.tier,
            one.version,
            one.rank,
            one.in_full_target_bp,
            one.on_time_target_bp,
            one.order_quantity_max,
            None if value is None else Decimal(value),
        )


async def load_terms(connection: Connection) -> dict[str, TierTerms]:
    """All tiers that were published."""
    return {row["tier"]: _terms(row) for row in await connection.fetch("SELECT * FROM tier_terms ORDER BY tier")}


async def load_entered(connection: Connection, now: datetime, limits: Limits) -> list[Entered]:
    """All orders of those of whose orders any names a user."""
    rows = await connection.fetch(_ENTERED, _since(now, limits), now, ROWS_MAX)
    return [Entered(row["entered_by"], row["owner"], row["zone"], row["tier"], row["orders"]) for row in rows]


async def load_sized(connection: Connection, now: datetime, limits: Limits) -> list[Sized]:
    """Orders near a limit of their tier, and all of those who reached a quota."""
    rows = await connection.fetch(_SIZED, _since(now, limits), now, limits.split_near_percent, ROWS_MAX)
    return [_sized(row) for row in rows]


async def load_acts(connection: Connection, now: datetime, limits: Limits) -> list[UsersActs]:
    """By user."""
    rows = await connection.fetch(_ACTS, _since(now, limits), now, ROWS_MAX)
    return [UsersActs(*row) for row in rows]


async def forget_traces(connection: Connection, now: datetime, limit: int) -> int:
    """Delete what no window reaches any more; how many (at most `limit`)."""
    forgotten = 0
    for table, column in (("order_trace", "ordered_at"), ("priority_act", "acted_at"), ("detection", "ended_at")):
        status: str = await connection.execute(
            f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} WHERE {column} < $1 LIMIT $2)",  # noqa: S608
            now - timedelta(days=KEEP_DAYS),
            limit - forgotten,
        )
        forgotten += int(status.rpartition(" ")[2])
    return forgotten


def _since(now: datetime, limits: Limits) -> datetime:
    return now - timedelta(days=limits.window_days)


def _terms(row: asyncpg.Record) -> TierTerms:
    value: Any = row["order_value_max_micros"]
    return TierTerms(
        row["tier"],
        row["version"],
        row["rank"],
        row["in_full_target_bp"],
        row["on_time_target_bp"],
        row["order_quantity_max"],
        None if value is None else int(value),
    )


def _sized(row: asyncpg.Record) -> Sized:
    at: datetime = row["ordered_at"]
    return Sized(
        row["owner"],
        int(at.timestamp()),
        f"{row['source']}/{row['order_id']}",
        row["tier"],
        row["zone"],
        row["entered_by"],
        row["named"],
        row["ordered_units"],
        int(row["ordered_value_micros"]),
        row["quota_reached"],
    )
