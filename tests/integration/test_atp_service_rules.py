"""Who is served first, as a rule in versions: places are set anew before anybody is served; on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.atp.adapters.transactions import PostgresTransactions
from services.atp.application.commands import BackordersServed, Origin, ServeBackorders
from services.atp.application.engine import Engine
from services.atp.application.queues import Lane
from services.atp.application.redecide import PORTION_LINES_MAX, PORTION_LINES_MIN, next_portion
from services.atp.application.reproduce import reproduce
from services.atp.application.serve_backorders import Serving
from services.atp.metrics import AtpMetrics
from services.chassis.clocks import SystemClock
from services.chassis.lifecycle import Role
from services.chassis.metrics import new_registry
from services.contracts import catalogue
from tests.support.atp import Atp, an_order, assigned, order_event, running_atp, unique

ORIGIN = Origin("correlation", "cause")
BY_VALUE = {"criteria": [{"attribute": "order_value"}, {"attribute": "age"}]}


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_due_poll_seconds=0.1) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 9, default=True)
        await running.execute("DELETE FROM service_rule")
        await running.execute("UPDATE configuration SET version = version + 1")
        yield running
        await running.execute("DELETE FROM service_rule")
        await running.execute("UPDATE configuration SET version = version + 1")
        assert (await verify(running.database)).drifts == ()
        found = await audit(running.database)
        assert (found.oversold, found.broken_chains) == ({}, {})
        for (record,) in await running.fetch("SELECT input FROM decision_batch"):
            reproduce(record)


@pytest.fixture
async def still(database_url: str) -> AsyncIterator[Atp]:
    """An ATP that does not re-decide by itself."""
    async with running_atp(database_url, roles=frozenset({Role.API})) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 9, default=True)
        yield running
        await running.execute("DELETE FROM service_rule")
        await running.execute("UPDATE configuration SET version = version + 1")


@pytest.fixture
async def engine(still: Atp) -> AsyncIterator[Engine]:
    made = Engine(
        PostgresTransactions(still.database, stale_after=timedelta(seconds=10)),
        {ServeBackorders: Serving()},
        wall=SystemClock(),
        metrics=AtpMetrics(new_registry(with_process=False)),
        currency="GBP",
    )
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop))
    yield made
    stop.set()
    await running


async def rule(atp: Atp, body: dict[str, Any], **headers: str) -> int:
    answer = await atp.client.put("/v1/service-rule", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


async def waits(atp: Atp, item: str, quantity: int = 1, *, price: int = 1, **fields: Any) -> str:
    order = an_order((item, quantity), **fields)
    order["lines"][0]["unit_price"] = str(price)
    answer = await atp.place(order)
    assert answer.json()["lines"][0]["promised"] == 0, answer.text
    return str(answer.json()["promise_id"])


async def comes(atp: Atp, item: str, quantity: int) -> None:
    movement = {"source": "wms", "reference": unique("m"), "sku": item, "location": "L1", "kind": "receipt"}
    body = {"items": [{**movement, "quantity": quantity, "occurred_at": "2026-01-05T08:00:00Z"}]}
    assert (await atp.client.post("/v1/supply/movements", json=body)).status_code == 200


async def settled(atp: Atp) -> None:
    await atp.until(
        "SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)"
        " AND NOT EXISTS (SELECT FROM due WHERE at <= clock_timestamp())"
    )


async def promised(atp: Atp, *promises: str) -> list[int]:
    answers = [await atp.client.get(f"/v1/promises/{each}") for each in promises]
    return [each.json()["lines"][0]["promised"] for each in answers]


async def gold_customer(atp: Atp) -> dict[str, str]:
    customer = unique("gold")
    await atp.customer(customer, assigned("gold"))
    return {"system": "erp", "id": customer}


async def test_a_rule_is_written_in_versions_with_author_and_bound_and_audited(atp: Atp) -> None:
    before = (await atp.client.get("/v1/service-rule")).json()
    assert (before["version"], before["overtaken_days"]) == (0, None)
    body = {"criteria": [{"attribute": "tier_rank"}, {"attribute": "age"}], "ageing": {"points": 2, "days": 30}}
    first = await rule(atp, body)
    found = await atp.client.get("/v1/service-rule")
    assert found.headers["etag"] == f'"{first}"'
    ranks = [rank for (rank,) in await atp.fetch("SELECT priority_rank FROM tier WHERE active")]
    assert found.json()["overtaken_days"] == (max(ranks) - min(ranks)) * 30 // 2
    second = await rule(atp, BY_VALUE, **{"If-Match": f'"{first}"'})
    stale = await atp.client.put("/v1/service-rule", json=body, headers={"If-Match": f'"{first}"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, second)
    versions = (await atp.client.get("/v1/service-rule/versions?limit=1")).json()
    assert ([each["version"] for each in versions["items"]], versions["next"]) == ([second], second)
    assert versions["items"][0]["author"]
    subject = await atp.fetch("SELECT count(*) FROM audit WHERE action = 'service_rule.changed'")
    assert subject == [(2,)]


@pytest.mark.parametrize(
    "body",
    [
        {"criteria": []},
        {"criteria": [{"attribute": "age"}, {"attribute": "age"}]},
        {"kind": "score", "criteria": [{"attribute": "age"}]},
        {"criteria": [{"attribute": "age"}], "ageing": {"points": 1, "days": 1}},
        {"criteria": [{"attribute": "tier_rank", "values": {"a": 1}}]},
        {"criteria": [{"attribute": "luck"}]},
        {"criteria": [{"attribute": "order_attribute"}]},
        {"criteria": [{"attribute": "tier_rank", "name": "urgency"}]},
        {"criteria": [{"attribute": "tier_rank"}], "ageing": {"points": 0, "days": 1}},
    ],
)
async def test_a_rule_that_says_nothing_or_two_things_is_refused(atp: Atp, body: dict[str, Any]) -> None:
    assert (await atp.client.put("/v1/service-rule", json=body)).status_code == 422
    assert (await atp.client.get("/v1/service-rule")).json()["version"] == 0


async def test_those_who_wait_are_served_by_the_new_rule_once_there_is_one(atp: Atp) -> None:
    item = await atp.item()
    cheap = await waits(atp, item, price=1, customer=await gold_customer(atp))
    dear = await waits(atp, item, price=900)
    await rule(atp, BY_VALUE)
    await settled(atp)
    assert await atp.fetch("SELECT count(DISTINCT basis) FROM backorder WHERE item_id = $1", item) == [(1,)]
    await comes(atp, item, 1)
    await settled(atp)
    assert await promised(atp, cheap, dear) == [0, 1]


async def test_a_rule_may_look_at_a_number_that_the_order_brings_with_it(atp: Atp) -> None:
    await rule(atp, {"criteria": [{"attribute": "order_attribute", "name": "urgency", "otherwise": 50}]})
    item = await atp.item()
    plain = await waits(atp, item)
    later = await waits(atp, item, attributes={"urgency": 60})
    urgent = await waits(atp, item, attributes={"urgency": 1, "colour": 7})
    await comes(atp, item, 2)
    await settled(atp)
    assert await promised(atp, plain, later, urgent) == [1, 0, 1]
    body = {**an_order((item, 1)), "attributes": {"urgency": "high"}}
    assert (await atp.place(body)).status_code == 422


async def test_a_preview_shows_who_would_gain_and_lose_by_another_rule_and_changes_nothing(atp: Atp) -> None:
    item = await atp.item()
    gold = await waits(atp, item, customer=await gold_customer(atp))
    dear = await waits(atp, item, price=900)
    await atp.execute("UPDATE position SET on_hand = 1 WHERE item_id = $1", item)
    await atp.execute("UPDATE movement SET on_hand_change = 1, quantity = 1 WHERE item_id = $1", item)
    found = await atp.client.post("/v1/previews", json={"service_rule": BY_VALUE})
    assert found.status_code == 200, found.text
    gains = {each["promise_id"]: each["gained"] for each in found.json()["promises"]}
    assert (gains.get(gold), gains.get(dear)) == (None, 1)
    assert await promised(atp, gold, dear) == [0, 0]
    assert (await atp.client.get("/v1/service-rule")).json()["version"] == 0


async def test_a_rule_counts_from_its_date_on_and_not_before(atp: Atp) -> None:
    item = await atp.item()
    gold = await waits(atp, item, customer=await gold_customer(atp))
    dear = await waits(atp, item, price=900)
    later = datetime.now(UTC) + timedelta(days=30)
    await rule(atp, {**BY_VALUE, "effective_from": later.isoformat()})
    await comes(atp, item, 1)
    await settled(atp)
    assert await promised(atp, gold, dear) == [1, 0]
    assert (await atp.client.get("/v1/service-rule")).json()["version"] == 0
    then = await atp.client.get("/v1/service-rule", params={"at": (later + timedelta(days=1)).isoformat()})
    assert then.json()["version"] == 1


async def test_ageing_lets_an_old_order_of_the_lowest_tier_before_a_new_one_of_the_best(atp: Atp) -> None:
    await rule(
        atp, {"criteria": [{"attribute": "tier_rank"}, {"attribute": "age"}], "ageing": {"points": 1, "days": 5}}
    )
    item = await atp.item()
    long_ago = (datetime.now(UTC) - timedelta(days=41)).isoformat()
    young = await waits(atp, item, customer=await gold_customer(atp))
    old = await waits(atp, item, ordered_at=long_ago)
    await comes(atp, item, 1)
    await settled(atp)
    assert await promised(atp, young, old) == [0, 1]


async def test_a_newcomer_that_is_ahead_by_the_rule_need_not_let_those_behind_it_go_first(still: Atp) -> None:
    await rule(still, {"kind": "score", "criteria": [{"attribute": "order_value"}]})
    item = await still.item()
    await waits(still, item, 3, price=5)
    await comes(still, item, 3)
    order = an_order((item, 2))
    order["lines"][0]["unit_price"] = "1"
    behind = await still.place(order)
    assert behind.json()["lines"][0]["promised"] == 0
    order = an_order((item, 2))
    order["lines"][0]["unit_price"] = "100"
    assert (await still.place(order)).json()["lines"][0]["promised"] == 2


async def test_while_places_are_set_anew_nobody_overtakes_and_then_the_new_order_counts(
    still: Atp, engine: Engine
) -> None:
    item = await still.item()
    gold = await gold_customer(still)
    behind = [await waits(still, item, price=number) for number in range(1, 6)]
    await comes(still, item, 4)
    await rule(still, BY_VALUE)
    newcomer = an_order((item, 4), customer=gold)
    newcomer["lines"][0]["unit_price"] = "1000"
    assert (await still.place(newcomer)).json()["lines"][0]["promised"] == 0
    answers: list[BackordersServed] = []
    while not answers or not answers[-1].finished:
        outcome = await engine.submit(Lane.REDECIDE, ServeBackorders((item,), ORIGIN, 2, 2))
        assert isinstance(outcome, BackordersServed)
        answers.append(outcome)
    assert [each.reranked for each in answers[:3]] == [True] * 3
    assert not any(each.reranked for each in answers[3:])
    assert await promised(still, *behind) == [0] * 5
    rows = await still.fetch("SELECT quantity FROM backorder WHERE item_id = $1 ORDER BY lead LIMIT 1", item)
    assert rows == [(1,)]


async def test_a_customer_far_behind_whose_tier_rises_is_served_before_all_who_were_ahead(
    still: Atp, engine: Engine
) -> None:
    item, customer = await still.item(on_hand=1), unique("riser")
    (await still.place(an_order((item, 1)))).raise_for_status()
    await still.customer(customer, assigned("bronze"))
    ahead = [await waits(still, item) for _ in range(5)]
    riser = await waits(still, item, customer={"system": "erp", "id": customer})
    reference = {"order": {"order_id": customer}}
    current = {
        "customer_id": customer,
        "sequence": 2,
        "identifiers": [{"system": "erp", "id": customer}],
        "assignments": [{"tier": "gold", "effective_from": "2000-01-01T00:00:00Z", "sequence": 2}],
    }
    await still.publish(order_event(catalogue.SEGMENT_CURRENT, reference, data=orjson.dumps(current), key=customer))
    await still.until("SELECT EXISTS (SELECT FROM segment WHERE customer_id = $1 AND sequence = 2)", customer)
    await comes(still, item, 1)
    for _ in range(3):
        await engine.submit(Lane.REDECIDE, ServeBackorders((item,), ORIGIN, 2, 2))
    assert await promised(still, riser, *ahead) == [1, *[0] * 5]
    history = (await still.client.get(f"/v1/promises/{riser}")).json()
    assert history["served_as"]["tier"] == "gold"


async def test_another_rank_of_a_tier_moves_all_who_wait_in_it(atp: Atp) -> None:
    tiers, item = (unique("tier"), unique("tier")), await atp.item()
    for rank, tier in enumerate(tiers, start=700):
        await atp.tier(tier, rank)
    waiting = []
    for tier in tiers:
        customer = unique("customer")
        await atp.customer(customer, assigned(tier))
        waiting.append(await waits(atp, item, customer={"system": "erp", "id": customer}))
    moved = {"tier": tiers[1], "version": 2, "name": "moved", "priority_rank": 600}
    await atp.publish(order_event(catalogue.TIER_POLICY, {"order": {"order_id": tiers[1]}}, data=orjson.dumps(moved)))
    await atp.until("SELECT priority_rank = 600 FROM tier WHERE tier = $1", tiers[1])
    await comes(atp, item, 1)
    await settled(atp)
    assert await promised(atp, *waiting) == [0, 1]


async def test_a_new_lane_lets_those_be_asked_who_could_not_be_reached_in_time(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    place = unique("near")
    await atp.location(place, zone=place, transit_days=30)
    await atp.item(item, on_hand=2, location=place)
    zone = unique("Z")
    await atp.execute(
        "INSERT INTO lane (zone, location_id, service, carrier_class, rank, transit_days) VALUES ($1, 'L1', 'road',"
        " 'road', 1, 30)",
        zone,
    )
    await atp.execute("UPDATE configuration SET version = version + 1")
    in_time = (datetime.now(UTC) + timedelta(days=5)).date().isoformat()
    waiting = await waits(atp, item, 2, ship_to={"zone": zone}, latest_acceptable_arrival=in_time)
    lane = {"zone": zone, "location": place, "service": "van", "carrier_class": "road", "transit_days": 1}
    assert (await atp.client.put("/v1/lanes", json={"items": [lane]})).status_code == 200
    await settled(atp)
    assert await promised(atp, waiting) == [2]


async def test_orders_of_several_items_are_served_in_one_order_of_service(atp: Atp) -> None:
    left, right = await atp.item(), await atp.item()
    behind = await waits(atp, left)
    whole = await atp.place(an_order((left, 1), (right, 1), ship_complete=True))
    assert whole.json()["lines"][0]["promised"] == 0
    first = await waits(atp, right, customer=await gold_customer(atp))
    await asyncio.gather(comes(atp, left, 1), comes(atp, right, 1))
    await settled(atp)
    assert await promised(atp, first, whole.json()["promise_id"], behind) == [1, 0, 1]


def test_a_portion_that_took_too_long_is_followed_by_a_smaller_one() -> None:
    slow = BackordersServed(200, 1, finished=False, seconds=0.5)
    quick = BackordersServed(100, 1, finished=False, seconds=0.001)
    assert next_portion(200, slow) == 100
    assert next_portion(PORTION_LINES_MIN, slow) == PORTION_LINES_MIN
    assert next_portion(100, quick) == PORTION_LINES_MAX
