"""`python -m bench.scms HISTORY.csv[.gz]`: recorded deliveries through the services, measured twice.

The history is the SCMS Delivery History (USAID/PEPFAR; US Government work): every delivery line of a medical supply
programme, with promised and actual dates. What is ordered from `--since` on is replayed on the embedded form; tiers,
costs and the days that a late receipt is waited for are fixed by what is known before. Every figure that
`GET /v1/service-levels` tells, of every month and tier, has to equal a recount from the published events; 1 if one does
not, if an order was not answered once, or if something was oversold.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson

from bench import recount
from bench.delivery_figures import EMPTY, Compared, by_promise, ratios, recorded, totals
from bench.delivery_history import (
    GOLD_PERCENT,
    NOTICE_DAYS,
    SILVER_PERCENT,
    TIERS,
    TRANSIT_DAYS,
    Order,
    Past,
    past_of,
    read,
)
from bench.delivery_replay import Replay, rules_by_which_nobody_moves
from bench.figures import DIRECTORY, keep
from services.atp.adapters.ledger import verify
from services.atp.adapters.oversell_audit import audit
from services.chassis.database import Database
from services.chassis.envelope import Event, from_record
from services.chassis.event_log.port import EventLog
from services.contracts import topics
from services.contracts.catalogue import FULFILMENT_DELIVERED, FULFILMENT_SHIPPED, PROMISE_AT_RISK
from tiercel.demo.channels import LogChannel, ReplayFailedError, ServiceClients
from tiercel.demo.forms import Ground, run_on_embedded

SINCE: Final = date(2012, 1, 1)
READ_AT_ONCE: Final = 2_000
POLL_SECONDS: Final = 1.0
MEASURED_SECONDS_MAX: Final = 300.0
DIFFERENCES_SHOWN: Final = 20


@dataclass(slots=True)
class Found:
    """What a replay leaves."""

    summary: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Replay, measure, count again, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("history", type=Path, help="the history, CSV, gzipped or not")
    parser.add_argument("--since", type=date.fromisoformat, default=SINCE, help="first day of the orders to replay")
    parser.add_argument("--output", type=Path, default=DIRECTORY, help="folder of scms.json")
    given = parser.parse_args(arguments)
    history = read(given.history)
    past = past_of(history, given.since)
    orders = [order for order in history if order.ordered >= given.since]
    print(f"{len(orders):,} orders, {sum(len(order.lines) for order in orders):,} lines from {given.since} on")
    found = Found()
    try:
        with TemporaryDirectory() as folder:
            settings = rules_by_which_nobody_moves(Path(folder))
            status = run_on_embedded(partial(_replay, orders, past, found), Path(folder) / "scms", settings)
    except ReplayFailedError as error:
        print(f"scms: {error}", file=sys.stderr)
        return 1
    for fault in found.faults[:DIFFERENCES_SHOWN]:
        print(f"FAULT {fault}")
    if found.summary:
        _show(found.summary)
        print(_write(given.output, found.summary, since=given.since, past=past))
    return status or int(bool(found.faults) or not found.summary)


async def _replay(orders: Sequence[Order], past: Past, found: Found, ground: Ground) -> None:
    async with (
        ServiceClients(ground.endpoints) as clients,
        LogChannel(ground.event_log, lambda _: None) as channel,
    ):
        replay = Replay(orders, past, clients, channel)
        await replay.set_up()
        await replay.run()
        answers = {order_id: len(ids) for order_id, ids in channel.answers.first_answers.items()}
        told = [await _month(clients, month) for month in _months(replay.start, replay.end)]
        breaches = (await clients.call("atp", "GET", "/v1/service-breaches"))["items"]
    promises, risks = await _promises(ground.event_log)
    orders_told = recount.recount(promises, await _fulfilments(ground.event_log))
    landed = {sku: [(replay.start.isoformat(), cost)] for sku, cost in past.landed_cents.items()}
    counted = recount.months(orders_told, recount.Rates(items=landed), replay.end)
    compared = Compared()
    for month in told:
        compared.compare(month["month"], month, counted.pop(month["month"], {}))
    compared.differences += [f"{month} is not told at all" for month, tiers in counted.items() if tiers != EMPTY]
    found.faults += compared.differences
    once = sum(answers.get(order.order_id) == 1 for order in orders)
    if once != len(orders):
        found.faults.append(f"{len(orders) - once} orders were not answered exactly once")
    found.faults += await _ledger_faults(ground.database_url)
    total = totals(told)
    found.summary = {
        "orders": len(orders),
        "lines": sum(len(order.lines) for order in orders),
        "answered_once": once,
        "months": len(told),
        "months_closed": sum(month["state"] == "closed" for month in told),
        "corrections": sum(len(month["corrections"]) for month in told),
        "figures_compared": compared.figures,
        "figures_that_differ": len(compared.differences),
        "promises_at_risk": risks,
        "breaches": _breaches(breaches),
        "by_tier": {
            tier: {"measured": dict(total[tier]) | {"ratios": ratios(total[tier])}, "promised_and_actual": each}
            for tier, each in by_promise(orders_told).items()
        },
        "recorded": recorded(orders, past.tiers),
    }


async def _month(clients: ServiceClients, month: str) -> dict[str, Any]:
    """A month once all that changed is measured."""
    async with asyncio.timeout(MEASURED_SECONDS_MAX):
        while True:
            told: dict[str, Any] = await clients.call("atp", "GET", f"/v1/service-levels?month={month}")
            if not told["behind"]:
                return told
            await asyncio.sleep(POLL_SECONDS)


def _months(first: date, last: date) -> Iterator[str]:
    for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month):
        yield f"{number // 12:04}-{number % 12 + 1:02}"


async def _events(log: EventLog, topic: str) -> list[Event]:
    """Everything on a topic, the events of one key in their order; an event that came twice is there twice."""
    reader = await log.reader([topic])
    found: list[Event] = []
    try:
        ends = await reader.end_offsets()
        while True:
            at = await reader.positions()
            if all(at.get(place, 0) >= end for place, end in ends.items()):
                return found
            found += [from_record(received) for received in await reader.poll(READ_AT_ONCE, POLL_SECONDS)]
    finally:
        await reader.close()


async def _promises(log: EventLog) -> tuple[list[dict[str, Any]], int]:
    """Answers and changes with their moment, in its order, and how often a promise was told to be at risk."""
    events = list({event.id: event for event in await _events(log, topics.PROMISES.name)}.values())
    told = [
        orjson.loads(event.data) | {"at": event.time.astimezone(UTC).isoformat()}
        for event in events
        if event.type.startswith(("promise.answered", "promise.changed"))
    ]
    told.sort(key=lambda each: each["at"])  # of one order they are in their order already
    return told, sum(event.type == PROMISE_AT_RISK.name for event in events)


async def _fulfilments(log: EventLog) -> list[tuple[str, dict[str, Any]]]:
    kinds = {FULFILMENT_SHIPPED.name: "shipped", FULFILMENT_DELIVERED.name: "delivered"}
    events = sorted(await _events(log, topics.FULFILMENTS.name), key=lambda event: event.time)
    return [
        (kinds[event.type], orjson.loads(event.data) | {"at": event.time.astimezone(UTC).isoformat()})
        for event in events
    ]


async def _ledger_faults(database_url: str) -> list[str]:
    database = await Database.open(database_url, schema="atp", name="scms: audit", max_size=2)
    try:
        oversold, ledger = await audit(database), await verify(database)
    finally:
        await database.close()
    return [f"oversold {place}: {finding}" for place, finding in oversold.oversold.items()] + [
        f"ledger: {drift}" for drift in ledger.drifts
    ]


def _breaches(breaches: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many months were closed below the target, by measure, tier and cause."""
    found: dict[str, int] = {}
    for each in breaches:
        name = f"{each['measure']} {each['tier']} {each['cause'] or each['state']}"
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def _show(summary: Mapping[str, Any]) -> None:
    print(f"{summary['figures_compared']:,} figures compared, {summary['figures_that_differ']} differ")
    for tier in TIERS:
        row = summary["by_tier"][tier]
        print(f"{tier}: {row['promised_and_actual']}")
        print(f"  {row['measured']['ratios']}; in the record: {summary['recorded'][tier]}")
    sys.stdout.flush()


def _write(folder: Path, summary: Mapping[str, Any], *, since: date, past: Past) -> Path:
    parameters = {
        "since": since.isoformat(),
        "transit_days": TRANSIT_DAYS,
        "notice_days": NOTICE_DAYS,
        "gold_percent": GOLD_PERCENT,
        "silver_percent": SILVER_PERCENT,
        "past_due_supply_days": past.late_days,
        "freight_cents": past.freight_cents,
    }
    return keep("scms", folder, parameters=parameters, **summary)


if __name__ == "__main__":
    sys.exit(main())
