"""Which events a consumer has seen: the guard against the duplicates that every log delivers.

Guarantee: of all transactions that ask for the same consumer and event, exactly one commits having been told "first
seen", as long as the memory reaches (see `partitions.CHASSIS_TABLES`). A transaction that rolls back has seen nothing.
"""

from collections.abc import Sequence
from uuid import UUID

from services.chassis.database_session import Connection

# The table is partitioned by day, so its key can only be unique within one. Two transactions on both sides of midnight
# would not meet; therefore, in the hour after midnight, rows are written for both days. No transaction lives that long.
# OFFSET 0 keeps the look-up per event: the planner would else compare each event with all that the consumer ever saw.
_FIRST_SEEN = """
WITH today AS MATERIALIZED (SELECT clock_timestamp() AT TIME ZONE 'UTC' AS now),
days AS MATERIALIZED (SELECT now::date AS day FROM today UNION SELECT (now - interval '1 hour')::date FROM today),
unseen AS MATERIALIZED (
    SELECT DISTINCT id FROM unnest($2::text[]) id
    WHERE NOT EXISTS (SELECT FROM inbox WHERE consumer = $1 AND event_id = id OFFSET 0)
),
put AS (
    INSERT INTO inbox (consumer, event_id, seen_on)
    SELECT $1, id, day FROM unseen, days ORDER BY id, day
    ON CONFLICT DO NOTHING RETURNING event_id
)
SELECT event_id FROM put GROUP BY event_id HAVING count(*) = (SELECT count(*) FROM days)
"""


async def first_seen(connection: Connection, consumer: str, event_ids: Sequence[UUID | str]) -> set[str]:
    """Remember the events in the caller's transaction; return the ids (as text) that `consumer` had not seen before.

    It waits for other transactions that remember the same events, and then counts what they committed as seen.
    """
    if not event_ids:
        return set()
    rows = await connection.fetch(_FIRST_SEEN, consumer, [str(event_id) for event_id in event_ids])
    return {row["event_id"] for row in rows}
