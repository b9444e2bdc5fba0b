"""Orders are counted exactly, on a real PostgreSQL: duplicates, disorder, cancellations, customers not known yet."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.contracts.catalogue import ORDER_CONFIRMED
from services.contracts.orders import OrderRecorded
from services.reclassifier.application.forget_days import forget_days
from services.reclassifier.domain.features import EVERY_DETAIL, Detail, Window, features_of
from services.reclassifier.domain.orders import Activity, Outcomes, Punctuality, join_all
from services.reclassifier.entrypoints.recorded_orders import order_state
from tests.support.reclassifier_service import (
    NOON,
    ReclassifierUnderTest,
    delivery,
    features,
    reclassifier_over,
    record,
    segment,
)

TODAY = NOON.toordinal()
WINDOWS = (7, 30, 90)


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


def _window(running: dict[str, Any], owner: str = "c:c1") -> Window:
    window: Window = running[owner].windows[90]
    return window


async def test_an_order_counts_once_at_its_newest_record(reclassifier: ReclassifierUnderTest) -> None:
    newest = record("1", sequence=3, lines=[{"line": "1", "sku": "A", "quantity": 4, "unit_price": "2.50"}])
    await reclassifier.take(record("1"), newest, record("1"))
    await reclassifier.take(record("1", sequence=2), newest)
    assert _window(await features(reclassifier, ["c:c1"], WINDOWS)) == Window(90, 1, 4, 10_000_000, 0, TODAY)
    assert reclassifier.metrics.records.at("news")._value.get() == 1
    assert reclassifier.metrics.records.at("known")._value.get() == 4


async def test_a_cancelled_order_counts_what_had_shipped_whenever_that_is_heard(
    reclassifier: ReclassifierUnderTest,
) -> None:
    lines = [{"line": "1", "sku": "A", "quantity": 10, "unit_price": "1", "shipped_quantity": 3}]
    await reclassifier.take(record("1", sequence=3, change="delivered", lines=lines))
    await reclassifier.take(record("1", sequence=2, change="cancelled"), record("2", change="cancelled"))
    assert _window(await features(reclassifier, ["c:c1"], WINDOWS)) == Window(90, 1, 3, 3_000_000, 0, TODAY)


async def test_a_re_decision_is_no_activity(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(record("1"))
    await reclassifier.judge()
    moved = [{"line": "1", "sku": "A", "quantity": 10, "unit_price": "10.00", "promised_quantity": 10}]
    await reclassifier.take(record("1", sequence=2, change="promise_changed", tier="gold", lines=moved))
    assert await reclassifier.fetch("SELECT FROM customer WHERE due_at < $1", NOON) == []


async def test_lines_without_a_price_and_foreign_money_are_units_without_value(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.take(
        record("1", currency="EUR"),
        record("2", lines=[{"line": "1", "sku": "A", "quantity": 5}]),
    )
    assert _window(await features(reclassifier, ["c:c1"], WINDOWS)) == Window(90, 2, 15, 0, 2, TODAY)


async def test_the_largest_orders_are_counted_to_the_last_digit(reclassifier: ReclassifierUnderTest) -> None:
    line = {"sku": "A", "quantity": 10**12, "unit_price": "999999999999.999999"}
    await reclassifier.take(record("1", lines=[{"line": str(number), **line} for number in range(1_000)]))
    counted = _window(await features(reclassifier, ["c:c1"], WINDOWS))
    assert (counted.units, counted.value_micros) == (10**15, 10**15 * (10**18 - 1))


async def test_poison_is_rejected_and_the_rest_counted(reclassifier: ReclassifierUnderTest) -> None:
    wrong = [record("1", sequence=0), {"order": "?"}, record("2", change="eaten")]
    rejected = await reclassifier.take(wrong[0], record("3"), wrong[1], wrong[2])
    assert rejected == [(0, "invalid_payload"), (2, "invalid_payload"), (3, "invalid_payload")]
    assert _window(await features(reclassifier, ["c:c1"], WINDOWS)).orders == 1


async def test_random_records_in_racing_batches_end_as_the_definition_says(
    reclassifier: ReclassifierUnderTest,
) -> None:
    draw = random.Random(5)
    records = [_random_record(draw) for _ in range(400)]
    deliveries = [*records, *draw.choices(records, k=200)]
    draw.shuffle(deliveries)
    batches = [deliveries[start : start + 60] for start in range(0, len(deliveries), 60)]
    await asyncio.gather(*(reclassifier.take(*batch) for batch in batches))
    days: dict[str, dict[int, Activity]] = {}
    outcomes: dict[str, dict[int, Outcomes]] = {}
    for state in join_all(order_state(OrderRecorded.model_validate(one), "GBP") for one in records).values():
        owner, day = f"c:{state.customer_id}", state.ordered_on
        own, came = days.setdefault(owner, {}), outcomes.setdefault(owner, {})
        if state.demand.units:
            own[day] = own.get(day, Activity()).plus(Activity(1, *state.demand))
        told, late = (int(state.punctuality >= each) for each in (Punctuality.IN_TIME, Punctuality.LATE))
        came[day] = came.get(day, Outcomes()).plus(
            Outcomes(state.returned.units, state.returned.value_micros, told, late)
        )
    for detail in ((), (Detail.OUTCOMES,), EVERY_DETAIL):
        expected = {
            owner: features_of(own, TODAY, WINDOWS, outcomes=outcomes[owner], detail=detail)
            for owner, own in days.items()
        }
        assert await features(reclassifier, sorted(days), WINDOWS, detail) == expected


def _random_record(draw: random.Random) -> dict[str, Any]:
    number = draw.randrange(80)
    ordered_at = NOON - timedelta(days=(number * 7) % 110 - 3)
    lines = [
        {
            "line": str(line),
            "sku": "A",
            "quantity": draw.randrange(20),
            "unit_price": draw.choice([None, "0.01", str(Decimal(draw.randrange(10_000)) / 100)]),
            "shipped_quantity": draw.randrange(5),
            "returned_quantity": draw.choice([0, 0, draw.randrange(4)]),
        }
        for line in range(draw.randrange(4))
    ]
    change = draw.choice(["accepted", "shipped", "promise_changed", "cancelled"])
    sequence = draw.randrange(1, 10**6)
    return record(
        str(number),
        f"c{number % 7}",
        sequence=sequence,
        change=change,
        lines=lines,
        ordered_at=ordered_at.isoformat(),
        on_time=draw.choice([None, None, True, False]),
    )


async def test_orders_of_a_customer_not_known_yet_are_adopted(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.take(record("1", None), record("2", None, customer={"system": "shop", "id": "y"}))
    assert set(await _owners(reclassifier)) == {"r:shop/x", "r:shop/y"}
    held = [{"system": "shop", "id": "x"}, {"system": "erp", "id": "9"}]
    await reclassifier.publish(segment(identifiers=held), segment("c2", identifiers=[]))
    await reclassifier.take(record("3", None), record("1", None, sequence=2))
    assert await _owners(reclassifier) == ["c:c1", "c:c1", "r:shop/y"]
    assert _window(await features(reclassifier, ["c:c1"], WINDOWS)).orders == 2
    assert await reclassifier.fetch("SELECT FROM activity_day WHERE owner = 'r:shop/x'") == []


async def test_adoption_and_counting_race_and_no_order_is_left_behind(reclassifier: ReclassifierUnderTest) -> None:
    held = [{"system": "shop", "id": "x"}]
    await asyncio.gather(
        *(reclassifier.take(*(record(f"{batch}-{number}", None) for number in range(5))) for batch in range(8)),
        reclassifier.publish(segment(identifiers=held)),
        *(reclassifier.take(*(record(f"{batch}-{number}", None) for number in range(5))) for batch in range(8)),
    )
    assert set(await _owners(reclassifier)) == {"c:c1"}
    assert _window(await features(reclassifier, ["c:c1"], WINDOWS)).orders == 40


async def test_orders_of_merged_customers_count_together_also_later_ones(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment("c1"), segment("c2"), segment("c3"))
    await reclassifier.take(record("1", "c1"), record("2", "c2"), record("3", "c3"))
    await reclassifier.publish(
        segment("c1", 2, status="merged", merged_into="c2"), segment("c2", 2, status="merged", merged_into="c3")
    )
    await reclassifier.take(record("4", "c1"))
    assert await _owners(reclassifier) == ["c:c3"] * 4
    assert _window(await features(reclassifier, ["c:c3"], WINDOWS), "c:c3").orders == 4
    answer = await reclassifier.client.get("/v1/customers/c1/features")
    assert (answer.json()["counted_as"], answer.json()["windows"][1]["orders"]) == ("c3", 4)


async def _owners(reclassifier: ReclassifierUnderTest) -> list[str]:
    return [row["owner"] for row in await reclassifier.fetch("SELECT owner FROM recorded_order ORDER BY owner")]


async def test_segments_are_applied_by_sequence_and_what_cannot_be_read_is_skipped(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment("c1", 5, "gold"), segment("c1", 4, "silver"))
    await reclassifier.publish(segment("c1", 3, "bronze"), b"", b"{", {"customer_id": 1})
    (stored,) = await reclassifier.fetch("SELECT sequence, assignments FROM segment")
    assert stored["sequence"] == 5
    assert '"gold"' in stored["assignments"]


async def test_days_beyond_every_window_are_forgotten_by_business_time(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.take(
        record("1", ordered_at=(NOON - timedelta(days=801)).isoformat()),
        record("2", ordered_at=(NOON - timedelta(days=800)).isoformat()),
    )
    assert await reclassifier.transactions.run(forget_days, label="forget") is False
    left = await reclassifier.fetch("SELECT day FROM activity_day")
    assert [row["day"] for row in left] == [TODAY - 800]


async def test_a_delivery_of_another_kind_is_refused(reclassifier: ReclassifierUnderTest) -> None:
    stray = delivery(ORDER_CONFIRMED, {"order": {"source": "shop", "order_id": "1"}})
    assert [one.code for one in await reclassifier.handler([stray])] == ["wrong_topic"]
