"""What an import costs those who follow it: a batch of customers among many reads no more than one among few."""

import asyncpg
import orjson
import pytest

from services.atp import bootstrap as atp
from services.atp.adapters import segments as atp_segments
from services.chassis.migrations import migrate
from services.reclassifier import bootstrap as reclassifier
from services.reclassifier.adapters import segment_rows

CROWD = 20_000
BLOCKS_MAX = 60  # of 8 kB; everybody would be some hundreds
CASES = {
    "atp": (
        atp.SCHEMA,
        atp.MIGRATIONS,
        "INSERT INTO segment_identifier (system, external_id, customer_id)",
        atp_segments.DROP_IDENTIFIERS,
        (["c17", "c18"],),
    ),
    "reclassifier": (
        reclassifier.SCHEMA,
        reclassifier.MIGRATIONS,
        "INSERT INTO segment_identifier (system, id, customer_id)",
        segment_rows.DROP_IDENTIFIERS,
        (["c17", "c18"], ["shop"], ["n17"], ["c17"]),
    ),
}
LEFT = {"atp": 0, "reclassifier": 1}


@pytest.mark.parametrize("service", CASES)
async def test_old_identifiers_are_found_without_reading_those_of_everybody(database_url: str, service: str) -> None:
    schema, migrations, insert, drop, values = CASES[service]
    await migrate(database_url, schema=schema, script_location=migrations)
    connection = await asyncpg.connect(database_url, server_settings={"search_path": schema})
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan")  # what a connection has after some use
        statement = await connection.prepare(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {drop}")
        await statement.fetchval(*values)  # planned while there is nobody
        await connection.execute(f"{insert} SELECT 'shop', 'n' || n, 'c' || n FROM generate_series(1, {CROWD}) n")
        plan = orjson.loads(await statement.fetchval(*values))[0]["Plan"]
        left = await connection.fetchval(
            "SELECT count(*) FROM segment_identifier WHERE customer_id = ANY($1)", values[0]
        )
    finally:
        await connection.close()
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < BLOCKS_MAX
    assert left == LEFT[service]
