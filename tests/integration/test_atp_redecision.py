"""Freed quantity goes to those who wait, in order of service, by portions; on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.atp.adapters.transactions import PostgresTransactions
from services.atp.application.cancel_order import Cancelling
from services.atp.application.commands import BackordersServed, CancelOrder, Origin, PlaceOrder, ServeBackorders
from services.atp.application.engine import Engine
from services.atp.application.place_order import Placing
from services.atp.application.queues import Lane
from services.atp.application.replay_decision import parts_of
from services.atp.application.reproduce import reproduce
from services.atp.application.serve_backorders import Serving
from services.atp.metrics import AtpMetrics
from services.chassis.clocks import SystemClock
from services.chassis.lifecycle import Role
from services.chassis.metrics import new_registry
from services.contracts.promises import Promise
from tests.support.atp import Atp, an_order, assigned, outcomes, running_atp, unique

ORIGIN = Origin("correlation", "cause")


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    """An ATP that does not re-decide by itself."""
    async with running_atp(database_url, roles=frozenset({Role.API})) as running:
        yield running


@pytest.fixture
async def engine(atp: Atp) -> AsyncIterator[Engine]:
    made = Engine(
        PostgresTransactions(atp.database, stale_after=timedelta(seconds=10)),
        {PlaceOrder: Placing(), CancelOrder: Cancelling(), ServeBackorders: Serving()},
        wall=SystemClock(),
        metrics=AtpMetrics(new_registry(with_process=False)),
        currency="GBP",
    )
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    yield made
    stop.set()
    await running


async def portion(engine: Engine, item: str, lines: int = 200) -> BackordersServed:
    outcome = await engine.submit(Lane.REDECIDE, ServeBackorders((item,), ORIGIN, lines, lines))
    assert isinstance(outcome, BackordersServed)
    return outcome


async def taken_by(atp: Atp, promise_id: str) -> int:
    promise = Promise.model_validate_json((await atp.client.get(f"/v1/promises/{promise_id}")).content)
    return promise.lines[0].promised


async def a_queue(atp: Atp, item: str, on_hand: int, waiting: int) -> tuple[str, list[str]]:
    """An order that holds all stock, and orders of 1 behind it: their promise ids."""
    holder = (await atp.place(an_order((item, on_hand)))).json()["promise_id"]
    behind = [(await atp.place(an_order((item, 1)))).json()["promise_id"] for _ in range(waiting)]
    return holder, behind


async def cancel(atp: Atp, promise_id: str) -> None:
    answer = await atp.client.post(f"/v1/promises/{promise_id}:cancel", json={"version": 1})
    assert answer.status_code == 200


async def test_a_run_works_in_portions_in_order_of_service_and_clears_the_mark_with_the_last(
    atp: Atp, engine: Engine
) -> None:
    item = await atp.item(on_hand=7)
    holder, behind = await a_queue(atp, item, 7, 5)
    await cancel(atp, holder)
    assert await portion(engine, item, 2) == BackordersServed(2, 2, finished=False)
    assert [await taken_by(atp, promise) for promise in behind] == [1, 1, 0, 0, 0]
    marks = "SELECT waiting_quantities, marked_at IS NOT NULL FROM position WHERE item_id = $1"
    assert await atp.fetch(marks, item) == [([3], True)]
    assert await portion(engine, item, 2) == BackordersServed(2, 2, finished=False)
    assert await portion(engine, item, 2) == BackordersServed(1, 1, finished=True)
    assert await atp.fetch(marks, item) == [([], False)]
    assert await portion(engine, item, 2) == BackordersServed(0, 0, finished=True)


async def test_between_portions_a_newcomer_gets_only_what_nobody_waits_for(atp: Atp, engine: Engine) -> None:
    item = await atp.item(on_hand=7)
    holder, behind = await a_queue(atp, item, 7, 5)
    await cancel(atp, holder)
    await portion(engine, item, 2)
    newcomer = await atp.place(an_order((item, 7)))
    assert newcomer.json()["lines"][0]["promised"] == 2
    while not (await portion(engine, item, 2)).finished:
        pass
    assert [await taken_by(atp, promise) for promise in behind] == [1] * 5


async def test_quantity_freed_during_a_run_starts_it_again_from_the_first(atp: Atp, engine: Engine) -> None:
    item = await atp.item(on_hand=2)
    one, two = [(await atp.place(an_order((item, 1)))).json()["promise_id"] for _ in range(2)]
    first = (await atp.place(an_order((item, 2)))).json()["promise_id"]
    second = (await atp.place(an_order((item, 1)))).json()["promise_id"]
    await cancel(atp, one)
    await portion(engine, item, 1)
    assert [await taken_by(atp, promise) for promise in (first, second)] == [1, 0]
    await cancel(atp, two)
    await portion(engine, item, 1)
    assert [await taken_by(atp, promise) for promise in (first, second)] == [2, 0]


async def test_a_run_ends_when_nothing_is_left(atp: Atp, engine: Engine) -> None:
    item = await atp.item(on_hand=1)
    holder, _ = await a_queue(atp, item, 1, 6)
    await cancel(atp, holder)
    assert await portion(engine, item, 2) == BackordersServed(2, 1, finished=True)


async def test_a_customer_whose_tier_changed_is_served_at_its_new_place(atp: Atp, engine: Engine) -> None:
    await atp.tier("gold", 1)
    await atp.tier("standard", 9, default=True)
    item = await atp.item(on_hand=1)
    holder, (earlier,) = await a_queue(atp, item, 1, 1)
    customer = unique("riser")
    await atp.customer(customer, assigned("standard"))
    later = (await atp.place(an_order((item, 1), customer={"system": "erp", "id": customer}))).json()["promise_id"]
    await atp.customer(customer, assigned("gold", sequence=2))
    await cancel(atp, holder)
    assert (await portion(engine, item)).reranked
    await portion(engine, item)
    assert [await taken_by(atp, promise) for promise in (earlier, later)] == [0, 1]
    now = (await atp.client.get(f"/v1/promises/{later}")).json()["served_as"]
    assert (now["tier"], now["tier_at_order"]) == ("gold", "standard")


async def test_an_order_that_ships_complete_waits_until_all_of_it_is_there(atp: Atp, engine: Engine) -> None:
    left, right = [await atp.item(on_hand=1) for _ in range(2)]
    holders = [(await a_queue(atp, item, 1, 0))[0] for item in (left, right)]
    whole = await atp.place(an_order((left, 1), (right, 1), ship_complete=True))
    assert outcomes(whole) == ["ship_complete_unmet"] * 2
    await cancel(atp, holders[0])
    await portion(engine, left)
    assert await taken_by(atp, whole.json()["promise_id"]) == 0
    await cancel(atp, holders[1])
    await portion(engine, right)
    promise = (await atp.client.get(f"/v1/promises/{whole.json()['promise_id']}")).json()
    assert [(line["outcome"], line["promised"]) for line in promise["lines"]] == [("promised", 1)] * 2
    assert await atp.fetch("SELECT count(*) FROM backorder WHERE item_id = ANY($1)", [left, right]) == [(0,)]


async def test_a_backorder_that_was_cancelled_gets_nothing(atp: Atp, engine: Engine) -> None:
    item = await atp.item(on_hand=1)
    holder, (first, second) = await a_queue(atp, item, 1, 2)
    await cancel(atp, first)
    await cancel(atp, holder)
    await portion(engine, item)
    assert [await taken_by(atp, promise) for promise in (first, second)] == [0, 1]
    states: list[Any] = await atp.fetch("SELECT count(*) FROM backorder WHERE item_id = $1", item)
    assert states == [(0,)]


async def test_small_runs_of_many_items_share_a_transaction(atp: Atp, engine: Engine) -> None:
    items = [await atp.item(on_hand=1) for _ in range(20)]
    queues = {item: await a_queue(atp, item, 1, 1) for item in items}
    for holder, _ in queues.values():
        await cancel(atp, holder)
    answers = [engine.submit(Lane.REDECIDE, ServeBackorders((item,), ORIGIN, 200, 1)) for item in items]
    assert await asyncio.gather(*answers) == [BackordersServed(1, 1, finished=True)] * 20
    assert [await taken_by(atp, behind) for _, (behind,) in queues.values()] == [1] * 20
    promises = [behind for _, (behind,) in queues.values()]
    assert await atp.fetch("SELECT count(DISTINCT decision_id) FROM promise WHERE promise_id = ANY($1)", promises) == [
        (1,)
    ]


async def test_every_record_gives_again_what_the_ledger_holds(atp: Atp, engine: Engine) -> None:
    item, other = [await atp.item(on_hand=6) for _ in range(2)]
    made = [await atp.place(an_order((item, 2), (other, 3))) for _ in range(5)]
    for answer in made[:2]:
        await cancel(atp, answer.json()["promise_id"])
    for each in (item, other):
        while not (await portion(engine, each, 2)).finished:
            pass
    records = await atp.fetch("SELECT decision_id, input FROM decision_batch")
    assert len(records) > 5
    for decision_id, record in records:
        again = sorted(
            (index, part.key.item_id, part.key.location_id, part.quantity, part.available_day)
            for index, decision in enumerate(reproduce(record))
            for _, part in parts_of(decision)
        )
        ledger = await atp.fetch(
            "SELECT decision_index, item_id, location_id, quantity, available_day FROM commitment"
            " WHERE decision_id = $1 ORDER BY 1, 2, 3, 4, 5",
            decision_id,
        )
        assert again == ledger
