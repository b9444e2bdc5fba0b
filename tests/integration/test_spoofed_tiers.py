"""A tier that somebody claims for himself, in the body of a request or in an event: refused, logged, nothing stored."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.chassis.event_log.port import Record
from services.contracts import topics
from tests.support.atp import Atp, an_order, outcomes, placed, running_atp, unique

Order = dict[str, Any]
CLAIMS: dict[str, Callable[[Order], Order]] = {
    "as a tier": lambda order: {**order, "tier": "gold"},
    "as its rank": lambda order: {**order, "priority_rank": 1},
    "of the customer": lambda order: {**order, "customer": {**order["customer"], "tier": "gold"}},
    "of the order": lambda order: {**order, "order": {**order["order"], "tier": "gold"}},
    "of a line": lambda order: {**order, "lines": [{**order["lines"][0], "tier": "gold"}]},
    "as a policy": lambda order: {**order, "policy": {"strategy": "win"}},
}
WAYS = ("/v1/promises", "/v1/promises:inquire")


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 9, default=True)
        yield running


async def _bronze(atp: Atp) -> tuple[str, Order]:
    """An item of which five are there, and an order for one of a customer that is in no tier but the default."""
    item, customer = await atp.item(on_hand=5), unique("bronze")
    await atp.customer(customer)
    return item, an_order((item, 1), customer={"system": "erp", "id": customer})


async def _stored(atp: Atp, order: Order, item: str) -> list[Any]:
    """What the order left behind, and what is committed of the item."""
    return [
        await atp.fetch("SELECT count(*) FROM order_identity WHERE order_id = $1", order["order"]["order_id"]),
        await atp.fetch("SELECT commit_quantities, on_hand FROM position WHERE item_id = $1", item),
        await atp.fetch(
            "SELECT count(*) FROM outbox WHERE convert_from(payload, 'UTF8') LIKE $1", f"%{order['order']['order_id']}%"
        ),
    ]


@pytest.mark.parametrize("path", WAYS)
@pytest.mark.parametrize("claim", CLAIMS)
async def test_a_claim_in_a_body_is_refused_and_logged(
    atp: Atp, claim: str, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    item, order = await _bronze(atp)
    before = await _stored(atp, order, item)
    answer = await atp.client.post(path, json=CLAIMS[claim](order))
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert answer.json()["errors"][0]["rule"] == "extra_forbidden"
    assert await _stored(atp, order, item) == before
    lines = [line for line in capfd.readouterr().err.splitlines() if f'"route":"{path}"' in line]
    assert ['"status":422' in line for line in lines] == [True]


@pytest.mark.parametrize("claim", CLAIMS)
async def test_a_claim_in_an_event_is_set_aside_and_logged(
    atp: Atp, claim: str, capfd: pytest.CaptureFixture[str]
) -> None:
    item, order = await _bronze(atp)
    before = await _stored(atp, order, item)
    spoofed = placed(CLAIMS[claim](order))
    await atp.publish(spoofed, placed(marker := an_order((item, 2))))
    await atp.until(
        "SELECT EXISTS (SELECT FROM promise WHERE order_id = $1)", marker["order"]["order_id"]
    )  # what came behind it was decided
    identity, position, outbox = await _stored(atp, order, item)
    assert ([identity, outbox], position) == ([before[0], before[2]], [([2], 5)])
    twin = topics.dead_letters(topics.ORDERS.name)

    def reasons() -> list[bytes]:
        found = [each.record for (topic, _), records in atp.store.records.items() if topic == twin for each in records]
        return [_header(one, "dlq_reason") for one in found if _header(one, "ce_id") == spoofed.id.encode()]

    async with atp.store.changed:
        await atp.store.changed.wait_for(lambda: bool(reasons()))
    assert reasons() == [b"invalid_payload"]
    written = "".join(capfd.readouterr())
    assert "dead_letter" in written
    assert "invalid_payload" in written


async def test_a_header_that_names_a_tier_is_nobodys_business(atp: Atp) -> None:
    _, order = await _bronze(atp)
    answer = await atp.place(order, **{"X-Tier": "gold", "X-Priority-Rank": "1"})
    assert outcomes(answer) == ["promised"]
    decided = await atp.fetch(
        "SELECT tier FROM commitment JOIN promise USING (promise_id) WHERE order_id = $1", order["order"]["order_id"]
    )
    assert decided == [("bronze",)]


def _header(record: Record, name: str) -> bytes:
    return dict(record.headers).get(name, b"")
