"""Validation by tier and blocks of customers over HTTP and events, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import orjson
import pytest

from services.atp.application.reproduce import reproduce
from services.atp.entrypoints.validation_routes import BlockHistory, BlockPage, HeldList, Releases
from services.chassis.envelope import Event
from services.contracts import catalogue, topics
from services.contracts.promises import Promise, PromiseChanged
from services.contracts.segments import TierDefined, TierPolicy, TierValidation
from tests.support.atp import Atp, an_order, assigned, order_event, outcomes, running_atp, unique
from tests.support.http import client_of


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def a_customer(atp: Atp, **validation: Any) -> str:
    """A customer of a tier of its own that validates so."""
    tier, customer = unique("tier"), unique("customer")
    await atp.tier(tier, 100 + len(await atp.fetch("SELECT tier FROM tier")), validation=validation or None)
    await atp.customer(customer, assigned(tier))
    return customer


def by(customer: str, *lines: tuple[str, int], **fields: Any) -> dict[str, Any]:
    return an_order(*lines, customer={"system": "erp", "id": customer}, **fields)


def block(customer: str, effect: str, *, kind: str = "credit", system: str = "erp", **more: Any) -> dict[str, Any]:
    return {"customer": {"system": system, "id": customer}, "kind": kind, "effect": effect, "reason": "because", **more}


async def put_blocks(atp: Atp, *blocks: dict[str, Any]) -> int:
    answer = await atp.client.put("/v1/customer-blocks", json={"items": blocks})
    assert answer.status_code == 200, answer.text
    stored: int = answer.json()["stored"]
    return stored


async def release(atp: Atp, promise_id: str, **headers: str) -> httpx.Response:
    body = {"reason": "the account manager vouches"}
    return await atp.client.post(f"/v1/promises/{promise_id}:release-validation", json=body, headers=headers)


async def committed(atp: Atp, item: str) -> int:
    ((total,),) = await atp.fetch("SELECT coalesce(sum(open), 0)::bigint FROM commitment WHERE item_id = $1", item)
    quantity: int = total
    return quantity


async def test_a_line_that_the_tier_does_not_permit_is_refused_and_the_others_are_promised(atp: Atp) -> None:
    wanted, other = await atp.item(on_hand=9), await atp.item(on_hand=9)
    customer = await a_customer(atp, permitted_items=[wanted])
    answer = await atp.place(by(customer, (wanted, 2), (other, 3)))
    promise = Promise.model_validate_json(answer.content)
    assert (promise.state, outcomes(answer)) == ("promised", ["promised", "not_permitted"])
    assert [(why.kind, why.reference) for why in promise.lines[1].why] == [("validation", "permitted_items")]
    assert (await committed(atp, wanted), await committed(atp, other)) == (2, 0)


async def test_groups_of_items_are_those_of_the_master_data(atp: Atp) -> None:
    tea, coal = await atp.item(on_hand=9), await atp.item(on_hand=9)
    await atp.execute("UPDATE item SET item_groups = ARRAY['drinks'] WHERE item_id = $1", tea)
    customer = await a_customer(atp, permitted_item_groups=["drinks"])
    assert outcomes(await atp.place(by(customer, (tea, 1), (coal, 1)))) == ["promised", "not_permitted"]


async def test_an_order_over_its_value_is_refused_and_says_by_how_much(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    customer = await a_customer(atp, order_value_max="100.00")
    order = by(customer, (item, 3))
    order["lines"][0]["unit_price"] = "33.50"
    answer = await atp.place(order)
    assert (answer.status_code, answer.json()["state"], outcomes(answer)) == (201, "refused", ["not_permitted"])
    (why,) = answer.json()["lines"][0]["why"]
    assert why["would_help"] == "an order value lower by 0.5, which is at most 100"
    assert await committed(atp, item) == 0


async def test_a_held_order_takes_nothing_is_listed_and_its_release_decides_it(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    customer = await a_customer(atp, line_quantity_max=5, held=["line_quantity_max"])
    order = by(customer, (item, 7))
    answer = await atp.place(order)
    held = answer.json()
    assert (answer.status_code, held["state"], outcomes(answer)) == (201, "awaiting_release", ["held_for_release"])
    assert await committed(atp, item) == 0

    listed = await atp.client.get("/v1/held-orders", params={"tier": held["served_as"]["tier"]})
    assert [each["promise_id"] for each in listed.json()["items"]] == [held["promise_id"]]
    HeldList.model_validate_json(listed.content)

    released = await release(atp, held["promise_id"])
    promise = Promise.model_validate_json(released.content)
    assert (released.status_code, promise.state, promise.revision, outcomes(released)) == (
        200,
        "promised",
        2,
        ["promised"],
    )
    assert await committed(atp, item) == 7
    assert (await atp.client.get("/v1/held-orders", params={"tier": held["served_as"]["tier"]})).json()["items"] == []

    kept = await atp.client.get(f"/v1/promises/{held['promise_id']}/releases")
    (entry,) = Releases.model_validate_json(kept.content).items
    assert (entry.reason, entry.waived) == ("the account manager vouches", ("line_quantity_max",))
    assert f"{entry.decision_id}." in promise.decision_id
    await says_so(atp, order, held, promise)


async def says_so(atp: Atp, order: dict[str, Any], held: dict[str, Any], promise: Promise) -> None:
    """The events of a released order, and that its decision follows from its record."""
    wanted = order["order"]["order_id"]
    changes = [each for each in await atp.published(topics.PROMISES) if wanted in str(each) and "cause" in each]
    (changed,) = [PromiseChanged.model_validate(each) for each in changes]
    assert (changed.cause, changed.old.state, changed.new.state) == (
        "validation_released",
        "awaiting_release",
        "promised",
    )
    recorded = [each for each in await atp.published(topics.ORDERS_RECORDED) if each["order"]["order_id"] == wanted]
    assert [each["change"] for each in recorded] == ["accepted"]
    ((record,),) = await atp.fetch(
        "SELECT input FROM decision_batch WHERE decision_id = $1", promise.decision_id.split(".")[0]
    )
    assert "held_for_release" not in str(reproduce(record))
    ((first,),) = await atp.fetch(
        "SELECT input FROM decision_batch WHERE decision_id = $1", held["decision_id"].split(".")[0]
    )
    assert "held_for_release" in str(reproduce(first))


async def test_an_order_is_released_once_and_a_repetition_gets_the_same_bytes(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    customer = await a_customer(atp, line_quantity_max=5, held=["line_quantity_max"])
    held = (await atp.place(by(customer, (item, 7)))).json()
    key = unique("key")
    first = await release(atp, held["promise_id"], **{"idempotency-key": key})
    again = await release(atp, held["promise_id"], **{"idempotency-key": key})
    assert (first.content, again.content) == (first.content, first.content)
    late = await release(atp, held["promise_id"])
    assert (late.status_code, late.json()["code"]) == (409, "promise_state")
    assert await committed(atp, item) == 7


async def test_a_held_order_can_be_cancelled_and_neither_confirmed_nor_released_then(atp: Atp) -> None:
    customer = await a_customer(atp, line_quantity_max=5, held=["line_quantity_max"])
    held = (await atp.place(by(customer, (await atp.item(on_hand=9), 7)))).json()
    path = f"/v1/promises/{held['promise_id']}"
    confirmed = await atp.client.post(f"{path}:confirm", json={"version": 1})
    assert (confirmed.status_code, confirmed.json()["code"]) == (409, "promise_state")
    cancelled = await atp.client.post(f"{path}:cancel", json={"version": 1})
    assert cancelled.json()["state"] == "cancelled"
    assert (await release(atp, held["promise_id"])).status_code == 409


async def test_what_refuses_at_the_time_of_the_release_still_refuses(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    customer = await a_customer(atp)
    await put_blocks(atp, block(customer, "hold"))
    held = (await atp.place(by(customer, (item, 7)))).json()
    assert held["state"] == "awaiting_release"
    await put_blocks(atp, block(customer, "refuse"))
    refused = await release(atp, held["promise_id"])
    assert (refused.json()["state"], outcomes(refused)) == ("refused", ["not_permitted"])
    assert await committed(atp, item) == 0


async def test_a_block_holds_until_it_is_lifted_and_every_change_is_kept(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    customer = await a_customer(atp)
    assert await put_blocks(atp, block(customer, "hold")) == 1
    held = await atp.place(by(customer, (item, 1)))
    assert outcomes(held) == ["held_for_release"]
    assert [why["reference"] for why in held.json()["lines"][0]["why"]] == ["credit_block"]
    assert await put_blocks(atp, block(customer, "none")) == 1
    assert outcomes(await atp.place(by(customer, (item, 1)))) == ["promised"]
    answer = await atp.client.get("/v1/customer-blocks/history", params={"system": "erp", "id": customer})
    history = BlockHistory.model_validate_json(answer.content)
    assert [(each.version, each.effect, each.reason) for each in history.items] == [
        (1, "hold", "because"),
        (2, "none", "because"),
    ]


async def test_a_block_that_is_over_blocks_nothing(atp: Atp) -> None:
    customer = await a_customer(atp)
    ended = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    await put_blocks(atp, block(customer, "refuse", effective_to=ended))
    assert outcomes(await atp.place(by(customer, (await atp.item(on_hand=9), 1)))) == ["promised"]


async def test_a_block_counts_under_every_name_of_the_customer_and_refusal_goes_first(atp: Atp) -> None:
    item, customer, other = await atp.item(on_hand=9), await a_customer(atp), unique("crm")
    await atp.execute("INSERT INTO segment_identifier VALUES ('crm', $1, $2)", other, customer)
    await put_blocks(atp, block(other, "hold", system="crm"))
    assert outcomes(await atp.place(by(customer, (item, 1)))) == ["held_for_release"]
    await put_blocks(atp, block(customer, "refuse", system="tiercel"))
    assert outcomes(await atp.place(by(customer, (item, 1)))) == ["not_permitted"]
    stranger = unique("stranger")
    await put_blocks(atp, block(stranger, "refuse", kind="compliance"))
    assert outcomes(await atp.place(by(stranger, (item, 1)))) == ["not_permitted"]


async def test_an_older_version_of_a_block_changes_nothing(atp: Atp) -> None:
    customer = await a_customer(atp)
    assert await put_blocks(atp, block(customer, "hold", version=7)) == 1
    assert await put_blocks(atp, block(customer, "none", version=7), block(customer, "none", version=3)) == 0
    assert outcomes(await atp.place(by(customer, (await atp.item(on_hand=9), 1)))) == ["held_for_release"]


async def test_blocks_are_listed_in_pages(atp: Atp) -> None:
    customers = sorted(unique("listed") for _ in range(3))
    await put_blocks(atp, *[block(customer, "hold", system="pages") for customer in customers])
    found: list[str] = []
    after: str | None = orjson.dumps(["pages", "", ""]).decode()
    while after is not None:
        params: dict[str, str | int] = {"limit": 2, "after": after}
        page = BlockPage.model_validate_json((await atp.client.get("/v1/customer-blocks", params=params)).content)
        found += [each.customer.id for each in page.items if each.customer.system == "pages"]
        after = page.next
    assert found == customers
    for given in ("[1]", "1", "null", '["pages", "a\\u0000", "credit"]', '["a", "b", "c", "d"]'):
        wrong = await atp.client.get("/v1/customer-blocks", params={"after": given})
        assert wrong.status_code == 400, given


async def test_blocks_come_by_event_too(atp: Atp) -> None:
    customer = await a_customer(atp)
    payload = {**block(customer, "refuse", kind="compliance"), "version": 4}
    await atp.publish(_block_event(payload))
    await atp.until("SELECT EXISTS (SELECT FROM customer_block WHERE external_id = $1)", customer)
    assert outcomes(await atp.place(by(customer, (await atp.item(on_hand=9), 1)))) == ["not_permitted"]


def _block_event(payload: dict[str, Any]) -> Event:
    order = {"order": {"order_id": payload["customer"]["id"]}}
    return order_event(catalogue.CATALOG_CUSTOMER_BLOCK, order, data=orjson.dumps(payload))


async def test_an_inquiry_says_what_an_order_would_be_told(atp: Atp) -> None:
    item, customer = await atp.item(on_hand=9), await a_customer(atp)
    await put_blocks(atp, block(customer, "hold"))
    order = by(customer, (item, 1))
    inquired = await atp.client.post("/v1/promises:inquire", json=order)
    assert inquired.json()["lines"] == (await atp.place(order)).json()["lines"]


async def test_a_caller_of_other_channels_sees_and_releases_nothing(atp: Atp) -> None:
    headers = atp.credentials.headers("atp.read", "atp.release", channels=["shop"])
    customer = await a_customer(atp, line_quantity_max=5, held=["line_quantity_max"])
    held = (await atp.place(by(customer, (await atp.item(on_hand=9), 7), channel="web"))).json()
    async with client_of(atp.service.app, headers) as other:
        listed = await other.get("/v1/held-orders", params={"tier": held["served_as"]["tier"]})
        assert listed.json()["items"] == []
        path = f"/v1/promises/{held['promise_id']}"
        answer = await other.post(f"{path}:release-validation", json={"reason": "me"})
        assert (answer.status_code, (await other.get(f"{path}/releases")).status_code) == (404, 404)


async def test_failed_checks_are_counted(atp: Atp) -> None:
    customer = await a_customer(atp, order_quantity_max=2)
    await atp.place(by(customer, (await atp.item(on_hand=9), 3)))
    metrics = (await atp.client.get("/metrics")).text
    assert 'tiercel_validation_failures_total{check="order_quantity_max"} 1.0' in metrics
    tier = (await atp.fetch("SELECT assignments FROM segment WHERE customer_id = $1", customer))[0][0]
    name = orjson.loads(tier)[0]["tier"]
    assert f'tiercel_promises_total{{outcome="not_permitted",tier="{name}"}} 1.0' in metrics


async def test_a_quote_that_validation_held_is_a_hold_from_its_release_on(atp: Atp) -> None:
    item = await atp.item(on_hand=9)
    customer = await a_customer(atp, line_quantity_max=5, held=["line_quantity_max"])
    waiting = (await atp.place(by(customer, (item, 7), hold_seconds=3_600))).json()
    assert waiting["state"] == "awaiting_release"
    promise = Promise.model_validate_json((await release(atp, waiting["promise_id"])).content)
    assert promise.state == "held"
    assert promise.held_until is not None
    assert promise.held_until - promise.decided_at == timedelta(hours=1)
    assert await committed(atp, item) == 7


async def test_the_validation_that_the_registry_publishes_for_a_tier_is_acted_on(atp: Atp) -> None:
    item, tier, customer = await atp.item(on_hand=9), unique("published"), unique("customer")
    policy = TierPolicy(validation=TierValidation(line_value_max=Decimal("1E+3"), held=("line_value_max",)))
    rank = 500_000 + len(await atp.fetch("SELECT tier FROM tier"))
    payload = TierDefined(tier=tier, version=1, name="Published", priority_rank=rank, policy=policy)
    data = payload.model_dump_json().encode()
    await atp.publish(order_event(catalogue.TIER_POLICY, {"order": {"order_id": tier}}, data=data, sequence=1))
    await atp.until("SELECT EXISTS (SELECT FROM tier WHERE tier = $1)", tier)
    await atp.customer(customer, assigned(tier))
    for price, outcome in (("500.01", "held_for_release"), ("500.00", "promised")):
        order = by(customer, (item, 2))
        order["lines"][0]["unit_price"] = price
        assert outcomes(await atp.place(order)) == [outcome]
