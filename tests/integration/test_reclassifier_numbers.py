"""A customer's numbers over HTTP: what came of orders, what was said, and all of it counted again by other code."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tests.support.reclassifier_service import (
    NOON,
    RULES,
    ReclassifierUnderTest,
    feedback,
    reclassifier_over,
    record,
    segment,
)

YEAR = 364


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


async def _window(running: ReclassifierUnderTest, customer_id: str = "c1", days: int = YEAR) -> dict[str, Any]:
    answer = await running.client.get(f"/v1/customers/{customer_id}/features", params={"window_days": days})
    window: dict[str, Any] = next(one for one in answer.json()["windows"] if one["days"] == days)
    return window


def _line(quantity: int, *, returned: int = 0, price: str = "10.00") -> list[dict[str, Any]]:
    return [
        {
            "line": "1",
            "sku": "A",
            "quantity": quantity,
            "unit_price": price,
            "shipped_quantity": quantity,
            "returned_quantity": returned,
        }
    ]


async def test_returns_and_late_deliveries_count_once_on_the_day_of_their_order(
    reclassifier: ReclassifierUnderTest,
) -> None:
    back = record("1", sequence=4, change="returned", lines=_line(10, returned=4))
    late = record("1", sequence=3, change="delivered", on_time=False, lines=_line(10))
    in_time = record("2", sequence=2, change="delivered", on_time=True, lines=_line(10))
    await reclassifier.take(back, in_time, record("3"))
    await reclassifier.take(record("1"), late, back, in_time)
    shown = await _window(reclassifier)
    assert (shown["returned_units"], shown["returned_value"], shown["return_share"]) == (4, "40.000000", "13.333333")
    assert (shown["orders_delivered"], shown["orders_late"], shown["late_share"]) == (2, 1, "50.000000")


async def test_what_customers_say_counts_at_its_highest_version(reclassifier: ReclassifierUnderTest) -> None:
    complaint = feedback("2", kind="complaint", score=None)
    await reclassifier.hear(feedback("1", version=2, score=4), complaint, feedback("3", score=10))
    await reclassifier.hear(feedback("1"), complaint, feedback("4", kind="complaint", score=None, withdrawn=True))
    await reclassifier.publish(segment())
    shown = await _window(reclassifier)
    assert (shown["surveys"], shown["survey_score"], shown["complaints"]) == (2, "7.000000", 1)
    await reclassifier.hear(feedback("2", version=9, kind="complaint", score=None, withdrawn=True))
    assert (await _window(reclassifier))["complaints"] == 0
    assert reclassifier.metrics.feedback.at("known")._value.get() == 2


async def test_what_cannot_be_read_is_told_and_the_rest_counts(reclassifier: ReclassifierUnderTest) -> None:
    rejected = await reclassifier.hear(feedback("1", score=11), feedback("2"), feedback("3", kind="complaint"))
    assert rejected == [(0, "invalid_payload"), (2, "invalid_payload")]
    assert [row["reference"] for row in await reclassifier.fetch("SELECT reference FROM feedback")] == ["2"]


async def test_what_customers_say_makes_nobody_due(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.hear(feedback("1"))
    assert await reclassifier.fetch("SELECT FROM customer") == []


async def test_a_merged_customer_shares_one_set_of_numbers(reclassifier: ReclassifierUnderTest) -> None:
    late: dict[str, Any] = {"sequence": 2, "change": "delivered", "on_time": False}
    await reclassifier.publish(segment(), segment("c2"))
    await reclassifier.take(record("1", **late), record("2", "c2", **late))
    await reclassifier.hear(feedback("1"), feedback("2", "c2"))
    await reclassifier.publish(segment("c2", sequence=2, status="merged", merged_into="c1"))
    await reclassifier.hear(feedback("3", "c2"), feedback("2", "c2", version=2, score=0))
    shown, same = await _window(reclassifier), await _window(reclassifier, "c2")
    assert (shown["orders"], shown["orders_late"], shown["surveys"], shown["survey_score"]) == (2, 2, 3, "6.000000")
    assert shown == same


async def test_feedback_by_another_systems_name_is_adopted(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.hear(feedback("1", customer={"system": "shop", "id": "x"}))
    await reclassifier.publish(segment(identifiers=[{"system": "shop", "id": "x"}]))
    assert (await _window(reclassifier))["surveys"] == 1


async def test_rules_may_look_at_returns_profile_and_what_is_expected(reclassifier: ReclassifierUnderTest) -> None:
    gold = {
        "all": [
            {"feature": "expected_value", "window_days": YEAR, "at_least": "150"},
            {"feature": "return_share", "window_days": YEAR, "below": "50"},
            {"not": {"feature": "demand_profile", "window_days": YEAR, "is": ["lumpy"]}},
            {"feature": "repeat_share", "window_days": YEAR, "above": "49.9"},
        ]
    }
    prior = {"prior_value": "100", "window_days": YEAR, "weight": 2, "own_data_from_orders": 9}
    rungs = [{"tier": "gold", "promote": gold, "demote": {"feature": "trend", "window_days": YEAR, "below": "-90"}}]
    await reclassifier.set_rules(rungs=rungs, new_customers=prior)
    await reclassifier.publish(segment(tier="bronze"), segment("c2", tier="bronze"))
    week_ago = (NOON - timedelta(days=7)).isoformat()
    for customer, returned in (("c1", 4), ("c2", 10)):
        await reclassifier.take(
            record(f"{customer}-1", customer, sequence=2, lines=_line(10, returned=returned)),
            record(f"{customer}-2", customer, lines=_line(11, returned=returned), ordered_at=week_ago),
        )
    await reclassifier.judge()
    moved = await reclassifier.proposed()
    assert [(one.customer_id, one.to_tier) for one in moved] == [("c1", "gold")]
    assert [(one.name, one.value) for one in moved[0].evidence] == [
        (f"expected_value_{YEAR}d", "155.00"),
        (f"return_share_{YEAR}d", "38.095238"),
        (f"demand_profile_{YEAR}d", "smooth"),
        (f"repeat_share_{YEAR}d", "50.00"),
    ]


async def test_what_was_served_to_a_customer_is_no_reason_to_move_it(reclassifier: ReclassifierUnderTest) -> None:
    for feature in ("late_share", "surveys", "complaints"):
        condition = {"feature": feature, "window_days": 90, "above": "10"}
        rungs = [{"tier": "gold", "promote": condition, "demote": condition}]
        answer = await reclassifier.client.put("/v1/rule-sets/activity", json={**RULES, "rungs": rungs})
        assert answer.status_code == 422


async def test_an_expected_value_needs_what_is_expected(reclassifier: ReclassifierUnderTest) -> None:
    condition = {"feature": "expected_value", "window_days": 90, "above": "10"}
    rungs = [{"tier": "gold", "promote": condition, "demote": condition}]
    answer = await reclassifier.client.put("/v1/rule-sets/activity", json={**RULES, "rungs": rungs})
    assert answer.status_code == 422


RECOUNT = """
WITH newest AS (
    SELECT order_id, customer_id, day, line, quantity, price, shipped, returned,
        bool_or(cancelled) OVER (PARTITION BY order_id) AS gone
    FROM told QUALIFY sequence = max(sequence) OVER (PARTITION BY order_id)
), counted AS (
    SELECT DISTINCT order_id, customer_id, day, line, returned, price,
        CASE WHEN gone THEN least(quantity, shipped) ELSE quantity END AS units
    FROM newest
), days AS (
    SELECT customer_id, day, count(DISTINCT order_id) FILTER (WHERE units > 0) AS orders, sum(units)::BIGINT AS units,
        sum(units * price) AS value, sum(returned)::BIGINT AS returned
    FROM counted WHERE day BETWEEN $today - 363 AND $today GROUP BY ALL
), gaps AS (
    SELECT customer_id, day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap,
        $today - max(day) OVER (PARTITION BY customer_id) AS silence
    FROM days WHERE units > 0
), weeks AS (
    SELECT customer_id, ($today - day) // 7 AS week, sum(units) AS units FROM days WHERE units > 0 GROUP BY ALL
), demand AS (
    SELECT customer_id, count(*) AS active, max(week) + 1 AS periods, avg(units) AS mean, var_pop(units) AS variance
    FROM weeks GROUP BY ALL
), habit AS (
    SELECT customer_id, count(gap) AS gaps, count(*) FILTER (WHERE gap < silence) AS shorter FROM gaps GROUP BY ALL
)
SELECT d.customer_id, sum(orders)::BIGINT AS orders, sum(d.units)::BIGINT AS units, sum(value) AS value,
    sum(returned)::BIGINT AS returned, count(*) FILTER (WHERE d.units > 0) AS order_days, any_value(active) AS active,
    any_value(periods) AS periods, any_value(variance / (mean * mean)) AS cv2, any_value(gaps) AS gaps,
    any_value(shorter) AS shorter
FROM days d LEFT JOIN demand USING (customer_id) LEFT JOIN habit USING (customer_id)
GROUP BY d.customer_id ORDER BY d.customer_id
"""


async def test_duckdb_counts_the_same_to_the_last_unit(reclassifier: ReclassifierUnderTest) -> None:
    draw = random.Random(11)
    records = [_random_order(draw, number) for number in range(600)]
    told = records + draw.choices(records, k=150)
    draw.shuffle(told)
    for start in range(0, len(told), 90):
        await reclassifier.take(*told[start : start + 90])
    rows = [
        (
            one["order"]["order_id"],
            one["customer_id"],
            (NOON.fromisoformat(one["ordered_at"])).toordinal(),
            one["sequence"],
            one["change"] == "cancelled",
            line["line"],
            line["quantity"],
            Decimal(line["unit_price"]),
            line["shipped_quantity"],
            line["returned_quantity"],
        )
        for one in told
        for line in one["lines"]
    ]
    recounted = _recount(rows)
    assert len(recounted) == 12
    for expected in recounted:
        shown = await _window(reclassifier, expected["customer_id"])
        assert (shown["orders"], shown["units"]) == (expected["orders"], expected["units"])
        assert Decimal(shown["value"]) == expected["value"]
        assert (shown["returned_units"], shown["order_days"]) == (expected["returned"], expected["order_days"])
        demand = shown["demand"]
        assert (demand["periods"], demand["periods_with_demand"]) == (expected["periods"], expected["active"])
        assert float(demand["squared_variation"]) == pytest.approx(expected["cv2"], abs=1e-5)
        risk = Decimal(100 * expected["shorter"]) / expected["gaps"]
        assert abs(Decimal(shown["lapse_risk"]) - risk) < Decimal("0.000001")


def _random_order(draw: random.Random, number: int) -> dict[str, Any]:
    order = number // 2
    quantity = draw.randrange(1, 30)
    lines = [
        {
            "line": str(line),
            "sku": "A",
            "quantity": quantity,
            "unit_price": f"{draw.randrange(1, 9_999) / 100:.2f}",
            "shipped_quantity": draw.randrange(quantity + 1),
            "returned_quantity": draw.choice([0, 0, draw.randrange(quantity + 1)]),
        }
        for line in range(draw.randrange(1, 4))
    ]
    return record(
        str(order),
        f"c{order % 12}",
        sequence=1 + number % 2,
        change=draw.choice(["accepted", "shipped", "returned", "cancelled"]),
        lines=lines,
        ordered_at=(NOON - timedelta(days=(order * 13) % 350)).isoformat(),
    )


def _recount(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE told (order_id TEXT, customer_id TEXT, day BIGINT, sequence BIGINT, cancelled BOOL, line"
            " TEXT, quantity BIGINT, price DECIMAL(18, 6), shipped BIGINT, returned BIGINT)"
        )
        connection.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        found = connection.execute(RECOUNT, {"today": NOON.toordinal()})
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
