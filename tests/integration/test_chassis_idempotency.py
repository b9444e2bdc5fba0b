"""Stored answers: the same bytes again, and one author per key."""

import asyncio

import asyncpg
import pytest

from services.chassis import idempotency
from services.chassis.database import Database
from services.chassis.idempotency import StoredAnswer, fingerprint, look_up, store

ANSWER = StoredAnswer("oms", "key-1", fingerprint("POST", "/v1/promises", b"{}"), 201, b'{"n":\x00\xff}')


async def keep(database: Database, *answers: StoredAnswer) -> None:
    await database.run(lambda connection: store(connection, answers), label="store")


async def find(database: Database, *pairs: tuple[str, str]) -> dict[tuple[str, str], StoredAnswer]:
    return await database.read(lambda connection: look_up(connection, pairs))


async def test_an_answer_comes_back_byte_by_byte(chassis_database: Database) -> None:
    refusal = StoredAnswer("oms", "key-2", ANSWER.fingerprint, 409, b"no")
    await keep(chassis_database, ANSWER, refusal)
    assert await find(chassis_database, ("oms", "key-1"), ("oms", "key-2"), ("oms", "key-3")) == {
        ("oms", "key-1"): ANSWER,
        ("oms", "key-2"): refusal,
    }


async def test_keys_belong_to_their_caller(chassis_database: Database) -> None:
    await keep(chassis_database, ANSWER)
    assert await find(chassis_database, ("somebody else", "key-1")) == {}


async def test_the_second_author_of_a_key_is_told(chassis_database: Database) -> None:
    await keep(chassis_database, ANSWER)
    with pytest.raises(asyncpg.UniqueViolationError):
        await keep(chassis_database, StoredAnswer("oms", "key-1", b"other", 201, b"other"))
    assert await find(chassis_database, ("oms", "key-1")) == {("oms", "key-1"): ANSWER}


async def test_of_many_authors_at_once_one_is_stored_and_the_others_are_told(chassis_database: Database) -> None:
    answers = [StoredAnswer("oms", "key-1", ANSWER.fingerprint, 201, str(number).encode()) for number in range(50)]
    outcomes = await asyncio.gather(*(keep(chassis_database, answer) for answer in answers), return_exceptions=True)
    stored = [answer for answer, outcome in zip(answers, outcomes, strict=True) if outcome is None]
    assert len(stored) == 1
    assert sum(isinstance(outcome, asyncpg.UniqueViolationError) for outcome in outcomes) == 49
    assert await find(chassis_database, ("oms", "key-1")) == {("oms", "key-1"): stored[0]}


async def test_in_the_hour_after_midnight_an_author_meets_one_of_the_day_before(
    chassis_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(chassis_database, ANSWER)
    only_yesterday = """
        DELETE FROM idempotency WHERE stored_on < (SELECT max(stored_on) FROM idempotency);  -- it may be that hour now
        UPDATE idempotency SET stored_on = stored_on - 1"""
    await chassis_database.run(lambda c: c.execute(only_yesterday), label="yesterday")
    always_that_hour = idempotency._STORE.replace("interval '1 hour'", "interval '1 day'")
    monkeypatch.setattr(idempotency, "_STORE", always_that_hour)
    with pytest.raises(asyncpg.UniqueViolationError):
        await keep(chassis_database, ANSWER)


async def test_nothing_asked_and_nothing_stored_is_fine(chassis_database: Database) -> None:
    await keep(chassis_database)
    assert await find(chassis_database) == {}


async def test_an_answer_of_another_day_is_found(chassis_database: Database) -> None:
    await keep(chassis_database, ANSWER)
    await chassis_database.run(
        lambda c: c.execute("UPDATE idempotency SET stored_on = stored_on - 3"), label="three days ago"
    )
    assert await find(chassis_database, ("oms", "key-1")) == {("oms", "key-1"): ANSWER}
