"""The engine against a real PostgreSQL: poison commands, lost commits, full queues, the end of a process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from services.atp.adapters.transactions import PostgresTransactions
from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.commands import Answered, Command, Origin, Outcome, PlaceOrder, Remembered
from services.atp.application.engine import Engine, Stopped
from services.atp.application.place_order import Placing
from services.atp.application.ports import CommitLost, Session, Unavailable
from services.atp.application.queues import LINES_MAX, Lane, QueueFull
from services.atp.entrypoints.answers import render_placed
from services.atp.entrypoints.orders import place_command
from services.atp.metrics import AtpMetrics
from services.chassis.clocks import SystemClock
from services.chassis.database import Database
from services.chassis.metrics import new_registry
from services.contracts.orders import OrderPlaced
from tests.support.atp import Atp, an_order, running_atp

T = TypeVar("T")
ORIGIN = Origin("correlation", "cause")


@dataclass(frozen=True)
class Poison:
    """A command that nobody can decide."""

    origin: Origin = ORIGIN
    remembered: Remembered | None = None
    lines: int = 1


class Poisoned(Handler[Poison]):
    def needs(self, command: Poison, needs: Needs) -> None:
        pass

    def decide(self, batch: Batch, command: Poison) -> Outcome:
        raise ZeroDivisionError(batch, command)


class Losing(PostgresTransactions):
    """Loses the answers to some commits, which took place."""

    def __init__(self, database: Database, losses: int) -> None:
        super().__init__(database, stale_after=timedelta(seconds=10))
        self.losses = losses

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        result = await super().run(work)
        if self.losses:
            self.losses -= 1
            raise CommitLost
        return result


class Held(PostgresTransactions):
    """Keeps the first transaction from its commit until the gate opens, and tells what began and what committed."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, stale_after=timedelta(seconds=10))
        self.gate = asyncio.Event()
        self.told: list[str] = []
        self.more = asyncio.Condition()

    async def run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        number = sum(each.startswith("began") for each in self.told) + 1

        async def held(session: Session) -> T:
            result = await work(session)
            await self.tell(f"wrote {number}")
            if number == 1:
                await self.gate.wait()
            return result

        await self.tell(f"began {number}")
        result = await super().run(held)
        await self.tell(f"committed {number}")
        return result

    async def tell(self, what: str) -> None:
        async with self.more:
            self.told.append(what)
            self.more.notify_all()

    async def until(self, what: str) -> None:
        async with asyncio.timeout(10), self.more:
            await self.more.wait_for(lambda: what in self.told)


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, roles=frozenset()) as running:
        yield running


def an_engine(atp: Atp, transactions: PostgresTransactions | None = None) -> Engine:
    return Engine(
        transactions or PostgresTransactions(atp.database, stale_after=timedelta(seconds=10)),
        {PlaceOrder: Placing(), Poison: Poisoned()},
        wall=SystemClock(),
        metrics=AtpMetrics(new_registry(with_process=False)),
        currency="GBP",
    )


def place(item: str, **fields: Any) -> PlaceOrder:
    return place_command(OrderPlaced.model_validate(an_order((item, 1), **fields)), ORIGIN)


async def decided(engine: Engine, *commands: Command) -> list[Any]:
    """The outcomes of commands that were submitted together; the engine is stopped at the end."""
    answers = [engine.submit(Lane.HTTP, command) for command in commands]
    stop = asyncio.Event()
    stop.set()
    await engine.run(stop)
    return await asyncio.gather(*answers, return_exceptions=True)


@pytest.mark.parametrize("place_of_poison", [0, 4, 9])
async def test_a_poison_command_fails_alone(atp: Atp, place_of_poison: int) -> None:
    item = await atp.item(on_hand=100)
    commands: list[Command] = [place(item) for _ in range(9)]
    commands.insert(place_of_poison, Poison())
    outcomes = await decided(an_engine(atp), *commands)
    assert [index for index, each in enumerate(outcomes) if isinstance(each, ZeroDivisionError)] == [place_of_poison]
    assert sum(isinstance(each, Answered) and each.first for each in outcomes) == 9
    assert await atp.fetch("SELECT commit_quantities FROM position WHERE item_id = $1", item) == [([9],)]


async def test_a_commit_whose_answer_was_lost_is_looked_up(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    command = place(item)
    key = Remembered("caller", command.key.order_id, b"f" * 32, render_placed)
    outcomes = await decided(an_engine(atp, Losing(atp.database, 1)), command, replace(place(item), remembered=key))
    assert all(getattr(each, "document", None) or getattr(each, "body", None) for each in outcomes)
    assert await atp.fetch("SELECT commit_quantities FROM position WHERE item_id = $1", item) == [([2],)]
    assert await atp.fetch(
        "SELECT count(*) FROM decision_batch d JOIN promise p USING (decision_id) WHERE p.order_id = $1",
        command.key.order_id,
    ) == [(1,)]


async def test_a_commit_that_stays_unknown_is_said_to_be_unknown(atp: Atp) -> None:
    outcomes = await decided(an_engine(atp, Losing(atp.database, 10)), place(await atp.item(on_hand=1)))
    assert [type(each) for each in outcomes] == [CommitLost]


async def test_a_database_that_is_gone_answers_unavailable(atp: Atp) -> None:
    item = await atp.item(on_hand=1)
    gone = await Database.open(atp.database.url, schema="atp", name="gone")
    await gone.close()
    engine = an_engine(atp, PostgresTransactions(gone, stale_after=timedelta(seconds=10)))
    assert [type(each) for each in await decided(engine, place(item), place(item))] == [Unavailable] * 2


async def test_a_full_queue_refuses_at_once_and_bulks_wait_for_room(atp: Atp) -> None:
    engine = an_engine(atp)
    item = await atp.item(on_hand=100)
    first = [engine.submit(Lane.HTTP, Poison(lines=LINES_MAX[Lane.HTTP]))]
    with pytest.raises(QueueFull):
        engine.submit(Lane.HTTP, place(item))
    waiting = asyncio.create_task(engine.submit_in_turn(Lane.HTTP, place(item)))
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    outcome = await (await waiting)
    assert isinstance(outcome, Answered)
    stop.set()
    await running
    await asyncio.gather(*first, return_exceptions=True)


async def test_what_was_accepted_is_decided_before_the_end_and_nothing_after_it(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    engine = an_engine(atp)
    outcomes = await decided(engine, *(place(item) for _ in range(600)))
    assert sum(isinstance(each, Answered) for each in outcomes) == 600
    with pytest.raises(Stopped):
        engine.submit(Lane.HTTP, place(item))


async def _one_after_another(atp: Atp, first: Command, second: Command, *, open_after: str) -> tuple[Held, list[Any]]:
    """Submit the second while the first waits in its commit, which ends after something was told."""
    transactions = Held(atp.database)
    engine, stop = an_engine(atp, transactions), asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    answers = [engine.submit(Lane.HTTP, first)]
    await transactions.until("wrote 1")
    answers.append(engine.submit(Lane.HTTP, second))
    await transactions.until(open_after)
    await atp.fetch("SELECT pg_sleep(0.05)")  # time in which a second batch that should wait could begin
    assert not any(answer.done() for answer in answers)
    assert "wrote 2" not in transactions.told
    transactions.gate.set()
    outcomes: list[Any] = await asyncio.gather(*answers, return_exceptions=True)
    stop.set()
    await running
    return transactions, outcomes


async def test_new_orders_begin_while_those_before_wait_for_the_disk_and_see_what_these_left(atp: Atp) -> None:
    item = await atp.item(on_hand=1)
    transactions, outcomes = await _one_after_another(atp, place(item), place(item), open_after="began 2")
    assert transactions.told.index("began 2") < transactions.told.index("committed 1")
    assert [b'"promised":1' in each.document for each in outcomes] == [True, False]


async def test_other_commands_and_the_same_order_wait_for_the_commit_before(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    order = place(item)
    for second in (order, Poison()):
        transactions, outcomes = await _one_after_another(
            atp, order if second is order else place(item), second, open_after="wrote 1"
        )
        assert transactions.told.index("committed 1") < transactions.told.index("began 2")
        assert isinstance(outcomes[1], ZeroDivisionError) or not outcomes[1].first


async def test_commands_of_one_batch_see_each_other(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    same = place(item)
    outcomes = await decided(an_engine(atp), same, same, place(item))
    assert [each.first for each in outcomes] == [True, False, True]
    assert outcomes[0].document == outcomes[1].document
