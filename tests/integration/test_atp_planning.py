"""What planners do over HTTP, on a real PostgreSQL: audited, with an end, and never overselling."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.contracts import topics
from services.contracts.promises import Promise, PromiseChanged
from tests.support.atp import Atp, an_order, assigned, in_days, outcomes, running_atp, today, unique
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.05) as running:
        yield running
        await prove(running)


async def read(atp: Atp, made: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = (await atp.client.get(f"/v1/promises/{made.json()['promise_id']}")).json()
    Promise.model_validate(found)
    return found


async def act(atp: Atp, made: httpx.Response, what: str, **body: Any) -> httpx.Response:
    """A planner's act on a promise as it is now."""
    revision = (await read(atp, made))["revision"]
    given = {"revision": revision, "reason": "agreed with sales", "until": in_days(3), **body}
    answer = await atp.client.post(f"/v1/promises/{made.json()['promise_id']}:{what}", json=given)
    if answer.status_code == 200:
        Promise.model_validate_json(answer.content)
    return answer


async def served(atp: Atp, item: str) -> None:
    """Wait until nothing at the item is being offered."""
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE item_id = $1 AND marked_at IS NOT NULL)", item)


async def receive(atp: Atp, item: str, quantity: int, location: str = "L1") -> None:
    movement = {"source": "wms", "reference": unique("move"), "sku": item, "location": location, "kind": "receipt"}
    moved = {"items": [{**movement, "quantity": quantity, "occurred_at": datetime.now(UTC).isoformat()}]}
    assert (await atp.client.post("/v1/supply/movements", json=moved)).status_code == 200


async def let_overrides_end(atp: Atp, made: httpx.Response) -> None:
    """Let the last day of what planners set on a promise be over."""
    await atp.execute(
        "UPDATE promise SET overrides = replace(overrides::text, $2::text, $3::text)::jsonb WHERE promise_id = $1",
        made.json()["promise_id"],
        str(today().toordinal() + 3),
        str(today().toordinal() - 1),
    )
    await atp.execute("UPDATE due SET at = clock_timestamp() WHERE kind = 'overrides'")


async def test_an_act_is_kept_with_who_when_why_and_until_when(atp: Atp) -> None:
    made = await atp.place(an_order((await atp.item(on_hand=5), 5)))
    assert (await act(atp, made, "pin")).status_code == 200
    assert (await act(atp, made, "unpin", reason="not needed", until=None)).status_code == 422
    unpin = {"revision": 1, "reason": "not needed"}
    assert (await atp.client.post(f"/v1/promises/{made.json()['promise_id']}:unpin", json=unpin)).status_code == 200
    page = (await atp.client.get("/v1/planner-actions", params={"promise_id": made.json()["promise_id"]})).json()
    kept = [(each["kind"], each["actor"], each["reason"], each["until"]) for each in page["items"]]
    assert kept == [("unpin", "tester", "not needed", None), ("pin", "tester", "agreed with sales", in_days(3))]


async def test_planner_actions_are_read_page_by_page(atp: Atp) -> None:
    made = await atp.place(an_order((await atp.item(on_hand=5), 5)))
    for number in range(3):
        await act(atp, made, "pin", reason=f"reason {number}")
    asked: dict[str, Any] = {"promise_id": made.json()["promise_id"], "limit": 2}
    first = (await atp.client.get("/v1/planner-actions", params=asked)).json()
    rest = (await atp.client.get("/v1/planner-actions", params={**asked, "cursor": first["next_cursor"]})).json()
    assert [each["reason"] for each in first["items"] + rest["items"]] == ["reason 2", "reason 1", "reason 0"]
    assert rest["next_cursor"] is None
    wrong = await atp.client.get("/v1/planner-actions", params={**asked, "cursor": "nonsense"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_request")


async def test_an_act_on_a_revision_that_is_not_the_current_one_is_refused(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    made = await atp.place(an_order((item, 5)))
    body = {"line": "1", "quantity": 2, "revision": 1}
    assert (await act(atp, made, "withdraw", **body)).status_code == 200
    again = await act(atp, made, "withdraw", **body)
    assert (again.status_code, again.json()["why"]) == (409, "revision_changed")
    assert (await read(atp, made))["lines"][0]["promised"] == 3


async def test_whoever_may_not_plan_cannot(atp: Atp) -> None:
    headers = atp.credentials.headers("atp.promise", "atp.read", "atp.configure")
    made = await atp.place(an_order((await atp.item(on_hand=5), 5)))
    body = {"revision": 1, "reason": "please", "until": in_days(1)}
    path = f"/v1/promises/{made.json()['promise_id']}:pin"
    assert (await atp.client.post(path, json=body, headers=headers)).status_code == 403


async def test_a_pinned_line_keeps_its_plan_whatever_is_amended(atp: Atp) -> None:
    near, far = unique("near"), unique("far")
    item = await atp.item(on_hand=5, location=far)
    order = an_order((item, 5))
    made = await atp.place(order)
    await atp.item(item, on_hand=9, location=near)
    await act(atp, made, "pin")
    wanted = {**order, "order": {**order["order"], "version": 2}, "replan": True}
    wanted["lines"] = [{**order["lines"][0], "quantity": 6}]
    answer = await atp.client.post(f"/v1/promises/{made.json()['promise_id']}:amend", json=wanted)
    assert answer.json()["lines"][0]["schedule"][0]["location"] == far
    moved = {"version": 3, "line": "1", "to_location": near}
    refused = await atp.client.post(f"/v1/promises/{made.json()['promise_id']}:transfer", json=moved)
    assert (refused.status_code, refused.json()["why"]) == (409, "pinned")
    refused = await act(atp, made, "withdraw", line="1", quantity=1)
    assert (refused.status_code, refused.json()["why"]) == (409, "pinned")
    await let_overrides_end(atp, made)
    await atp.until("SELECT overrides IS NULL FROM promise WHERE promise_id = $1", made.json()["promise_id"])
    assert (await act(atp, made, "withdraw", line="1", quantity=1)).status_code == 200


async def test_what_a_planner_withdraws_serves_others_and_is_waited_for_again_after_its_day(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    made = await atp.place(an_order((item, 5)))
    other = await atp.place(an_order((item, 2)))
    answer = await act(atp, made, "withdraw", line="1", quantity=3)
    (line,) = answer.json()["lines"]
    assert (line["promised"], line["backordered"], line["outcome"]) == (2, 3, "partly_promised")
    (why,) = line["why"]
    assert (why["kind"], why["reference"], why["day"], why["needed"]) == ("protection", "withdrawn", in_days(3), 3)
    told = (await atp.client.get(f"/v1/promises/{made.json()['promise_id']}/explanation")).json()
    assert f"A planner took it back until {in_days(3)}" in str(told["lines"][0]["for_planner"])
    await served(atp, item)
    assert outcomes(await atp.client.get(f"/v1/promises/{other.json()['promise_id']}")) == ["promised"]
    assert (await read(atp, made))["lines"][0]["promised"] == 2
    assert await atp.fetch("SELECT count(*) FROM backorder WHERE item_id = $1", item) == [(0,)]
    await let_overrides_end(atp, made)
    await atp.until("SELECT revision > 2 FROM promise WHERE promise_id = $1", made.json()["promise_id"])
    assert (await read(atp, made))["lines"][0]["promised"] == 3
    assert await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1", item) == [(2,)]


async def test_an_expedited_order_is_served_before_a_better_tier(atp: Atp) -> None:
    await atp.tier("gold", 1)
    gold = unique("gold-customer")
    await atp.customer(gold, assigned("gold"))
    item = await atp.item(on_hand=0)
    best = await atp.place(an_order((item, 3), customer={"system": "erp", "id": gold}))
    made = await atp.place(an_order((item, 3)))
    answer = await act(atp, made, "expedite")
    assert answer.json()["lines"][0]["backordered"] == 3
    await receive(atp, item, 3)
    await served(atp, item)
    assert (await read(atp, made))["lines"][0]["promised"] == 3
    assert (await read(atp, best))["lines"][0]["promised"] == 0
    found = [each for each in await atp.published(topics.PROMISES) if each.get("cause") == "expedited"]
    assert [each["reason"] for each in found if each["new"]["promise_id"] == made.json()["promise_id"]] == [
        "agreed with sales"
    ]
    PromiseChanged.model_validate(found[-1])


async def test_an_expedited_order_arrives_earlier_if_it_can(atp: Atp) -> None:
    slow, fast = unique("slow"), unique("fast")
    await atp.location(slow, transit_days=6)
    item = await atp.item(on_hand=5, location=slow)
    made = await atp.place(an_order((item, 5), requested_arrival=in_days(9)))
    await atp.location(fast, transit_days=1)
    await atp.item(item, on_hand=5, location=fast)
    answer = await act(atp, made, "expedite")
    (part,) = answer.json()["lines"][0]["schedule"]
    assert (part["location"], part["arrival_date"], part["quantity"]) == (fast, in_days(1), 5)
    assert answer.json()["lines"][0]["requested_arrival"] == in_days(9)


async def test_what_is_expedited_waits_at_its_own_place_again_after_its_day(atp: Atp) -> None:
    item = await atp.item(on_hand=0)
    made = await atp.place(an_order((item, 3)))
    await act(atp, made, "expedite")
    rank = "SELECT lead < 0 FROM backorder WHERE item_id = $1"
    assert await atp.fetch(rank, item) == [(True,)]
    await let_overrides_end(atp, made)
    await atp.until(f"SELECT NOT ({rank})", item)


async def test_a_planner_gives_goods_of_one_customer_to_another(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    giver = await atp.place(an_order((item, 5)))
    order = an_order((item, 4), customer={"system": "erp", "id": "somebody-else"})
    taker = await atp.place(order)
    target = {"source": "shop", "order_id": order["order"]["order_id"], "line": "1"}
    answer = await act(atp, giver, "reassign", line="1", quantity=4, to_order=target)
    assert (answer.json()["lines"][0]["promised"], answer.json()["lines"][0]["backordered"]) == (1, 4)
    (why,) = answer.json()["lines"][0]["why"]
    assert (why["kind"], why["needed"], why["would_help"]) == ("supply", 4, "4 more units at L1")
    assert (await read(atp, taker))["lines"][0]["promised"] == 4
    assert (await read(atp, taker))["lines"][0]["why"] == []
    await served(atp, item)
    assert (await read(atp, giver))["lines"][0]["promised"] == 1
    assert await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1", item) == [(4,)]
    refused = await act(atp, taker, "withdraw", line="1", quantity=1)
    assert refused.json()["why"] == "pinned"
    more = await act(atp, giver, "reassign", line="1", quantity=1, to_order=target)
    assert (more.status_code, more.json()["why"]) == (409, "not_wanted")


async def test_a_line_that_is_given_a_part_says_what_binds_the_rest(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    giver = await atp.place(an_order((item, 5)))
    order = an_order((item, 6), customer={"system": "erp", "id": "somebody-else"})
    taker = await atp.place(order)
    target = {"source": "shop", "order_id": order["order"]["order_id"], "line": "1"}
    assert (await act(atp, giver, "reassign", line="1", quantity=4, to_order=target)).status_code == 200
    (line,) = (await read(atp, taker))["lines"]
    assert (line["outcome"], [(why["kind"], why["needed"]) for why in line["why"]]) == (
        "partly_promised",
        [("supply", 2)],
    )


async def test_a_stopped_position_makes_no_promise_and_says_so(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    before = await atp.place(an_order((item, 1)))
    stop = {"items": [{"sku": item, "location": "L1"}], "reason": "quality alert", "until": in_days(2)}
    assert (await atp.client.post("/v1/stops", json=stop)).json()["results"][0]["effect"] == "applied"
    assert (await atp.client.post("/v1/stops", json=stop)).json()["results"][0]["effect"] == "repeated"
    answer = await atp.place(an_order((item, 2)))
    Promise.model_validate_json(answer.content)
    (line,) = answer.json()["lines"]
    assert (line["outcome"], line["backordered"], line["why"][0]["kind"]) == ("stopped", 2, "stop")
    assert line["why"][0]["day"] == in_days(2)
    assert outcomes(await atp.client.post("/v1/promises:inquire", json=an_order((item, 2)))) == ["stopped"]
    confirmed = await atp.client.post(f"/v1/promises/{before.json()['promise_id']}:confirm", json={"version": 1})
    assert confirmed.json()["lines"][0]["promised"] == 1
    listed = (await atp.client.get("/v1/stops", params={"limit": 500})).json()["items"]
    assert [each["reason"] for each in listed if each["sku"] == item] == ["quality alert"]
    lift = {"items": [{"sku": item, "location": "L1"}], "reason": "it was the label"}
    assert (await atp.client.post("/v1/stops:lift", json=lift)).json()["results"][0]["effect"] == "applied"
    await served(atp, item)
    assert (await read(atp, answer))["lines"][0]["outcome"] == "promised"
    kinds = (await atp.client.get("/v1/planner-actions", params={"sku": item})).json()["items"]
    assert [each["kind"] for each in kinds] == ["lift_stop", "stop", "stop"]


async def test_a_stop_ends_by_itself_and_those_who_wait_are_served(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    stop = {"items": [{"sku": item, "location": "L1"}], "reason": "count", "until": in_days(0)}
    await atp.client.post("/v1/stops", json=stop)
    waiting = await atp.place(an_order((item, 2)))
    assert outcomes(waiting) == ["stopped"]
    await atp.execute("UPDATE position SET stopped_through = stopped_through - 1 WHERE item_id = $1", item)
    await atp.execute("UPDATE due SET at = clock_timestamp() WHERE kind = 'stop'")
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    assert (await read(atp, waiting))["lines"][0]["promised"] == 2


async def test_what_one_stopped_location_cannot_give_another_one_does(atp: Atp) -> None:
    stopped, other = unique("stopped"), unique("other")
    item = await atp.item(on_hand=5, location=stopped)
    await atp.item(item, on_hand=5, location=other)
    stop = {"items": [{"sku": item, "location": stopped}], "reason": "flood"}
    await atp.client.post("/v1/stops", json=stop)
    answer = await atp.place(an_order((item, 6)))
    (line,) = answer.json()["lines"]
    assert ([part["location"] for part in line["schedule"]], line["backordered"]) == ([other], 1)
    assert [each["kind"] for each in line["why"]] == ["supply", "stop"]
