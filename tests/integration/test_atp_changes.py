"""Amending, releasing, transferring and reviving over HTTP and by the event log, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.contracts import catalogue, topics
from services.contracts.promises import Promise, PromiseChanged
from tests.support.atp import Atp, an_order, assigned, in_days, order_event, outcomes, running_atp, unique
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.05) as running:
        yield running
        await prove(running)


async def open_at(atp: Atp, item: str) -> dict[str, int]:
    """What is committed of an item, by location, once position and ledger agree on it."""
    ledger = await atp.fetch(
        "SELECT location_id, sum(open)::bigint FROM commitment WHERE item_id = $1 AND open > 0 GROUP BY 1", item
    )
    positions = await atp.fetch(
        "SELECT location_id, sum(q)::bigint FROM position, unnest(commit_quantities) q WHERE item_id = $1 GROUP BY 1",
        item,
    )
    assert dict(ledger) == dict(positions)
    return dict(ledger)


async def waiting(atp: Atp, item: str) -> list[Any]:
    return await atp.fetch("SELECT quantity FROM backorder WHERE item_id = $1 ORDER BY quantity", item)


async def change(atp: Atp, made: httpx.Response, what: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    path = f"/v1/promises/{made.json()['promise_id']}:{what}"
    answer = await atp.client.post(path, json=body, headers=headers)
    if answer.status_code == 200:
        Promise.model_validate_json(answer.content)
    return answer


def again(order: dict[str, Any], version: int, **fields: Any) -> dict[str, Any]:
    """An order as it is wanted now."""
    return {**order, "order": {**order["order"], "version": version}, **fields}


def lines(*wanted: tuple[str, int], **fields: Any) -> list[dict[str, Any]]:
    return [{**line, **fields} for line in an_order(*wanted)["lines"]]


async def causes(atp: Atp, order: dict[str, Any]) -> list[str]:
    """What changed an order's promise, oldest first; every event fits its schema."""
    found = [each for each in await atp.published(topics.PROMISES) if "cause" in each]
    own = [each for each in found if each["new"]["order"]["order_id"] == order["order"]["order_id"]]
    for each in own:
        PromiseChanged.model_validate(each)
        assert each["new"]["revision"] == each["old"]["revision"] + 1
    return [each["cause"] for each in own]


async def test_an_amended_order_keeps_what_it_has_and_gets_the_rest_if_there_is_any(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 4))
    made = await atp.place(order)
    kept = made.json()["lines"][0]["schedule"]
    answer = await change(atp, made, "amend", again(order, 2, lines=lines((item, 7)), reason="three more"))
    assert (answer.status_code, outcomes(answer), answer.json()["state"]) == (200, ["promised"], "promised")
    assert answer.json()["lines"][0]["schedule"][0] == kept[0]
    assert await open_at(atp, item) == {"L1": 7}
    assert await causes(atp, order) == ["amended"]


async def test_an_order_amended_to_less_gives_the_rest_back_to_those_who_wait(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 10))
    made, other = await atp.place(order), await atp.place(an_order((item, 3)))
    assert outcomes(other) == ["backordered"]
    answer = await change(atp, made, "amend", again(order, 2, lines=lines((item, 7))))
    assert answer.json()["lines"][0]["promised"] == 7
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    assert await open_at(atp, item) == {"L1": 10}


async def test_an_amendment_does_not_cost_an_order_its_place_before_those_who_wait(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 10))
    made = await atp.place(order)
    await atp.place(an_order((item, 5)))
    answer = await change(atp, made, "amend", again(order, 2, lines=lines((item, 10)), requested_arrival=in_days(9)))
    assert (outcomes(answer), answer.json()["lines"][0]["promised"]) == (["promised"], 10)
    assert answer.json()["lines"][0]["requested_arrival"] == in_days(9)
    replanned = await change(atp, made, "amend", again(order, 3, lines=lines((item, 10)), replan=True))
    assert replanned.json()["lines"][0]["promised"] == 10


async def test_an_order_that_is_wanted_sooner_keeps_what_it_has_and_says_why_it_is_late(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 5), requested_arrival=in_days(4))
    made = await atp.place(order)
    answer = await change(atp, made, "amend", again(order, 2, requested_arrival=in_days(1)))
    (line,) = answer.json()["lines"]
    assert (line["outcome"], line["promised"]) == ("promised_late", 5)
    (why,) = line["why"]
    assert (why["kind"], why["needed"], why["would_help"]) == ("lane", 1, f"a requested arrival of {in_days(2)}")
    answer = await change(atp, made, "amend", again(order, 3, requested_arrival=in_days(2)))
    assert (outcomes(answer), answer.json()["lines"][0]["why"]) == (["promised"], [])


async def test_a_line_that_is_left_out_is_given_back_and_a_new_one_is_decided(atp: Atp) -> None:
    left, right = [await atp.item(on_hand=5) for _ in range(2)]
    order = an_order((left, 5))
    made = await atp.place(order)
    answer = await change(atp, made, "amend", again(order, 2, lines=[{**lines((right, 6))[0], "line": "9"}]))
    (line,) = answer.json()["lines"]
    assert (line["line"], line["outcome"], line["promised"], line["backordered"]) == ("9", "partly_promised", 5, 1)
    assert await open_at(atp, left) == {}
    assert await open_at(atp, right) == {"L1": 5}
    assert await waiting(atp, right) == [(1,)]


async def test_an_amendment_sent_again_changes_nothing_and_an_older_one_is_refused(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 4))
    made = await atp.place(order)
    first = await change(atp, made, "amend", again(order, 3, lines=lines((item, 7))))
    repeated = await change(atp, made, "amend", again(order, 3, lines=lines((item, 7))))
    assert repeated.content == first.content
    other = await change(atp, made, "amend", again(order, 3, lines=lines((item, 8))))
    assert (other.status_code, other.json()["code"]) == (409, "order_differs")
    older = await change(atp, made, "amend", again(order, 2, lines=lines((item, 8))))
    assert (older.status_code, older.json()["code"]) == (409, "order_version_older")
    assert await open_at(atp, item) == {"L1": 7}
    kept = await atp.fetch(
        "SELECT kind, reason FROM unapplied_command WHERE order_id = $1 ORDER BY recorded_at",
        order["order"]["order_id"],
    )
    assert kept == [("amend", "other_content"), ("amend", "older_version")]


async def test_what_has_shipped_cannot_be_amended_away(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 6))
    made = await atp.place(order)
    shipped = {"source": "wms", "reference": unique("ship"), "order": order["order"], "line": "1", "sku": item}
    left = {**shipped, "location": "L1", "quantity": 4, "occurred_at": datetime.now(UTC).isoformat()}
    assert (await atp.client.post("/v1/fulfilments/shipped", json={"items": [left]})).status_code == 200
    refused = await change(atp, made, "amend", again(order, 2, lines=lines((item, 3))))
    assert (refused.status_code, refused.json()["code"], refused.json()["why"]) == (409, "not_possible", "shipped")
    answer = await change(atp, made, "amend", again(order, 2, lines=lines((item, 5))))
    (line,) = answer.json()["lines"]
    assert (line["quantity"], line["promised"], line["shipped"], line["outcome"]) == (5, 5, 4, "promised")
    assert await open_at(atp, item) == {"L1": 1}


async def test_an_order_that_ships_complete_stays_as_it_was_if_it_would_not_be_whole(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 8), ship_complete=True)
    made = await atp.place(order)
    refused = await change(atp, made, "amend", again(order, 2, lines=lines((item, 12))))
    assert (refused.status_code, refused.json()["why"]) == (409, "not_whole")
    assert ("supply", 2) in [(each["kind"], each["needed"]) for each in refused.json()["constraints"]]
    assert await open_at(atp, item) == {"L1": 8}
    assert (await change(atp, made, "amend", again(order, 2, lines=lines((item, 10))))).json()["lines"][0][
        "promised"
    ] == 10


async def test_a_refused_order_that_is_amended_is_decided_like_a_new_one(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((unique("never-heard-of"), 1))
    made = await atp.place(order)
    assert made.json()["state"] == "refused"
    answer = await change(atp, made, "amend", again(order, 2, lines=lines((item, 2))))
    assert (answer.json()["state"], outcomes(answer)) == ("promised", ["promised"])


async def test_an_order_may_not_be_amended_past_what_its_tier_permits(atp: Atp) -> None:
    customer = unique("limited")
    await atp.tier("limited", 77, validation={"order_quantity_max": 5})
    await atp.customer(customer, assigned("limited"))
    item = await atp.item(on_hand=10)
    order = an_order((item, 4), customer={"system": "erp", "id": customer})
    made = await atp.place(order)
    refused = await change(atp, made, "amend", again(order, 2, lines=lines((item, 6))))
    assert (refused.status_code, refused.json()["why"]) == (409, "not_permitted")
    assert (await change(atp, made, "amend", again(order, 2, lines=lines((item, 5))))).json()["lines"][0][
        "promised"
    ] == 5


async def test_a_part_that_is_released_is_given_back_and_ordered_no_more(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 8))
    made = await atp.place(order)
    body = {"version": 2, "lines": [{"line": "1", "quantity": 3}], "reason": "fewer guests"}
    answer = await change(atp, made, "release", body)
    (line,) = answer.json()["lines"]
    assert (line["quantity"], line["promised"], line["outcome"]) == (5, 5, "promised")
    assert (await change(atp, made, "release", body)).content == answer.content
    assert await open_at(atp, item) == {"L1": 5}
    assert await causes(atp, order) == ["released"]
    more = await change(atp, made, "release", {"version": 3, "lines": [{"line": "1", "quantity": 6}]})
    assert (more.status_code, more.json()["why"]) == (409, "not_held")
    rest = await change(atp, made, "release", {"version": 3, "lines": [{"line": "1", "quantity": 5}]})
    assert (rest.json()["state"], outcomes(rest)) == ("cancelled", ["cancelled"])
    assert await open_at(atp, item) == {}


async def test_after_a_part_was_released_shipping_and_cancelling_give_back_exactly_the_rest(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 8))
    made = await atp.place(order)
    await change(atp, made, "release", {"version": 2, "lines": [{"line": "1", "quantity": 3}]})
    shipped = {"source": "wms", "reference": unique("ship"), "order": order["order"], "line": "1", "sku": item}
    left = {**shipped, "location": "L1", "quantity": 2, "occurred_at": datetime.now(UTC).isoformat()}
    await atp.client.post("/v1/fulfilments/shipped", json={"items": [left]})
    cancelled = await change(atp, made, "cancel", {"version": 3})
    assert (cancelled.json()["state"], cancelled.json()["lines"][0]["promised"]) == ("cancelled", 2)
    assert await open_at(atp, item) == {}
    assert outcomes(await atp.place(an_order((item, 8)))) == ["promised"]


async def test_a_transfer_to_another_location_takes_there_what_it_gives_back_here(atp: Atp) -> None:
    near, far = unique("near"), unique("far")
    item = await atp.item(on_hand=10, location=near)
    await atp.item(item, on_hand=4, location=far)
    order = an_order((item, 6))
    made = await atp.place(order)
    assert await open_at(atp, item) == {near: 6}
    body = {"version": 2, "line": "1", "quantity": 4, "to_location": far}
    answer = await change(atp, made, "transfer", body)
    assert [(part["location"], part["quantity"]) for part in answer.json()["lines"][0]["schedule"]] == [
        (near, 2),
        (far, 4),
    ]
    assert (await change(atp, made, "transfer", body)).content == answer.content
    assert await open_at(atp, item) == {near: 2, far: 4}
    too_much = await change(atp, made, "transfer", {"version": 3, "line": "1", "quantity": 1, "to_location": far})
    assert (too_much.status_code, too_much.json()["why"]) == (409, "no_stock")
    bound = [(each["line"], each["kind"], each["reference"], each["needed"]) for each in too_much.json()["constraints"]]
    assert ("1", "supply", far, 1) in bound
    assert await open_at(atp, item) == {near: 2, far: 4}
    assert await causes(atp, order) == ["transferred"]


async def test_a_transfer_to_where_it_takes_longer_says_what_makes_it_late(atp: Atp) -> None:
    near, far = unique("near"), unique("far")
    await atp.location(far, transit_days=4, rank=2)
    item = await atp.item(on_hand=5, location=near)
    await atp.item(item, on_hand=5, location=far)
    made = await atp.place(an_order((item, 5), requested_arrival=in_days(3)))
    body = {"version": 2, "line": "1", "from_location": near, "to_location": far}
    (line,) = (await change(atp, made, "transfer", body)).json()["lines"]
    assert line["outcome"] == "promised_late"
    assert [(why["kind"], why["needed"]) for why in line["why"]] == [("lane", 1)]
    back = {"version": 3, "line": "1", "from_location": far, "to_location": near}
    (line,) = (await change(atp, made, "transfer", back)).json()["lines"]
    assert (line["outcome"], line["why"]) == ("promised", [])


async def test_a_hold_is_handed_over_to_the_order_that_came_of_it(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    cart, order = an_order((item, 5), hold_seconds=600), an_order((item, 4))
    held, made = await atp.place(cart), await atp.place(order)
    assert outcomes(made) == ["backordered"]
    to_order = {"order_id": order["order"]["order_id"], "line": "1"}
    answer = await change(atp, held, "transfer", {"version": 2, "line": "1", "quantity": 4, "to_order": to_order})
    assert (answer.json()["lines"][0]["quantity"], answer.json()["state"]) == (1, "held")
    received = await atp.client.get(f"/v1/promises/{made.json()['promise_id']}")
    assert (outcomes(received), received.json()["lines"][0]["promised"]) == (["promised"], 4)
    assert await waiting(atp, item) == []
    assert await causes(atp, order) == ["transferred"]
    rest = await change(atp, held, "transfer", {"version": 3, "line": "1", "to_order": to_order})
    assert (rest.status_code, rest.json()["why"]) == (409, "not_wanted")


async def test_a_hold_is_not_handed_over_to_another_customer(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    stranger = an_order((item, 4), customer={"system": "erp", "id": "somebody-else"})
    held, _ = await atp.place(an_order((item, 5), hold_seconds=600)), await atp.place(stranger)
    to_order = {"order_id": stranger["order"]["order_id"], "line": "1"}
    refused = await change(atp, held, "transfer", {"version": 2, "line": "1", "to_order": to_order})
    assert (refused.status_code, refused.json()["why"]) == (409, "other_customer")


async def expired(atp: Atp, order: dict[str, Any]) -> httpx.Response:
    """A hold whose time is over."""
    made = await atp.place({**order, "hold_seconds": 600})
    promise_id = made.json()["promise_id"]
    await atp.execute("UPDATE promise SET held_until = clock_timestamp() WHERE promise_id = $1", promise_id)
    await atp.execute("UPDATE due SET at = clock_timestamp() WHERE kind = 'hold'")
    await atp.until("SELECT state = 'expired' FROM promise WHERE promise_id = $1", promise_id)
    return made


async def test_an_expired_hold_is_revived_if_stock_allows(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 5))
    made = await expired(atp, order)
    answer = await change(atp, made, "revive", {"version": 2, "hold_seconds": 600})
    assert (answer.json()["state"], outcomes(answer)) == ("held", ["promised"])
    assert (await change(atp, made, "confirm", {"version": 2})).json()["state"] == "confirmed"
    assert await open_at(atp, item) == {"L1": 5}
    assert await causes(atp, order) == ["expired", "revived", "confirmed"]


async def test_an_expired_hold_whose_stock_is_gone_stays_expired(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    made = await expired(atp, an_order((item, 5)))
    await atp.place(an_order((item, 5)))
    refused = await change(atp, made, "revive", {"version": 2})
    assert (refused.status_code, refused.json()["why"]) == (409, "no_stock")
    (bound,) = refused.json()["constraints"]
    assert (bound["line"], bound["kind"], bound["needed"], bound["would_help"]) == (
        "1",
        "supply",
        5,
        "5 more units at L1",
    )
    assert (await atp.client.get(f"/v1/promises/{made.json()['promise_id']}")).json()["state"] == "expired"


async def test_what_a_revived_promise_cannot_have_waits(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    made = await expired(atp, an_order((item, 5)))
    await atp.place(an_order((item, 3)))
    answer = await change(atp, made, "revive", {"version": 2})
    assert (answer.json()["state"], outcomes(answer)) == ("promised", ["partly_promised"])
    assert "held_until" not in answer.json(), "it is a hold no more"
    assert await waiting(atp, item) == [(3,)]


async def test_only_an_expired_hold_can_be_revived(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    made = await atp.place(an_order((item, 5)))
    refused = await change(atp, made, "revive", {"version": 2})
    assert (refused.status_code, refused.json()["code"]) == (409, "promise_state")


async def test_a_refusal_is_remembered_under_its_key(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 5))
    made = await atp.place(order)
    body, key = {"version": 2, "lines": [{"line": "1", "quantity": 9}]}, {"Idempotency-Key": unique("key")}
    first = await change(atp, made, "release", body, **key)
    assert first.status_code == 409
    await change(atp, made, "amend", again(order, 3, lines=lines((item, 9))))
    assert (await change(atp, made, "release", body, **key)).content == first.content


async def test_changes_by_the_event_log_are_the_same(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    order = an_order((item, 4))
    made = await atp.place(order)
    release = {"order": {**order["order"], "version": 3}, "lines": [{"line": "1", "quantity": 2}]}
    await atp.publish(
        order_event(catalogue.ORDER_AMENDED, again(order, 2, lines=lines((item, 8)))),
        order_event(catalogue.ORDER_RELEASED, release),
        order_event(catalogue.ORDER_RELEASED, release),
    )
    await atp.until("SELECT revision = 3 FROM promise WHERE promise_id = $1", made.json()["promise_id"])
    assert await open_at(atp, item) == {"L1": 6}
    assert await causes(atp, order) == ["amended", "released"]
