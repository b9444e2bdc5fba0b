"""Strategies by tier on a real PostgreSQL: who falls for whom, what is published of it, and that the books agree."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts import topics
from services.contracts.preemptions import PromisePreempted, PromiseUnmet
from services.contracts.promises import PromiseChanged
from tests.support.atp import Atp, an_order, assigned, running_atp, unique
from tests.support.atp_proofs import prove

LATER = (datetime.now(UTC).date() + timedelta(days=20)).isoformat()


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def tiers(atp: Atp, **strategies: str) -> None:
    """Gold before silver before bronze, each with its strategy; bronze is the default."""
    for rank, tier in enumerate(("gold", "silver", "bronze"), start=1):
        given = strategies.get(tier, "gain").split("/")
        policy: dict[str, Any] = {"strategy": given[0], "as_soon_as_possible": False}
        if given[1:]:
            policy["lock_window_days"] = int(given[1])
        await atp.tier(tier, rank, default=tier == "bronze", **policy)


async def customer(atp: Atp, tier: str) -> dict[str, str]:
    name = unique(tier)
    await atp.customer(name, assigned(tier))
    return {"system": "erp", "id": name}


async def order(atp: Atp, tier: str, item: str, quantity: int, arrival: str = LATER, **fields: Any) -> str:
    """Place an order of a new customer of a tier; its promise id."""
    placed = an_order((item, quantity), customer=await customer(atp, tier), **fields)
    placed["lines"][0]["requested_arrival"] = arrival
    answer = await atp.place(placed)
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["promise_id"])


async def promised(atp: Atp, *promises: str) -> list[int]:
    found = [(await atp.client.get(f"/v1/promises/{each}")).json()["lines"][0]["promised"] for each in promises]
    return [int(each) for each in found]


async def settled(atp: Atp) -> None:
    """Wait until nobody is left to be asked, and everything is published."""
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)")
    await atp.until_published()


async def events(atp: Atp, name: str, *promises: str) -> list[dict[str, Any]]:
    """What was published of promises, by the kind of event."""
    await atp.until_published()
    return [
        each
        for each in await atp.published(topics.PROMISES)
        if str(each.get("promise_id") or each.get("new", {}).get("promise_id")) in promises
        if (name == "preempted" and "by" in each)
        or (name == "unmet" and "missing" in each)
        or (name == "changed" and "cause" in each and "old" in each)
    ]


async def test_a_new_order_takes_at_once_from_the_last_whose_strategy_lets_them_fall(atp: Atp) -> None:
    await tiers(atp, gold="win", bronze="redistribute")
    item = await atp.item(on_hand=6)
    first, second, third = [await order(atp, "bronze", item, 2) for _ in range(3)]
    gold = await order(atp, "gold", item, 3)
    await settled(atp)
    assert await promised(atp, first, second, third, gold) == [2, 1, 0, 3]
    told = [PromisePreempted.model_validate(each) for each in await events(atp, "preempted", first, second, third)]
    assert [(str(each.promise_id), each.new.lines[0].promised) for each in told] in (
        [(third, 0), (second, 1)],
        [(second, 1), (third, 0)],
    )
    assert {(by.promise_id, by.tier) for each in told for by in each.by} == {(gold, "gold")}
    assert sum(by.quantity for each in told for by in each.by) == 3
    changed = [PromiseChanged.model_validate(each) for each in await events(atp, "changed", first, second, third, gold)]
    assert sorted(each.cause for each in changed) == ["backorder_came", "preempted", "preempted"]
    await prove(atp)


async def test_nobody_falls_where_all_gain(atp: Atp) -> None:
    await tiers(atp)
    item = await atp.item(on_hand=3)
    bronze = await order(atp, "bronze", item, 3)
    gold = await order(atp, "gold", item, 2)
    await settled(atp)
    assert await promised(atp, bronze, gold) == [3, 0]
    assert await events(atp, "preempted", bronze) == []


async def test_what_ships_within_the_lock_window_or_is_pinned_does_not_fall(atp: Atp) -> None:
    await tiers(atp, gold="win", silver="redistribute/10", bronze="redistribute")
    item = await atp.item(on_hand=6)
    soon = (datetime.now(UTC).date() + timedelta(days=9)).isoformat()
    locked = await order(atp, "silver", item, 2, arrival=soon)
    pinned = await order(atp, "bronze", item, 2)
    body = {"revision": 1, "until": LATER, "reason": "agreed"}
    assert (await atp.client.post(f"/v1/promises/{pinned}:pin", json=body)).status_code == 200
    free = await order(atp, "bronze", item, 2)
    gold = await order(atp, "gold", item, 6)
    await settled(atp)
    assert await promised(atp, locked, pinned, free, gold) == [2, 2, 0, 2]
    await prove(atp)


async def test_a_line_that_must_win_and_cannot_is_an_exception_until_it_can(atp: Atp) -> None:
    await tiers(atp, gold="win")
    item = await atp.item(on_hand=4)
    gold = await order(atp, "gold", item, 9)
    await atp.execute(
        "UPDATE position SET marked_at = clock_timestamp(), mark_cause = 'stock_freed' WHERE item_id = $1", item
    )
    await settled(atp)
    (told,) = [PromiseUnmet.model_validate(each) for each in await events(atp, "unmet", gold)]
    assert (str(told.promise_id), told.missing, told.late, told.why[0].kind) == (gold, 5, 0, "supply")
    listed = (await atp.client.get(f"/v1/exceptions?kind=unmet&sku={item}")).json()["items"]
    assert [(each["kind"], each["promise_id"], each["quantity"]) for each in listed] == [("unmet", gold, 5)]
    more: dict[str, Any] = {"source": "wms", "reference": unique("more"), "sku": item, "location": "L1"}
    more |= {"kind": "receipt", "quantity": 5, "occurred_at": datetime.now(UTC).isoformat()}
    assert (await atp.client.post("/v1/supply/movements", json={"items": [more]})).status_code == 200
    await settled(atp)
    assert await promised(atp, gold) == [9]
    told = PromiseUnmet.model_validate((await events(atp, "unmet", gold))[-1])
    assert (told.missing, told.late) == (0, 0)
    assert (await atp.client.get(f"/v1/exceptions?kind=unmet&sku={item}")).json()["items"] == []


async def test_who_fell_is_served_again_when_there_is_more(atp: Atp) -> None:
    await tiers(atp, gold="gain", bronze="lose")
    item = await atp.item(on_hand=2)
    bronze = await order(atp, "bronze", item, 2)
    gold = await order(atp, "gold", item, 2)
    await settled(atp)
    assert await promised(atp, bronze, gold) == [0, 2]
    assert (await atp.client.post(f"/v1/promises/{gold}:cancel", json={"version": 1})).status_code == 200
    await settled(atp)
    assert await promised(atp, bronze) == [2]
    await prove(atp)


async def test_an_order_that_ships_complete_falls_whole(atp: Atp) -> None:
    await tiers(atp, gold="win", bronze="redistribute")
    left, right = await atp.item(on_hand=3), await atp.item(on_hand=3)
    who = await customer(atp, "bronze")
    whole = an_order((left, 3), (right, 3), customer=who, ship_complete=True)
    for line in whole["lines"]:
        line["requested_arrival"] = LATER
    bronze = (await atp.place(whole)).json()["promise_id"]
    gold = await order(atp, "gold", left, 1)
    await settled(atp)
    lines = (await atp.client.get(f"/v1/promises/{bronze}")).json()["lines"]
    assert [(line["promised"], line["backordered"]) for line in lines] == [(0, 3), (0, 3)]
    assert await promised(atp, gold) == [1]
    await prove(atp)


async def test_orders_that_were_promised_late_move_up_when_one_ahead_is_cancelled(atp: Atp) -> None:
    """The conformance case `reprocess` B1."""
    await tiers(atp)
    today = datetime.now(UTC).date()

    def day(offset: int) -> str:
        return (today + timedelta(days=offset)).isoformat()

    item = await atp.item(on_hand=0)
    await atp.execute("UPDATE lane SET transit_days = 1")
    await atp.execute("UPDATE configuration SET version = version + 1")
    for name, due in (("PO1", 15), ("PO2", 20), ("PO3", 21)):
        receipt = {"source": "po", "reference": name, "sku": item, "location": "L1", "quantity": 5, "due": day(due)}
        assert (await atp.client.post("/v1/supply/receipts", json={"items": [receipt]})).status_code == 200
    placed = []
    for wanted in (3, 5, 10):
        asked = an_order((item, 5))
        asked["lines"][0]["requested_arrival"] = day(wanted)
        placed.append((await atp.place(asked)).json())
    arrivals = [each["lines"][0]["schedule"][0]["arrival_date"] for each in placed]
    assert arrivals == [day(16), day(21), day(22)]
    await atp.client.post(f"/v1/promises/{placed[0]['promise_id']}:cancel", json={"version": 1})
    await settled(atp)
    for promise, arrival in zip(placed[1:], (day(16), day(21)), strict=True):
        found = (await atp.client.get(f"/v1/promises/{promise['promise_id']}")).json()
        assert [part["arrival_date"] for part in found["lines"][0]["schedule"]] == [arrival]
    await prove(atp)


async def test_many_gold_orders_at_once_take_from_bronze_and_nothing_is_oversold(atp: Atp) -> None:
    await tiers(atp, gold="win", silver="gain", bronze="redistribute")
    item = await atp.item(on_hand=40)
    bronze = [await order(atp, "bronze", item, 2) for _ in range(20)]
    mixed = await asyncio.gather(*(order(atp, "gold" if n % 2 else "silver", item, 3) for n in range(20)))
    await settled(atp)
    assert sum(await promised(atp, *bronze, *mixed)) == 40
    assert await promised(atp, *[each for n, each in enumerate(mixed) if n % 2]) == [3] * 10
    await prove(atp)


async def test_a_preview_of_a_run_is_what_the_run_then_does(atp: Atp) -> None:
    await tiers(atp)
    item = await atp.item(on_hand=9)
    bronze = [await order(atp, "bronze", item, 3) for _ in range(3)]
    gold, silver = await order(atp, "gold", item, 4), await order(atp, "silver", item, 2)
    everybody = (*bronze, gold, silver)
    tried = {"gold": "win", "bronze": "redistribute"}
    strategies = [{"tier": tier, "strategy": strategy} for tier, strategy in tried.items()]
    answer = await atp.client.post("/v1/previews", json={"run": {"strategies": strategies, "skus": [item]}})
    assert answer.status_code == 200, answer.text
    before = await promised(atp, *everybody)
    assert before == [3, 3, 3, 0, 0]
    shown = {each["promise_id"]: each["lines"][0]["after"]["promised"] for each in answer.json()["promises"]}
    by_tier = {each["tier"]: (each["gained"], each["lost"]) for each in answer.json()["tiers"]}
    assert by_tier == {"gold": (4, 0), "silver": (2, 0), "bronze": (0, 6)}
    await tiers(atp, **tried)
    marked = "UPDATE position SET marked_at = clock_timestamp(), mark_cause = 'reprocessed' WHERE item_id = $1"
    await atp.execute(marked, item)
    await settled(atp)
    after = await promised(atp, *everybody)
    assert [shown.get(each, held) for each, held in zip(everybody, before, strict=True)] == after
    await prove(atp)
