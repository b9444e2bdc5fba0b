"""What the registry's schema refuses by itself, and what happens when two are at it at once."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.chassis.database import Connection
from services.segment_registry.application.answer_once import ATTEMPTS_MAX, Answer, RequestKey, answer_once
from services.segment_registry.application.assign_tier import assign_tier
from services.segment_registry.application.ports import Cause, LostRace, RegistryTransaction
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.moves import Moved, MoveRequest, move
from services.segment_registry.domain.timeline import Grounds, Kind
from tests.support.registry_service import RegistryUnderTest, registry_over

NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


async def execute(registry: RegistryUnderTest, statement: str, *values: object) -> None:
    async def work(connection: Connection) -> None:
        await connection.execute(statement, *values)

    await registry.database.run(work, label="test")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET author = 'nobody'",
        "DELETE FROM audit WHERE position = 1",
        "TRUNCATE audit",
        "UPDATE tier_version SET priority_rank = 1",
        "DELETE FROM tier_version",
    ],
)
async def test_what_is_written_down_stays(registry: RegistryUnderTest, statement: str) -> None:
    with pytest.raises(asyncpg.RestrictViolationError):
        await execute(registry, statement)


@pytest.mark.parametrize("kind", ["assigned", "override"])
async def test_two_of_a_kind_cannot_overlap(registry: RegistryUnderTest, kind: str) -> None:
    customer = await registry.new_customer(f"overlapped by {kind}")
    insert = (
        "INSERT INTO assignment (customer_id, sequence, tier, kind, effective_from, effective_to, reason, author,"
        f" recorded_at) SELECT customer_id, $2, 'gold', '{kind}', $3, $4, '', 'x', $3 FROM customer"
        " WHERE customer_id::text = $1"
    )
    first, second, third = (NOW + ahead * YEAR for ahead in (1, 2, 3))
    await execute(registry, insert, customer, 2, first, third)
    with pytest.raises(asyncpg.ExclusionViolationError):
        await execute(registry, insert, customer, 3, second, third + YEAR)
    await execute(registry, insert, customer, 3, third, third + YEAR)


async def test_there_are_never_two_default_tiers(registry: RegistryUnderTest) -> None:
    with pytest.raises(asyncpg.UniqueViolationError):
        await execute(registry, "UPDATE tier SET is_default = true WHERE tier = 'gold'")


async def test_many_at_once_register_one_customer(registry: RegistryUnderTest) -> None:
    body = {"identifiers": [{"system": "erp", "id": "contended"}]}
    answers = await asyncio.gather(*(registry.client.post("/v1/customers", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["customer_id"] for answer in answers}) == 1


async def test_many_at_once_with_one_key_do_it_once(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("impatient")
    path = f"/v1/customers/{customer}/assignments"
    headers = {"Idempotency-Key": "impatient"}
    answers = await asyncio.gather(
        *(registry.client.post(path, json={"tier": "gold"}, headers=headers) for _ in range(8))
    )
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}


async def test_moves_at_once_follow_one_another(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("tug of war")
    tiers = ("gold", "silver") * 5
    await asyncio.gather(
        *(registry.client.post(f"/v1/customers/{customer}/assignments", json={"tier": tier}) for tier in tiers)
    )
    states = [event for event in await registry.published(customer) if event.type == "segment.current.v1"]
    sequences = [event.sequence for event in states]
    assert sequences == list(range(1, len(sequences) + 1))  # in the order of their positions, without a gap


async def test_bulks_at_once_with_the_same_customers_all_arrive(registry: RegistryUnderTest) -> None:
    names = [f"overlap {number}" for number in range(60)]
    rows = [{"identifiers": [{"system": "erp", "id": name}], "tier": "gold"} for name in names]
    again = [{"identifiers": [{"system": "erp", "id": name}], "tier": "silver"} for name in reversed(names)]
    answers = await asyncio.gather(
        *(registry.client.post("/v1/imports", json={"items": items}) for items in (rows, again, rows[30:], again[:30]))
    )
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(answer.json()["created"] for answer in answers) == len(names)


async def test_what_is_stored_is_what_was_decided(registry: RegistryUnderTest) -> None:
    chance = random.Random(7)
    customer_id = await registry.new_customer("busy")
    (decided,) = (await load(registry, customer_id)).values()
    tiers = await registry.transactions.read(lambda reader: reader.tiers())
    for _ in range(60):
        start = NOW + timedelta(hours=chance.randrange(-200, 200))
        end = chance.choice([None, start + timedelta(hours=chance.randrange(1, 90))])
        kind = chance.choice(list(Kind))
        request = MoveRequest(chance.choice(["gold", "silver", "standard"]), kind, start, end, Grounds("why", "ann"))
        expected = move(decided, tiers, request, NOW)
        outcome = await registry.transactions.run(
            lambda transaction, request=request: assign_tier(transaction, customer_id, request, Cause("c", "c")),  # type: ignore[misc]
            label="test",
        )
        assert type(outcome) is type(expected)
        if isinstance(outcome, Moved):
            decided = outcome.customer
        assert (await load(registry, customer_id))[customer_id] == decided
    assert len(decided.assignments) > 5


async def load(registry: RegistryUnderTest, customer_id: str) -> dict[str, Customer]:
    return await registry.transactions.read(lambda reader: reader.customers([customer_id], ended_too=True))


async def test_swapping_ranks_at_once_never_shares_one(registry: RegistryUnderTest) -> None:
    bodies = [("left", 700), ("right", 700)]
    answers = await asyncio.gather(
        *(registry.client.put(f"/v1/tiers/{tier}", json={"name": tier, "priority_rank": rank}) for tier, rank in bodies)
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_audit_positions_have_no_gaps_whoever_writes(registry: RegistryUnderTest) -> None:
    await asyncio.gather(*(registry.new_customer(f"crowd {number}") for number in range(20)))
    rows = await registry.fetch("SELECT position FROM audit ORDER BY position")
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))


async def test_a_command_that_always_loses_gives_up(registry: RegistryUnderTest) -> None:
    attempts = 0

    async def unlucky(_: RegistryTransaction) -> Answer:
        nonlocal attempts
        attempts += 1
        raise LostRace

    with pytest.raises(LostRace):
        await answer_once(registry.transactions, unlucky, RequestKey("ann", "unlucky", b"f"), label="test")
    assert attempts == ATTEMPTS_MAX


async def test_a_refused_command_leaves_nothing_but_its_answer(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("untouched")
    counts = "SELECT (SELECT count(*) FROM outbox) AS events, (SELECT position FROM audit_head) AS audit"
    before = await registry.fetch(counts)
    refused: Callable[[], Awaitable[object]] = lambda: registry.client.post(  # noqa: E731 - said once
        f"/v1/customers/{customer}/assignments", json={"tier": "none"}, headers={"Idempotency-Key": "refused"}
    )
    await refused()
    await refused()
    assert await registry.fetch(counts) == before
    assert len(await registry.fetch("SELECT FROM idempotency WHERE key = 'refused'")) >= 1
