"""Demand profiles in PostgreSQL: what was published of each customer, and the demand that they are told from."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.chassis.database import Connection
from services.reclassifier.domain.demand import PERIOD_DAYS, Demand, DemandProfile, Profiled
from services.reclassifier.domain.orders import Day

# By week counted back from today; the weeks before the first order known, within the window, are none.
_DEMANDS: Final = f"""
SELECT owner, count(*) AS active, sum(units)::bigint AS units, sum(units * units)::numeric AS units_squared,
    (SELECT min(day) FROM activity_day f WHERE f.owner = week.owner AND f.units > 0) AS first
FROM (
    SELECT owner, sum(units)::numeric AS units FROM activity_day
    WHERE owner = ANY($1) AND day <= $2 AND day > $2 - $3::int AND units > 0
    GROUP BY owner, ($2 - day) / {PERIOD_DAYS}
) AS week
GROUP BY owner
"""  # noqa: S608 - a constant
_PROFILES: Final = """
SELECT wanted.customer_id, p.profile, p.sequence, p.since
FROM unnest($1::text[]) AS wanted (customer_id)
LEFT JOIN segment s ON s.customer_id = wanted.customer_id
LEFT JOIN demand_profile p ON p.customer_id = wanted.customer_id
WHERE $2 OR s.status IS NULL OR s.status = 'active'
ORDER BY wanted.customer_id COLLATE "C"
"""
_SAVE: Final = """
INSERT INTO demand_profile (customer_id, profile, sequence, since)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])
ON CONFLICT (customer_id) DO UPDATE SET profile = excluded.profile, sequence = excluded.sequence, since = excluded.since
"""


async def load_demands(connection: Connection, owners: Sequence[str], today: Day, days: int) -> dict[str, Demand]:
    """The demand of those of these owners that have any in the window of whole weeks."""
    return {
        row["owner"]: Demand(
            min(days // PERIOD_DAYS, (today - row["first"]) // PERIOD_DAYS + 1),
            row["active"],
            row["units"],
            int(row["units_squared"]),
        )
        for row in await connection.fetch(_DEMANDS, list(owners), today, days)
    }


async def load_profiles(
    connection: Connection, customer_ids: Sequence[str], *, inactive_too: bool
) -> dict[str, Profiled | None]:
    """What was last published of these customers; None of one of whom nothing was."""
    rows = await connection.fetch(_PROFILES, list(customer_ids), inactive_too)
    return {
        row["customer_id"]: None
        if row["sequence"] is None
        else Profiled(None if row["profile"] is None else DemandProfile(row["profile"]), row["sequence"], row["since"])
        for row in rows
    }


async def save_profiles(connection: Connection, profiles: Mapping[str, Profiled]) -> None:
    """Store what is published."""
    await connection.execute(
        _SAVE,
        list(profiles),
        [one.profile for one in profiles.values()],
        [one.sequence for one in profiles.values()],
        [one.since for one in profiles.values()],
    )
