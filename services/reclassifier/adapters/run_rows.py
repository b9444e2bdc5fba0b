"""Runs over all customers, the cuts of their shares, calendars and fuses, in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

import asyncpg
import orjson

from services.chassis.database import Connection
from services.reclassifier.adapters.customer_rows import claimed_in
from services.reclassifier.application.ports import Cut, FuseState, ProposalState, Run, RunCause, Swept
from services.reclassifier.domain.leaves import TopKey
from services.reclassifier.domain.measures import Measure
from services.reclassifier.domain.orders import Day
from services.reclassifier.domain.rule_set import RuleSet

REFERENCES_FROM: Final = "r:"  # owners that nobody has resolved come after all customers
WHOLE_SHARE: Final = 100_000_000  # millionths of a percent
_BUSINESS_NOW: Final = "(SELECT coalesce((SELECT at FROM business_clock.replay), clock_timestamp()))"
_COLUMNS: Final = {Measure.ORDERS: "orders", Measure.UNITS: "units", Measure.VALUE: "value_micros"}

# The number of the last customer inside each share, of all customers sorted by it: one statement, one moment.
_CUT: Final = """
WITH sums AS MATERIALIZED (
    SELECT coalesce(sum(d.{column}), 0) AS amount
    FROM segment s LEFT JOIN activity_day d
        ON d.owner = 'c:' || s.customer_id AND d.day > $1::int - $2::int AND d.day <= $1
    WHERE s.status = 'active' GROUP BY s.customer_id
), ranked AS (SELECT amount, row_number() OVER (ORDER BY amount DESC) AS place FROM sums),
wanted AS (SELECT share, population, population * share / {whole} AS place
    FROM unnest($3::bigint[]) share, (SELECT count(*) AS population FROM sums) c)
SELECT share, population, amount FROM wanted LEFT JOIN ranked USING (place)
"""
# Whoever comes behind the position while the run goes on is judged by it, too. The limit is written out: for one that
# it does not know the planner expects a tenth of the table, and reads and sorts all of it for each portion.
SWEEP: Final = """
SELECT owner, proposals, correlation_id, causation_id, traceparent, run_id, falling_since FROM customer
WHERE owner > $1 ORDER BY owner LIMIT {limit} FOR NO KEY UPDATE
"""
# Customers of whom nothing was recorded yet have no row, and are judged too. Whoever is among the next of all customers
# is among the next of those. The status is written so that the planner expects few to be left out, as they are, and
# each row is looked up by itself: joined, all rows are read for each portion.
ENLIST: Final = """
INSERT INTO customer (owner, due_at, profile_at)
SELECT owner, 'infinity', 'infinity' FROM (
    SELECT 'c:' || customer_id AS owner FROM segment
    WHERE customer_id > $1 AND status <> 'merged' AND status <> 'deleted' ORDER BY customer_id LIMIT {limit}
) AS registered
WHERE (SELECT true FROM customer c WHERE c.owner = registered.owner) IS NULL
ORDER BY owner COLLATE "C"
ON CONFLICT DO NOTHING
"""
_EVERYBODY: Final = """
SELECT (SELECT count(*) FROM customer) + (SELECT count(*) FROM segment s WHERE s.status = 'active'
    AND NOT EXISTS (SELECT FROM customer c WHERE c.owner = 'c:' || s.customer_id))
"""
_JUDGED: Final = f"""
UPDATE evaluation_run SET judged = judged + $2, ended_at = CASE $2::bigint WHEN 0 THEN {_BUSINESS_NOW} END
WHERE run_id = $1 RETURNING judged, customers
"""  # noqa: S608 - constants
_WAITING: Final = """
SELECT (SELECT count(*) FROM customer WHERE run_id = $1)
    + coalesce((SELECT greatest(customers - judged, 1) FROM evaluation_run JOIN sweep USING (run_id)
        WHERE run_id = $1), 0)
"""


async def start_run(connection: Connection, rule_set: RuleSet, cause: RunCause, at: datetime) -> int:
    """Begin to judge all owners and all customers, from the first one on; shares are cut before."""
    run_id: int = await connection.fetchval(
        "INSERT INTO evaluation_run (rule_set_id, rule_version, cause, started_at, customers)"  # noqa: S608 - constants
        f" VALUES ($1, $2, $3, $4, ({_EVERYBODY})) RETURNING run_id",
        rule_set.rule_set_id,
        rule_set.version,
        cause.value,
        at,
    )
    if rule_set.tops:
        await _cut(connection, rule_set, run_id, at)
    await connection.execute(
        "INSERT INTO sweep (after_owner, run_id) VALUES ('', $1)"
        " ON CONFLICT (singleton) DO UPDATE SET after_owner = '', run_id = excluded.run_id",
        run_id,
    )
    return run_id


async def claim_sweep(connection: Connection, limit: int) -> Swept | None:
    """The next owners of the run under way, in ascending order; without any it is over."""
    run = await connection.fetchrow("SELECT after_owner, run_id FROM sweep FOR UPDATE SKIP LOCKED")
    if run is None:
        return None
    after = run["after_owner"]
    if after < REFERENCES_FROM:
        await connection.execute(ENLIST.format(limit=limit), after.removeprefix("c:"))
    rows = await connection.fetch(SWEEP.format(limit=limit), after)
    if rows:
        await connection.execute("UPDATE sweep SET after_owner = $1", rows[-1]["owner"])
    else:
        await connection.execute("DELETE FROM sweep")
    counted = await connection.fetchrow(_JUDGED, run["run_id"], len(rows))
    judged, customers = counted or (0, None)
    claimed = [replace(claimed_in(row), run_id=run["run_id"]) for row in rows]
    return Swept(run["run_id"], claimed, judged, customers)


async def _cut(connection: Connection, rule_set: RuleSet, run_id: int, at: datetime) -> None:
    limits: list[tuple[TopKey, int | None]] = []
    population = 0
    for measure, window_days in sorted({(key.measure, key.window_days) for key in rule_set.tops}):
        shares = [key.share for key in rule_set.tops if (key.measure, key.window_days) == (measure, window_days)]
        found = await cut_shares(connection, measure, window_days, shares, at.toordinal())
        population = found[0]
        limits += [(TopKey(measure, window_days, share), found[1][share]) for share in shares]
    written = [
        [key.measure.value, key.window_days, key.share, None if limit is None else str(limit)] for key, limit in limits
    ]
    await connection.execute(
        "INSERT INTO rule_cut (rule_set_id, rule_version, run_id, cut_at, population, limits)"
        " VALUES ($1, $2, $3, $4, $5, $6::jsonb)",
        rule_set.rule_set_id,
        rule_set.version,
        run_id,
        at,
        population,
        orjson.dumps(written).decode(),
    )


async def cut_shares(
    connection: Connection, measure: Measure, window_days: int, shares: list[int], today: Day
) -> tuple[int, Mapping[int, int | None]]:
    """How many customers there are, and by share the number of the last one inside; None: it is of nobody."""
    statement = _CUT.format(column=_COLUMNS[measure], whole=WHOLE_SHARE)
    rows = await connection.fetch(statement, today, window_days, shares)
    limits = {row["share"]: None if row["amount"] is None else int(row["amount"]) for row in rows}
    return rows[0]["population"], limits


async def last_cut(connection: Connection, rule_set: RuleSet) -> Cut | None:
    """The newest of this version."""
    row = await connection.fetchrow(
        "SELECT * FROM rule_cut WHERE rule_set_id = $1 AND rule_version = $2 ORDER BY run_id DESC LIMIT 1",
        rule_set.rule_set_id,
        rule_set.version,
    )
    if row is None:
        return None
    limits = {
        TopKey(Measure(measure), window_days, share): None if limit is None else int(limit)
        for measure, window_days, share, limit in orjson.loads(row["limits"])
    }
    return Cut(row["run_id"], row["cut_at"], row["population"], limits)


async def load_runs(connection: Connection, before: int | None, limit: int) -> list[Run]:
    """Without counts, the newest first."""
    rows = await connection.fetch(
        "SELECT * FROM evaluation_run WHERE $1::bigint IS NULL OR run_id < $1 ORDER BY run_id DESC LIMIT $2",
        before,
        limit,
    )
    return [_run(row, 0, {}) for row in rows]


async def load_run(connection: Connection, run_id: int) -> Run | None:
    """With its counts; while it is under way, at least one customer counts as waiting."""
    row = await connection.fetchrow("SELECT * FROM evaluation_run WHERE run_id = $1", run_id)
    if row is None:
        return None
    waiting = await connection.fetchval(_WAITING, run_id)
    counted = await connection.fetch("SELECT state, count(*) FROM proposal WHERE run_id = $1 GROUP BY state", run_id)
    return _run(row, waiting, {ProposalState(state): count for state, count in counted})


async def calendar_due(connection: Connection, rule_set: RuleSet) -> bool:
    """Whether the version's calendar has come round; its row is locked then, and skipped if another has it."""
    found = await connection.fetchval(
        "SELECT true FROM calendar WHERE rule_set_id = $1 AND rule_version = $2"  # noqa: S608 - constants
        f" AND next_at <= {_BUSINESS_NOW} FOR UPDATE SKIP LOCKED",
        rule_set.rule_set_id,
        rule_set.version,
    )
    return found is not None


async def set_calendar(connection: Connection, rule_set: RuleSet, next_at: datetime | None) -> None:
    """When the calendar comes round next."""
    if next_at is None:
        await connection.execute("DELETE FROM calendar WHERE rule_set_id = $1", rule_set.rule_set_id)
        return
    await connection.execute(
        "INSERT INTO calendar (rule_set_id, rule_version, next_at) VALUES ($1, $2, $3) ON CONFLICT (rule_set_id)"
        " DO UPDATE SET rule_version = excluded.rule_version, next_at = excluded.next_at",
        rule_set.rule_set_id,
        rule_set.version,
        next_at,
    )


async def load_fuse(connection: Connection, rule_set_id: str) -> FuseState | None:
    """The fuse as it is."""
    row = await connection.fetchrow("SELECT * FROM fuse WHERE rule_set_id = $1", rule_set_id)
    if row is None:
        return None
    return FuseState(row["sequence"], row["blown_at"], row["rule_version"], row["moves"], row["limit_moves"])


async def save_fuse(connection: Connection, rule_set_id: str, state: FuseState) -> None:
    """Store what happened to it."""
    await connection.execute(
        "INSERT INTO fuse (rule_set_id, sequence, blown_at, rule_version, moves, limit_moves)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (rule_set_id) DO UPDATE SET sequence = excluded.sequence,"
        " blown_at = excluded.blown_at, rule_version = excluded.rule_version, moves = excluded.moves,"
        " limit_moves = excluded.limit_moves",
        rule_set_id,
        state.sequence,
        state.blown_at,
        state.rule_version,
        state.moves,
        state.limit,
    )


async def active_customers(connection: Connection) -> int:
    """How many customers the registry has."""
    count: int = await connection.fetchval("SELECT count(*) FROM segment WHERE status = 'active'")
    return count


def _run(row: asyncpg.Record, waiting: int, proposals: Mapping[ProposalState, int]) -> Run:
    cause = RunCause(row["cause"])
    return Run(
        row["run_id"],
        row["rule_set_id"],
        row["rule_version"],
        cause,
        row["started_at"],
        row["customers"],
        row["judged"],
        row["ended_at"],
        waiting,
        proposals,
    )
