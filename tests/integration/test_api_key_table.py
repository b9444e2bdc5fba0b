"""API keys in a real table: stored hashed, found by the check, gone within five seconds of their revocation."""

import pytest

from services.chassis.auth import (
    ApiKeys,
    Authenticator,
    Refusal,
    TableKeys,
    Unauthenticated,
    mint,
    revoke_key,
    store_key,
)
from services.chassis.auth.api_keys import STALE_AFTER_SECONDS
from services.chassis.database import Connection, Database
from services.chassis.problems import Problem
from tests.support.clocks import SteppedClock


async def _who(authenticator: Authenticator, key: str) -> str:
    try:
        return (await authenticator.authenticate([(b"x-api-key", key.encode())])).subject
    except Unauthenticated as error:
        return error.reason


async def test_a_key_lives_from_its_storing_to_its_revocation(chassis_database: Database) -> None:
    clock = SteppedClock()
    authenticator = Authenticator(wall=clock, api_keys=ApiKeys([TableKeys(chassis_database)], wall=clock))
    key, hashed = mint(["atp.read"], subject="shop", channels=["web"], account_groups=[])
    assert await _who(authenticator, key) == Refusal.UNKNOWN_KEY

    async def store(connection: Connection) -> None:
        await store_key(connection, hashed)

    await chassis_database.run(store, label="store key")
    clock.advance(STALE_AFTER_SECONDS)
    assert await _who(authenticator, key) == "shop"

    async def revoke(connection: Connection) -> list[bool]:
        return [await revoke_key(connection, hashed.id), await revoke_key(connection, hashed.id)]

    assert await chassis_database.run(revoke, label="revoke key") == [True, False]
    clock.advance(STALE_AFTER_SECONDS)
    assert await _who(authenticator, key) == Refusal.UNKNOWN_KEY


async def test_what_is_read_back_is_what_was_stored(chassis_database: Database) -> None:
    limited = mint(["a", "b"], subject="shop", channels=["web"], account_groups=[])[1]
    free = mint(["c"], subject="planner")[1]

    async def store(connection: Connection) -> None:
        for key in (limited, free):
            await store_key(connection, key)

    await chassis_database.run(store, label="store keys")
    loaded = {key.id: key for key in await TableKeys(chassis_database).load()}
    assert loaded[limited.id] == limited
    assert loaded[free.id] == free


async def test_a_database_that_is_gone_means_try_again(chassis_database: Database) -> None:
    clock = SteppedClock()
    authenticator = Authenticator(wall=clock, api_keys=ApiKeys([TableKeys(chassis_database)], wall=clock))
    await chassis_database.close()
    with pytest.raises(Problem) as caught:
        await _who(authenticator, mint([], subject="s")[0])
    assert caught.value.code == "dependency_unavailable"
