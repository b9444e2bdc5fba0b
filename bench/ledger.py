"""`tiercel ledger verify | rebuild` on more and more promises: is the time linear in them?

A private PostgreSQL is filled by SQL with promises of one line each, a third of them shipped, each with postings to a
protection and a quota; spread over 1,000 items at two places, and all on one hot position. The aggregates are made by
`rebuild` from nothing, which must leave no drift; then every tenth of them is spoilt, found by `verify` and mended.

What counts is the processor time of the server's process that does it, per promise, against that of the smallest case:
1.0 is linear. The wall time of a whole run is given beside it.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import asyncpg

from bench.figures import Figure, write
from bench.processor import seconds_of
from services.atp.adapters.ledger import rebuild, verify
from services.atp.bootstrap import MIGRATIONS, SCHEMA
from services.chassis.database import Database
from services.chassis.embedded_postgres import EmbeddedPostgres
from services.chassis.migrations import migrate

SIZES: Final = (10_000, 50_000, 100_000, 200_000)
SHAPES: Final = {"1,000 items at two places": (1_000, 2), "one hot position": (1, 1)}
ROUNDS: Final = 6  # the system counts processor time in hundredths of a second
FIRST_DAY: Final = 739_000
DAYS: Final = 180
_EMPTY: Final = "TRUNCATE promise, commitment, movement, usage, position, protection, quota, allocation_document, item"
_WORLD: Final = """
INSERT INTO item (item_id, version, active) SELECT 'I' || i, 1, true FROM generate_series(1, $1::int) AS i;
"""
_POSITIONS: Final = """
INSERT INTO position (item_id, location_id, on_hand, buffer)
SELECT 'I' || i, 'L' || l, 0, 0 FROM generate_series(1, $1::int) AS i, generate_series(1, $2::int) AS l
"""
_OPENING: Final = """
INSERT INTO movement (source, reference, item_id, location_id, kind, quantity, on_hand_change, outcome, occurred_at)
SELECT 'bench', 'opening', item_id, location_id, 'receipt', 1000000, 1000000, 'applied', clock_timestamp() FROM position
"""
# The ids are in the order of time, as those of the product are.
_PROMISED: Final = """
CREATE TEMP TABLE promised AS
SELECT n, ('01900000-' || lpad(to_hex(n / 65536), 4, '0') || '-7' || lpad(to_hex(n % 4096), 3, '0') || '-8000-'
    || lpad(to_hex(n), 12, '0'))::uuid AS promise_id,
    'I' || (n % $1::int + 1) AS item_id, 'L' || (n / $1::int % $2::int + 1) AS location_id, n % 9 + 1 AS quantity,
    $3::int + n % $4::int AS day, n % 3 = 0 AS gone
FROM generate_series(1, $5::int) AS n
"""
_PROMISES: Final = """
INSERT INTO promise (promise_id, source, order_id, revision, record_sequence, state, channel, decision_id,
    decision_index, content, document)
SELECT promise_id, 'bench', n::text, 1, 1, 'promised', 'web', promise_id, 0, '{}', '{}' FROM promised
"""
_COMMITMENTS: Final = """
INSERT INTO commitment (promise_id, line, part, item_id, location_id, service, quantity, open, shipped, available_day,
    ship_day, arrival_day, cost_minor, postings, tier, decision_id, decision_index)
SELECT promise_id, '1', 1, item_id, location_id, 'road', quantity, CASE WHEN gone THEN 0 ELSE quantity END,
    CASE WHEN gone THEN quantity ELSE 0 END, day, day, day + 2, 500,
    jsonb_build_array(jsonb_build_array('protection', 'p.1.' || item_id, $1::int, quantity, 'own'),
        jsonb_build_array('quota', 'q.1.1', $1::int, quantity, 'own')), 'gold', promise_id, 0
FROM promised
"""
_SHIPMENTS: Final = """
INSERT INTO movement (source, reference, item_id, location_id, kind, quantity, on_hand_change, outcome, occurred_at)
SELECT 'bench', 'ship-' || n, item_id, location_id, 'shipment', -quantity, -quantity, 'applied', clock_timestamp()
FROM promised WHERE gone
"""
# Twelve months of shares of gross supply for each position, all of which count what has been shipped.
_DOCUMENT: Final = """
INSERT INTO allocation_document (document_id, version, kind, effective_from, author, body)
VALUES ('p', 1, 'protection', '2000-01-01T00:00:00Z', 'bench', '{}')
"""
_PROTECTIONS: Final = """
INSERT INTO protection (protection_id, document_id, document_version, item_id, location_id, tier, start_day, end_day,
    quantity, mode, lapse_days, carry_stock, basis, share, effective_from)
SELECT 'p.1.' || item_id || location_id || m, 'p', 1, item_id, location_id, 'gold', $1::int + 30 * m,
    $1::int + 30 * m + 29, 0, 'prioritised', 0, false, 'percent', 1000, '2000-01-01T00:00:00Z'
FROM position, generate_series(0, 11) AS m
"""
_SPOIL: Final = (
    "UPDATE position SET on_hand = on_hand + 1 WHERE hashtext(item_id || location_id) % 10 = 0 OR item_id = 'I1'"
)
_PIDS: Final = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
    AND application_name LIKE 'bench%'
"""


async def main() -> None:
    """Measure and write `build/bench/ledger.json`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    sizes = sorted(parser.parse_args().sizes)
    with TemporaryDirectory() as folder:
        server = EmbeddedPostgres()
        url = await asyncio.to_thread(server.start, Path(folder) / "postgres")
        try:
            await migrate(url, schema=SCHEMA, script_location=MIGRATIONS)
            await _alone(url)
            figures = [figure for name in SHAPES for figure in await _shape(url, name, sizes)]
        finally:
            await asyncio.to_thread(server.stop)
    write("ledger", figures, rounds=ROUNDS, shipped="one in three", load_average=os.getloadavg()[0])


async def _alone(url: str) -> None:
    """No parallel workers: all of the work is done by processes whose time is counted."""
    connection = await asyncpg.connect(url)
    try:
        name = await connection.fetchval("SELECT quote_ident(current_database())")
        await connection.execute(f"ALTER DATABASE {name} SET max_parallel_workers_per_gather = 0")
    finally:
        await connection.close()


async def _shape(url: str, name: str, sizes: list[int]) -> list[Figure]:
    figures: list[Figure] = []
    first: dict[str, float] = {}
    for size in sizes:
        await _fill(url, SHAPES[name], size)
        database = await Database.open(url, schema=SCHEMA, name="bench")
        try:
            spent = await _measure(database)
        finally:
            await database.close()
        for what, rounds in spent.items():
            walls = sorted(1000 * wall for _, wall in rounds)
            each = sum(processor for processor, _ in rounds) / len(rounds) / size * 1e6
            first.setdefault(what, each)
            case = f"{what}, {name}, {size:,} promises"
            ratio = each / first[what] if first[what] else None
            middle = walls[len(walls) // 2]
            named = f"{sizes[0]:,} promises"
            figures.append(
                Figure(case, "processor time per promise", "us", each, middle, walls[-1], baseline=named, ratio=ratio)
            )
    return figures


async def _fill(url: str, shape: tuple[int, int], size: int) -> None:
    connection = await asyncpg.connect(url, server_settings={"search_path": SCHEMA})
    try:
        await connection.execute(_EMPTY + " CASCADE")
        await connection.execute("DROP TABLE IF EXISTS promised")
        await connection.execute(_WORLD.replace("$1::int", str(shape[0])))
        await connection.execute(_POSITIONS, *shape)
        await connection.execute(_OPENING)
        await connection.execute(_DOCUMENT)
        await connection.execute(_PROTECTIONS, datetime.now(UTC).toordinal() - 180)
        await connection.execute(_PROMISED, *shape, FIRST_DAY, DAYS, size)
        await connection.execute(_PROMISES)
        await connection.execute(_COMMITMENTS, FIRST_DAY)
        await connection.execute(_SHIPMENTS)
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _measure(database: Database) -> dict[str, list[tuple[float, float]]]:
    """Processor and wall seconds of each act, by round."""
    _, made = await _timed(database, lambda: rebuild(database))
    report, clean = await _timed(database, lambda: verify(database))
    if report.drifted:
        raise SystemExit(f"the ledger and what was built from it differ: {report.drifts[:3]}")
    checks, mends = [clean], []
    for _ in range(ROUNDS):
        await database.run(lambda connection: connection.execute(_SPOIL), label="spoil")
        found, checked = await _timed(database, lambda: verify(database))
        mended, mending = await _timed(database, lambda: rebuild(database))
        if not found.drifted or mended != found.drifted or (await verify(database)).drifted:
            raise SystemExit(f"{found.drifted} differences found, {mended} mended")
        checks.append(checked)
        mends.append(mending)
    return {"rebuild from nothing": [made], "verify": checks, "rebuild what drifted": mends}


async def _timed(database: Database, act: Callable[[], Awaitable[Any]]) -> tuple[Any, tuple[float, float]]:
    before, started = await _processor(database), time.perf_counter()
    result = await act()
    wall = time.perf_counter() - started
    return result, (await _processor(database) - before, wall)


async def _processor(database: Database) -> float:
    """Seconds so far of all backends that serve this database's connections."""

    async def pids(connection: Any) -> list[int]:
        return [row["pid"] for row in await connection.fetch(_PIDS)]

    return sum(seconds_of(pid) for pid in await database.read(pids))


if __name__ == "__main__":
    asyncio.run(main())
