"""Bookable daily capacity as rows: read with the configuration, written by documents, its counters under a gate.

A capacity is of a location and a service, or of all its services together (`capacity_name`); documents say, one after
another, how much it is. Its counters by ship day are rows of `usage`; whoever reads them to change them holds the
capacity's row in `capacity_gate`, which is the last lock of a batch. A counter that is missing is 0, for every day.

What was booked before a document named the capacity, or a tier's share of it, is counted when the document is written:
that is the one time when the ledger is read for it. No decision runs meanwhile that does not know the capacity
(`services.atp.adapters.configuration.change_alone`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from services.atp.application.capacities import BEHIND_ALL, EffectiveCapacity, tier_counter
from services.atp.application.planning import CapacityRow, DocumentHead
from services.atp.domain.model import Capacity, CapacityShare, Day, UsageKey
from services.chassis.database import Connection

_CAPACITIES: Final = """
SELECT capacity_id, location_id, service, weekdays, exceptions, shares, effective_from, effective_to
FROM capacity WHERE effective_to IS NULL OR effective_to > effective_from ORDER BY capacity_id, effective_from
"""
_RANKS: Final = "SELECT tier, priority_rank FROM tier"
_LOCK: Final = """
SELECT coalesce((SELECT at FROM business_clock.replay), clock_timestamp()) AS now
FROM (
    SELECT count(*) AS number FROM (
        SELECT FROM capacity_gate WHERE capacity_id = ANY($1::text[]) ORDER BY capacity_id FOR NO KEY UPDATE
    ) AS held
) AS whole WHERE number >= 0
"""
_COUNTERS: Final = """
SELECT limit_id, period_start, consumed FROM usage
WHERE kind = 'capacity' AND limit_id = ANY($1::text[]) AND period_start >= $2 AND consumed <> 0
"""
_END: Final = """
UPDATE capacity SET effective_to = greatest($3, effective_from)
WHERE document_id = $1 AND document_version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_ADD: Final = """
INSERT INTO capacity (document_id, document_version, capacity_id, location_id, service, weekdays, exceptions, shares,
    effective_from)
SELECT $1, $2, a, b, c, ARRAY(SELECT jsonb_array_elements_text(d)::bigint), e, f, $3
FROM unnest($4::text[], $5::text[], $6::text[], $7::jsonb[], $8::jsonb[], $9::jsonb[]) AS k (a, b, c, d, e, f)
"""
_GATES: Final = """
INSERT INTO capacity_gate (capacity_id) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING
"""
# Of a commitment that is booked already nothing is counted twice; days that are over bind nobody any more.
_BOOK: Final = """
WITH named AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (limit_id, location_id, service, tier)
), booked AS (
    SELECT c.promise_id, c.line, c.part, c.ship_day, n.limit_id, c.open + c.shipped AS quantity
    FROM named n JOIN commitment c ON c.location_id = n.location_id AND (n.service IS NULL OR c.service = n.service)
        AND (n.tier IS NULL OR c.tier = n.tier)
    WHERE c.ship_day >= $5 AND c.open + c.shipped > 0 AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(c.postings) AS posting
        WHERE posting ->> 0 = 'capacity' AND posting ->> 1 = n.limit_id
    )
), posted AS (
    UPDATE commitment c SET postings = coalesce(c.postings, '[]'::jsonb) || b.postings
    FROM (
        SELECT promise_id, line, part,
            jsonb_agg(jsonb_build_array('capacity', limit_id, ship_day, quantity, 'own') ORDER BY limit_id) AS postings
        FROM booked GROUP BY promise_id, line, part
    ) AS b
    WHERE c.promise_id = b.promise_id AND c.line = b.line AND c.part = b.part
)
INSERT INTO usage (kind, limit_id, period_start, consumed)
SELECT 'capacity', limit_id, ship_day, sum(quantity)::bigint FROM booked GROUP BY limit_id, ship_day ORDER BY 2, 3
ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = usage.consumed + excluded.consumed
"""
_LOCATIONS_OF: Final = """
SELECT DISTINCT location_id FROM capacity WHERE document_id = $1 AND (effective_to IS NULL OR effective_to > $2)
"""
_COUNTED: Final = """
SELECT DISTINCT capacity_id, share ->> 'tier' AS tier
FROM capacity LEFT JOIN LATERAL jsonb_array_elements(shares) AS share ON true
WHERE effective_to IS NULL OR effective_to > $1
"""
_ITEMS_AT: Final = """
SELECT DISTINCT b.item_id FROM backorder b JOIN position p ON p.item_id = b.item_id AND p.location_id = ANY($1::text[])
ORDER BY 1
"""


async def read_capacities(connection: Connection) -> dict[str, tuple[EffectiveCapacity, ...]]:
    """All that is bookable, or will be, by location."""
    rows = await connection.fetch(_CAPACITIES)
    ranks = {row["tier"]: row["priority_rank"] for row in await connection.fetch(_RANKS)} if rows else {}
    found: dict[str, tuple[EffectiveCapacity, ...]] = {}
    for row in rows:
        capacity = Capacity(
            row["capacity_id"],
            row["location_id"],
            row["service"],
            tuple(row["weekdays"]),
            tuple((day, units) for day, units in orjson.loads(row["exceptions"])),
            tuple(_share(each, ranks) for each in orjson.loads(row["shares"])),
        )
        own = EffectiveCapacity(capacity, row["effective_from"], row["effective_to"])
        found[capacity.location_id] = (*found.get(capacity.location_id, ()), own)
    return found


def _share(fields: Mapping[str, Any], ranks: Mapping[str, int]) -> CapacityShare:
    rank = ranks.get(fields["tier"], BEHIND_ALL)  # kept for a tier that nobody knows, it restricts nobody
    return CapacityShare(fields["tier"], rank, fields["quantity"], fields["mode"], fields["lapse_days"])


async def lock_capacities(connection: Connection, capacity_ids: Sequence[str]) -> datetime:
    """Lock capacities that exist, in order of their ids; the business time once all are held."""
    now: datetime = await connection.fetchval(_LOCK, list(capacity_ids))
    return now


async def capacity_counters(connection: Connection, limit_ids: Sequence[str], today: Day) -> dict[UsageKey, int]:
    """What is booked of capacities and shares, for all days from today on; a day without a booking is left out."""
    rows = await connection.fetch(_COUNTERS, list(limit_ids), today)
    return {UsageKey("capacity", row["limit_id"], row["period_start"]): row["consumed"] for row in rows}


async def write_capacities(
    connection: Connection, head: DocumentHead, version: int, effective_from: datetime, rows: Sequence[CapacityRow]
) -> None:
    """Write the rows of a document's version and end those of the former ones.

    Raises:
        asyncpg.ExclusionViolationError: another document says how much one of them is.
    """
    await connection.execute(_END, head.document_id, version, effective_from)
    await connection.execute(
        _ADD,
        head.document_id,
        version,
        effective_from,
        [row.capacity_id for row in rows],
        [row.location_id for row in rows],
        [row.service for row in rows],
        [orjson.dumps(row.weekdays).decode() for row in rows],
        [orjson.dumps(row.exceptions).decode() for row in rows],
        [orjson.dumps([share._asdict() for share in row.shares]).decode() for row in rows],
    )
    await connection.execute(_GATES, [row.capacity_id for row in rows])


async def counted_names(connection: Connection, at: datetime) -> dict[str, None]:
    """The counters of capacities and shares that are in effect or will be: they are right."""
    found: dict[str, None] = {}
    for row in await connection.fetch(_COUNTED, at):
        found[row["capacity_id"]] = None
        if row["tier"] is not None:
            found[tier_counter(row["capacity_id"], row["tier"])] = None
    return found


async def count_booked(
    connection: Connection, rows: Sequence[CapacityRow], known: Mapping[str, None], today: Day
) -> None:
    """Count what is booked of capacities and shares that were not counted; the commitments get their postings."""
    named: list[tuple[str, str, str | None, str | None]] = []
    for row in rows:
        named.append((row.capacity_id, row.location_id, row.service, None))
        named += [
            (tier_counter(row.capacity_id, share.tier), row.location_id, row.service, share.tier)
            for share in row.shares
        ]
    new = [each for each in named if each[0] not in known]
    if new:
        await connection.execute(_BOOK, *(list(column) for column in zip(*new, strict=True)), today)


async def locations_of(
    connection: Connection, document_id: str, rows: Sequence[CapacityRow], at: datetime
) -> list[str]:
    """The locations that a document names, and those that it named until now."""
    former = [row["location_id"] for row in await connection.fetch(_LOCATIONS_OF, document_id, at)]
    return sorted({*former, *(row.location_id for row in rows)})


async def items_awaited_at(connection: Connection, locations: Sequence[str]) -> list[str]:
    """The items that somebody waits for and that have a position at one of the locations."""
    return [row["item_id"] for row in await connection.fetch(_ITEMS_AT, list(locations))]
