"""Months, corrections, breaches, costs and metrics of service, over HTTP and the event log, on a real PostgreSQL."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
import pytest

from services.atp.entrypoints.service_level_routes import BreachList, ServiceLevelsDocument
from services.chassis.business_time import clear_replay
from services.contracts import catalogue, topics
from services.contracts.service import ServiceBreached
from tests.support.atp import DEADLINE_SECONDS, Atp, an_order, order_event, running_atp, unique
from tests.support.measured_company import forget_measures

YEARS = itertools.count(2041)  # each test has months of its own
TARGETS = {"fill_rate_target_bp": 9_500, "on_time_target_bp": 9_000, "order_accuracy_target_bp": 9_900}


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_measuring_seconds=0.05, replay=True) as running:
        yield running
        await running.database.run(clear_replay, label="test")
        await forget_measures(running)


class World:
    """A tier of its own with one customer, and a clock."""

    def __init__(self, atp: Atp) -> None:
        self.atp, self.start = atp, date(next(YEARS), 3, 2)
        self.tier, self.customer = unique("tier"), unique("customer")

    async def set_up(self, **policy: Any) -> None:
        rank = 50 + self.start.year
        await self.atp.tier(self.tier, rank, **{"as_soon_as_possible": False, **policy})
        assignment = {"tier": self.tier, "effective_from": "2000-01-01T00:00:00+00:00", "effective_to": None}
        await self.atp.customer(self.customer, assignment | {"sequence": 1})
        await self.move(0)

    def at(self, days: int) -> str:
        return datetime.combine(self.start + timedelta(days=days), time(9), UTC).isoformat()

    async def move(self, days: int) -> None:
        body = {"at": self.at(days), "phase": "settle", "step": 1}
        assert (await self.atp.client.put("/internal/replay", json=body)).status_code == 200

    async def order(self, item: str, quantity: int, days: int, **fields: Any) -> dict[str, Any]:
        """An order with one line, wanted some days after the start."""
        wanted = (self.start + timedelta(days=days)).isoformat()
        customer = {"system": "erp", "id": self.customer}
        order = an_order((item, quantity), customer=customer, requested_arrival=wanted, **fields)
        answer = await self.atp.place(order)
        assert answer.status_code == 201, answer.text
        return order | {"promise_id": answer.json()["promise_id"]}

    async def fulfil(self, order: dict[str, Any], ships: int, arrives: int | None, cost: int | None = None) -> None:
        """Ship an order, and deliver it, on days after the start."""
        (line,) = order["lines"]
        name = {"source": "wms", "reference": order["order"]["order_id"], "order": order["order"], "line": "1"}
        goods = {"sku": line["sku"], "location": "L1", "quantity": line["quantity"], "occurred_at": self.at(ships)}
        paid = {} if cost is None else {"actual_cost_minor": cost}
        client = self.atp.client
        assert (await client.post("/v1/fulfilments/shipped", json={"items": [name | goods | paid]})).status_code == 200
        if arrives is not None:
            came = {"quantity": line["quantity"], "occurred_at": self.at(arrives)}
            answer = await client.post("/v1/fulfilments/delivered", json={"items": [name | came]})
            assert answer.json()["results"][0]["effect"] == "applied", answer.text

    async def month(self, **asked: str) -> dict[str, Any]:
        """The month of the start, for the tier, once all that changed is measured."""
        parameters = {"month": f"{self.start:%Y-%m}", "tier": self.tier, **asked}
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                answer = await self.atp.client.get("/v1/service-levels", params=parameters)
                ServiceLevelsDocument.model_validate_json(answer.content)
                document: dict[str, Any] = answer.json()
                if not document["behind"]:
                    return document
                await asyncio.sleep(0.02)

    async def breaches(self) -> list[ServiceBreached]:
        """What was published of the tier, in order."""
        await self.month()
        published = await self.atp.published(topics.SERVICE_BREACHES)
        return [ServiceBreached.model_validate(each) for each in published if each["tier"] == self.tier]

    async def until_told(self, number: int) -> list[ServiceBreached]:
        """The breaches, once there are so many."""
        await self.atp.until(
            "SELECT coalesce(max(sequence), 0) >= $2 FROM service_breach WHERE tier = $1", self.tier, number
        )
        return await self.breaches()


@pytest.fixture
async def world(atp: Atp) -> World:
    return World(atp)


async def test_a_tier_below_its_targets_is_told_with_its_cause_and_when_it_comes_back(world: World) -> None:
    await world.set_up(on_time_target_bp=9_000)
    item = await world.atp.item(on_hand=1_000)
    orders = [await world.order(item, 1, 3) for _ in range(30)]
    for order in orders[:20]:
        await world.fulfil(order, 1, 3)
    for order in orders[20:]:
        await world.fulfil(order, 1, 6)
    await world.move(10)
    (opened,) = await world.until_told(1)
    assert (opened.state, opened.measure, opened.sequence) == ("opened", "on_time_in_full", 1)
    assert (opened.achieved, opened.total, opened.actual_bp, opened.target_bp) == (20, 30, 6_666, 9_000)
    assert (opened.cause, [each.missed for each in opened.causes]) == ("execution", [10])
    for order in [await world.order(item, 1, 13) for _ in range(80)]:
        await world.fulfil(order, 11, 13)
    await world.move(20)
    found = await world.until_told(2)
    assert [(each.state, each.cause) for each in found] == [("opened", "execution"), ("recovered", None)]
    listed = BreachList.model_validate_json(
        (await world.atp.client.get("/v1/service-breaches", params={"tier": world.tier})).content
    )
    assert [each.state for each in listed.items] == ["recovered"]


async def test_one_late_line_on_the_first_of_the_month_is_no_breach_but_closing_judges_whatever_there_is(
    world: World,
) -> None:
    await world.set_up(**TARGETS)
    order = await world.order(await world.atp.item(on_hand=5), 1, 3)
    await world.fulfil(order, 5, 8)
    await world.move(20)
    document = await world.month()
    assert document["tiers"][0]["counts"]["days_late"] == 5
    assert await world.breaches() == []
    early = await world.atp.client.post(f"/v1/service-levels/{world.start:%Y-%m}:close")
    assert (early.status_code, early.json()["code"]) == (409, "month_not_over")
    await world.move(32)
    answer = await world.atp.client.post(f"/v1/service-levels/{world.start:%Y-%m}:close")
    assert answer.json() == {"month": f"{world.start:%Y-%m}", "closed": True}
    told = {each.measure: each for each in await world.breaches()}
    assert {name: each.state for name, each in told.items()} == {"fill_rate": "closed", "on_time_in_full": "closed"}
    again = await world.atp.client.post(f"/v1/service-levels/{world.start:%Y-%m}:close")
    assert again.json()["closed"] is False


async def test_what_was_planned_on_a_receipt_that_came_late_is_late_supply(world: World) -> None:
    await world.set_up(fill_rate_target_bp=10_000)
    item = await world.atp.item(on_hand=0)
    due: dict[str, Any] = {"source": "erp", "reference": unique("PO"), "sku": item, "location": "L1", "quantity": 30}
    planned, put_off = [(world.start + timedelta(days=each)).isoformat() for each in (4, 9)]
    await world.atp.client.post("/v1/supply/receipts", json={"items": [due | {"due": planned, "version": 1}]})
    orders = [await world.order(item, 1, 8) for _ in range(25)]
    await world.move(1)
    await world.atp.client.post("/v1/supply/receipts", json={"items": [due | {"due": put_off, "version": 2}]})
    arrival: dict[str, Any] = {
        "source": "wms",
        "reference": unique("GR"),
        "sku": item,
        "location": "L1",
        "kind": "receipt",
    }
    arrival |= {"quantity": 30, "occurred_at": world.at(9)}
    arrival |= {"receipt_reference": due["reference"], "receipt_source": "erp"}
    await world.move(9)
    await world.atp.client.post("/v1/supply/movements", json={"items": [arrival]})
    for order in orders:
        await world.fulfil(order, 9, 11)
    await world.move(15)
    told = await world.until_told(1)
    assert [(each.measure, each.state, each.cause) for each in told] == [("fill_rate", "opened", "late_supply")]


async def test_what_a_protection_kept_from_a_tier_is_allocation_and_what_nobody_planned_is_demand(world: World) -> None:
    await world.set_up(fill_rate_target_bp=9_999)
    other = unique("better")
    await world.atp.tier(other, 1)
    item = await world.atp.item(on_hand=30)
    line = {"sku": item, "location": "L1", "tier": other, "protected_qty": 30, "lapse_days": 0}
    line |= {"start": world.start.isoformat(), "end": (world.start + timedelta(days=20)).isoformat()}
    answer = await world.atp.client.put(f"/v1/protections/{unique('doc')}", json={"lines": [line]})
    assert answer.status_code == 200, answer.text
    for _ in range(21):
        await world.order(item, 1, 4)
    await world.move(8)
    (opened,) = await world.until_told(1)
    assert (opened.cause, [(each.cause, each.missed) for each in opened.causes]) == ("allocation", [("allocation", 21)])
    scarce = World(world.atp)
    await scarce.set_up(fill_rate_target_bp=9_999)
    nothing = await world.atp.item(on_hand=0)
    for _ in range(21):
        await scarce.order(nothing, 2, 4)
    await scarce.move(8)
    (short,) = await scarce.until_told(1)
    assert [(each.cause, each.missed) for each in short.causes] == [("demand_above_plan", 42)]


async def test_a_closed_month_changes_only_by_a_listed_correction(world: World) -> None:
    await world.set_up()
    item = await world.atp.item(on_hand=50)
    orders = [await world.order(item, 2, 3) for _ in range(3)]
    await world.fulfil(orders[0], 1, 3)
    await world.move(45)
    await world.atp.until(
        "SELECT EXISTS (SELECT FROM service_month WHERE month = $1)", world.start.replace(day=1).toordinal()
    )
    before = await world.month()
    assert (before["state"], before["closed_by"], before["corrections"]) == ("closed", "tiercel", [])
    assert before["tiers"][0]["counts"]["lines_delivered"] == 1
    await world.fulfil(orders[1], 2, 44)
    after = await world.month()
    assert after["closed_figures"] == before["closed_figures"]
    (correction,) = after["corrections"][-1:]
    assert (correction["cause"], correction["reference"]) == (
        "late_event",
        [f"{orders[1]['order']['source']}/{orders[1]['order']['order_id']}"],
    )
    assert after["tiers"][0]["counts"]["days_late"] == 41
    rate: dict[str, Any] = {"activity": "pick", "effective_from": world.start.isoformat(), "rate_minor": "2.5"}
    await world.atp.client.post("/v1/costs/rates", json={"items": [rate]})
    costed = await world.month()
    assert [each["cause"] for each in costed["corrections"]][-1] == "cost_input"
    assert costed["corrections"][-1]["figures"][world.tier] == {"cost_missing/pick": "-2", "cost_rate/pick": "5.0"}
    assert costed["closed_figures"] == before["closed_figures"]


async def test_costs_come_by_the_event_log_and_by_http_each_version_once(world: World) -> None:
    await world.set_up()
    item = await world.atp.item(on_hand=50)
    landed = {"sku": item, "effective_from": world.start.isoformat(), "cost_minor": "12.345", "version": 2}
    await world.atp.publish(_catalog(catalogue.CATALOG_LANDED_COST, item, landed))
    rate = {"activity": "contact", "effective_from": world.start.isoformat(), "rate_minor": "80"}
    await world.atp.publish(_catalog(catalogue.CATALOG_ACTIVITY_RATE, "contact", rate))
    await world.atp.until("SELECT count(*) = 2 FROM cost_rate")
    older = await world.atp.client.post(
        "/v1/costs/landed", json={"items": [landed | {"version": 1, "cost_minor": "1"}]}
    )
    assert older.json() == {"stored": 0}
    (entry,) = (await world.atp.client.get("/v1/costs/landed", params={"sku": item})).json()["items"]
    assert (entry["amount_minor"], entry["version"], entry["author"]) == ("12.345", 2, "catalog.v1")
    order = await world.order(item, 4, 3)
    await world.fulfil(order, 1, 3, cost=700)
    call = {"source": "crm", "reference": unique("CALL"), "order": order["order"], "activity": "contact"}
    call |= {"quantity": 2, "occurred_at": world.at(4)}
    await world.atp.publish(*[order_event(catalogue.FULFILMENT_ACTIVITY, call)] * 2)
    await world.atp.until("SELECT EXISTS (SELECT FROM order_report WHERE reference = $1)", call["reference"])
    unknown = call | {"reference": "X", "order": {"source": "shop", "order_id": "never"}}
    answer = await world.atp.client.post("/v1/fulfilments/activities", json={"items": [call, unknown]})
    assert [each["effect"] for each in answer.json()["results"]] == ["repeated", "recorded"]
    costs = (await world.atp.client.get(f"/v1/promises/{order['promise_id']}/costs")).json()
    by_name = {each["component"]: each for each in costs["costs"]}
    assert by_name["freight"]["actual_minor"] == 700
    assert by_name["goods"]["rate_minor"] == 49
    assert (by_name["contact"]["rate_minor"], by_name["contact"]["complete"]) == (160, True)
    assert (by_name["pick"]["missing"], by_name["pick"]["complete"]) == (1, False)
    assert costs["cost_to_serve_minor"] == 860
    assert (await world.atp.client.get("/v1/promises/00000000-0000-0000-0000-000000000000/costs")).status_code == 404


async def test_protections_and_quotas_of_a_month_say_what_was_used_what_lapsed_and_what_is_left(world: World) -> None:
    await world.set_up()
    item = await world.atp.item(on_hand=50)
    period = {"start": world.start.isoformat(), "end": (world.start + timedelta(days=9)).isoformat()}
    kept = {"sku": item, "location": "L1", "tier": world.tier, "protected_qty": 20, "lapse_days": 2} | period
    allowed = {"quantity": 30, "tier": world.tier} | period
    for path, line in (("protections", kept), ("quotas", allowed)):
        answer = await world.atp.client.put(f"/v1/{path}/{unique('doc')}", json={"lines": [line]})
        assert answer.status_code == 200, answer.text
    await world.order(item, 7, 3)
    (tier,) = (await world.month())["tiers"]
    assert tier["protection"] == {"protected": 20, "used": 7}
    assert tier["quota"] == {"quota": 30, "used": 7, "remaining": 23}
    await _until_shown(world, f'tiercel_allocation_units{{kind="protection",state="left",tier="{world.tier}"}} 13.0')
    await world.move(8)
    (tier,) = (await world.month())["tiers"]
    assert tier["protection"] == {"protected": 20, "used": 7, "lapsed": 13}


async def test_the_current_month_is_in_prometheus_by_tier_and_names_no_customer(world: World) -> None:
    await world.set_up()
    order = await world.order(await world.atp.item(on_hand=5), 2, 3)
    await world.fulfil(order, 1, 5)
    await world.move(9)
    await _until_shown(world, f'tiercel_service_ratio{{measure="fill_rate",tier="{world.tier}"}} 1.0')
    await _until_shown(world, f'tiercel_service_events{{event="days_late",tier="{world.tier}"}} 2.0')
    assert world.customer not in (await world.atp.client.get("/metrics")).text


async def test_the_figures_do_not_depend_on_the_customers_tier_after_the_promise(world: World) -> None:
    await world.set_up()
    order = await world.order(await world.atp.item(on_hand=5), 2, 3)
    assignment = {"tier": "elsewhere", "effective_from": "2000-01-01T00:00:00+00:00", "effective_to": None}
    await world.atp.tier("elsewhere", 3_000)
    await world.atp.customer(world.customer, assignment | {"sequence": 2})
    await world.fulfil(order, 1, 3)
    await world.move(9)
    (tier,) = (await world.month())["tiers"]
    assert tier["counts"]["lines_on_time_in_full"] == 1


async def _until_shown(world: World, line: str) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while line not in (await world.atp.client.get("/metrics")).text:  # noqa: ASYNC110 - another task shows it
            await asyncio.sleep(0.05)


def _catalog(kind: catalogue.EventType, key: str, payload: dict[str, Any]) -> Any:
    return order_event(kind, {"order": {"order_id": key}}, data=orjson.dumps(payload))


@pytest.mark.parametrize(
    "month", ["0000-01", "0001-01", "1969-12", "2200-01", "9999-12", "2031-13", "2031-1", "2031-01-01"]
)
async def test_a_month_outside_of_the_calendar_is_refused(world: World, month: str) -> None:
    client = world.atp.client
    for path in ("/v1/service-levels", "/v1/service-breaches"):
        answer = await client.get(path, params={"month": month})
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    answer = await client.post(f"/v1/service-levels/{month}:close")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("month", ["1970-01", "2199-12"])
async def test_the_first_and_the_last_month_are_empty(world: World, month: str) -> None:
    answer = await world.atp.client.get("/v1/service-levels", params={"month": month})
    assert (answer.status_code, answer.json()["tiers"]) == (200, [])
