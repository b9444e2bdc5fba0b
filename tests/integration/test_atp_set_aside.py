"""Stock that is set aside for old orders that ship complete or have a minimum: for whom, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final

import pytest

from services.atp.adapters.turns import mark_all_waiting
from services.chassis.business_time import clear_replay
from tests.integration.test_atp_replay import move, quiet
from tests.support.atp import Atp, an_order, assigned, running_atp, unique
from tests.support.atp_proofs import prove

START = date(2011, 3, 1)
NOW: Final = datetime(2011, 3, 1, tzinfo=UTC)  # when positions are marked; it decides nothing
RULE: dict[str, Any] = {
    "criteria": [{"attribute": "tier_rank"}, {"attribute": "age"}],
    "set_aside": {"after_days": 5, "lasts_days": 10},
}


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, replay=True, atp_due_poll_seconds=0.1) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 3, default=True)
        await running.customer("g", assigned("gold"))
        await day(running, 0)
        yield running
        await prove(running)
        assert await kept_units(running) == []
        await running.execute("DELETE FROM service_rule")
        await running.execute("UPDATE configuration SET version = version + 1")
        await running.database.run(clear_replay, label="test")


async def kept_units(atp: Atp) -> list[Any]:
    """Positions that keep more than there is, or keep for an order that does not know of it."""
    return await atp.fetch(
        "SELECT p.item_id FROM position p CROSS JOIN LATERAL jsonb_array_elements(p.set_aside) e"
        " LEFT JOIN backorder b ON b.source = e #>> '{0,2}' AND b.order_id = e #>> '{0,3}' AND b.item_id = p.item_id"
        " WHERE b.set_aside IS NOT TRUE"
        " OR (SELECT sum((s ->> 1)::int) FROM jsonb_array_elements(e -> 3) s) > p.on_hand - coalesce("
        "   (SELECT sum(q) FROM unnest(p.commit_quantities) q), 0)"
    )


async def day(atp: Atp, number: int, hour: int = 10) -> None:
    """Let it be an hour of a day after the start, and everything done that is due."""
    at = datetime.combine(START, datetime.min.time(), tzinfo=UTC) + timedelta(days=number, hours=hour)
    await move(atp, "settle", number + 1, at.isoformat())
    await quiet(atp)


async def rule(atp: Atp, body: dict[str, Any] | None = None) -> None:
    answer = await atp.client.put("/v1/service-rule", json=body or RULE)
    assert answer.status_code == 200, answer.text
    await quiet(atp)


async def order(atp: Atp, item: str, quantity: int, *, settle: bool = True, **fields: Any) -> str:
    line = {name: fields.pop(name) for name in ("minimum_quantity", "latest_acceptable_arrival") if name in fields}
    placed = an_order((item, quantity), **fields)
    placed["lines"][0] |= line
    answer = await atp.place(placed)
    assert answer.status_code in {200, 201}, answer.text
    if settle:
        await quiet(atp)
    return str(answer.json()["promise_id"])


async def whole(atp: Atp, item: str, quantity: int, **fields: Any) -> str:
    return await order(atp, item, quantity, ship_complete=True, **fields)


async def comes(atp: Atp, item: str, quantity: int, *, location: str = "L1", settle: bool = True) -> None:
    movement = {"source": "wms", "reference": unique("m"), "sku": item, "location": location, "kind": "receipt"}
    body = {"items": [{**movement, "quantity": quantity, "occurred_at": f"{START}T08:00:00Z"}]}
    assert (await atp.client.post("/v1/supply/movements", json=body)).status_code == 200
    if settle:
        await quiet(atp)


async def promised(atp: Atp, *promises: str) -> list[int]:
    answers = [await atp.client.get(f"/v1/promises/{each}") for each in promises]
    return [sum(line["promised"] for line in each.json()["lines"]) for each in answers]


async def seen(atp: Atp, item: str) -> list[tuple[str, str, int, str]]:
    """What is set aside of an item, as planners see it: (promise, location, units, last day)."""
    found = (await atp.client.get(f"/v1/exceptions?kind=set_aside&sku={item}")).json()["items"]
    shown = (await atp.client.get(f"/v1/availability?sku={item}")).json()["locations"]
    in_all = {each["location"]: 0 for each in shown}
    for each in found:
        in_all[each["location"]] += each["quantity"]
    assert {each["location"]: each["set_aside"] for each in shown} == in_all
    return [(each["promise_id"], each["location"], each["quantity"], each["day"]) for each in found]


async def test_without_a_rule_small_orders_take_each_unit_that_comes(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    old = await whole(atp, item, 10)
    await day(atp, 9)
    for _ in range(5):
        await comes(atp, item, 2)
        await order(atp, item, 2)
    assert await promised(atp, old) == [0]
    assert await seen(atp, item) == []
    assert await atp.fetch("SELECT count(*) FROM position WHERE set_aside IS NOT NULL") == [(0,)]


async def test_what_comes_is_kept_from_those_behind_until_all_is_there(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=0)
    old = await whole(atp, item, 10)
    waiting = await order(atp, item, 2)
    await comes(atp, item, 1)
    assert await promised(atp, old, waiting) == [0, 1]  # not old enough yet: the first units go to those behind
    await day(atp, 5)
    assert await seen(atp, item) == []
    await comes(atp, item, 4)
    assert await seen(atp, item) == [(old, "L1", 4, str(START + timedelta(days=14)))]
    new = await order(atp, item, 1)
    assert await promised(atp, old, waiting, new) == [0, 1, 0]
    await comes(atp, item, 6)
    assert await promised(atp, old, waiting, new) == [10, 1, 0]
    assert await seen(atp, item) == []
    await comes(atp, item, 2)
    assert await promised(atp, waiting, new) == [2, 1]


async def test_what_is_there_already_is_set_aside_on_the_day(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=3)
    old = await whole(atp, item, 10)
    await day(atp, 4)
    assert await seen(atp, item) == []
    await day(atp, 5, hour=0)
    assert await seen(atp, item) == [(old, "L1", 3, str(START + timedelta(days=14)))]
    told = (await atp.client.get(f"/v1/promises/{await order(atp, item, 1)}/explanation")).json()
    assert any("set aside for orders that need all at once" in each for each in told["lines"][0]["for_planner"])


async def test_those_before_it_still_take_and_it_goes_on_with_what_is_left(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=4)
    old = await whole(atp, item, 10)
    await day(atp, 5)
    gold = await order(atp, item, 3, customer={"system": "erp", "id": "g"})
    assert await promised(atp, gold, old) == [3, 0]
    assert [each[2] for each in await seen(atp, item)] == [1]
    await comes(atp, item, 9)
    assert await promised(atp, old) == [10]


async def test_it_ends_after_its_days_and_what_was_kept_goes_to_those_behind(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=4)
    old = await whole(atp, item, 10)
    await day(atp, 6)
    behind = await order(atp, item, 3)
    await day(atp, 14, hour=23)
    assert await promised(atp, old, behind) == [0, 0]
    await day(atp, 15, hour=0)
    assert await promised(atp, old, behind) == [0, 3]
    assert await seen(atp, item) == []
    await comes(atp, item, 2)
    assert await seen(atp, item) == []


@pytest.mark.parametrize("way", ["cancel", "amend", "withdrawn_rule"])
async def test_who_wants_it_no_more_gives_it_to_those_behind(atp: Atp, way: str) -> None:
    await rule(atp)
    item = await atp.item(on_hand=4)
    placed = an_order((item, 10), ship_complete=True)
    old = str((await atp.place(placed)).json()["promise_id"])
    await day(atp, 5)
    behind = await order(atp, item, 4)
    assert await promised(atp, old, behind) == [0, 0]
    if way == "cancel":
        answer = await atp.client.post(f"/v1/promises/{old}:cancel", json={"version": 2})
    elif way == "amend":
        placed["lines"][0]["quantity"], placed["order"]["version"] = 1, 2
        answer = await atp.client.post(f"/v1/promises/{old}:amend", json=placed)
        answer = (
            answer if answer.status_code != 404 else await atp.client.post(f"/v1/promises/{old}:amend", json=placed)
        )
    else:
        answer = await atp.client.put("/v1/service-rule", json={"criteria": RULE["criteria"]})
    assert answer.status_code == 200, answer.text
    await quiet(atp)
    assert await promised(atp, old, behind) == ([1, 3] if way == "amend" else [0, 4])
    assert await seen(atp, item) == []


async def test_who_is_behind_and_wants_more_keeps_what_it_has(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=5)
    old = await whole(atp, item, 10)
    placed = an_order((item, 5))
    behind = str((await atp.place(placed)).json()["promise_id"])
    await day(atp, 5)
    await comes(atp, item, 3)
    assert [each[2] for each in await seen(atp, item)] == [3]
    placed["lines"][0]["quantity"], placed["order"]["version"] = 7, 2
    assert (await atp.client.post(f"/v1/promises/{behind}:amend", json=placed)).status_code == 200
    await quiet(atp)
    assert await promised(atp, old, behind) == [0, 5]
    assert [each[2] for each in await seen(atp, item)] == [3]


async def test_when_stock_is_lost_no_more_is_set_aside_than_is_left(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=5)
    first, second = await whole(atp, item, 9), await whole(atp, item, 6)
    await day(atp, 5)
    assert [each[:3:2] for each in await seen(atp, item)] == [(first, 5)]
    await comes(atp, item, 3)
    assert [each[:3:2] for each in await seen(atp, item)] == [(first, 8)]
    lost = {"source": "wms", "reference": unique("m"), "sku": item, "location": "L1", "kind": "adjustment"}
    body = {"items": [{**lost, "quantity": -6, "occurred_at": f"{START}T08:00:00Z"}]}
    assert (await atp.client.post("/v1/supply/movements", json=body)).status_code == 200
    await quiet(atp)
    assert [each[:3:2] for each in await seen(atp, item)] == [(first, 2)]
    await comes(atp, item, 12)
    assert await promised(atp, first, second) == [9, 0]
    assert [each[:3:2] for each in await seen(atp, item)] == [(second, 5)]


async def test_of_whole_packs_that_never_make_up_a_minimum_nothing_is_set_aside(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=3)
    await atp.execute("UPDATE item SET pack_size = 4 WHERE item_id = $1", item)
    await order(atp, item, 10, minimum_quantity=9)
    await day(atp, 5)
    await comes(atp, item, 6)
    assert await seen(atp, item) == []


async def test_of_a_line_with_a_minimum_only_that_is_set_aside(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=0)
    old = await order(atp, item, 9, minimum_quantity=4)
    behind = await order(atp, item, 5)
    await day(atp, 5)
    await comes(atp, item, 3)
    assert [each[2] for each in await seen(atp, item)] == [3]
    await comes(atp, item, 1)
    assert await promised(atp, old, behind) == [4, 0]


async def test_all_items_of_an_order_are_set_aside_where_they_can_be_sent_from(atp: Atp) -> None:
    await rule(atp)
    tea, cup = await atp.item(on_hand=2), await atp.item(on_hand=0)
    await atp.item(tea, on_hand=1, location="L2")
    placed = an_order((tea, 4), (cup, 3), ship_complete=True)
    old = str((await atp.place(placed)).json()["promise_id"])
    await day(atp, 5)
    assert [each[1:3] for each in await seen(atp, tea)] == [("L1", 2), ("L2", 1)]
    await comes(atp, cup, 3)
    assert [each[1:3] for each in await seen(atp, cup)] == [("L1", 3)]
    assert await promised(atp, await order(atp, tea, 1), await order(atp, cup, 1)) == [0, 0]
    await comes(atp, tea, 1, location="L2")
    assert await promised(atp, old) == [7]


async def test_a_tier_may_have_days_of_its_own_and_another_none(atp: Atp) -> None:
    await rule(atp, {**RULE, "set_aside": {"lasts_days": 10, "tiers": {"gold": 2}}})
    item, other = await atp.item(on_hand=2), await atp.item(on_hand=2)
    gold = await whole(atp, item, 5, customer={"system": "erp", "id": "g"})
    await whole(atp, other, 5)
    await day(atp, 2)
    assert [each[0] for each in await seen(atp, item)] == [gold]
    await day(atp, 9)
    assert await seen(atp, other) == []


async def test_newcomers_that_race_for_each_unit_get_none_before_the_old_order_is_whole(atp: Atp) -> None:
    await rule(atp)
    item = await atp.item(on_hand=0)
    old = await whole(atp, item, 12)
    await day(atp, 5)

    async def receive() -> None:
        for _ in range(12):
            await comes(atp, item, 1, settle=False)

    asked = [order(atp, item, 1, settle=False) for _ in range(40)]
    racing = asyncio.gather(*asked)
    await receive()
    new = await racing
    await quiet(atp)
    assert await promised(atp, old) == [12]
    assert sum(await promised(atp, *new)) == 0
    await comes(atp, item, 40)
    assert sum(await promised(atp, *new)) == 40


async def stands(atp: Atp, today: int) -> tuple[list[Any], list[Any]]:
    """What is set aside (place, from which day on, units), and what is promised and not given back."""
    kept = await atp.fetch(
        "SELECT item_id, location_id, e -> 0, greatest((s ->> 0)::int, $1), sum((s ->> 1)::int) FROM position"
        " CROSS JOIN LATERAL jsonb_array_elements(set_aside) e CROSS JOIN LATERAL jsonb_array_elements(e -> 3) s"
        " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        (START + timedelta(days=today)).toordinal(),
    )
    return kept, await atp.fetch("SELECT promise_id, line, part, open FROM commitment WHERE open > 0 ORDER BY 1, 2, 3")


async def happens(atp: Atp, random: Random, items: list[str], known: list[str]) -> None:
    """Something: an order of one or two items, whole or not; units that come; or an order that is cancelled."""
    match random.choice(("order", "order", "receipt", "receipt", "receipt", "receipt", "cancel")):
        case "order":
            lines = [(item, random.randint(2, 9)) for item in random.sample(items, random.randint(1, 2))]
            customer = {"system": "erp", "id": random.choice(("g", "nobody"))}
            placed = an_order(*lines, customer=customer, ship_complete=random.random() < 0.7)
            known.append(str((await atp.place(placed)).json()["promise_id"]))
        case "receipt":
            await comes(atp, random.choice(items), random.randint(1, 2), location=random.choice(("L1", "L2")))
        case _ if known:
            await atp.client.post(f"/v1/promises/{random.choice(known)}:cancel", json={"version": 2})
    await quiet(atp)


@pytest.mark.parametrize("seed", range(4))
async def test_after_each_event_of_a_random_history_a_full_run_changes_nothing(atp: Atp, seed: int) -> None:
    await rule(atp, {**RULE, "set_aside": {"after_days": 1, "lasts_days": 4, "tiers": {"gold": 2}}})
    random, known, kept = Random(seed), list[str](), 0
    items = [await atp.item() for _ in range(2)]
    for item in items:
        await atp.item(item, location="L2")
        known.append(await whole(atp, item, 9))
    for today in range(1, 9):
        await day(atp, today)
        for _ in range(4):
            await happens(atp, random, items, known)
            before = await stands(atp, today)
            await atp.database.run(lambda connection: mark_all_waiting(connection, NOW, "stock_freed"), label="test")
            await quiet(atp)
            assert await stands(atp, today) == before
            assert await kept_units(atp) == []
            kept += len(before[0])
    assert kept > 0


async def test_a_rule_that_comes_later_finds_those_who_wait_already(atp: Atp) -> None:
    item = await atp.item(on_hand=3)
    old = await whole(atp, item, 10)
    await day(atp, 6)
    await rule(atp)
    assert [each[0] for each in await seen(atp, item)] == [old]
    version = (await atp.client.get("/v1/service-rule")).json()
    assert version["set_aside"] == {"after_days": 5, "lasts_days": 10, "tiers": {}}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"lasts_days": 3},
        {"after_days": 0, "lasts_days": 3},
        {"after_days": 3, "lasts_days": 0},
        {"after_days": 3, "lasts_days": 367},
        {"after_days": 3.5, "lasts_days": 3},
        {"after_days": 3, "lasts_days": 3, "tiers": {"gold": 0}},
        {"after_days": 3, "lasts_days": 3, "until": 4},
    ],
)
async def test_a_rule_without_bounds_is_refused(atp: Atp, given: dict[str, Any]) -> None:
    answer = await atp.client.put("/v1/service-rule", json={**RULE, "set_aside": given})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
