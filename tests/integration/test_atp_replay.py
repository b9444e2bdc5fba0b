"""A replay from the ATP's side: business time, its two phases, and being quiet."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.chassis.business_time import clear_replay
from tests.support.atp import DEADLINE_SECONDS, Atp, an_order, outcomes, placed, running_atp

AT = "2011-03-01T10:00:00Z"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, replay=True) as running:
        yield running
        await running.database.run(clear_replay, label="test")


async def move(atp: Atp, phase: str, step: int = 1, at: str = AT) -> None:
    answer = await atp.client.put("/internal/replay", json={"at": at, "phase": phase, "step": step})
    assert answer.status_code == 200, answer.text


async def quiet(atp: Atp) -> dict[str, Any]:
    """The answer, once it says quiet."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            answer: dict[str, Any] = (await atp.client.get("/internal/quiet?wait_seconds=1")).json()
            if answer["quiet"]:
                return answer


async def test_promises_are_dated_by_the_stored_time(atp: Atp) -> None:
    await move(atp, "intake")
    answer = await atp.place(an_order((await atp.item(on_hand=5), 1)))
    assert answer.json()["decided_at"] == AT
    assert answer.json()["lines"][0]["schedule"][0]["arrival_date"] == "2011-03-03"


async def test_freed_stock_is_only_marked_until_the_settle_phase(atp: Atp) -> None:
    await move(atp, "intake")
    item = await atp.item(on_hand=1)
    holder = (await atp.place(an_order((item, 1)))).json()["promise_id"]
    waiting = (await atp.place(an_order((item, 1)))).json()["promise_id"]
    await atp.client.post(f"/v1/promises/{holder}:cancel", json={"version": 1})
    before = await quiet(atp)
    assert outcomes(await atp.client.get(f"/v1/promises/{waiting}")) == ["backordered"]
    await move(atp, "settle")
    after = await quiet(atp)
    assert outcomes(await atp.client.get(f"/v1/promises/{waiting}")) == ["promised"]
    assert after["activity"] > before["activity"]


async def test_the_atp_is_quiet_when_all_that_came_is_decided_and_published(atp: Atp) -> None:
    await move(atp, "intake")
    item = await atp.item(on_hand=500)
    await atp.publish(*(placed(an_order((item, 1))) for _ in range(200)))
    found = await quiet(atp)
    assert set(found["pending"].values()) == {0}
    assert await atp.fetch("SELECT commit_quantities FROM position WHERE item_id = $1", item) == [([200],)]


async def test_outside_of_a_replay_nobody_moves_the_time(database_url: str) -> None:
    async with running_atp(database_url) as atp:
        answer = await atp.client.put("/internal/replay", json={"at": AT, "phase": "intake", "step": 1})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_a_replay")
