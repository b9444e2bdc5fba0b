"""Days of activity in PostgreSQL, and the features over them, computed where the rows are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from services.chassis.arrays import numbers, text_array, texts
from services.chassis.database import Connection
from services.reclassifier.adapters.cost_rows import forget_costs, load_costs, load_next_days, move_costs
from services.reclassifier.adapters.outcome_rows import forget_outcomes, load_outcomes, move_outcomes
from services.reclassifier.domain.features import Detail, Features, Window
from services.reclassifier.domain.orders import Activity, Day, Outcomes, OwnedDay
from services.reclassifier.domain.rhythm import OrderDay, rhythm_of

KEEP_DAYS: Final = 800  # the longest window, two years, and ten weeks for whoever is late

_ADD: Final = f"""
INSERT INTO activity_day AS stored (owner, day, orders, units, value_micros, unpriced_lines)
SELECT * FROM unnest({text_array(1)}, $2::text::int[], $3::text::bigint[], $4::text::bigint[], $5::text::numeric[],
    $6::text::bigint[])
    AS added (owner, day, orders, units, value_micros, unpriced_lines)
ORDER BY owner COLLATE "C", day
ON CONFLICT (owner, day) DO UPDATE SET orders = stored.orders + excluded.orders,
    units = stored.units + excluded.units, value_micros = stored.value_micros + excluded.value_micros,
    unpriced_lines = stored.unpriced_lines + excluded.unpriced_lines
"""  # noqa: S608 - constants
_WINDOWS: Final = """
SELECT owner, length, sum(orders)::bigint AS orders, sum(units)::bigint AS units, sum(value_micros) AS value_micros,
    sum(unpriced_lines)::bigint AS unpriced_lines, min(day) AS first_day
FROM activity_day JOIN unnest($3::int[]) length ON day > $2 - length AND day <= $2
WHERE owner = ANY($1) AND (orders, units, value_micros, unpriced_lines) <> (0, 0, 0, 0)
GROUP BY owner, length
"""
_ENDS: Final = """
SELECT owner, max(day) FILTER (WHERE day <= $2 AND orders > 0) AS last_order_day,
    min(day) FILTER (WHERE day > $2) AS next_day
FROM activity_day
WHERE owner = ANY($1) AND (orders, units, value_micros, unpriced_lines) <> (0, 0, 0, 0) GROUP BY owner
"""
_ORDER_DAYS: Final = """
SELECT owner, day, units, value_micros FROM activity_day
WHERE owner = ANY($1) AND day <= $2 AND units > 0 ORDER BY owner, day
"""
_MOVE: Final = """
WITH moved AS (
    DELETE FROM activity_day d USING unnest($1::text[], $2::text[]) AS move (old_owner, new_owner)
    WHERE d.owner = move.old_owner
    RETURNING move.new_owner AS owner, day, orders, units, value_micros, unpriced_lines
)
INSERT INTO activity_day AS stored (owner, day, orders, units, value_micros, unpriced_lines)
SELECT owner, day, sum(orders), sum(units), sum(value_micros), sum(unpriced_lines)
FROM moved GROUP BY owner, day ORDER BY owner COLLATE "C", day
ON CONFLICT (owner, day) DO UPDATE SET orders = stored.orders + excluded.orders,
    units = stored.units + excluded.units, value_micros = stored.value_micros + excluded.value_micros,
    unpriced_lines = stored.unpriced_lines + excluded.unpriced_lines
RETURNING owner
"""


class _Ends(NamedTuple):
    """The last day with an order until today, and the earliest day to come with anything in it."""

    last_order_day: Day | None = None
    next_day: Day | None = None


_NO_ENDS: Final = _Ends()


async def add_activity(connection: Connection, changes: Mapping[OwnedDay, Activity]) -> None:
    """Add to days, ascending by owner and day."""
    if not changes:
        return
    await connection.execute(
        _ADD,
        texts([key.owner for key in changes]),
        numbers([key.day for key in changes]),
        *(numbers(column) for column in zip(*changes.values(), strict=True)),
    )


async def move_days(connection: Connection, moves: Mapping[str, str]) -> list[str]:
    """Add the days of the first owner of each pair to those of the second; the second ones that got any."""
    rows = await connection.fetch(_MOVE, list(moves), list(moves.values()))
    await move_outcomes(connection, moves)
    await move_costs(connection, moves)
    return sorted({row["owner"] for row in rows})


async def load_features(
    connection: Connection, owners: Sequence[str], today: Day, lengths: Sequence[int], detail: Sequence[Detail] = ()
) -> dict[str, Features]:
    """The features of every one of these owners; those without activity have empty windows."""
    windows = {owner: {length: Window(length) for length in lengths} for owner in owners}
    for row in await connection.fetch(_WINDOWS, list(owners), today, list(lengths)):
        windows[row["owner"]][row["length"]] = Window(
            row["length"],
            row["orders"],
            row["units"],
            int(row["value_micros"]),
            row["unpriced_lines"],
            row["first_day"],
        )
    ends = await _ends(connection, owners, today, costs=Detail.COSTS in detail)
    if Detail.COSTS in detail:
        for (owner, at), (costs, first) in (await load_costs(connection, owners, today, lengths)).items():
            windows[owner][at] = replace(windows[owner][at], costs=costs, first_cost_day=first)
    asked = _whose_outcomes(windows, detail)
    if asked:
        outcomes = await load_outcomes(connection, list(asked), today, lengths)
        for owner, own in asked.items():
            for at, one in own.items():
                if one.costs is not None or Detail.OUTCOMES in detail:
                    own[at] = replace(one, outcomes=outcomes.get((owner, at), Outcomes()))
    if Detail.RHYTHM in detail:
        days = await _order_days(connection, owners, today)
        for owner, own in windows.items():
            rows = days.get(owner, [])
            own.update((at, replace(one, rhythm=rhythm_of(rows, today, at))) for at, one in own.items())
    return {owner: Features(today, windows[owner], *ends.get(owner, _NO_ENDS)) for owner in owners}


async def _ends(connection: Connection, owners: Sequence[str], today: Day, *, costs: bool) -> dict[str, _Ends]:
    rows = await connection.fetch(_ENDS, list(owners), today)
    ends = {row["owner"]: _Ends(row["last_order_day"], row["next_day"]) for row in rows}
    if costs:
        for owner, day in (await load_next_days(connection, owners, today)).items():
            last, to_come = ends.get(owner, _NO_ENDS)
            ends[owner] = _Ends(last, day if to_come is None else min(day, to_come))
    return ends


def _whose_outcomes(windows: dict[str, dict[int, Window]], detail: Sequence[Detail]) -> dict[str, dict[int, Window]]:
    """A margin is after returns: where only costs are asked for, those owners of whom any is known."""
    if Detail.OUTCOMES in detail:
        return windows
    return {owner: own for owner, own in windows.items() if any(one.costs is not None for one in own.values())}


async def _order_days(connection: Connection, owners: Sequence[str], today: Day) -> dict[str, list[OrderDay]]:
    rows = await connection.fetch(_ORDER_DAYS, list(owners), today)
    return {
        owner: [OrderDay(row["day"], row["units"], int(row["value_micros"])) for row in own]
        for owner, own in groupby(rows, key=itemgetter("owner"))
    }


async def forget_days(connection: Connection, today: Day, limit: int) -> int:
    """Delete days that no window reaches any more; how many (at most `limit`)."""
    status: str = await connection.execute(
        "DELETE FROM activity_day WHERE ctid IN (SELECT ctid FROM activity_day WHERE day < $1 LIMIT $2)",
        today - KEEP_DAYS,
        limit,
    )
    forgotten = int(status.rpartition(" ")[2])
    forgotten += await forget_outcomes(connection, today - KEEP_DAYS, limit - forgotten)
    return forgotten + await forget_costs(connection, today - KEEP_DAYS, limit - forgotten)
