"""What records of orders say of who entered them, who served them before their turn, and where a quota was reached."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.contracts import topics
from services.contracts.orders import OrderRecorded
from tests.support.atp import Atp, an_order, in_days, running_atp, unique
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running
        await prove(running)


async def _records(atp: Atp, order: dict[str, Any]) -> list[OrderRecorded]:
    """An order's records, as the contract reads them."""
    published = [OrderRecorded.model_validate(one) for one in await atp.published(topics.ORDERS_RECORDED)]
    return [one for one in published if one.order.order_id == order["order"]["order_id"]]


async def _act(atp: Atp, made: httpx.Response, what: str, **body: Any) -> None:
    promise = f"/v1/promises/{made.json()['promise_id']}"
    revision = (await atp.client.get(promise)).json()["revision"]
    given = {"revision": revision, "reason": "agreed with sales", "until": in_days(3), **body}
    answer = await atp.client.post(f"{promise}:{what}", json=given)
    assert answer.status_code == 200, answer.text


async def test_a_record_says_who_entered_the_order_at_its_source(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    named = an_order((item, 1), entered_by="agent-7")
    made = await atp.place(named)
    assert (await atp.client.post(f"/v1/promises/{made.json()['promise_id']}:cancel", json={"version": 1})).is_success
    assert [(one.change, one.entered_by) for one in await _records(atp, named)] == [
        ("accepted", "agent-7"),
        ("cancelled", "agent-7"),
    ]
    unnamed = an_order((item, 1))
    await atp.place(unnamed)
    assert [one.entered_by for one in await _records(atp, unnamed)] == [None]


async def test_who_entered_a_hold_is_still_known_when_it_is_confirmed(atp: Atp) -> None:
    order = an_order((await atp.item(on_hand=10), 1), entered_by="agent-7", hold_seconds=600)
    made = await atp.place(order)
    assert await _records(atp, order) == []
    confirmed = await atp.client.post(f"/v1/promises/{made.json()['promise_id']}:confirm", json={"version": 1})
    assert confirmed.status_code == 200, confirmed.text
    assert [(one.sequence, one.entered_by) for one in await _records(atp, order)] == [(1, "agent-7")]


async def test_a_line_that_a_quota_cut_short_is_recorded_as_such(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    quota = {"sku": item, "channel": "web", "start": in_days(0), "end": in_days(30), "quantity": 5}
    answer = await atp.client.put(f"/v1/quotas/{unique('quota')}", json={"lines": [quota]})
    assert answer.status_code == 200, answer.text
    latest = {"latest_acceptable_arrival": in_days(20)}
    within, beyond = (an_order((item, quantity), channel="web", **latest) for quantity in (3, 4))
    for order in (within, beyond):
        await atp.place(order)
    told = [(await _records(atp, order))[0].lines[0] for order in (within, beyond)]
    assert [(line.promised_quantity, line.quota_reached) for line in told] == [(3, False), (2, True)]


async def test_the_record_of_an_expedited_order_names_the_planner_once(atp: Atp) -> None:
    order = an_order((await atp.item(on_hand=0), 3))
    made = await atp.place(order)
    await _act(atp, made, "expedite")
    assert (await atp.client.post(f"/v1/promises/{made.json()['promise_id']}:cancel", json={"version": 1})).is_success
    acts = [None if one.act is None else (one.act.kind, one.act.by) for one in await _records(atp, order)]
    assert acts == [None, ("expedited", "tester"), None]


async def test_of_reassigned_goods_the_act_is_told_of_the_receiver(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    donor, receiver = an_order((item, 5)), an_order((item, 4), customer={"system": "erp", "id": "somebody-else"})
    giver = await atp.place(donor)
    await atp.place(receiver)
    target = {"source": "shop", "order_id": receiver["order"]["order_id"], "line": "1"}
    await _act(atp, giver, "reassign", line="1", quantity=4, to_order=target)
    assert [one.act for one in await _records(atp, donor)] == [None, None]
    told = [one.act for one in await _records(atp, receiver) if one.act is not None]
    assert [(one.kind, one.by) for one in told] == [("reassigned", "tester")]
