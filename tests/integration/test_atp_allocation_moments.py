"""What allocation documents free by date alone reaches those who wait, without any other event."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.atp.adapters.ledger import verify
from services.chassis.business_time import clear_replay
from tests.support.atp import Atp, an_order, running_atp, unique

MONDAY = date(2030, 3, 4)


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, replay=True) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 3, default=True)
        await running.execute("DELETE FROM due")  # what other tests of this database left
        await on_day(running, 0)
        yield running
        assert (await verify(running.database)).drifts == ()
        await running.database.run(clear_replay, label="test")


async def on_day(atp: Atp, day: int, *, step: int = 1) -> None:
    at = datetime(MONDAY.year, MONDAY.month, MONDAY.day, tzinfo=UTC) + timedelta(days=day)
    answer = await atp.client.put(
        "/internal/replay", json={"at": at.isoformat(), "phase": "settle", "step": day + step}
    )
    assert answer.status_code == 200, answer.text


def day_of(day: int) -> str:
    return (MONDAY + timedelta(days=day)).isoformat()


def protecting(item: str, quantity: int, days: tuple[int, int] = (0, 20), **fields: Any) -> dict[str, Any]:
    span = {"start": day_of(days[0]), "end": day_of(days[1])}
    return {"sku": item, "location": "L1", "tier": "gold", "protected_qty": quantity, **span, **fields}


async def write(atp: Atp, kind: str, name: str, lines: list[dict[str, Any]], **fields: Any) -> None:
    answer = await atp.client.put(f"/v1/{kind}/{name}", json={"lines": lines, **fields})
    assert answer.status_code == 200, answer.text


async def waiting(atp: Atp, item: str, quantity: int) -> str:
    answer = await atp.place(an_order((item, quantity)))
    assert answer.json()["lines"][0]["promised"] == 0, answer.text
    return str(answer.json()["promise_id"])


async def served(atp: Atp, promise_id: str) -> bool:
    return not await atp.fetch("SELECT FROM backorder WHERE promise_id = $1::text::uuid AND NOT late", promise_id)


async def until_served(atp: Atp, promise_id: str) -> None:
    await atp.until(
        "SELECT NOT EXISTS (SELECT FROM backorder WHERE promise_id = $1::text::uuid AND NOT late)", promise_id
    )


async def test_a_future_version_takes_effect_by_itself_and_those_who_wait_are_served(atp: Atp) -> None:
    item, name = await atp.item(on_hand=50), unique("later")
    await write(atp, "protections", name, [protecting(item, 50)])
    promise = await waiting(atp, item, 30)
    await write(atp, "protections", name, [protecting(item, 10)], effective_from=f"{day_of(3)}T00:00:00Z")
    await on_day(atp, 2)
    await atp.until("SELECT NOT EXISTS (SELECT FROM due WHERE at <= (SELECT at FROM business_clock.replay))")
    assert not await served(atp, promise)
    await on_day(atp, 3)
    await until_served(atp, promise)
    states = (await atp.client.get(f"/v1/protections/{name}/versions")).json()["items"]
    assert [(each["version"], each["state"]) for each in states] == [(2, "in_effect"), (1, "past")]


async def test_a_lapse_lets_those_who_wait_have_what_was_kept(atp: Atp) -> None:
    item, name = await atp.item(on_hand=50), unique("lapsing")
    await write(atp, "protections", name, [protecting(item, 50, lapse_days=15)])
    promise = await waiting(atp, item, 30)
    await on_day(atp, 5)
    assert not await served(atp, promise)
    await on_day(atp, 6)
    await until_served(atp, promise)
    await atp.until(
        "SELECT NOT EXISTS (SELECT FROM due WHERE kind = 'allocation' AND starts_with(key, $1))", f'["{name}"'
    )


async def test_a_protection_sized_by_what_is_expected_is_looked_at_every_day_until_it_lapses(atp: Atp) -> None:
    item, name = await atp.item(on_hand=50), unique("expected")
    await write(atp, "protections", name, [protecting(item, 50, (0, 9), expected_qty=50, lapse_days=0)])
    promise = await waiting(atp, item, 10)
    await on_day(atp, 1)
    await atp.until("SELECT NOT EXISTS (SELECT FROM due WHERE at <= (SELECT at FROM business_clock.replay))")
    assert not await served(atp, promise)
    await on_day(atp, 2)
    await until_served(atp, promise)


async def test_a_quota_of_everything_that_grows_on_a_date_asks_everybody_who_waits_in_portions(
    atp: Atp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.atp.application.turn_dates.ITEMS_AT_ONCE_MAX", 2)
    items = [await atp.item(on_hand=5) for _ in range(5)]
    name, channel = unique("most"), unique("channel")
    span = {"start": day_of(0), "end": day_of(30), "channel": channel}
    await write(atp, "quotas", name, [{**span, "quantity": 0}])
    promises = []
    for item in items:
        answer = await atp.place(an_order((item, 4), channel=channel))
        promises.append(answer.json()["promise_id"])
    await write(atp, "quotas", name, [{**span, "quantity": 20}], effective_from=f"{day_of(1)}T00:00:00Z")
    await on_day(atp, 1)
    for promise in promises:
        await until_served(atp, promise)
    await atp.until(
        "SELECT NOT EXISTS (SELECT FROM due WHERE kind = 'allocation' AND starts_with(key, $1))", f'["{name}"'
    )


async def test_a_version_that_was_superseded_before_its_date_frees_nothing(atp: Atp) -> None:
    item, name = await atp.item(on_hand=50), unique("superseded")
    await write(atp, "protections", name, [protecting(item, 50, lapse_days=0)])
    promise = await waiting(atp, item, 30)
    await write(atp, "protections", name, [], effective_from=f"{day_of(2)}T00:00:00Z")
    await write(atp, "protections", name, [protecting(item, 50, lapse_days=0)])
    await on_day(atp, 2)
    await atp.until("SELECT NOT EXISTS (SELECT FROM due WHERE at <= (SELECT at FROM business_clock.replay))")
    assert not await served(atp, promise)
    answer = await atp.client.get(f"/v1/protections/{name}", params={"at": f"{day_of(2)}T12:00:00Z"})
    assert answer.json()["version"] == 3
