"""What passes through the whole deployment: batches, reads, large orders, Kafka intake, two replicas.

Everything runs on one machine, auth on, PostgreSQL durable. Lines are durable when they are answered. Baselines, in the
same run: those of `bench.promise` for what is asked over HTTP; for the intake a consumer that reads and validates the
same events and does nothing with them; for two replicas one replica under the same load.

`--profile` adds, after the rounds of each case and in a round of its own, a profile by function of what is at work:
`bench.profiles` says how to read it. `--case=NAME` measures that case alone.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

import asyncpg
import orjson

from bench.baselines import KEY, NOTHING, USUAL, Baselines, baselines
from bench.deployment import ATP, measured
from bench.figures import Figure, write
from bench.load import Requests, require_wrk
from bench.processor import per_piece, used
from bench.profiles import Profiles, show
from bench.rounds import SECONDS, Outcome, Shot, figure, followed, in_turn, p99_ms, rate, ratio, settled, shot, together
from services.chassis.envelope import Event, from_record, to_record
from services.chassis.event_log.port import Producer
from services.contracts.catalogue import ORDER_PLACED, decode
from services.contracts.topics import ORDERS
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment

BATCH_ORDERS: Final = 50
BATCH_CONNECTIONS: Final = 8
CONNECTIONS: Final = 64
LARGE_LINES: Final = 1_000
LARGE_SECONDS: Final = 10
INTAKE_EVENTS: Final = 10_000
INTAKE_SECONDS_MAX: Final = 300.0
ITEMS: Final = 1_000
BATCH: Final = Requests("/v1/promises:batch", items=ITEMS, orders=BATCH_ORDERS, tag="batch")
READS: Final = Requests("/v1/availability", script="reads.lua", items=ITEMS)
QUICK: Final = Requests("/v1/availability:quick", script="reads.lua", items=ITEMS)
LARGE: Final = Requests(items=ITEMS, lines=LARGE_LINES, tag="large")


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the cases run on; `profiles` is there if profiles are asked for."""

    deployment: Deployment
    clients: ServiceClients
    others: Baselines
    profiles: Profiles | None

    async def explain(self, case: str, shoot: Shot, *, pieces: int = 1) -> None:
        """Take the profile of a case, whose requests have so many pieces, if it is asked for."""
        if self.profiles is not None:
            await self.profiles.take(case, self.deployment, partial(_pieces_of, shoot, pieces))


Case = Callable[[_Scene], Awaitable[list[Figure]]]


async def main(cases: Mapping[str, Case], *, profiled: bool) -> None:
    """Measure and write `build/bench/throughput.json`."""
    require_wrk()
    with TemporaryDirectory() as folder:
        profiles = Profiles(Path(folder)) if profiled else None
        wanted = ATP if profiles is None else profiles.profiled(ATP)
        async with measured(wanted) as (deployment, clients), baselines() as others:
            scene = _Scene(deployment, clients, others, profiles)
            figures = [figure for measure in cases.values() for figure in await measure(scene)]
    taken = [] if profiles is None else profiles.taken
    sections = {"profiles": [asdict(profile) for profile in taken]}
    notes = {"seconds": SECONDS, "fsync": True, "auth": True, "batch_connections": BATCH_CONNECTIONS}
    write("throughput", figures, sections=sections, **notes)
    for profile in taken:
        show(profile)


async def _pieces_of(shoot: Shot, pieces: int) -> int:
    return (await shoot()).load.requests * pieces


async def _batches(scene: _Scene) -> list[Figure]:
    deployment, clients, others = scene.deployment, scene.clients, scene.others
    own = shot(deployment.urls["atp"], BATCH, connections=BATCH_CONNECTIONS, key=deployment.api_key)
    found = await in_turn(
        {
            "atp": followed(deployment, own, clients),
            "nothing": shot(others.nothing, BATCH, connections=BATCH_CONNECTIONS, key=KEY),
            "usual": shot(others.usual, BATCH, connections=BATCH_CONNECTIONS, key=KEY),
        }
    )
    case = f"batches of {BATCH_ORDERS} orders of one line"
    await scene.explain(case, own, pieces=BATCH_ORDERS)
    return _against(case, found, pieces=BATCH_ORDERS, unit="lines/s")


async def _reads(case: str, wanted: Requests, scene: _Scene) -> list[Figure]:
    deployment, others = scene.deployment, scene.others
    own = shot(deployment.urls["atp"], wanted, connections=CONNECTIONS, key=deployment.api_key)
    found = await in_turn(
        {
            "atp": followed(deployment, own, None),
            "nothing": shot(others.nothing, wanted, connections=CONNECTIONS, key=KEY),
            "usual": shot(others.usual, wanted, connections=CONNECTIONS, key=KEY),
        }
    )
    await scene.explain(case, own)
    return _against(case, found)


async def _quick(scene: _Scene) -> list[Figure]:
    return await _reads("quick availability of one item", QUICK, scene)


async def _by_day(scene: _Scene) -> list[Figure]:
    return await _reads("availability of one item by day", READS, scene)


async def _large_orders(scene: _Scene) -> list[Figure]:
    deployment, clients, others = scene.deployment, scene.clients, scene.others

    def large(url: str, key: str) -> Shot:
        return shot(url, LARGE, connections=1, key=key, seconds=LARGE_SECONDS)

    found = await in_turn(
        {
            "atp": followed(deployment, large(deployment.urls["atp"], deployment.api_key), clients),
            "usual": large(others.usual, KEY),
        },
        rounds=1,
    )
    times = ratio(p99_ms(found["atp"]), p99_ms(found["usual"]))
    case = f"an order of {LARGE_LINES:,} lines"
    await scene.explain(case, large(deployment.urls["atp"], deployment.api_key))
    return [
        figure(f"{case}: {USUAL}", found["usual"]),
        figure(f"{case}: promise", found["atp"], baseline=f"the p99 of {USUAL}", ratio=times),
    ]


async def _intake(scene: _Scene) -> list[Figure]:
    deployment, clients = scene.deployment, scene.clients
    producer = await deployment.event_log.producer("bench")
    await settled(clients)
    before = await used(deployment)
    own = INTAKE_EVENTS / await _take_in(deployment, producer, "intake")
    await settled(clients)
    processor_us = per_piece(before, await used(deployment), INTAKE_EVENTS)
    other = INTAKE_EVENTS / await _read_and_do_nothing(deployment)

    async def again() -> int:
        await _take_in(deployment, producer, "profiled")
        return INTAKE_EVENTS

    if scene.profiles is not None:
        await scene.profiles.take("Kafka intake", deployment, again)
    await producer.close()
    words = "a consumer that reads and validates"
    return [
        Figure(f"Kafka intake: {words}", "events", "1/s", other),
        Figure(
            "Kafka intake: orders promised",
            "events",
            "1/s",
            own,
            baseline=words,
            ratio=ratio(own, other),
            processor_us=processor_us,
        ),
    ]


async def _take_in(deployment: Deployment, producer: Producer, source: str) -> float:
    """Seconds from the first event published to the last order answered."""
    records = [to_record(_event(source, number)) for number in range(INTAKE_EVENTS)]
    started = time.perf_counter()
    await producer.publish(records, deadline_seconds=INTAKE_SECONDS_MAX)
    await _until_answered(deployment, source)
    return time.perf_counter() - started


async def _until_answered(deployment: Deployment, source: str) -> None:
    connection = await asyncpg.connect(deployment.database_url)
    try:
        async with asyncio.timeout(INTAKE_SECONDS_MAX):
            # The database has no event to wait for.
            while await connection.fetchval(_ANSWERED, source) < INTAKE_EVENTS:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    finally:
        await connection.close()


_ANSWERED: Final = "SELECT count(*) FROM atp.order_identity WHERE source = $1"


async def _read_and_do_nothing(deployment: Deployment) -> float:
    """Seconds that it takes to read and validate the same events in a group of its own."""
    consumer = await deployment.event_log.consumer(f"bench.{uuid4().hex}", [ORDERS.name])
    started, last, count = 0.0, 0.0, 0
    async with asyncio.timeout(INTAKE_SECONDS_MAX):
        while count < INTAKE_EVENTS:
            received = await consumer.poll(500, 1.0)
            started = started or (time.perf_counter() if received else 0.0)
            for each in received:
                event = from_record(each)
                decode(event.type, event.data, topic=event.topic)
            count += len(received)
            last = time.perf_counter()
    await consumer.close()
    return max(last - started, 1e-6)


async def _replicas(scene: _Scene) -> list[Figure]:
    deployment, clients = scene.deployment, scene.clients
    second = await deployment.start(next(each.wanted for each in deployment.processes if each.wanted.roles == ("api",)))
    url, key = deployment.urls["atp"], deployment.api_key
    half = CONNECTIONS // 2

    async def both() -> Outcome:
        shots = [shot(each, Requests(), connections=half, key=key) for each in (url, second.url)]
        return together(await asyncio.gather(*(shoot() for shoot in shots)))

    one = shot(url, Requests(), connections=CONNECTIONS, key=key)
    found = await in_turn({"one": followed(deployment, one, clients), "two": followed(deployment, both, clients)})
    await scene.explain("two replicas on one hot item", both)
    await deployment.stop(second)
    times = ratio(rate(found["two"]), rate(found["one"]))
    return [
        figure("one replica on one hot item", found["one"]),
        figure("two replicas on one hot item", found["two"], baseline="one replica", ratio=times),
    ]


def _against(case: str, found: dict[str, list[Outcome]], *, pieces: int = 1, unit: str = "1/s") -> list[Figure]:
    figures: list[Figure] = []
    for name, words in (("nothing", NOTHING), ("usual", USUAL)):
        figures.append(figure(f"{case}: {words}", found[name], pieces=pieces, unit=unit))
        times = ratio(rate(found["atp"]), rate(found[name]))
        own = figure(f"{case}: ATP", found["atp"], pieces=pieces, unit=unit, baseline=words, ratio=times)
        figures.append(own)
    return figures


def _event(source: str, number: int) -> Event:
    order: dict[str, Any] = {
        "order": {"source": source, "order_id": f"I-{number}"},
        "customer": {"system": "bench", "id": f"C-{number % 100 + 1}"},
        "ship_to": {"zone": "GB"},
        "lines": [{"line": "1", "sku": f"BENCH-{number % ITEMS + 1:04d}", "quantity": 1, "unit_price": "2.55"}],
    }
    event_id = str(uuid4())
    return Event(
        id=event_id,
        type=ORDER_PLACED.name,
        source="urn:tiercel:bench",
        topic=ORDERS.name,
        key=order["order"]["order_id"],
        sequence=1,
        time=datetime.now(UTC),
        data=orjson.dumps(order),
        correlation_id=event_id,
        causation_id=event_id,
        dataschema=ORDER_PLACED.dataschema,
    )


CASES: Final[Mapping[str, Case]] = {
    "batch": _batches,
    "quick": _quick,
    "by-day": _by_day,
    "large": _large_orders,
    "intake": _intake,
    "replicas": _replicas,
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench throughput", description=__doc__)
    parser.add_argument("--profile", action="store_true", help="a profile by function of each case, after its rounds")
    words = f"only this one (may be repeated): {', '.join(CASES)}"
    parser.add_argument("--case", action="append", choices=list(CASES), metavar="NAME", help=words)
    return parser.parse_args()


if __name__ == "__main__":
    options = _options()
    chosen = options.case or list(CASES)
    asyncio.run(main({name: CASES[name] for name in chosen}, profiled=options.profile))
