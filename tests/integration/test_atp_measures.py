"""Measures by tier, from orders to months, corrections, breaches and metrics, on a real PostgreSQL.

The measures are kept by adding differences; `bench.recount` counts the same from the events, with other code.
"""

import random
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import pytest

from services.chassis.business_time import clear_replay
from tests.support.atp import Atp, running_atp
from tests.support.measured_company import Company, forget_measures


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_measuring_seconds=0.05, replay=True) as running:
        yield running
        await running.database.run(clear_replay, label="test")
        await forget_measures(running)


def assert_equal(measured: dict[str, Any], counted: dict[str, dict[str, Any]]) -> None:
    """Every figure of every tier is what the events say."""
    told = {tier["tier"]: tier for tier in measured["tiers"]}
    for name in told.keys() | counted.keys():
        tier, expected = told.get(name), counted.get(name, {"counts": {}, "costs": {}, "quantities": {}})
        counts = {} if tier is None else {key: value for key, value in tier["counts"].items() if value}
        assert counts == {key: value for key, value in expected["counts"].items() if value}, name
        costs = {
            each["component"]: [each["actual_minor"], each["rate_minor"], each["missing"]]
            for each in ([] if tier is None else tier["costs"])
        }
        assert {key: value for key, value in costs.items() if any(value)} == {
            key: value for key, value in expected["costs"].items() if any(value)
        }, name
        assert (tier["activities"] if tier else {}) == expected["quantities"], name


async def compare(company: Company) -> set[str]:
    """Compare all months that have anything; which."""
    counted = await company.counted()
    for month in counted:
        assert_equal(await company.measured(month), counted[month])
    return set(counted)


@pytest.mark.parametrize("seed", [1, 2])
async def test_the_measures_of_a_random_history_are_what_the_events_say(atp: Atp, seed: int) -> None:
    start, closes = date(2031 + seed, 1, 20), date(2031 + seed, 2, 10)
    company = Company(atp, random.Random(seed), start)
    await company.set_up()
    await company.set_rate("rates", "order", start, "12.5")
    await company.set_rate("rates", "pick", start + timedelta(days=5), "3.25")
    await company.set_rate("rates", "contact", start, "80")
    await company.set_rate("landed", company.items[0], start, "0.333333")
    for passed in range(24):
        await company.move(start + timedelta(days=passed))
        await company.work_a_day()
        if passed == 12:
            await compare(company)
    await company.set_rate("rates", "pick", start + timedelta(days=20), "4")
    for left in sorted(company.to_come):
        await company.move(max(company.day, left))
        if company.day > closes:
            await company.until_closed(f"{start:%Y-%m}")
        for kind, event in company.to_come.pop(left):
            await company.say(kind, event)
        await company.quiet()
    found = await compare(company)
    assert len(found) >= 3
    closed = await company.measured(f"{start:%Y-%m}")
    assert closed["state"] == "closed"
    assert closed["corrections"], "deliveries of forty days change a month that was closed after ten"
