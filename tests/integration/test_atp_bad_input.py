"""What bad input gets, over HTTP and from the event log: a clear answer, and nothing stored."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest

from services.contracts import topics
from services.contracts.orders import OrderPlaced
from tests.support.atp import (
    Atp,
    an_order,
    cancelled,
    confirmed,
    outcomes,
    placed,
    running_atp,
    unique,
)

Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


def with_line(**fields: Any) -> Change:
    return lambda order: {**order, "lines": [{**order["lines"][0], **fields}]}


def with_fields(**fields: Any) -> Change:
    return lambda order: {**order, **fields}


UNREADABLE: dict[str, Change] = {
    "quantity zero": with_line(quantity=0),
    "quantity negative": with_line(quantity=-1),
    "quantity huge": with_line(quantity=10**30),
    "quantity decimal": with_line(quantity=1.5),
    "quantity as text": with_line(quantity="1"),
    "price negative": with_line(unit_price=-1),
    "sku empty": with_line(sku=""),
    "sku too long": with_line(sku="x" * 129),
    "sku with a control character": with_line(sku="a\nb"),
    "date that is none": with_line(requested_arrival="2026-02-30"),
    "date as a number": with_line(requested_arrival=20260101),
    "unknown field": with_fields(tier="gold"),
    "no lines": with_fields(lines=[]),
    "no customer": lambda order: {name: value for name, value in order.items() if name != "customer"},
    "moment without a zone": with_fields(ordered_at="2026-01-01T00:00:00"),
    "version zero": lambda order: {**order, "order": {**order["order"], "version": 0}},
}


@pytest.mark.parametrize("fault", UNREADABLE)
async def test_an_order_that_breaks_the_schema_is_a_problem_that_names_the_place(atp: Atp, fault: str) -> None:
    order = UNREADABLE[fault](an_order((await atp.item(on_hand=5), 1)))
    answer = await atp.client.post("/v1/promises", content=_json(order), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed"), answer.text
    assert answer.json()["errors"][0]["location"].startswith("body/")
    assert await atp.fetch("SELECT count(*) FROM order_identity WHERE order_id = $1", order["order"]["order_id"]) == [
        (0,)
    ]


@pytest.mark.parametrize(
    ("body", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_json"),
        (b"", "application/json", 400, "malformed_json"),
        (b'{"order": NaN}', "application/json", 400, "malformed_json"),
        (b'{"order": 1, "order": 1}', "application/json", 400, "malformed_json"),
        (b'{"order": "\\ud800"}', "application/json", 400, "malformed_json"),
        (b"[" * 10_000, "application/json", 400, "malformed_json"),
        (b"<order/>", "application/xml", 415, "unsupported_media_type"),
        (b" " * 1_048_577, "application/json", 413, "body_too_large"),
    ],
)
async def test_a_body_that_is_no_json_of_ours_is_refused(
    atp: Atp, body: bytes, media_type: str, status: int, code: str
) -> None:
    answer = await atp.client.post("/v1/promises", content=body, headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_two_lines_of_one_id_are_refused(atp: Atp) -> None:
    order = an_order(("a", 1), ("b", 1))
    order["lines"][1]["line"] = "1"
    answer = await atp.place(order)
    assert (answer.status_code, answer.json()["code"]) == (422, "line_repeated")


async def test_ids_that_cannot_be_printed_are_refused(atp: Atp) -> None:
    answer = await atp.place(an_order(("a", 1), order_id="soft\u00adhyphen"))
    assert (answer.status_code, answer.json()["code"]) == (422, "id_unprintable")


async def test_an_inactive_item_and_an_unknown_one_are_answered_per_line(atp: Atp) -> None:
    inactive, good = await atp.item(on_hand=5, active=False), await atp.item(on_hand=5)
    answer = await atp.place(an_order((inactive, 1), ("nobody-knows", 1), (good, 1)))
    assert outcomes(answer) == ["item_inactive", "unknown_item", "promised"]


@pytest.mark.parametrize("key", ["", "x" * 129, "naïve".encode().decode("latin-1")])
async def test_an_idempotency_key_that_cannot_be_kept_is_refused(atp: Atp, key: str) -> None:
    answer = await atp.client.post(
        "/v1/promises", json=an_order(("a", 1)), headers=[(b"idempotency-key", key.encode("latin-1"))]
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("promise_id", ["nonsense", "00000000-0000-7000-8000-000000000000"])
async def test_a_promise_that_is_not_there_is_not_found(atp: Atp, promise_id: str) -> None:
    for method, path, body in (
        ("GET", f"/v1/promises/{promise_id}", None),
        ("GET", f"/v1/promises/{promise_id}/history", None),
        ("GET", f"/v1/promises/{promise_id}/decision", None),
        ("POST", f"/v1/promises/{promise_id}:confirm", {"version": 1}),
        ("POST", f"/v1/promises/{promise_id}:cancel", {"version": 1}),
    ):
        answer = await atp.client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "order_unknown")


async def test_orders_of_the_log_are_answered_and_what_cannot_be_read_is_set_aside_with_the_reason(atp: Atp) -> None:
    item = await atp.item(on_hand=50)
    good, late = an_order((item, 1)), an_order((item, 2))
    never = an_order((item, 4))
    twice = {**an_order((item, 1), (item, 1))}
    twice["lines"] = [twice["lines"][0]] * 2
    poison = {
        "unknown_event_type": placed(an_order((item, 1)), type="order.eaten.v1"),
        "unknown_event_version": placed(an_order((item, 1)), type="order.placed.v9"),
        "invalid_payload": placed(UNREADABLE["quantity zero"](an_order((item, 1)))),
        "line_repeated": placed(twice),
        "unknown_order": confirmed(never),
    }
    await atp.publish(placed(good), *poison.values(), placed(an_order((item, 1)), key="another"), placed(late))
    await atp.until("SELECT count(*) = 2 FROM commitment WHERE item_id = $1", item)
    letters = await atp.letters(topics.ORDERS.name, len(poison) + 1)
    assert sorted(letters) == sorted([*poison, "invalid_payload"])
    promised = await atp.client.get("/v1/promises", params={"source": "shop", "order_id": late["order"]["order_id"]})
    assert promised.json()["lines"][0]["promised"] == 2


async def test_an_event_that_was_refused_is_decided_when_it_is_sent_again(atp: Atp) -> None:
    item = await atp.item(on_hand=50)
    order = an_order((item, 1))
    early = confirmed(order)
    await atp.publish(early)
    await atp.letters(topics.ORDERS.name, 1)
    await atp.publish(placed(order), early)
    await atp.until(
        "SELECT EXISTS (SELECT FROM promise WHERE order_id = $1 AND state = 'confirmed')", order["order"]["order_id"]
    )


async def test_a_cancel_that_comes_first_is_kept(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    order = an_order((item, 5))
    await atp.publish(cancelled(order, version=2))
    await atp.until("SELECT EXISTS (SELECT FROM order_identity WHERE order_id = $1)", order["order"]["order_id"])
    answer = await atp.place(order)
    assert (answer.status_code, answer.json()["state"], outcomes(answer)) == (201, "cancelled", ["cancelled"])
    assert (await atp.place(order)).content == answer.content
    assert await atp.fetch("SELECT commit_days FROM position WHERE item_id = $1", item) == [([],)]
    records = [each for each in await atp.published(topics.ORDERS_RECORDED) if each["order"] == answer.json()["order"]]
    assert [each["change"] for each in records] == ["cancelled"]


async def test_events_that_are_delivered_again_change_nothing(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    order = an_order((item, 3))
    event = placed(order)
    await atp.publish(event, event, cancelled(order), event)
    await atp.publish(placed(order), placed(order))
    marker = an_order((item, 7))
    await atp.publish(*(placed({**marker, "order": {**marker["order"], "order_id": unique("m")}}) for _ in range(8)))
    await atp.until("SELECT count(*) = 8 FROM commitment WHERE item_id = $1 AND open = 7", item)
    revisions = await atp.fetch("SELECT revision, state FROM promise WHERE order_id = $1", order["order"]["order_id"])
    assert revisions == [(2, "cancelled")]
    assert await atp.fetch("SELECT commit_quantities FROM position WHERE item_id = $1", item) == [([56],)]


async def test_the_same_order_by_both_ways_is_one_order(atp: Atp) -> None:
    item = await atp.item(on_hand=50)
    order = an_order((item, 3))
    answer = await atp.place(order)
    await atp.publish(placed(OrderPlaced.model_validate(order).model_dump(mode="json")), confirmed(order))
    await atp.until(
        "SELECT EXISTS (SELECT FROM promise WHERE order_id = $1 AND state = 'confirmed')", order["order"]["order_id"]
    )
    now = await atp.client.get(f"/v1/promises/{answer.json()['promise_id']}")
    assert (now.json()["revision"], now.json()["lines"]) == (2, answer.json()["lines"])


def _json(order: dict[str, Any]) -> bytes:
    if any(line.get("quantity") == 10**30 for line in order["lines"]):
        order = {**order, "lines": [{**order["lines"][0], "quantity": 1}]}
        return orjson.dumps(order).replace(b'"quantity":1', b'"quantity":1' + b"0" * 30)
    return orjson.dumps(order)
