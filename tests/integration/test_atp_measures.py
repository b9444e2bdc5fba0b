"""Measures by tier, from orders to months, corrections, breaches and metrics, on a real PostgreSQL.

The measures are kept by adding differences; `bench.recount` counts the same from the events, with other code.
"""

import random
from collections.abc import AsyncIterator
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from services.atp.adapters.service_months import figures_of, following
from services.atp.domain.service_figures import GOODS, cost_to_serve, costs
from services.chassis.business_time import clear_replay
from services.contracts import topics
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
        tier, expected = told.get(name), counted.get(name, {"counts": {}, "costs": {}, "quantities": {}, "changes": {}})
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
        assert _without_penalty(tier) == expected["changes"], name


def _without_penalty(tier: dict[str, Any] | None) -> dict[str, Any]:
    changes = {} if tier is None else tier["changes"]
    return {cause: {name: each[name] for name in each if name != "penalty_minor"} for cause, each in changes.items()}


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
    assert await _costs_by_month(atp, start) == await _ledger_by_month(atp, start)


async def _costs_by_month(atp: Atp, start: date) -> dict[date, tuple[Decimal, Decimal]]:
    """What was published of orders, the newest word on each, by month from the start on: cost to serve, and goods."""
    newest: dict[str, dict[str, Any]] = {}
    for one in await atp.published(topics.ORDERS_COSTED):
        if one["sequence"] > newest.get(one["order"]["order_id"], {"sequence": 0})["sequence"]:
            newest[one["order"]["order_id"]] = one
    found: dict[date, tuple[Decimal, Decimal]] = {}
    for day in (day for one in newest.values() for day in one["days"]):
        month = date.fromisoformat(day["day"]).replace(day=1)
        if month < start.replace(day=1) or month.year > start.year:
            continue
        serve, goods = found.get(month, (Decimal(0), Decimal(0)))
        found[month] = (serve + Decimal(day["cost_to_serve_minor"]), goods + Decimal(day["goods_minor"]))
    return {month: costs for month, costs in found.items() if any(costs)}


async def _ledger_by_month(atp: Atp, start: date) -> dict[date, tuple[Decimal, Decimal]]:
    """The exact figures of the months over all tiers."""
    found = {}
    month = start.replace(day=1).toordinal()
    while date.fromordinal(month).year == start.year:
        after = date(start.year + 1, 1, 1).toordinal()
        figures = await atp.database.read(partial(figures_of, month=month, today=after))
        by_tier = [costs(own) for own in figures.values()]
        goods = sum((one.rate_minor for own in by_tier for one in own if one.component == GOODS), Decimal(0))
        serve = sum((cost_to_serve(own) for own in by_tier), Decimal(0))
        if serve or goods:
            found[date.fromordinal(month)] = (serve, goods)
        month = following(month)
    return found
