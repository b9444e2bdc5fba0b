"""Bookable daily capacity over HTTP: taken with the stock, given back with it, kept for tiers; never overbooked."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
import orjson
import pytest

from services.atp.adapters.decision_reader import PostgresDecisionReader
from services.atp.adapters.ledger import rebuild, verify
from services.atp.adapters.oversell_audit import audit
from services.atp.application.replay_decision import replay
from services.chassis.envelope import Event
from services.chassis.lifecycle import Role
from services.contracts import topics
from services.contracts.catalogue import CATALOG_CAPACITY
from tests.support.atp import Atp, an_order, assigned, in_days, order_event, running_atp, unique
from tests.support.atp_process import atp_process

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture
async def pair(database_url: str) -> AsyncIterator[tuple[Atp, Atp]]:
    """Two replicas over one database; at the end every counter is what the ledger says, and no day was overbooked."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(running_atp(database_url, atp_measuring_seconds=0.2))
        second = await stack.enter_async_context(running_atp(database_url, roles=frozenset({Role.API})))
        await first.tier("gold", 1)
        await first.tier("bronze", 3, default=True)
        await first.customer("g", assigned("gold"))
        yield first, second
        assert (await verify(first.database)).drifts == ()
        found = await audit(first.database)
        assert found.oversold == {}
        assert found.overbooked == {}


@pytest.fixture
def atp(pair: tuple[Atp, Atp]) -> Atp:
    return pair[0]


@pytest.fixture
def dc() -> str:
    """A location of one test's own."""
    return unique("L")


def line(location: str, units: int, **fields: Any) -> dict[str, Any]:
    """A line of a capacity document: so many units on every day."""
    return {"location": location, **dict.fromkeys(WEEK, units), **fields}


async def limit(atp: Atp, *lines: dict[str, Any], name: str | None = None, **fields: Any) -> str:
    """Write a capacity document; its id."""
    document_id = name or unique("capacity")
    answer = await atp.client.put(f"/v1/capacities/{document_id}", json={"lines": lines, **fields})
    assert answer.status_code == 200, answer.text
    return document_id


def an_order_by(item: str, quantity: int, last_ship_day: int = 0, customer: str = "nobody") -> dict[str, Any]:
    """An order that can ship until a day: arrival is two days later."""
    by = in_days(last_ship_day + 2)
    return an_order((item, quantity), customer={"system": "erp", "id": customer}, latest_acceptable_arrival=by)


async def promised(atp: Atp, item: str, quantity: int, last_ship_day: int = 0, customer: str = "nobody") -> int:
    answer = await atp.place(an_order_by(item, quantity, last_ship_day, customer))
    assert answer.status_code == 201, answer.text
    return int(answer.json()["lines"][0]["promised"])


async def until_waiting(atp: Atp, item: str, quantity: int) -> None:
    """Wait until so much of an item is waited for."""
    await atp.until("SELECT coalesce(sum(quantity), 0) = $2 FROM backorder WHERE item_id = $1", item, quantity)


async def booked(atp: Atp, name: str) -> dict[int, int]:
    """What is booked of a capacity or share, by days from today."""
    rows = await atp.fetch(
        "SELECT period_start, consumed FROM usage WHERE kind = 'capacity' AND limit_id = $1 AND consumed <> 0"
        " ORDER BY period_start",
        name,
    )
    first = (await atp.fetch("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date - DATE '0001-01-01' + 1"))[0][0]
    return {day - first: consumed for day, consumed in rows}


async def test_a_day_that_is_full_is_promised_no_more_and_the_next_one_is(atp: Atp, dc: str) -> None:
    item, other = await atp.item(on_hand=100, location=dc), await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10))
    assert await promised(atp, item, 6) == 6
    answer = await atp.place(an_order_by(other, 6))
    found = answer.json()["lines"][0]
    assert (found["promised"], found["backordered"]) == (4, 2)
    assert "capacity" in {each["kind"] for each in found["why"]}
    answer = await atp.place(an_order((other, 6)))
    assert [part["ship_date"] for part in answer.json()["lines"][0]["schedule"]] == [in_days(1)]
    assert await booked(atp, dc) == {0: 10, 1: 6}


async def test_a_service_has_its_own_capacity_below_that_of_the_location(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10), line(dc, 4, service="road"))
    assert await promised(atp, item, 9) == 4
    assert await promised(atp, item, 9, 1) == 4
    assert await booked(atp, f"{dc}@road") == {0: 4, 1: 4}
    assert await booked(atp, dc) == {0: 4, 1: 4}


async def test_a_share_is_kept_for_its_tier_until_it_lapses(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    gold = {"tier": "gold", "quantity": 6, "lapse_days": 1}
    await limit(atp, line(dc, 10, shares=[gold]))
    assert await promised(atp, item, 10) == 10  # it has lapsed for today
    assert await promised(atp, item, 10, 1) == 4
    assert await promised(atp, item, 10, 1, "g") == 6
    assert await booked(atp, f"{dc}/gold") == {1: 6}


async def test_an_exception_names_the_units_of_a_single_day(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10, exceptions=[{"day": in_days(1), "units": 0}, {"day": in_days(2), "units": 30}]))
    answer = await atp.place(an_order((item, 25)))
    assert [part["ship_date"] for part in answer.json()["lines"][0]["schedule"]] == [in_days(2)]


async def test_what_was_booked_before_a_document_counts(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    order = an_order_by(item, 7)
    made = (await atp.place(order)).json()
    assert await promised(atp, item, 2, customer="g") == 2
    document = await limit(atp, line(dc, 10, shares=[{"tier": "gold", "quantity": 3}]))
    assert (await booked(atp, dc), await booked(atp, f"{dc}/gold")) == ({0: 9}, {0: 2})
    assert await promised(atp, item, 5) == 0
    assert await promised(atp, item, 5, customer="g") == 1
    await limit(atp, line(dc, 20, shares=[{"tier": "bronze", "quantity": 1}]), name=document)
    await until_waiting(atp, item, 0)
    assert (await booked(atp, dc), await booked(atp, f"{dc}/bronze")) == ({0: 19}, {0: 12})
    answer = await atp.client.post(f"/v1/promises/{made['promise_id']}:cancel", json={"version": 2})
    assert answer.status_code == 200
    assert (await booked(atp, dc), await booked(atp, f"{dc}/bronze")) == ({0: 12}, {0: 5})


async def test_a_document_to_come_counts_and_limits_nothing_yet(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 1), effective_from=f"{in_days(3)}T00:00:00Z")
    assert await promised(atp, item, 30) == 30
    assert await booked(atp, dc) == {0: 30}


async def test_a_document_without_lines_ends_what_it_limited_and_those_who_wait_are_served(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    document = await limit(atp, line(dc, 10))
    answer = await atp.place(an_order_by(item, 30))
    assert answer.json()["lines"][0]["promised"] == 10
    await limit(atp, name=document)
    await until_waiting(atp, item, 0)
    assert await booked(atp, dc) == {0: 10}


async def test_two_documents_cannot_name_the_same_capacity(atp: Atp, dc: str) -> None:
    await atp.location(dc)
    await limit(atp, line(dc, 10))
    answer = await atp.client.put("/v1/capacities/other", json={"lines": [line(dc, 5)]})
    assert (answer.status_code, answer.json()["code"]) == (409, "periods_overlap")
    assert (
        await atp.client.put("/v1/capacities/other", json={"lines": [line(dc, 5, service="road")]})
    ).status_code == 200


@pytest.mark.parametrize(
    "bad",
    [
        {**line("L1", 1), "mon": -1},
        {**line("L1", 1), "exceptions": [{"day": in_days(1), "units": 1}] * 2},
        {**line("L1", 1), "shares": [{"tier": "gold", "quantity": 1}] * 2},
        {key: value for key, value in line("L1", 1).items() if key != "sun"},
        {**line("L1", 1), "units": 3},
    ],
)
async def test_a_line_that_makes_no_sense_is_refused(atp: Atp, bad: dict[str, Any]) -> None:
    answer = await atp.client.put("/v1/capacities/bad", json={"lines": [bad]})
    assert answer.status_code == 422


async def test_a_location_or_tier_that_nobody_knows_is_refused(atp: Atp) -> None:
    wrong = line("nowhere", 1, shares=[{"tier": "nobody", "quantity": 1}])
    answer = await atp.client.put("/v1/capacities/wrong", json={"lines": [wrong]})
    assert (answer.status_code, answer.json()["code"]) == (422, "names_unknown")
    assert (answer.json()["locations"], answer.json()["tiers"]) == (["nowhere"], ["nobody"])


async def test_a_stale_base_is_refused_and_every_version_is_audited(atp: Atp, dc: str) -> None:
    await atp.location(dc)
    document = await limit(atp, line(dc, 10))
    path = f"/v1/capacities/{document}"
    answer = await atp.client.put(path, json={"lines": [line(dc, 11)]}, headers={"If-Match": '"1"'})
    assert answer.headers["etag"] == '"2"'
    answer = await atp.client.put(path, json={"lines": [line(dc, 12)]}, headers={"If-Match": '"1"'})
    assert answer.status_code == 412
    assert [each["version"] for each in (await atp.client.get(f"{path}/versions")).json()["items"]] == [2, 1]
    assert (await atp.client.get(path)).json()["lines"][0]["mon"] == 11
    entries = (await atp.client.get("/v1/audit")).json()["items"]
    assert [each["action"] for each in entries if each["subject"] == document] == ["capacities.changed"] * 2


async def test_capacities_come_by_events_at_their_highest_version(atp: Atp, dc: str) -> None:
    item, document = await atp.item(on_hand=100, location=dc), unique("capacity")

    def said(version: int, units: int, name: str = document) -> Event:
        told = {"document": name, "version": version, "author": "erp", "lines": [line(dc, units)]}
        made = {"order": {"order_id": name}, **told}
        return order_event(CATALOG_CAPACITY, made, data=orjson.dumps(told))

    await atp.publish(said(3, 10))
    await atp.until("SELECT EXISTS (SELECT FROM capacity WHERE document_id = $1)", document)
    assert await promised(atp, item, 30) == 10
    await atp.publish(said(7, 20), said(5, 1), said(1, 99, unique("other")))
    await until_waiting(atp, item, 10)
    found = (await atp.client.get(f"/v1/capacities/{document}")).json()
    assert (found["version"], found["author"], found["lines"][0]["mon"]) == (7, "erp", 20)
    assert await atp.letters(topics.CATALOG.name, 1) == ["periods_overlap"]


async def test_capacity_given_back_goes_to_those_who_wait_for_other_items(atp: Atp, dc: str) -> None:
    item, other = await atp.item(on_hand=100, location=dc), await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10))
    made = (await atp.place(an_order_by(item, 10))).json()
    waiting = (await atp.place(an_order_by(other, 4))).json()
    assert waiting["lines"][0]["backordered"] == 4
    await atp.client.post(f"/v1/promises/{made['promise_id']}:cancel", json={"version": 1})
    await until_waiting(atp, other, 0)
    assert await booked(atp, dc) == {0: 4}


async def test_raising_a_capacity_serves_those_who_waited_for_it(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    document = await limit(atp, line(dc, 10))
    assert await promised(atp, item, 15) == 10
    await limit(atp, line(dc, 12), name=document)
    await until_waiting(atp, item, 3)
    assert await booked(atp, dc) == {0: 12}


async def test_a_lowered_capacity_keeps_promises_and_shows_the_day(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    document = await limit(atp, line(dc, 20, service="road", shares=[{"tier": "gold", "quantity": 5}]))
    assert await promised(atp, item, 15) == 15
    await limit(atp, line(dc, 9, service="road", shares=[{"tier": "gold", "quantity": 5}]), name=document)
    asked = {"kind": "overbooked"}
    found = (await atp.client.get("/v1/exceptions", params=asked)).json()["items"]
    (shown,) = [each for each in found if each["location"] == dc]
    assert (shown["quantity"], shown["day"], shown["service"], shown["tier"]) == (6, in_days(0), "road", "*")
    answer = await atp.client.get(f"/v1/capacities/{document}/days", params={"days": 2})
    today, tomorrow = answer.json()["items"][0]["days"]
    kept = [{"tier": "gold", "share": 5, "booked": 0, "kept": 5}]
    assert today == {"day": in_days(0), "units": 9, "booked": 15, "overbooked": 6, "free": 0, "tiers": kept}
    assert (tomorrow["units"], tomorrow["booked"], tomorrow["free"]) == (9, 0, 4)
    assert await promised(atp, item, 10, 1) == 4
    metrics = f'tiercel_capacity_units{{capacity="{dc}@road",state="overbooked"}} 6.0'
    async with asyncio.timeout(60):
        while metrics not in (await atp.client.get("/metrics")).text:  # noqa: ASYNC110 - nothing says that it changed
            await asyncio.sleep(0.05)


async def test_availability_shows_no_more_than_can_leave(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10, shares=[{"tier": "gold", "quantity": 4}]))
    assert await promised(atp, item, 3) == 3
    asked = f"sku={item}&by_tier=true&bucket=day&first_day={in_days(0)}&last_day={in_days(2)}"
    for where in ("", f"&location={dc}"):
        answer = await atp.client.get(f"/v1/availability?{asked}{where}")
        assert answer.status_code == 200, answer.text
        days = answer.json()["locations"][0]["days"]
        found = [{each["tier"]: each["confirmable"] for each in day["tiers"]} for day in days]
        assert found == [{"gold": 7, "bronze": 3}, {"gold": 17, "bronze": 9}, {"gold": 27, "bronze": 15}]
        assert days[2]["offered"] == 97


async def test_capacities_go_out_to_a_file_and_back(atp: Atp, dc: str) -> None:
    await atp.location(dc)
    shares = [{"tier": "gold", "quantity": 4, "mode": "core", "lapse_days": 2}]
    exceptions = [{"day": in_days(3), "units": 0}, {"day": in_days(9), "units": 40}]
    document = await limit(atp, line(dc, 10, exceptions=exceptions, shares=shares), line(dc, 5, service="road"))
    path = f"/v1/capacities/{document}/csv"
    text = (await atp.client.get(path)).text
    assert f"{in_days(3)}=0;{in_days(9)}=40,gold=4:core:2" in text
    headers = {"content-type": "text/csv"}
    answer = await atp.client.post(path, content=text, params={"dry_run": True}, headers=headers)
    assert (answer.json()["changed"], answer.json()["unchanged"]) == (0, 2)
    changed = text.replace("gold=4:core:2", "gold=6;nobody=1")
    answer = await atp.client.post(path, content=changed, headers=headers)
    assert (answer.status_code, answer.json()["set_aside"][0]["reason"]) == (422, "tier: nobody is not known")
    answer = await atp.client.post(path, content=text.replace("gold=4:core:2", "gold=6"), headers=headers)
    assert (answer.json()["version"], answer.json()["changed"]) == (2, 1)
    written = (await atp.client.get(f"/v1/capacities/{document}")).json()["lines"][0]["shares"]
    assert written == [{"tier": "gold", "quantity": 6, "mode": "prioritised", "lapse_days": 0}]
    twice = "\r\n".join([*text.strip().splitlines(), text.strip().splitlines()[-1]])
    answer = await atp.client.post(path, content=twice, params={"base_version": 2, "dry_run": True}, headers=headers)
    assert [each["reason"] for each in answer.json()["set_aside"]] == ["the location and service of line 3"]


async def test_a_preview_foretells_what_more_or_less_capacity_would_do(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    document = await limit(atp, line(dc, 10))
    answer = await atp.place(an_order_by(item, 30))
    assert answer.json()["lines"][0]["promised"] == 10
    tried = [{"document_id": document, "base_version": 1, "document": {"lines": [line(dc, 25)]}}]
    answer = await atp.client.post("/v1/previews", json={"capacities": tried})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["total"]["gained"], answer.json()["total"]["lost"]) == (15, 0)
    assert await booked(atp, dc) == {0: 10}
    await limit(atp, line(dc, 25), name=document)
    await until_waiting(atp, item, 5)


async def test_every_change_of_a_promise_books_and_gives_back_and_a_shipment_does_not(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10))
    order = an_order_by(item, 8)
    made = (await atp.place(order)).json()
    path = f"/v1/promises/{made['promise_id']}"
    changed = {**order, "order": {**order["order"], "version": 2}}
    changed["lines"] = [{"line": "1", "sku": item, "quantity": 3}]
    assert (await atp.client.post(f"{path}:amend", json=changed)).status_code == 200
    assert await booked(atp, dc) == {0: 3}
    shipment = {
        "source": "wms",
        "reference": unique("ship"),
        "order": {**order["order"], "version": 2},
        "line": "1",
        "sku": item,
        "location": dc,
        "quantity": 1,
        "occurred_at": f"{in_days(0)}T00:00:00Z",
    }
    answer = await atp.client.post("/v1/fulfilments/shipped", json={"items": [shipment]})
    assert answer.status_code == 200, answer.text
    assert await booked(atp, dc) == {0: 3}
    assert (await atp.client.post(f"{path}:cancel", json={"version": 3})).status_code == 200
    assert await booked(atp, dc) == {0: 1}
    held = (await atp.place({**an_order_by(item, 5), "hold_seconds": 1})).json()
    assert (held["state"], await booked(atp, dc)) == ("held", {0: 6})
    await atp.until("SELECT state = 'expired' FROM promise WHERE promise_id = $1::text::uuid", held["promise_id"])
    assert await booked(atp, dc) == {0: 1}


async def test_an_order_taken_over_books_whatever_there_is(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10))
    parts = [
        {"quantity": 12, "location": dc, "service": "road", "ship_date": in_days(1), "arrival_date": in_days(3)},
        {"quantity": 2, "location": dc, "service": "road", "ship_date": in_days(-1), "arrival_date": in_days(1)},
    ]
    order = {**an_order((item, 14)), "ordered_at": f"{in_days(-3)}T08:00:00Z"}
    order["lines"][0]["promised"] = parts
    answer = await atp.client.post("/v1/cut-over/orders", json={"items": [order]})
    assert answer.status_code == 200, answer.text
    assert await booked(atp, dc) == {1: 12}
    assert await promised(atp, item, 5, 1) == 5


async def test_whoever_must_win_takes_the_place_on_a_full_day_from_those_that_may_fall(atp: Atp, dc: str) -> None:
    await atp.tier("platinum", 2, strategy="win")
    await atp.tier("copper", 9, strategy="redistribute")
    await atp.customer("p", assigned("platinum"))
    await atp.customer("c", assigned("copper"))
    item = await atp.item(on_hand=100, location=dc)
    closed = [{"day": in_days(0), "units": 0}]  # what ships today is within everybody's lock window
    await limit(atp, line(dc, 10, exceptions=closed, shares=[{"tier": "copper", "quantity": 1}]))
    assert await promised(atp, item, 10, 1, "c") == 10
    assert (await booked(atp, dc), await booked(atp, f"{dc}/copper")) == ({1: 10}, {1: 10})
    answer = await atp.place(an_order_by(item, 4, 1, "p"))
    path = f"/v1/promises/{answer.json()['promise_id']}"
    async with asyncio.timeout(60):
        while (await atp.client.get(path)).json()["lines"][0]["promised"] < 4:  # noqa: ASYNC110 - it is done elsewhere
            await asyncio.sleep(0.05)
    await until_waiting(atp, item, 4)
    assert (await booked(atp, dc), await booked(atp, f"{dc}/copper")) == ({1: 10}, {1: 6})


async def test_decisions_under_a_capacity_can_be_made_again(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10, shares=[{"tier": "gold", "quantity": 3}]))
    for customer in ("nobody", "g", "nobody"):
        await atp.place(an_order_by(item, 6, 1, customer))
    reader = PostgresDecisionReader(atp.database)
    rows = await atp.fetch("SELECT DISTINCT decision_id FROM commitment WHERE location_id = $1", dc)
    names = [name for (batch,) in rows for name in await reader.names(batch)]
    replays = [each for name in names for each in await replay(reader, name) or []]
    assert len(replays) >= 3
    assert all(each.differences == () for each in replays)


async def test_of_the_last_units_of_a_day_each_is_promised_once_by_two_engines(pair: tuple[Atp, Atp], dc: str) -> None:
    items = [await pair[0].item(on_hand=100, location=dc) for _ in range(20)]
    await limit(pair[0], line(dc, 150))

    async def place(number: int) -> httpx.Response:
        return await pair[number % 2].place(an_order_by(items[number % 20], 1))

    waiting = iter(range(600))
    answers: list[httpx.Response] = []

    async def client() -> None:
        for number in waiting:
            answers.append(await place(number))  # noqa: PERF401 - clients take turns

    await asyncio.gather(*(client() for _ in range(64)))
    assert {answer.status_code for answer in answers} == {201}
    assert Counter(answer.json()["lines"][0]["outcome"] for answer in answers) == {"promised": 150, "backordered": 450}
    assert await booked(pair[0], dc) == {0: 150}


async def test_a_process_killed_under_load_overbooks_nothing_and_loses_no_unit(
    pair: tuple[Atp, Atp], dc: str, database_url: str
) -> None:
    items = [await pair[0].item(on_hand=100, location=dc) for _ in range(20)]
    await limit(pair[0], line(dc, 150))
    orders = [an_order_by(items[number % 20], 1) for number in range(400)]
    async with atp_process(database_url) as (process, other):
        waiting = iter(orders)
        answered = 0

        async def client(number: int) -> None:
            nonlocal answered
            with suppress(httpx.TransportError):
                for order in waiting:
                    way = other if number % 2 else pair[1].client
                    await way.post("/v1/promises", json=order)
                    answered += 1
                    if answered == 60:
                        process.kill()

        await asyncio.gather(*(client(number) for number in range(64)))
    for order in orders:
        answer = await pair[1].place(order)
        assert answer.status_code in {200, 201}
    assert await booked(pair[0], dc) == {0: 150}
    promised_there = "SELECT sum(open)::bigint FROM commitment WHERE location_id = $1"
    assert await pair[0].fetch(promised_there, dc) == [(150,)]


async def test_a_lost_counter_is_a_drift_and_is_rebuilt_from_the_ledger(atp: Atp, dc: str) -> None:
    item = await atp.item(on_hand=100, location=dc)
    await limit(atp, line(dc, 10))
    await promised(atp, item, 6)
    await atp.execute("UPDATE usage SET consumed = 2 WHERE kind = 'capacity' AND limit_id = $1", dc)
    assert (await verify(atp.database)).drifted == 1
    assert await rebuild(atp.database) == 1
    assert await booked(atp, dc) == {0: 6}
