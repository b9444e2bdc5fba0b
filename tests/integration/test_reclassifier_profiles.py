"""Demand profiles of customers: told when they change, and by whom they are looked at, on a real PostgreSQL."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.contracts.catalogue import SEGMENT_PROFILED, decode
from services.contracts.segments import SegmentProfiled
from services.reclassifier.adapters.store import PostgresTransaction
from services.reclassifier.domain.demand import PROFILE_WINDOW_DAYS
from services.reclassifier.domain.features import Detail
from services.reclassifier.domain.orders import owner_of_customer
from tests.support.reclassifier_service import (
    NOON,
    ReclassifierUnderTest,
    features,
    reclassifier_over,
    record,
    segment,
)

WEEK = timedelta(days=7)


@pytest.fixture
async def reclassifier(database_url: str) -> AsyncIterator[ReclassifierUnderTest]:
    async with reclassifier_over(database_url) as running:
        yield running


def ordered(
    order_id: str, at: datetime, units: int = 10, customer: str | None = "c1", **changed: Any
) -> dict[str, Any]:
    lines = [{"line": "1", "sku": "A", "quantity": units, "unit_price": "0.01"}]
    return record(order_id, customer, lines=lines, ordered_at=at.isoformat(), **changed)


def weekly(weeks: int, *, until: datetime = NOON, every: int = 1, customer: str = "c1") -> list[dict[str, Any]]:
    """Even orders, the last one at a moment."""
    return [ordered(f"{customer}-{n}", until - n * every * WEEK, customer=customer) for n in range(weeks)]


async def told(reclassifier: ReclassifierUnderTest, customer: str = "c1") -> list[tuple[str | None, int, datetime]]:
    """The profiles published of a customer, in order; each must be what its contract says."""
    rows = await reclassifier.fetch(
        "SELECT * FROM outbox WHERE aggregateid = $1 AND aggregatetype = $2 ORDER BY position",
        customer,
        SEGMENT_PROFILED.topic.name,
    )
    found = [decode(row["type"], row["payload"], topic=row["aggregatetype"]) for row in rows]
    profiles = [each for each in found if isinstance(each, SegmentProfiled)]
    assert [row["key_version"] for row in rows] == [each.sequence for each in profiles]
    return [(each.demand_profile, each.sequence, each.since) for each in profiles]


async def at(reclassifier: ReclassifierUnderTest, moment: datetime) -> None:
    await reclassifier.set_time(moment)
    await reclassifier.judge()


async def test_a_profile_is_told_once_there_is_enough_demand_with_the_numbers(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment())
    first, second, third = weekly(3)
    await reclassifier.take(first, second)
    await reclassifier.judge()
    assert await told(reclassifier) == []
    found = (await reclassifier.client.get("/v1/customers/c1/features")).json()
    assert (found["profile"], found["windows"][0]["demand"]["profile"]) == (None, "smooth")
    await reclassifier.take(third)
    await reclassifier.judge()
    assert await told(reclassifier) == [("smooth", 1, NOON)]
    (row,) = await reclassifier.fetch("SELECT payload FROM outbox WHERE type = $1", SEGMENT_PROFILED.name)
    payload = SegmentProfiled.model_validate_json(row["payload"])
    assert [(each.name, each.value, each.limit) for each in payload.evidence] == [
        ("average_interval", "1.00", "1.32"),
        ("squared_variation", "0.00", "0.49"),
    ]
    found = (await reclassifier.client.get("/v1/customers/c1/features")).json()
    assert found["profile"]["demand_profile"] == "smooth"


async def test_the_same_orders_in_any_order_and_twice_tell_the_same_profile_once(
    reclassifier: ReclassifierUnderTest,
) -> None:
    customers = [f"c{n}" for n in range(8)]
    await reclassifier.publish(*(segment(each) for each in customers))
    chance = random.Random(7)
    for customer in customers:
        records = weekly(6, every=2, customer=customer) * 2
        chance.shuffle(records)
        await reclassifier.take(*records)
    for _ in range(2):
        await reclassifier.judge()
    for customer in customers:
        assert await told(reclassifier, customer) == [("intermittent", 1, NOON)]


async def test_a_customer_at_the_border_does_not_flap_and_one_beyond_it_changes_once_a_week(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(*weekly(10))
    await reclassifier.judge()
    assert await told(reclassifier) == [("smooth", 1, NOON)]
    # 10 weeks of 14 with demand are past the limit (1.40), and within a tenth of it (1.452).
    await at(reclassifier, NOON + 4 * WEEK)
    assert len(await told(reclassifier)) == 1
    await at(reclassifier, NOON + 5 * WEEK)
    turned = NOON + 5 * WEEK
    assert (await told(reclassifier))[1:] == [("intermittent", 2, turned)]
    # A large order makes it lumpy within the week: that is told when the week is over, by itself.
    await reclassifier.set_time(turned + timedelta(days=1))
    await reclassifier.take(ordered("large", turned + timedelta(days=1), 500))
    await reclassifier.judge()
    assert len(await told(reclassifier)) == 2
    await at(reclassifier, turned + WEEK - timedelta(seconds=1))
    assert len(await told(reclassifier)) == 2
    await at(reclassifier, turned + WEEK)
    assert (await told(reclassifier))[2:] == [("lumpy", 3, turned + WEEK)]


async def test_a_profile_ends_when_nothing_is_left_to_tell_it_from(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(*weekly(3))
    await reclassifier.judge()
    for weeks in range(1, 60):
        await at(reclassifier, NOON + weeks * WEEK)
    profiles = await told(reclassifier)
    assert [profile for profile, _, _ in profiles] == ["smooth", "intermittent", None]
    assert NOON + timedelta(days=PROFILE_WINDOW_DAYS - 7) <= profiles[-1][2] <= NOON + timedelta(days=364)
    (row,) = await reclassifier.fetch("SELECT profile_at = 'infinity' AS idle FROM customer")
    assert row["idle"]


async def test_merged_customers_have_one_profile_and_sequences_never_restart(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment("c1"), segment("c2"))
    await reclassifier.take(*weekly(6, every=2, customer="c1"))
    await reclassifier.take(*weekly(6, every=2, until=NOON - WEEK, customer="c2"))
    await reclassifier.judge()
    assert [(await told(reclassifier, each))[0][0] for each in ("c1", "c2")] == ["intermittent"] * 2
    later = NOON + WEEK
    await reclassifier.set_time(later)
    await reclassifier.publish(segment("c2", 2, status="merged", merged_into="c1"))
    await reclassifier.judge()
    assert (await told(reclassifier, "c2"))[1:] == [(None, 2, later)]
    assert (await told(reclassifier, "c1"))[1:] == [("smooth", 2, later)]  # every week by one or the other
    found = (await reclassifier.client.get("/v1/customers/c2/features")).json()
    assert (found["counted_as"], found["profile"]["demand_profile"]) == ("c1", "smooth")
    await reclassifier.publish(segment("c2", 3))  # with what was its own
    await reclassifier.judge()
    assert (await told(reclassifier, "c2"))[2:] == [("intermittent", 3, later)]
    await at(reclassifier, later + WEEK)  # the other one's stands for a week
    assert (await told(reclassifier, "c1"))[2:] == [("intermittent", 3, later + WEEK)]


async def test_a_deleted_customer_has_no_profile_whatever_is_told_of_it_afterwards(
    reclassifier: ReclassifierUnderTest,
) -> None:
    await reclassifier.publish(segment())
    await reclassifier.take(*weekly(3))
    await reclassifier.judge()
    await reclassifier.publish(segment(sequence=2, status="deleted"), b"")
    await reclassifier.take(ordered("late", NOON))
    await reclassifier.judge()
    assert [(profile, sequence) for profile, sequence, _ in await told(reclassifier)] == [("smooth", 1), (None, 2)]


async def test_nobody_has_a_profile_before_the_registry_knows_who_it_is(reclassifier: ReclassifierUnderTest) -> None:
    await reclassifier.take(*(ordered(f"u{n}", NOON - n * WEEK, customer=None) for n in range(4)))
    await reclassifier.judge()
    assert await reclassifier.fetch("SELECT FROM outbox") == []
    await reclassifier.publish(segment("c9", identifiers=[{"system": "shop", "id": "x"}]))
    await reclassifier.judge()
    assert await told(reclassifier, "c9") == [("smooth", 1, NOON)]


async def test_customers_are_profiled_too_where_a_calendar_alone_judges_them(
    reclassifier: ReclassifierUnderTest,
) -> None:
    calendar = {"every": "month", "on": 1, "at": "03:00", "zone": "Europe/London"}
    await reclassifier.set_rules(calendar=calendar, by_events=False)
    await reclassifier.publish(segment())
    await reclassifier.take(*weekly(3))
    await reclassifier.judge()
    assert await told(reclassifier) == [("smooth", 1, NOON)]


async def test_the_database_reckons_demand_as_the_definition_does(reclassifier: ReclassifierUnderTest) -> None:
    chance = random.Random(11)
    owners = []
    for customer in (f"c{n}" for n in range(30)):
        owners.append(owner_of_customer(customer))
        days = [chance.randrange(-5, 500) for _ in range(chance.randrange(12))]
        for n, day in enumerate(days):
            at_noon = NOON - timedelta(days=day)
            await reclassifier.take(ordered(f"{customer}-{n}", at_noon, chance.randrange(1, 90), customer))
    defined = await features(reclassifier, owners, [PROFILE_WINDOW_DAYS], [Detail.RHYTHM])
    found = await reclassifier.database.read(
        lambda connection: PostgresTransaction(connection).demands(owners, NOON.toordinal(), PROFILE_WINDOW_DAYS)
    )
    for owner in owners:
        rhythm = defined[owner].windows[PROFILE_WINDOW_DAYS].rhythm
        assert rhythm is not None
        assert found.get(owner) == (rhythm.demand if rhythm.active_periods else None)
    assert len(found) > 20
