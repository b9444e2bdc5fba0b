"""What changes of a promise decided is reproduced like first answers, with protections, quotas and trees in force."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from services.atp.application.replay_decision import Replayed
from tests.integration.test_atp_changes import again, change, expired, lines
from tests.integration.test_atp_execution import goods, tell
from tests.integration.test_atp_planning import act, let_overrides_end, receive, served
from tests.integration.test_atp_replay_decision import all_replayed, replayed, send
from tests.integration.test_atp_validation import a_customer, by
from tests.support.atp import Atp, an_order, assigned, in_days, running_atp, unique
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.05) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 3, default=True)
        await running.customer("vip", assigned("gold"))
        yield running
        await prove(running)


async def limited(atp: Atp, *, near: int = 10, far: int = 10) -> tuple[str, str]:
    """An item at two places under a protection for both, a quota with a window and a tree; and the second place."""
    place = unique("far")
    item = await atp.item(on_hand=near)
    await atp.item(item, on_hand=far, location=place)
    days = {"start": in_days(-1), "end": in_days(9)}
    kept = {"sku": item, "tier": "gold", **days, "protected_qty": 3, "expected_qty": 2, "mode": "core", "lapse_days": 0}
    await send(atp, "PUT", f"/v1/protections/{unique('kept')}", {"lines": [kept]})
    periods = [{"start": in_days(first), "end": in_days(first + 4)} for first in (-1, 4)]
    most = [{**period, "quantity": 9, "tier": "bronze", "sku": item, "forward_periods": 1} for period in periods]
    await send(atp, "PUT", f"/v1/quotas/{unique('most')}", {"lines": most})
    tree = {
        "sku": item,
        "periods": [days],
        "nodes": [],
        "pool": {"node": "rest", "quantities": [40]},
        "fair_share": True,
    }
    await send(atp, "PUT", f"/v1/hierarchies/{unique('tree')}", tree)
    return item, place


async def amended(atp: Atp) -> list[str]:
    item, _ = await limited(atp)
    order = an_order((item, 4))
    made = await atp.place(order)
    for version, quantity in ((2, 7), (3, 2), (4, 12)):
        answer = await change(
            atp, made, "amend", again(order, version, lines=lines((item, quantity)), replan=version == 4)
        )
        assert answer.status_code == 200, answer.text
    return [made.json()["promise_id"]]


async def released_and_transferred(atp: Atp) -> list[str]:
    item, far = await limited(atp)
    order = an_order((item, 6), customer={"system": "erp", "id": "vip"})
    made = await atp.place(order)
    released = await change(atp, made, "release", {"version": 2, "lines": [{"line": "1", "quantity": 2}]})
    assert released.status_code == 200, released.text
    moved = await change(atp, made, "transfer", {"version": 3, "line": "1", "quantity": 3, "to_location": far})
    assert moved.status_code == 200, moved.text
    return [made.json()["promise_id"]]


async def handed_over(atp: Atp) -> list[str]:
    item, _ = await limited(atp, near=9, far=0)
    cart, order = an_order((item, 5), hold_seconds=600), an_order((item, 4))
    held, made = await atp.place(cart), await atp.place(order)
    to_order = {"order_id": order["order"]["order_id"], "line": "1"}
    answer = await change(atp, held, "transfer", {"version": 2, "line": "1", "quantity": 2, "to_order": to_order})
    assert answer.status_code == 200, answer.text
    return [each.json()["promise_id"] for each in (held, made)]


async def expired_and_revived(atp: Atp) -> list[str]:
    item, _ = await limited(atp)
    order = an_order((item, 5))
    made = await expired(atp, order)
    other = await atp.place(an_order((item, 8)))
    revived = await change(atp, made, "revive", {"version": 2, "hold_seconds": 600})
    assert revived.status_code == 200, revived.text
    return [each.json()["promise_id"] for each in (made, other)]


async def picked_short(atp: Atp) -> list[str]:
    item, _ = await limited(atp)
    order = an_order((item, 5))
    made = await atp.place(order)
    place = made.json()["lines"][0]["schedule"][0]["location"]
    assert await tell(atp, "short-picked", goods(order, item, 2, location=place)) == ["applied"]
    assert await tell(atp, "shipped", goods(order, item, 1, location=place)) == ["applied"]
    return [made.json()["promise_id"]]


async def planned_by_hand(atp: Atp) -> list[str]:
    item, _ = await limited(atp, near=6, far=0)
    giver, order = await atp.place(an_order((item, 3))), an_order((item, 4), customer={"system": "erp", "id": "else"})
    taker, late = await atp.place(order), await atp.place(an_order((item, 3)))
    await act(atp, giver, "pin")
    unpin = {"revision": 1, "reason": "it may go"}
    await atp.client.post(f"/v1/promises/{giver.json()['promise_id']}:unpin", json=unpin)
    target = {"source": "shop", "order_id": order["order"]["order_id"], "line": "1"}
    given = await act(atp, giver, "reassign", line="1", quantity=2, to_order=target)
    assert given.status_code == 200, given.text
    await served(atp, item)
    assert (await act(atp, late, "expedite")).status_code == 200
    await receive(atp, item, 4)
    await served(atp, item)
    withdrawn = await act(atp, late, "withdraw", line="1", quantity=1)
    assert withdrawn.status_code == 200, withdrawn.text
    await served(atp, item)
    await let_overrides_end(atp, late)
    await atp.until("SELECT overrides IS NULL FROM promise WHERE promise_id = $1", late.json()["promise_id"])
    await served(atp, item)
    return [each.json()["promise_id"] for each in (giver, taker, late)]


async def released_from_validation(atp: Atp) -> list[str]:
    item, _ = await limited(atp)
    customer = await a_customer(atp, line_quantity_max=5, held=["line_quantity_max"])
    made = await atp.place(by(customer, (item, 6)))
    assert made.json()["state"] == "awaiting_release", made.text
    promise_id = str(made.json()["promise_id"])
    await send(atp, "POST", f"/v1/promises/{promise_id}:release-validation", {"reason": "vouched for"})
    return [promise_id]


async def stopped_and_lifted(atp: Atp) -> list[str]:
    item, far = await limited(atp, near=4, far=4)
    planner = {"items": [{"sku": item, "location": far}], "reason": "recount"}
    await send(atp, "POST", "/v1/stops", planner)
    made = await atp.place(an_order((item, 5)))
    await send(atp, "POST", "/v1/stops:lift", planner)
    await served(atp, item)
    return [made.json()["promise_id"]]


@pytest.mark.parametrize(
    "life",
    [
        amended,
        released_and_transferred,
        handed_over,
        expired_and_revived,
        picked_short,
        planned_by_hand,
        released_from_validation,
        stopped_and_lifted,
    ],
)
async def test_every_decision_of_a_changed_promise_is_reproduced(
    atp: Atp, life: Callable[[Atp], Awaitable[list[str]]]
) -> None:
    for promise_id in await life(atp):
        found = await replayed(atp, promise_id)
        assert found
        assert [each.differences for each in found if each.differences] == []


async def test_all_that_was_taken_by_changes_follows_from_some_decision(atp: Atp) -> None:
    for life in (amended, released_and_transferred, handed_over, expired_and_revived, picked_short, planned_by_hand):
        await life(atp)
    found: list[Replayed] = await all_replayed(atp)
    assert [each.differences for each in found if each.differences] == []
    decided: Any = await atp.fetch("SELECT count(*) FROM commitment WHERE decision_id IS NOT NULL")
    assert sum(each.quantities for each in found) == decided[0][0]
