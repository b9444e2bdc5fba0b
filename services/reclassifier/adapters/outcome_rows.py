"""What came of orders and what customers said, by owner and day, in PostgreSQL. Most days have no row here."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from services.chassis.database import Connection
from services.reclassifier.domain.orders import Day, Outcomes, OwnedDay

_SUMS: Final = (
    "orders_delivered = stored.orders_delivered + excluded.orders_delivered,"
    " orders_late = stored.orders_late + excluded.orders_late,"
    " returned_units = stored.returned_units + excluded.returned_units,"
    " returned_value_micros = stored.returned_value_micros + excluded.returned_value_micros,"
    " surveys = stored.surveys + excluded.surveys, score_points = stored.score_points + excluded.score_points,"
    " complaints = stored.complaints + excluded.complaints"
)
_ADD: Final = f"""
INSERT INTO outcome_day AS stored (owner, day, returned_units, returned_value_micros, orders_delivered, orders_late,
    surveys, score_points, complaints)
SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::numeric[], $5::bigint[], $6::bigint[], $7::bigint[],
    $8::bigint[], $9::bigint[]) AS added (owner, day)
ORDER BY owner COLLATE "C", day
ON CONFLICT (owner, day) DO UPDATE SET {_SUMS}
"""  # noqa: S608 - constants
_MOVE: Final = f"""
WITH moved AS (
    DELETE FROM outcome_day d USING unnest($1::text[], $2::text[]) AS move (old_owner, new_owner)
    WHERE d.owner = move.old_owner RETURNING move.new_owner, d.*
)
INSERT INTO outcome_day AS stored (owner, day, returned_units, returned_value_micros, orders_delivered, orders_late,
    surveys, score_points, complaints)
SELECT new_owner, day, sum(returned_units), sum(returned_value_micros), sum(orders_delivered), sum(orders_late),
    sum(surveys), sum(score_points), sum(complaints)
FROM moved GROUP BY new_owner, day ORDER BY new_owner COLLATE "C", day
ON CONFLICT (owner, day) DO UPDATE SET {_SUMS}
"""  # noqa: S608 - constants
_WINDOWS: Final = """
SELECT owner, length, sum(returned_units)::bigint, sum(returned_value_micros), sum(orders_delivered)::bigint,
    sum(orders_late)::bigint, sum(surveys)::bigint, sum(score_points)::bigint, sum(complaints)::bigint
FROM outcome_day JOIN unnest($3::int[]) length ON day > $2 - length AND day <= $2
WHERE owner = ANY($1) GROUP BY owner, length
"""


async def add_outcomes(connection: Connection, changes: Mapping[OwnedDay, Outcomes]) -> None:
    """Add to days, ascending by owner and day."""
    if not changes:
        return
    rows = [(*key, units, Decimal(value), *rest) for key, (units, value, *rest) in changes.items()]
    await connection.execute(_ADD, *(list(column) for column in zip(*rows, strict=True)))


async def move_outcomes(connection: Connection, moves: Mapping[str, str]) -> None:
    """Add the days of the first owner of each pair to those of the second."""
    await connection.execute(_MOVE, list(moves), list(moves.values()))


async def load_outcomes(
    connection: Connection, owners: Sequence[str], today: Day, lengths: Sequence[int]
) -> dict[tuple[str, int], Outcomes]:
    """The sums by owner and window; what has none is left out."""
    rows = await connection.fetch(_WINDOWS, list(owners), today, list(lengths))
    found = {}
    for owner, length, units, value, *rest in rows:
        found[owner, length] = Outcomes(units, int(value), *rest)
    return found


async def forget_outcomes(connection: Connection, before: Day, limit: int) -> int:
    """Delete days before one; how many (at most `limit`)."""
    status: str = await connection.execute(
        "DELETE FROM outcome_day WHERE ctid IN (SELECT ctid FROM outcome_day WHERE day < $1 LIMIT $2)", before, limit
    )
    return int(status.rpartition(" ")[2])
