"""What was true and what was known, for all pairs of moments, against pictures that were kept of every state."""

import random
from collections.abc import AsyncIterator
from copy import deepcopy

import pytest

from services.chassis.business_time import Phase, clear_replay, set_replay
from services.chassis.database import Connection
from services.segment_registry.application.assign_tier import assign_tier
from services.segment_registry.application.end_assignment import end_assignment
from services.segment_registry.application.ports import Cause, RegistryTransaction
from services.segment_registry.application.read_customers import KnownView, customer_as_known
from services.segment_registry.domain.moves import Moved, MoveRequest
from services.segment_registry.domain.timeline import Grounds, Kind
from tests.support.painted_timeline import MOMENTS, Layers, Model, moment
from tests.support.registry_service import RegistryUnderTest, registry_over

CAUSE = Cause("test", "test")
GROUNDS = Grounds("because", "ann")


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


async def at_hour(registry: RegistryUnderTest, hour: int) -> None:
    async def work(connection: Connection) -> None:
        await set_replay(connection, moment(hour), Phase.SETTLE, hour)

    await registry.database.run(work, label="move the business time")


async def change(registry: RegistryUnderTest, customer: str, chance: random.Random, hour: int, model: Model) -> None:
    """One command of a person, given to the registry and painted."""
    sequence = (await registry.fetch("SELECT sequence FROM customer WHERE customer_id::text = $1", customer))[0][0] + 1
    if chance.random() < 0.25:
        which = chance.randint(2, sequence)

        async def end(transaction: RegistryTransaction) -> object:
            return await end_assignment(transaction, customer, which, GROUNDS, CAUSE)

        if isinstance(await registry.transactions.run(end, label="test"), Moved):
            model.end(which, hour)
        return
    kind, tier = chance.choice(list(Kind)), chance.choice(registry.tiers)
    first, last = chance.randrange(MOMENTS), chance.choice([None, chance.randint(1, MOMENTS)])
    wish = MoveRequest(tier, kind, moment(first), None if last is None else moment(last), GROUNDS)

    async def move(transaction: RegistryTransaction) -> object:
        return await assign_tier(transaction, customer, wish, CAUSE)

    outcome = await registry.transactions.run(move, label="test")
    if isinstance(outcome, Moved):
        assert model.assign(kind, tier, first, last, outcome.assignment.sequence) is True


@pytest.mark.parametrize("seed", range(4))
async def test_every_pair_of_valid_and_known_time_is_answered_as_it_was(registry: RegistryUnderTest, seed: int) -> None:
    chance = random.Random(seed)
    model, pictures = Model(), dict[int, Layers]()
    try:
        await at_hour(registry, 0)
        customer = await registry.new_customer(f"remembered {seed}")
        for hour in range(MOMENTS):
            await at_hour(registry, hour)
            for _ in range(chance.choice([0, 1, 1, 2])):
                await change(registry, customer, chance, hour, model)
            pictures[hour] = deepcopy(model.layers)
        for known in range(MOMENTS):
            painted = Model()
            painted.layers = pictures[known]
            for valid in range(MOMENTS + 1):
                view = await known_view(registry, customer, valid, known)
                expected = painted.tier_at(valid)
                assert (view.served.by and (view.served.by.tier, view.served.by.sequence)) == expected
    finally:
        await registry.database.run(clear_replay, label="test")


async def known_view(registry: RegistryUnderTest, customer: str, valid: int, known: int) -> KnownView:
    view = await registry.transactions.read(
        lambda reader: customer_as_known(reader, customer, moment(valid), moment(known))
    )
    assert view is not None
    return view
