"""What customers cost, on a real PostgreSQL: counted once, adding up to the last digit, and no way up at a loss."""

import json
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.reclassifier.bootstrap import SHIPPED_RULE_SET
from services.reclassifier.domain.costs import Costs, nanos_per_micro_minor
from services.reclassifier.domain.features import Detail, features_of
from services.reclassifier.domain.orders import Activity
from tests.support.reclassifier_service import (
    NOON,
    ReclassifierUnderTest,
    costed,
    features,
    reclassifier_over,
    record,
    segment,
)

MONTH = "2026-03"


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


async def _month(running: ReclassifierUnderTest, **query: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await running.client.get(f"/v1/customer-months/{MONTH}", params=query)).json()
    return answer


async def test_an_orders_cost_counts_once_at_its_newest_word(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.cost(costed("1", "120.5", "900", sequence=2), costed("1", "100"))
    await reclassifier.cost(costed("1", "120.5", "900", sequence=2), costed("2", "0.000001"))
    await reclassifier.take(record("1"), record("2"))
    await reclassifier.publish(segment())
    answer = await reclassifier.client.get("/v1/customers/c1/features", params={"window_days": 7})
    window = answer.json()["windows"][0]
    assert (window["cost_to_serve"], window["goods_cost"]) == ("1.205000010", "9.000000000")
    assert (window["margin"], window["costs_missing"]) == ("189.794999990", 0)
    assert reclassifier.metrics.costs.at("known")._value.get() == 2


async def test_costs_of_customers_add_up_to_the_whole_with_what_is_assigned_to_nobody(
    reclassifier: ReclassifierUnderTest,
) -> None:
    draw = random.Random(4)
    told: list[dict[str, Any]] = []
    newest: dict[int, tuple[str | None, dict[str, Decimal]]] = {}
    for number in range(300):
        order = number % 120
        customer = None if order % 10 == 0 else f"c{order % 7}"
        serve, goods = (f"{draw.randrange(10**9)}.{draw.randrange(10**6):06}" for _ in range(2))
        one = costed(str(order), serve, goods, customer, sequence=number + 1, missing=draw.randrange(2))
        one["customer"] = {"system": "shop", "id": f"x{order}"}
        told.append(one)
        newest[order] = (customer, {"cost_to_serve": Decimal(serve) / 100, "goods_cost": Decimal(goods) / 100})
    told += draw.choices(told, k=60)
    draw.shuffle(told)
    for start in range(0, len(told), 50):
        await reclassifier.cost(*told[start : start + 50])
    await reclassifier.publish(segment("c1"), segment("c2", status="merged", merged_into="c1"))
    items: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await _month(reclassifier, after=after, limit=5)
        items += page["items"]
        if page["next_after"] is None:
            break
        after = page["next_after"]
    for name in ("cost_to_serve", "goods_cost"):
        whole = sum(costs[name] for _, costs in newest.values())
        assert Decimal(page["total"][name]) == whole
        assert sum(Decimal(one[name]) for one in items) == whole
        nobodys = sum(costs[name] for customer, costs in newest.values() if customer is None)
        assert Decimal(page["unassigned"][name]) == nobodys
        assert sum(Decimal(one[name]) for one in items if one["customer_id"] is None) == nobodys
        merged = sum(costs[name] for customer, costs in newest.values() if customer in ("c1", "c2"))
        assert [Decimal(one[name]) for one in items if one["customer_id"] in ("c1", "c2")] == [merged]
    assert sum(Decimal(one["margin"]) for one in items) == Decimal(page["total"]["margin"])


async def test_the_database_sums_costs_as_the_definition_does(reclassifier: ReclassifierUnderTest) -> None:
    ago = (NOON - timedelta(days=40)).date().isoformat()
    old = {"day": ago, "cost_to_serve_minor": "5", "goods_minor": "7", "missing": 2}
    await reclassifier.take(record("1"))
    ahead = {**old, "day": (NOON + timedelta(days=1)).date().isoformat()}
    await reclassifier.cost(costed("1", "3", "4"), costed("2", "0", days=[old, ahead]))
    today = NOON.toordinal()
    few = Costs(50_000_000, 70_000_000, 2, 1)
    days = {today: Costs(30_000_000, 40_000_000, 0, 1), today - 40: few, today + 1: few}
    expected = features_of({today: Activity(1, 10, 100_000_000)}, today, (30, 90), costs=days, detail=(Detail.COSTS,))
    assert await features(reclassifier, ["c:c1"], (30, 90), (Detail.COSTS,)) == {"c:c1": expected}


async def test_a_cost_in_another_currency_or_unreadable_is_refused(reclassifier: ReclassifierUnderTest) -> None:
    rejected = await reclassifier.cost(costed("1", "3", currency="EUR"), costed("2", "-3"), costed("3", "3"))
    assert rejected == [(0, "invalid_payload"), (1, "invalid_payload")]


@pytest.mark.parametrize(("currency", "nanos"), [("JPY", 1_000), ("GBP", 10), ("KWD", 1)])
def test_minor_units_are_of_their_currency(currency: str, nanos: int) -> None:
    assert nanos_per_micro_minor(currency) == nanos


async def test_the_shipped_rules_do_not_promote_high_revenue_at_a_loss(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.set_rules(**json.loads(SHIPPED_RULE_SET.read_bytes()))
    names = ("winner", "loser", "unknown", "fallen")
    for name in names:
        await reclassifier.publish(segment(name, tier="gold" if name == "fallen" else "bronze"))
        await reclassifier.take(*(record(f"{name}-{number}", name, lines=_dear()) for number in range(6)))
    await reclassifier.cost(
        costed("winner-1", "500", "299499", "winner"),
        costed("loser-1", "1", "300000", "loser"),
        costed("unknown-1", "0", "0", "unknown", missing=4),
        costed("fallen-1", "1", "300000", "fallen"),
    )
    await reclassifier.judge()
    moved = {one.customer_id: one.to_tier for one in await reclassifier.proposed()}
    assert moved == {"winner": "gold", "unknown": "gold", "fallen": "bronze"}


def _dear() -> list[dict[str, Any]]:
    return [{"line": "1", "sku": "A", "quantity": 5, "unit_price": "100"}]


async def test_a_cost_that_comes_later_is_judged_at_once(reclassifier: ReclassifierUnderTest) -> None:
    rung = {"tier": "gold", "promote": {"feature": "margin", "window_days": 90, "at_least": "50"}}
    rung["demote"] = {"feature": "margin", "window_days": 90, "below": "0"}
    await reclassifier.set_rules(rungs=[rung])
    await reclassifier.publish(segment(tier="bronze"))
    await reclassifier.take(record("1"))
    assert await reclassifier.judge() == 0
    await reclassifier.cost(costed("1", "100", missing=1))
    assert await reclassifier.judge() == 0  # with one cost missing it may be less
    await reclassifier.cost(costed("1", "200", sequence=2))
    assert await reclassifier.judge() == 1
    (proposed,) = await reclassifier.proposed()
    assert [(one.name, one.value) for one in proposed.evidence] == [("margin_90d", "98.00")]


async def test_a_cost_of_a_day_to_come_is_judged_when_its_day_begins(reclassifier: ReclassifierUnderTest) -> None:
    silent = {"feature": "margin", "window_days": 90, "at_least": "1000000"}
    rung = {"tier": "gold", "promote": silent, "demote": {"feature": "margin", "window_days": 90, "below": "0"}}
    await reclassifier.set_rules(rungs=[rung])
    await reclassifier.publish(segment(tier="gold"))
    await reclassifier.take(record("1"))
    tomorrow = (NOON + timedelta(days=1)).date()  # where the goods left it was tomorrow already
    day = {"day": tomorrow.isoformat(), "cost_to_serve_minor": "99900", "goods_minor": "0", "missing": 0}
    await reclassifier.cost(costed("1", "0", days=[day]))
    assert await reclassifier.judge() == 0
    await reclassifier.set_time(NOON.replace(hour=0) + timedelta(days=1))
    assert await reclassifier.judge() == 1


async def test_amounts_are_answered_in_plain_digits(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment())
    await reclassifier.cost(costed("1", "0.000001"))
    window = (await reclassifier.client.get("/v1/customers/c1/features")).json()["windows"][0]
    month = await _month(reclassifier)
    assert [(each["cost_to_serve"], each["goods_cost"]) for each in (window, month["total"])] == [
        ("0.000000010", "0.000000000")
    ] * 2
