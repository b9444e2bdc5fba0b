"""The projection of what is published of customers: assignments, tiers with policies, heartbeats, demand profiles.

Every consumer process of the ATP reads the topics whole; only a higher sequence (or version) changes a row, so that
any order and duplication of events ends in the same tables. An event that cannot be read is counted and left out: the
former state stays in force. Those who wait for what a changed customer waits for are asked anew.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

import orjson
import structlog

from services.atp.adapters.configuration import raise_ranks, raise_version
from services.atp.adapters.turns import mark_all_waiting, plan_customers
from services.atp.adapters.waking import TIER_CHANGED, mark_customers
from services.chassis.business_time import business_now
from services.chassis.database import Connection
from services.chassis.deliveries import Delivery
from services.contracts import catalogue
from services.contracts.segments import SegmentCurrent, SegmentHeartbeat, SegmentProfiled, TierDefined

_Sequenced = TypeVar("_Sequenced", SegmentCurrent, SegmentProfiled)
_log = structlog.get_logger(__name__)

_UPSERT_SEGMENTS: Final = """
INSERT INTO segment (customer_id, sequence, status, merged_into, assignments)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[])
ON CONFLICT (customer_id) DO UPDATE SET sequence = excluded.sequence, status = excluded.status,
    merged_into = excluded.merged_into, assignments = excluded.assignments
WHERE segment.sequence < excluded.sequence
RETURNING customer_id
"""
# Looked up one by one: a plan made while the table was small reads all of it for each batch of an import.
DROP_IDENTIFIERS: Final = """
DELETE FROM segment_identifier WHERE ctid = ANY(ARRAY(
    SELECT own.place FROM unnest($1::text[]) AS changed (customer_id) CROSS JOIN LATERAL (
        SELECT held.ctid AS place FROM segment_identifier held WHERE held.customer_id = changed.customer_id OFFSET 0
    ) own
))
"""
_ADD_IDENTIFIERS: Final = """
INSERT INTO segment_identifier (system, external_id, customer_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
ON CONFLICT (system, external_id) DO UPDATE SET customer_id = excluded.customer_id
"""
_UPSERT_PROFILES: Final = """
INSERT INTO customer_profile (customer_id, sequence, demand_profile)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])
ON CONFLICT (customer_id) DO UPDATE SET sequence = excluded.sequence, demand_profile = excluded.demand_profile
WHERE customer_profile.sequence < excluded.sequence
RETURNING customer_id
"""
_ASKED_FOR: Final = """
SELECT EXISTS (SELECT FROM tier WHERE jsonb_path_exists(policy, '$.micro_segments[*].demand_profiles[*]'))
"""
_BEATS: Final = """
INSERT INTO segment_heartbeat (partition, beat_at) SELECT * FROM unnest($1::int[], $2::timestamptz[])
ON CONFLICT (partition) DO UPDATE SET beat_at = greatest(segment_heartbeat.beat_at, excluded.beat_at)
"""
_UPSERT_TIER: Final = """
INSERT INTO tier (tier, version, priority_rank, is_default, active, policy) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tier) DO UPDATE SET version = excluded.version, priority_rank = excluded.priority_rank,
    is_default = excluded.is_default, active = excluded.active, policy = excluded.policy
WHERE tier.version < excluded.version
RETURNING true
"""
_RANKS: Final = "SELECT tier, priority_rank FROM tier WHERE tier = ANY($1::text[])"


class SegmentProjection:
    """Applies events of `segments.current.v1`, `.policies.v1` and `.profiles.v1` inside the transaction given."""

    def __init__(self, unreadable: Callable[[], None]) -> None:
        """`unreadable` is called for each event that cannot be read."""
        self._unreadable = unreadable

    async def __call__(self, connection: Connection, deliveries: Sequence[Delivery]) -> None:
        """Apply a batch, in any order."""
        segments: dict[str, SegmentCurrent] = {}
        beats: dict[int, datetime] = {}
        tiers: list[TierDefined] = []
        profiles: dict[str, SegmentProfiled] = {}
        for delivery in deliveries:
            payload = self._read(delivery)
            match payload:
                case SegmentCurrent():
                    segments[payload.customer_id] = _newer(segments.get(payload.customer_id), payload)
                case SegmentHeartbeat():
                    beats[payload.partition] = max(payload.beat_at, beats.get(payload.partition, payload.beat_at))
                case TierDefined():
                    tiers.append(payload)
                case SegmentProfiled():
                    profiles[payload.customer_id] = _newer(profiles.get(payload.customer_id), payload)
                case _:
                    continue
        if segments:
            await _store_segments(connection, [segments[key] for key in sorted(segments)])
        if beats:
            await connection.execute(_BEATS, sorted(beats), [beats[key] for key in sorted(beats)])
        if tiers:
            await _store_tiers(connection, tiers)
        if profiles:
            await _store_profiles(connection, [profiles[key] for key in sorted(profiles)])

    def _read(self, delivery: Delivery) -> object:
        event = delivery.event
        if not event.data:
            return None  # a tombstone: the value `deleted`, or the null profile, before it has done the work
        try:
            return catalogue.decode(event.type, event.data, topic=event.topic)
        except catalogue.EventRefused as error:
            self._unreadable()
            _log.error("segment_event_unreadable", type=event.type, code=error.code, detail=error.detail)
            return None


def _newer(known: _Sequenced | None, told: _Sequenced) -> _Sequenced:
    return told if known is None or known.sequence < told.sequence else known


async def _store_segments(connection: Connection, segments: Sequence[SegmentCurrent]) -> None:
    rows = await connection.fetch(
        _UPSERT_SEGMENTS,
        [each.customer_id for each in segments],
        [each.sequence for each in segments],
        [each.status for each in segments],
        [each.merged_into for each in segments],
        [orjson.dumps([one.model_dump(mode="json") for one in each.assignments]).decode() for each in segments],
    )
    applied = {row["customer_id"] for row in rows}
    changed = [each for each in segments if each.customer_id in applied]
    if not changed:
        return
    await connection.execute(DROP_IDENTIFIERS, [each.customer_id for each in changed])
    names = {
        (identifier.system, identifier.id): each.customer_id for each in changed for identifier in each.identifiers
    }
    if names:
        ordered = sorted(names)
        columns = ([system for system, _ in ordered], [name for _, name in ordered])
        await connection.execute(_ADD_IDENTIFIERS, *columns, [names[key] for key in ordered])
    now = await business_now(connection)
    await mark_customers(connection, sorted(applied), now)
    await plan_customers(connection, sorted(applied), now)


async def _store_profiles(connection: Connection, profiles: Sequence[SegmentProfiled]) -> None:
    """Write profiles; where a policy asks for any, those whose profile changed and who wait are asked anew."""
    rows = await connection.fetch(
        _UPSERT_PROFILES,
        [each.customer_id for each in profiles],
        [each.sequence for each in profiles],
        [each.demand_profile for each in profiles],
    )
    if rows and await connection.fetchval(_ASKED_FOR):
        await mark_customers(connection, sorted(row["customer_id"] for row in rows), await business_now(connection))


async def _store_tiers(connection: Connection, tiers: Sequence[TierDefined]) -> None:
    """Write tiers; whoever waits is asked anew: by another rank, another carrier class, another penalty."""
    changed = False
    rows = await connection.fetch(_RANKS, sorted({each.tier for each in tiers}))
    ranks = {row["tier"]: row["priority_rank"] for row in rows}
    moved = False
    for each in tiers:
        policy = orjson.dumps(each.policy.model_dump(mode="json")).decode()
        row = await connection.fetchrow(
            _UPSERT_TIER, each.tier, each.version, each.priority_rank, each.is_default, each.active, policy
        )
        if row is not None:
            changed = True
            moved = moved or ranks.get(each.tier) not in {None, each.priority_rank}
            ranks[each.tier] = each.priority_rank
    if changed:
        await raise_version(connection)
        if moved:
            await raise_ranks(connection)
        await mark_all_waiting(connection, await business_now(connection), TIER_CHANGED)
