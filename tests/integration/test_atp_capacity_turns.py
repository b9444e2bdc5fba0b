"""Those who wait for what a location may send are asked again when a date passes, though nothing else happens."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.chassis.business_time import clear_replay
from tests.integration.test_atp_replay import move, quiet
from tests.support.atp import Atp, an_order, assigned, running_atp, unique

START = date(2011, 3, 1)
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, replay=True, atp_due_poll_seconds=0.1) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 3, default=True)
        await running.customer("g", assigned("gold"))
        await day(running, 0)
        yield running
        assert (await verify(running.database)).drifts == ()
        assert (await audit(running.database)).overbooked == {}
        await running.database.run(clear_replay, label="test")


@pytest.fixture
def dc() -> str:
    return unique("L")


async def day(atp: Atp, number: int, hour: int = 10) -> None:
    """Let it be ten o'clock, some days after the start, and everything done that is due."""
    at = datetime.combine(START, datetime.min.time(), tzinfo=UTC) + timedelta(days=number, hours=hour)
    await move(atp, "settle", number + 1, at.isoformat())
    await quiet(atp)


def on(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


async def limit(atp: Atp, dc: str, units: int, *, only: int, name: str | None = None, **fields: Any) -> str:
    """Let so many units leave on one day, and none on others; the id of the document."""
    line = {"location": dc, **dict.fromkeys(WEEK, 0), "exceptions": [{"day": on(only), "units": units}]}
    name, effective = name or unique("capacity"), fields.pop("effective_from", None)
    document = {"lines": [{**line, **fields}], "effective_from": effective}
    answer = await atp.client.put(f"/v1/capacities/{name}", json=document)
    assert answer.status_code == 200, answer.text
    return name


async def waits(atp: Atp, item: str) -> str:
    """An order that gets nothing yet; its promise."""
    answer = await atp.place(an_order((item, 5), latest_acceptable_arrival=on(12)))
    assert answer.json()["lines"][0]["promised"] == 0, answer.text
    return str(answer.json()["promise_id"])


async def promised(atp: Atp, promise_id: str) -> int:
    """How much it has now."""
    answer = await atp.client.get(f"/v1/promises/{promise_id}")
    return int(answer.json()["lines"][0]["promised"])


async def test_when_a_share_lapses_those_who_wait_have_it_on_that_day_and_not_before(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=50, location=dc)
    await limit(atp, dc, 8, only=9, shares=[{"tier": "gold", "quantity": 8, "lapse_days": 4}])
    promise = await waits(atp, item)
    await day(atp, 5, hour=23)
    assert await promised(atp, promise) == 0
    await day(atp, 6, hour=0)
    assert await promised(atp, promise) == 5


async def test_when_a_document_comes_into_effect_those_who_wait_are_served(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=50, location=dc)
    await day(atp, 20)
    name = await limit(atp, dc, 0, only=29)
    answer = await atp.place(an_order((item, 5), latest_acceptable_arrival=on(32)))
    promise = str(answer.json()["promise_id"])
    await limit(atp, dc, 9, only=29, name=name, effective_from=f"{on(23)}T06:00:00Z")
    assert await promised(atp, promise) == 0
    await day(atp, 23, hour=5)
    assert await promised(atp, promise) == 0
    await day(atp, 23, hour=6)
    assert await promised(atp, promise) == 5


async def test_when_a_closing_ends_by_date_those_who_wait_are_served(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=50, location=dc)
    await day(atp, 40)
    answer = await atp.client.post(f"/v1/locations/{dc}:close", json={"reason": "strike", "until": on(42)})
    assert answer.status_code == 200, answer.text
    answer = await atp.place(an_order((item, 5)))
    assert answer.json()["lines"][0]["outcome"] == "stopped"
    promise = str(answer.json()["promise_id"])
    await day(atp, 42, hour=23)
    assert await promised(atp, promise) == 0
    await day(atp, 43, hour=0)
    assert await promised(atp, promise) == 5
