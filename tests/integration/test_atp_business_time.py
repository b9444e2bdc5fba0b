"""The time of a decision is read when its positions are locked, not before."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import asyncpg
import pytest

from services.atp.adapters.positions import PositionStore
from services.atp.domain.model import PositionKey
from services.chassis.database import Connection
from services.chassis.writes import Writes
from tests.support.atp import Atp, running_atp, unique
from tests.support.postgres import SOMEBODY_WAITS
from tests.support.waiting import until


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def test_the_time_is_that_after_the_last_lock(atp: Atp) -> None:
    items = [await atp.item(unique("clock"), on_hand=1) for _ in range(2)]
    keys = sorted(PositionKey(item, "L1") for item in items)

    async def load(connection: Connection) -> tuple[list[PositionKey], datetime | None]:
        positions = PositionStore(connection, Writes(connection), locking=True)
        return list(await positions.load(keys)), positions.loaded_at

    other = await asyncpg.connect(atp.database.url, server_settings={"search_path": "atp"})
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("SELECT FROM position WHERE item_id = $1 FOR UPDATE", keys[-1].item_id)
        loading = asyncio.create_task(atp.database.run(load, label="test"))

        async def waits() -> bool:
            return bool((await atp.fetch(SOMEBODY_WAITS))[0][0])

        await until(waits)
        released_at = await other.fetchval("SELECT clock_timestamp()")
        await transaction.commit()
        found, loaded_at = await loading
    finally:
        await other.close()

    assert sorted(found) == keys
    assert loaded_at is not None
    assert loaded_at >= released_at
