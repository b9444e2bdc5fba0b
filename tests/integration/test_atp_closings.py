"""Closing a location for promising: at once, foretold, and with what it promised moved where nobody loses by it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.chassis.lifecycle import Role
from tests.support.atp import Atp, an_order, assigned, in_days, outcomes, running_atp, today, unique

QUIET = """
SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)
    AND NOT EXISTS (SELECT FROM due WHERE at <= clock_timestamp())
"""


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Atp, Atp]]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_atp(database_url, atp_due_poll_seconds=0.2))
        second = await stack.enter_async_context(running_atp(database_url, roles=frozenset({Role.API})))
        await first.tier("gold", 1)
        await first.tier("bronze", 3, default=True)
        await first.customer("g", assigned("gold"))
        yield first, second
        assert (await verify(first.database)).drifts == ()
        assert (await audit(first.database)).oversold == {}


@pytest.fixture
def atp(pair: tuple[Atp, Atp]) -> Atp:
    return pair[0]


@pytest.fixture
def dc() -> str:
    """A location of one test's own."""
    return unique("L")


async def close(atp: Atp, location: str, **fields: Any) -> dict[str, Any]:
    answer = await atp.client.post(f"/v1/locations/{location}:close", json={"reason": "flooded", **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def reopen(atp: Atp, location: str) -> dict[str, Any]:
    answer = await atp.client.post(f"/v1/locations/{location}:reopen", json={"reason": "dry"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def stock(atp: Atp, item: str, quantity: int, location: str) -> None:
    """Let goods be at another location too."""
    await atp.location(location, rank=2)
    movement = {"source": "wms", "reference": unique("in"), "kind": "adjustment", "occurred_at": f"{today()}T00:00:00Z"}
    entry = {**movement, "sku": item, "location": location, "quantity": quantity}
    answer = await atp.client.post("/v1/supply/movements", json={"items": [entry]})
    assert answer.status_code == 200, answer.text


def places(promise: Any, line: int = 0) -> list[str]:
    return [part["location"] for part in promise["lines"][line]["schedule"]]


async def test_from_the_answer_on_nothing_is_promised_from_a_closed_location(atp: Atp, dc: str) -> None:
    item, other = await atp.item(on_hand=100, location=dc), await atp.item(on_hand=100, location=dc)
    await stock(atp, other, 100, unique("L"))
    assert await close(atp, dc, until=in_days(3)) == {"location": dc, "effect": "applied", "moving": 0}
    answer = await atp.place(an_order((item, 1), (other, 1)))
    assert outcomes(answer) == ["stopped", "promised"]
    assert places(answer.json(), 1) != [dc]
    why = answer.json()["lines"][0]["why"][0]
    assert (why["kind"], why["reference"], why["day"]) == ("stop", dc, in_days(3))
    (found,) = [each for each in (await atp.client.get("/v1/closings")).json()["items"] if each["location"] == dc]
    assert (found["until"], found["reason"]) == (in_days(3), "flooded")
    shown = (await atp.client.get(f"/v1/availability?sku={item}&tier=gold")).json()["locations"][0]
    assert (shown["stopped_through"], shown["days"][0]["confirmable"]) == (in_days(3), 0)


async def test_those_who_wait_are_served_when_it_is_open_again(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=10, location=dc)
    await close(atp, dc)
    assert (await close(atp, dc))["effect"] == "repeated"
    order = an_order((item, 10), customer={"system": "erp", "id": "g"})
    assert outcomes(await atp.place(order)) == ["stopped"]
    assert (await reopen(atp, dc))["effect"] == "applied"
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    assert (await reopen(atp, dc))["effect"] == "repeated"
    entries = [each for each in (await atp.client.get("/v1/audit")).json()["items"] if each["subject"] == dc]
    assert [each["action"] for each in entries] == ["location.closed", "location.reopened"]


async def test_a_closing_that_is_over_by_date_holds_nothing_back(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=10, location=dc)
    await close(atp, dc, until=in_days(-1))
    assert outcomes(await atp.place(an_order((item, 1)))) == ["promised"]
    assert dc not in [each["location"] for each in (await atp.client.get("/v1/closings")).json()["items"]]


async def test_what_can_move_without_loss_moves_and_the_rest_keeps_its_date(atp: Atp, dc: str) -> None:
    item, alone, other = await atp.item(on_hand=100, location=dc), await atp.item(on_hand=9, location=dc), unique("L")
    moves = (await atp.place(an_order((item, 6), (alone, 2)))).json()
    stays = (await atp.place(an_order((item, 50)))).json()
    await stock(atp, item, 20, other)
    assert (places(moves), places(moves, 1), places(stays)) == ([dc], [dc], [dc])
    foretold = await atp.client.post("/v1/previews", json={"closings": [{"location": dc}]})
    assert foretold.status_code == 200, foretold.text
    assert (foretold.json()["total"]["lost"], foretold.json()["looked_at"]["promises"]) == (0, 2)
    assert (await close(atp, dc, move=True))["moving"] == 2
    await atp.until(QUIET)
    moved = (await atp.client.get(f"/v1/promises/{moves['promise_id']}")).json()
    kept = (await atp.client.get(f"/v1/promises/{stays['promise_id']}")).json()
    assert (places(moved), places(moved, 1), places(kept)) == ([other], [dc], [dc])
    assert moved["lines"][0]["schedule"][0]["arrival_date"] == moves["lines"][0]["schedule"][0]["arrival_date"]
    assert (moved["revision"], kept["revision"]) == (2, 1)


async def test_an_unknown_location_and_a_closing_without_a_reason_are_refused(atp: Atp) -> None:
    answer = await atp.client.post("/v1/locations/nowhere:close", json={"reason": "flooded"})
    assert (answer.status_code, answer.json()["code"]) == (404, "no_location")
    assert (await atp.client.post("/v1/locations/L1:close", json={"reason": ""})).status_code == 422
    answer = await atp.client.post("/v1/previews", json={"closings": [{"location": "nowhere"}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "location_unknown")


async def test_while_64_clients_promise_nothing_comes_from_it_after_the_answer(pair: tuple[Atp, Atp], dc: str) -> None:
    items = [await pair[0].item(on_hand=10_000, location=dc) for _ in range(10)]
    closed = asyncio.Event()
    late: list[httpx.Response] = []
    early = 0
    stop = False

    async def client(number: int) -> None:
        nonlocal early
        turn = number
        while not stop:
            asked_after = closed.is_set()
            answer = await pair[turn % 2].place(an_order((items[turn % 10], 1)))
            assert answer.status_code == 201
            if asked_after:
                late.append(answer)
            early += not asked_after
            turn += 1

    clients = [asyncio.create_task(client(number)) for number in range(64)]
    async with asyncio.timeout(60):
        while early < 200:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
        await close(pair[0], dc)
        closed.set()
        while len(late) < 200:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)
    stop = True
    await asyncio.gather(*clients)
    assert {outcome for answer in late for outcome in outcomes(answer)} == {"stopped"}
    rows = await pair[0].fetch(
        "SELECT count(*) FROM commitment c JOIN decision_batch b USING (decision_id), location_closing l"
        " WHERE c.location_id = $1 AND l.location_id = $1 AND b.decided_at > l.closed_at",
        dc,
    )
    assert rows == [(0,)]
