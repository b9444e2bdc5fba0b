"""The outbox as a table: what Debezium expects, cheap to write."""

from typing import Any

import orjson

from services.chassis.database import Connection, Database
from services.chassis.outbox import Lane, bucket_of, enqueue, pending
from tests.support.relay import events, put


async def rows(database: Database) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.read(lambda c: c.fetch("SELECT * FROM outbox ORDER BY position"))]


async def test_a_row_has_the_columns_of_the_event_router(chassis_database: Database) -> None:
    (event,) = events(["order-1"], data=b'{"a":1}')
    await put(chassis_database, [event], Lane.BULK)
    (row,) = await rows(chassis_database)
    assert str(row["id"]) == event.id
    assert (row["aggregatetype"], row["aggregateid"], row["type"]) == (event.topic, event.key, event.type)
    assert row["payload"] == b'{"a":1}'
    assert orjson.loads(row["headers"])["ce_id"] == event.id
    assert (row["key_version"], row["lane"], row["bucket"]) == (1, Lane.BULK, bucket_of("order-1"))
    assert row["published_at"] is None


async def test_a_tombstone_has_no_payload(chassis_database: Database) -> None:
    await put(chassis_database, events(["customer-1"], data=b""))
    assert [row["payload"] for row in await rows(chassis_database)] == [None]


async def test_positions_follow_the_order_of_the_call(chassis_database: Database) -> None:
    sent = await put(chassis_database, events(["a", "b", "a"] * 50))
    assert [str(row["id"]) for row in await rows(chassis_database)] == sent


async def test_a_thousand_events_are_one_statement_also_on_a_new_connection(chassis_database: Database) -> None:
    async def watch(connection: Connection) -> list[object]:
        sent: list[object] = []
        connection.add_query_logger(sent.append)
        await enqueue(connection, events(["a"] * 1_000))
        connection.remove_query_logger(sent.append)
        return sent

    await put(chassis_database, events(["the driver learns what an array of uuids is"]))
    another = await Database.open(
        chassis_database.url, schema=chassis_database.schema, name="another", min_size=0, max_size=1
    )
    statements = await another.run(watch, label="watch statements")
    waiting = await another.read(pending)
    await another.close()
    assert (len(statements), waiting) == (1, 1_001)


async def test_nothing_to_say_says_nothing(chassis_database: Database) -> None:
    await put(chassis_database, [])
    assert await chassis_database.read(pending) == 0
