"""The ledger against the aggregates that decisions read: verify, and rebuild what drifted.

Recomputed, in linear time, from rows that are written once and only closed later:

- on hand from the changes of all entries of the supply ledger;
- commitments by day from what is open of each commitment, and from what transfers have still to ship;
- receipts by day from scheduled receipts and transfers (what is still to come) and from open commitments on assumed
  supply;
- stock that is not available from the changes of all entries of its ledger;
- counters of protections, quotas and nodes from the postings of commitments; of what was shipped in the period of a
  protection that depends on gross supply, while it is in force, from the supply ledger.

A drift is a bug of this program or a hand in the database; the gauge `tiercel_ledger_drift_positions` is 0.
"""

from dataclasses import dataclass
from typing import Final

from services.atp.adapters.protections import COUNTS_FROM
from services.chassis.database import Connection, Database

CHECK_SECONDS_MAX: Final = 1_800  # for one statement over the whole ledger, on a machine with other work
REPORTED_MAX: Final = 100  # drifts named one by one; the count is of all

# The aggregates as the ledger has them, in the shape of the position's own columns.
_LEDGER: Final = """
WITH moved AS (
    SELECT item_id, location_id, sum(on_hand_change)::bigint AS on_hand FROM movement GROUP BY item_id, location_id
), committed AS (
    SELECT item_id, location_id, array_agg(day ORDER BY day) AS days, array_agg(quantity ORDER BY day) AS quantities
    FROM (
        SELECT item_id, location_id, day, sum(quantity)::bigint AS quantity
        FROM (
            SELECT item_id, location_id, available_day AS day, open AS quantity FROM commitment WHERE open > 0
            UNION ALL
            SELECT item_id, from_location, ship_day, quantity - shipped FROM transfer
            WHERE version > 0 AND state = 'open' AND quantity > shipped
        ) AS owed GROUP BY item_id, location_id, day
    ) AS by_day GROUP BY item_id, location_id
), due AS (
    SELECT item_id, location_id, array_agg(day ORDER BY day) AS days, array_agg(confirmed ORDER BY day) AS confirmed,
        array_agg(planned ORDER BY day) AS planned, array_agg(assumed ORDER BY day) AS assumed
    FROM (
        SELECT item_id, location_id, day, sum(confirmed)::bigint AS confirmed, sum(planned)::bigint AS planned,
            sum(assumed)::bigint AS assumed
        FROM (
            SELECT item_id, location_id, due_day AS day,
                CASE WHEN certainty = 'confirmed' THEN quantity - received ELSE 0 END AS confirmed,
                CASE WHEN certainty = 'planned' THEN quantity - received ELSE 0 END AS planned, 0 AS assumed
            FROM scheduled_receipt WHERE quantity > received
            UNION ALL
            SELECT item_id, to_location, due_day, coming - received, 0, 0 FROM (
                SELECT *, CASE state WHEN 'open' THEN greatest(quantity, shipped) WHEN 'cancelled' THEN shipped
                    ELSE 0 END AS coming FROM transfer WHERE version > 0
            ) AS moving WHERE coming > received
            UNION ALL
            SELECT item_id, location_id, available_day, 0, 0, open FROM commitment WHERE assumed AND open > 0
        ) AS parts GROUP BY item_id, location_id, day
    ) AS by_day GROUP BY item_id, location_id
), ledger AS (
    SELECT p.item_id, p.location_id, coalesce(m.on_hand, 0) AS on_hand,
        coalesce(c.days, '{}') AS commit_days, coalesce(c.quantities, '{}') AS commit_quantities,
        coalesce(d.days, '{}') AS receipt_days, coalesce(d.confirmed, '{}') AS receipt_confirmed,
        coalesce(d.planned, '{}') AS receipt_planned, coalesce(d.assumed, '{}') AS receipt_assumed
    FROM position p LEFT JOIN moved m USING (item_id, location_id) LEFT JOIN committed c USING (item_id, location_id)
    LEFT JOIN due d USING (item_id, location_id)
)
"""
_DIFFERS: Final = """
    (p.on_hand, p.commit_days, p.commit_quantities, p.receipt_days, p.receipt_confirmed, p.receipt_planned,
        p.receipt_assumed)
    IS DISTINCT FROM
    (l.on_hand, l.commit_days, l.commit_quantities, l.receipt_days, l.receipt_confirmed, l.receipt_planned,
        l.receipt_assumed)
"""
_DRIFTED: Final = f"""
{_LEDGER}
SELECT p.item_id, p.location_id, p.on_hand AS on_hand, l.on_hand AS on_hand_ledger,
    p.on_hand IS DISTINCT FROM l.on_hand AS on_hand_drifts,
    (p.commit_days, p.commit_quantities) IS DISTINCT FROM (l.commit_days, l.commit_quantities) AS commitments_drift,
    (p.receipt_days, p.receipt_confirmed, p.receipt_planned, p.receipt_assumed)
        IS DISTINCT FROM (l.receipt_days, l.receipt_confirmed, l.receipt_planned, l.receipt_assumed) AS receipts_drift
FROM position p JOIN ledger l USING (item_id, location_id) WHERE {_DIFFERS} ORDER BY p.item_id, p.location_id
"""  # noqa: S608 - made of constants
# A commitment at a position that has no row would be seen by nobody.
_HOMELESS: Final = """
SELECT DISTINCT c.item_id, c.location_id FROM commitment c LEFT JOIN position p USING (item_id, location_id)
WHERE c.open > 0 AND p.item_id IS NULL ORDER BY c.item_id, c.location_id
"""
_POSTED: Final = """
SELECT posting ->> 0 AS kind, posting ->> 1 AS limit_id, (posting ->> 2)::int AS period_start,
    sum((posting ->> 3)::bigint)::bigint AS consumed
FROM commitment, jsonb_array_elements(postings) AS posting WHERE postings IS NOT NULL GROUP BY 1, 2, 3
"""
# Added up by day first, so that many protections of a position do not read its shipments many times.
_LEFT: Final = f"""
SELECT 'shipped' AS kind, p.protection_id AS limit_id, p.start_day AS period_start, sum(m.quantity)::bigint AS consumed
FROM protection p JOIN (
    SELECT item_id, location_id, (occurred_at AT TIME ZONE 'UTC')::date - DATE '0001-01-01' + 1 AS day,
        sum(-quantity) AS quantity
    FROM movement WHERE kind = 'shipment' GROUP BY 1, 2, 3
) AS m ON m.item_id = p.item_id AND m.location_id = p.location_id AND m.day BETWEEN {COUNTS_FROM} AND p.end_day
WHERE (p.basis <> 'quantity' OR p.scope > 0) AND p.effective_to IS NULL GROUP BY 2, 3
"""  # noqa: S608 - made of constants
_COUNTERS: Final = """
SELECT * FROM usage u WHERE kind <> 'shipped' OR EXISTS (
    SELECT FROM protection r WHERE r.protection_id = u.limit_id AND r.effective_to IS NULL
)
"""
_USAGE_DRIFTED: Final = f"""
SELECT kind, limit_id, period_start, coalesce(u.consumed, 0) AS consumed, coalesce(l.consumed, 0) AS ledger
FROM ({_COUNTERS}) AS u FULL JOIN ({_POSTED} UNION ALL {_LEFT}) AS l USING (kind, limit_id, period_start)
WHERE coalesce(u.consumed, 0) <> coalesce(l.consumed, 0) ORDER BY kind, limit_id, period_start
"""  # noqa: S608 - made of constants
_STATUS_DRIFTED: Final = """
SELECT item_id, location_id, status, coalesce(s.quantity, 0) AS quantity, coalesce(l.quantity, 0) AS ledger
FROM stock_status s FULL JOIN (
    SELECT item_id, location_id, status, sum(change)::bigint AS quantity FROM status_movement GROUP BY 1, 2, 3
) AS l USING (item_id, location_id, status)
WHERE coalesce(s.quantity, 0) <> coalesce(l.quantity, 0) ORDER BY item_id, location_id, status
"""
_REBUILD_STATUSES: Final = f"""
INSERT INTO stock_status (item_id, location_id, status, quantity)
SELECT item_id, location_id, status, ledger FROM ({_STATUS_DRIFTED}) AS drifted
ON CONFLICT (item_id, location_id, status) DO UPDATE SET quantity = excluded.quantity
RETURNING status
"""  # noqa: S608 - made of constants
_LOCK: Final = "LOCK TABLE position, usage IN EXCLUSIVE MODE"
_REBUILD_POSITIONS: Final = f"""
{_LEDGER}
UPDATE position p SET version = p.version + 1, on_hand = l.on_hand, commit_days = l.commit_days,
    commit_quantities = l.commit_quantities, receipt_days = l.receipt_days, receipt_confirmed = l.receipt_confirmed,
    receipt_planned = l.receipt_planned, receipt_assumed = l.receipt_assumed
FROM ledger l WHERE p.item_id = l.item_id AND p.location_id = l.location_id AND {_DIFFERS}
RETURNING p.item_id
"""  # noqa: S608 - made of constants
_REBUILD_USAGE: Final = f"""
INSERT INTO usage (kind, limit_id, period_start, consumed)
SELECT kind, limit_id, period_start, ledger FROM ({_USAGE_DRIFTED}) AS drifted
ON CONFLICT (kind, limit_id, period_start) DO UPDATE SET consumed = excluded.consumed
RETURNING kind
"""  # noqa: S608 - made of constants
_COUNT: Final = "SELECT (SELECT count(*) FROM position), (SELECT count(*) FROM commitment)"


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What a verification found; `drifts` names the first of them, `drifted` counts all."""

    positions: int
    commitments: int
    drifted: int
    drifts: tuple[str, ...]


async def verify_apart(url: str, schema: str) -> LedgerReport:
    """`verify` on a connection of its own, which has more time than a command."""
    database = await Database.open(
        url, schema=schema, name="atp: ledger", max_size=1, statement_seconds=CHECK_SECONDS_MAX
    )
    try:
        return await verify(database)
    finally:
        await database.close()


async def verify(database: Database) -> LedgerReport:
    """Compare every aggregate with the ledger on one consistent picture; takes no lock."""

    async def work(connection: Connection) -> LedgerReport:
        positions, commitments = await connection.fetchrow(_COUNT) or (0, 0)
        drifts = [
            f"{row['item_id']}@{row['location_id']}: "
            + ", ".join(name for name in ("on_hand_drifts", "commitments_drift", "receipts_drift") if row[name])
            + f" (on hand {row['on_hand']}, by the ledger {row['on_hand_ledger']})"
            for row in await connection.fetch(_DRIFTED)
        ]
        drifts += [
            f"{row['item_id']}@{row['location_id']}: commitments without a position"
            for row in await connection.fetch(_HOMELESS)
        ]
        drifts += [
            f"{row['kind']} {row['limit_id']}: consumed {row['consumed']}, by the ledger {row['ledger']}"
            for row in await connection.fetch(_USAGE_DRIFTED)
        ]
        drifts += [
            f"{row['item_id']}@{row['location_id']}: {row['status']} {row['quantity']}, by the ledger {row['ledger']}"
            for row in await connection.fetch(_STATUS_DRIFTED)
        ]
        return LedgerReport(positions, commitments, len(drifts), tuple(drifts[:REPORTED_MAX]))

    return await database.read(work)


async def rebuild(database: Database) -> int:
    """Set every aggregate to what the ledger says, while decisions wait; how many were changed."""

    async def work(connection: Connection) -> int:
        await connection.execute(_LOCK)
        positions = await connection.fetch(_REBUILD_POSITIONS)
        counters = await connection.fetch(_REBUILD_USAGE)
        statuses = await connection.fetch(_REBUILD_STATUSES)
        return len(positions) + len(counters) + len(statuses)

    return await database.run(work, label="rebuild the ledger's aggregates")
