"""The promise path over HTTP, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.atp.application.reproduce import reproduce
from services.atp.entrypoints.documents import BatchAnswer, Decision, History, Inquiry
from services.contracts import topics
from services.contracts.orders import OrderRecorded
from services.contracts.promises import Promise, PromiseAnswered, PromiseChanged
from tests.support.atp import Atp, an_order, assigned, in_days, outcomes, running_atp, unique
from tests.support.http import strangers_let_in


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def aggregates(atp: Atp, item: str) -> tuple[list[int], int]:
    """What the position says is committed, by day, and what the ledger says."""
    ((quantities,),) = await atp.fetch("SELECT commit_quantities FROM position WHERE item_id = $1", item)
    ((ledger,),) = await atp.fetch("SELECT coalesce(sum(open), 0)::bigint FROM commitment WHERE item_id = $1", item)
    return quantities, ledger


async def of_order(atp: Atp, topic: topics.Topic, order: dict[str, Any]) -> list[dict[str, Any]]:
    """The payloads of a topic that concern an order."""
    wanted = order["order"]["order_id"].encode()
    return [payload for payload in await atp.published(topic) if wanted in orjson.dumps(payload)]


async def test_an_order_is_promised_from_stock_and_the_answer_is_what_the_contract_says(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    answer = await atp.place(an_order((item, 4)))
    assert answer.status_code == 201, answer.text
    promise = Promise.model_validate_json(answer.content)
    assert (promise.state, promise.revision, outcomes(answer)) == ("promised", 1, ["promised"])
    assert answer.headers["location"] == f"/v1/promises/{promise.promise_id}"
    assert await aggregates(atp, item) == ([4], 4)


async def test_the_event_carries_the_very_bytes_of_the_answer(atp: Atp) -> None:
    order = an_order((await atp.item(on_hand=10), 4))
    answer = await atp.place(order)
    (payload,) = await of_order(atp, topics.PROMISES, order)
    assert orjson.dumps(payload["promise"]) == answer.content
    PromiseAnswered.model_validate(payload)
    (recorded,) = await of_order(atp, topics.ORDERS_RECORDED, order)
    record = OrderRecorded.model_validate(recorded)
    assert (record.change, record.sequence, record.lines[0].promised_quantity) == ("accepted", 1, 4)


async def test_an_order_sent_again_gets_the_stored_promise_byte_for_byte(atp: Atp) -> None:
    order = an_order((await atp.item(on_hand=10), 4))
    first, again = await atp.place(order), await atp.place(order)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content


async def test_a_higher_version_of_equal_content_is_the_same_order(atp: Atp) -> None:
    order = an_order((await atp.item(on_hand=10), 4))
    first = await atp.place(order)
    again = await atp.place({**order, "order": {**order["order"], "version": 3}})
    assert (again.status_code, again.content) == (200, first.content)
    older = await atp.client.post(f"/v1/promises/{first.json()['promise_id']}:confirm", json={"version": 2})
    assert (older.status_code, older.json()["code"]) == (409, "order_version_older")


async def test_an_order_with_other_content_is_refused_and_recorded(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 4))
    await atp.place(order)
    other = await atp.place({**order, "lines": an_order((item, 5))["lines"]})
    assert (other.status_code, other.json()["code"]) == (409, "order_differs")
    older = await atp.place({**an_order((item, 6)), "order": {**order["order"], "version": 1}})
    assert older.status_code == 409
    kept = await atp.fetch("SELECT kind, reason FROM unapplied_command WHERE order_id = $1", order["order"]["order_id"])
    assert kept == [("place", "other_content")] * 2
    assert await aggregates(atp, item) == ([4], 4)


async def test_an_order_that_gets_nothing_is_answered_and_stays_refused(atp: Atp) -> None:
    order = an_order((unique("never-heard-of"), 1))
    answer = await atp.place(order)
    assert (answer.status_code, answer.json()["state"], outcomes(answer)) == (201, "refused", ["unknown_item"])
    Promise.model_validate_json(answer.content)
    await atp.item(order["lines"][0]["sku"], on_hand=10)
    again = await atp.place(order)
    assert (again.status_code, again.content) == (200, answer.content)
    assert await of_order(atp, topics.ORDERS_RECORDED, order) == []


async def test_what_is_short_is_backordered_with_the_reason(atp: Atp) -> None:
    item = await atp.item(on_hand=3)
    answer = await atp.place(an_order((item, 5)))
    (line,) = answer.json()["lines"]
    assert (line["outcome"], line["promised"], line["backordered"]) == ("partly_promised", 3, 2)
    assert line["why"][0]["kind"] == "supply"
    assert await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1", item) == [(2,)]


async def test_lines_of_one_item_see_each_other(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    answer = await atp.place(an_order((item, 4), (item, 4)))
    assert [(line["promised"], line["backordered"]) for line in answer.json()["lines"]] == [(4, 0), (1, 3)]
    assert await aggregates(atp, item) == ([5], 5)


async def test_a_date_in_the_past_gets_the_earliest(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    answer = await atp.place(an_order((item, 1), requested_arrival=in_days(-10)))
    (line,) = answer.json()["lines"]
    assert (line["outcome"], line["schedule"][0]["arrival_date"]) == ("promised_late", in_days(2))


async def test_an_order_confirmed_twice_is_confirmed_once(atp: Atp) -> None:
    order = an_order((await atp.item(on_hand=5), 1))
    path = f"/v1/promises/{(await atp.place(order)).json()['promise_id']}"
    first = await atp.client.post(f"{path}:confirm", json={"version": 1})
    again = await atp.client.post(f"{path}:confirm", json={"version": 1})
    assert (first.status_code, first.json()["state"], first.json()["revision"]) == (200, "confirmed", 2)
    assert again.content == first.content
    events = await of_order(atp, topics.PROMISES, order)
    assert [event.get("cause") for event in events] == [None, "confirmed"]
    PromiseChanged.model_validate(events[1])


async def test_a_cancelled_order_gives_back_what_it_took(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 5))
    promise_id = (await atp.place(order)).json()["promise_id"]
    answer = await atp.client.post(f"/v1/promises/{promise_id}:cancel", json={"version": 2})
    assert (answer.json()["state"], outcomes(answer), answer.json()["order"]["version"]) == (
        "cancelled",
        ["cancelled"],
        2,
    )
    Promise.model_validate_json(answer.content)
    assert await aggregates(atp, item) == ([], 0)
    assert outcomes(await atp.place(an_order((item, 5)))) == ["promised"]
    records = await of_order(atp, topics.ORDERS_RECORDED, order)
    assert [(each["change"], each["sequence"]) for each in records] == [("accepted", 1), ("cancelled", 2)]
    confirm = await atp.client.post(f"/v1/promises/{promise_id}:confirm", json={"version": 2})
    assert (confirm.status_code, confirm.json()["code"]) == (409, "promise_state")


async def test_freed_stock_goes_to_those_who_wait_before_anybody_new(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    first = await atp.place(an_order((item, 5)))
    waiting = an_order((item, 3))
    answer = await atp.place(waiting)
    assert outcomes(answer) == ["backordered"]
    await atp.client.post(f"/v1/promises/{first.json()['promise_id']}:cancel", json={"version": 1})
    newcomer = await atp.place(an_order((item, 5)))
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE item_id = $1 AND marked_at IS NOT NULL)", item)
    served = await atp.client.get(f"/v1/promises/{answer.json()['promise_id']}")
    assert (outcomes(served), served.json()["revision"]) == (["promised"], 2)
    Promise.model_validate_json(served.content)
    assert newcomer.json()["lines"][0]["promised"] == 2
    changes = await of_order(atp, topics.PROMISES, waiting)
    assert changes[-1]["cause"] == "stock_freed"
    PromiseChanged.model_validate(changes[-1])


async def test_the_better_tier_is_served_first_when_stock_is_freed(atp: Atp) -> None:
    await atp.tier("gold", 1)
    await atp.tier("standard", 9, default=True)
    customer = unique("gold-customer")
    await atp.customer(customer, assigned("gold"))
    item = await atp.item(on_hand=5)
    holder = await atp.place(an_order((item, 5)))
    standard = await atp.place(an_order((item, 4)))
    gold = await atp.place(an_order((item, 4), customer={"system": "erp", "id": customer}))
    assert gold.json()["served_as"]["tier"] == "gold"
    await atp.client.post(f"/v1/promises/{holder.json()['promise_id']}:cancel", json={"version": 1})
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE item_id = $1 AND marked_at IS NOT NULL)", item)
    got = [
        (await atp.client.get(f"/v1/promises/{each.json()['promise_id']}")).json()["lines"][0]["promised"]
        for each in (gold, standard)
    ]
    assert got == [4, 1]


async def test_the_tier_is_looked_up_and_said(atp: Atp) -> None:
    await atp.tier("gold", 1, lead_time_days=1)
    await atp.tier("standard", 9, default=True)
    customer = unique("c")
    await atp.customer(customer, assigned("gold", sequence=7))
    item = await atp.item(on_hand=9)
    known = await atp.place(an_order((item, 1), customer={"system": "erp", "id": customer}))
    served_as = known.json()["served_as"]
    assert (served_as["tier"], served_as["basis"], served_as["assignment_sequence"]) == ("gold", "assigned", 7)
    assert (known.json()["customer_id"], served_as["projection_stale"]) == (customer, True)
    unknown = (await atp.place(an_order((item, 1)))).json()["served_as"]
    assert (unknown["tier"], unknown["basis"]) == ("standard", "unknown_customer")
    own = await atp.place(an_order((item, 1), customer={"system": "tiercel", "id": customer}))
    assert own.json()["served_as"]["tier"] == "gold"
    await atp.execute(
        "INSERT INTO segment_heartbeat VALUES (0, now()) ON CONFLICT (partition) DO UPDATE SET beat_at = now()"
    )
    fresh = await atp.place(an_order((item, 1), customer={"system": "erp", "id": customer}))
    assert fresh.json()["served_as"]["projection_stale"] is False


async def test_customers_that_were_merged_are_served_as_the_one_they_became(atp: Atp) -> None:
    await atp.tier("gold", 1)
    *olds, new = [unique("customer") for _ in range(3)]
    for old in olds:
        await atp.customer(old)
        await atp.execute("UPDATE segment SET status = 'merged', merged_into = $2 WHERE customer_id = $1", old, new)
    await atp.customer(new, assigned("gold"))
    item = await atp.item(on_hand=3)
    orders = [an_order((item, 1), customer={"system": "erp", "id": customer}) for customer in (*olds, new)]
    answers = (await atp.client.post("/v1/promises:batch", json={"items": orders})).json()["items"]
    served = [(each["promise"]["customer_id"], each["promise"]["served_as"]["tier"]) for each in answers]
    assert served == [(new, "gold")] * 3


async def test_an_inquiry_takes_and_stores_nothing(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 5))
    answer = await atp.client.post("/v1/promises:inquire", json=order)
    assert answer.status_code == 200, answer.text
    assert Inquiry.model_validate_json(answer.content).lines[0].promised == 5
    assert await aggregates(atp, item) == ([], 0)
    assert (await atp.client.get("/v1/promises", params=order["order"])).status_code == 404


async def test_a_promise_is_read_by_id_by_order_with_its_history_and_its_decision(atp: Atp) -> None:
    order = an_order((await atp.item(on_hand=5), 2))
    made = await atp.place(order)
    path = f"/v1/promises/{made.json()['promise_id']}"
    confirmed = await atp.client.post(f"{path}:confirm", json={"version": 1})
    by_id = await atp.client.get(path)
    by_order = await atp.client.get("/v1/promises", params={"source": "shop", "order_id": order["order"]["order_id"]})
    assert by_id.content == by_order.content == confirmed.content
    history = History.model_validate_json((await atp.client.get(f"{path}/history")).content)
    assert [(each.revision, each.cause) for each in history.items] == [(1, "confirmed"), (2, None)]
    answer = await atp.client.get(f"{path}/decision")
    decision = Decision.model_validate_json(answer.content)
    assert made.json()["decision_id"] == f"{decision.decision_id}.{decision.index}"


async def test_a_decision_is_reproduced_from_its_record(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    made = (await atp.place(an_order((item, 3), (item, 3)))).json()
    decision_id, _, index = made["decision_id"].partition(".")
    ((stored,),) = await atp.fetch("SELECT input FROM decision_batch WHERE decision_id = $1::uuid", decision_id)
    decided: Any = reproduce(stored)[int(index)]
    assert [line.outcome for line in decided.lines] == [line["outcome"] for line in made["lines"]]
    assert [[part.quantity for part in line.planned] for line in decided.lines] == [
        [part["quantity"] for part in line["schedule"]] for line in made["lines"]
    ]


async def test_a_batch_answers_each_order_as_if_it_came_alone(atp: Atp) -> None:
    item = await atp.item(on_hand=3)
    good, short = an_order((item, 2)), an_order((item, 2))
    bad = an_order((item, 0))
    twice = {**an_order((item, 1), (item, 1))}
    twice["lines"] = [twice["lines"][0]] * 2
    answer = await atp.client.post("/v1/promises:batch", json={"items": [good, bad, short, good, twice]})
    assert answer.status_code == 200, answer.text
    shown = BatchAnswer.model_validate_json(answer.content).items
    assert [each.status for each in shown] == [201, 422, 201, 200, 422]
    assert shown[2].promise is not None
    assert shown[2].promise.lines[0].promised == 1
    assert shown[4].problem is not None
    assert shown[4].problem["code"] == "line_repeated"


async def test_a_caller_limited_to_channels_sees_only_their_orders(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    shop = atp.credentials.headers("atp.promise", "atp.read", channels=["shop"])
    theirs = await atp.client.post("/v1/promises", json=an_order((item, 1), channel="shop"), headers=shop)
    assert theirs.status_code == 201
    refused = await atp.client.post("/v1/promises", json=an_order((item, 1), channel="web"), headers=shop)
    assert (refused.status_code, refused.json()["code"]) == (403, "channel_forbidden")
    other = await atp.place(an_order((item, 1), channel="web"))
    for method, suffix, body in (
        ("GET", "", None),
        ("GET", "/history", None),
        ("GET", "/decision", None),
        ("POST", ":cancel", {"version": 1}),
    ):
        hidden = await atp.client.request(
            method, f"/v1/promises/{other.json()['promise_id']}{suffix}", json=body, headers=shop
        )
        assert (hidden.status_code, hidden.json()["code"]) == (404, "order_unknown")


async def test_an_idempotency_key_gives_the_same_bytes_and_refuses_another_body(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    order, key = an_order((item, 2)), {"Idempotency-Key": unique("key")}
    first = await atp.place(order, **key)
    again = await atp.place(order, **key)
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    other = await atp.place(an_order((item, 1)), **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    conflict_key = {"Idempotency-Key": unique("key")}
    changed = {**order, "channel": "other"}
    refused = await atp.place(changed, **conflict_key)
    assert (await atp.place(changed, **conflict_key)).content == refused.content
    assert refused.status_code == 409


async def test_nobody_without_the_scope_gets_in(atp: Atp) -> None:
    assert await strangers_let_in(atp.service.app, atp.credentials.headers()) == []
