"""A supply cut: who goes short is pegged in reverse order of service, told, and told again when it is over."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.contracts import topics
from services.contracts.risks import PromiseAtRisk
from tests.support.atp import Atp, an_order, assigned, in_days, running_atp, unique

AT = "2026-01-05T08:00:00Z"


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def move(atp: Atp, item: str, quantity: int, **fields: Any) -> None:
    entry = {
        "source": "wms",
        "reference": unique("move"),
        "sku": item,
        "location": "L1",
        "kind": "adjustment",
        "quantity": quantity,
        "occurred_at": AT,
        **fields,
    }
    answer = await atp.client.post("/v1/supply/movements", json={"items": [entry]})
    assert answer.status_code == 200, answer.text


async def schedule(atp: Atp, item: str, quantity: int, days: int, *, reference: str = "PO", version: int = 1) -> None:
    entry = {
        "source": "erp",
        "reference": reference,
        "sku": item,
        "location": "L1",
        "quantity": quantity,
        "due": in_days(days),
        "version": version,
    }
    answer = await atp.client.post("/v1/supply/receipts", json={"items": [entry]})
    assert answer.status_code == 200, answer.text


async def reviewed(atp: Atp) -> None:
    await atp.until("SELECT NOT EXISTS (SELECT FROM deficit_review)")


async def deficits(atp: Atp, item: str) -> dict[str, tuple[int, int | None, str]]:
    rows = await atp.fetch("SELECT order_id, quantity, covered_day, cause FROM deficit WHERE item_id = $1", item)
    return {order: (quantity, covered, cause) for order, quantity, covered, cause in rows}


async def risks(atp: Atp, item: str) -> list[PromiseAtRisk]:
    found = await atp.published(topics.PROMISES)
    return [PromiseAtRisk.model_validate(each) for each in found if each.get("sku") == item]


async def ordered(atp: Atp, item: str, quantity: int, customer: str = "nobody") -> str:
    order = an_order((item, quantity), customer={"system": "erp", "id": customer})
    answer = await atp.place(order)
    assert answer.json()["lines"][0]["promised"] == quantity
    name: str = order["order"]["order_id"]
    return name


async def test_a_cut_falls_to_those_who_are_served_last_and_they_keep_their_dates(atp: Atp) -> None:
    gold, bronze = unique("gold"), unique("bronze")
    await atp.tier(gold, 900_000)
    await atp.tier(bronze, 900_001)
    await atp.customer("g", assigned(gold))
    await atp.customer("b", assigned(bronze))
    item = await atp.item(on_hand=10)
    behind = await ordered(atp, item, 4, "b")
    await ordered(atp, item, 6, "g")
    promised = (await atp.fetch("SELECT document FROM promise WHERE order_id = $1", behind))[0][0]
    await schedule(atp, item, 2, 9)
    await move(atp, item, -4)
    await reviewed(atp)
    assert await deficits(atp, item) == {behind: (4, None, "supply_cut")}
    await schedule(atp, item, 7, 5, reference="PO2")
    await reviewed(atp)
    ((quantity, covered, _),) = (await deficits(atp, item)).values()
    assert (quantity, covered is None) == (4, False)
    await move(atp, item, 4)
    await reviewed(atp)
    assert await deficits(atp, item) == {}
    told = [(each.order.order_id, each.quantity, each.covered_on is None) for each in await risks(atp, item)]
    assert told == [(behind, 4, True), (behind, 4, False), (behind, 0, False)]
    assert (await atp.fetch("SELECT document FROM promise WHERE order_id = $1", behind))[0][0] == promised


async def test_a_late_receipt_puts_at_risk_what_was_promised_on_it_until_the_day_it_is_due(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    await schedule(atp, item, 5, 3)
    order = await ordered(atp, item, 5)
    await schedule(atp, item, 5, 6, version=2)
    await reviewed(atp)
    ((name, (quantity, covered, cause)),) = (await deficits(atp, item)).items()
    (risk,) = await risks(atp, item)
    assert (name, quantity, cause) == (order, 5, "receipt_late")
    assert risk.covered_on is not None
    assert (covered, risk.covered_on.isoformat()) == (risk.covered_on.toordinal(), in_days(6))
    assert risk.available_on.isoformat() == in_days(3)


async def test_a_cancel_ends_the_risk_of_others(atp: Atp) -> None:
    item = await atp.item(on_hand=8)
    first = an_order((item, 4))
    answer = await atp.place(first)
    second = await ordered(atp, item, 4)
    await move(atp, item, -3)
    await reviewed(atp)
    assert {name: each[0] for name, each in (await deficits(atp, item)).items()} == {second: 3}
    await atp.client.post(f"/v1/promises/{answer.json()['promise_id']}:cancel", json={"version": 2})
    await reviewed(atp)
    assert await deficits(atp, item) == {}


async def test_a_receipt_that_is_past_due_for_too_long_puts_promises_at_risk_when_the_day_comes(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    await schedule(atp, item, 5, 0)
    order = await ordered(atp, item, 5)
    await atp.execute("UPDATE scheduled_receipt SET due_day = due_day - 9 WHERE item_id = $1", item)
    await atp.execute("UPDATE position SET receipt_days = ARRAY[receipt_days[1] - 9] WHERE item_id = $1", item)
    await atp.execute("UPDATE supply_day SET day = day - 1")
    await atp.until("SELECT EXISTS (SELECT FROM deficit WHERE item_id = $1)", item)
    assert await deficits(atp, item) == {order: (5, None, "date_passed")}
