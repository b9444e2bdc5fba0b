"""Rounds of shots in turn, so that a change of the machine's mood hits all that is compared; medians over rounds."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import Figure
from bench.load import Load, Requests, run
from bench.processor import of_ended_children, per_piece, used
from tiercel.demo.channels import ServiceClients
from tiercel.stack.deployment import Deployment

ROUNDS: Final = 3
SECONDS: Final = 6
GENERATOR: Final = "load generator"
SETTLE_SECONDS_MAX: Final = 60.0
SETTLE_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one shot saw, and the processor time per request by process where somebody looked."""

    load: Load
    processor_us: Mapping[str, float] | None = None


Shot = Callable[[], Awaitable[Outcome]]


def shot(url: str, wanted: Requests, *, connections: int, key: str, seconds: int = SECONDS) -> Shot:
    """A load and nothing else."""

    async def shoot() -> Outcome:
        return Outcome(await asyncio.to_thread(run, url, wanted, seconds=seconds, connections=connections, key=key))

    return shoot


def followed(deployment: Deployment, load: Shot, clients: ServiceClients | None) -> Shot:
    """A load on the deployment, with the processor time of all that it causes, and of the load generator itself.

    With `clients`, until everything downstream has been done: published, and counted by the reclassifier.
    """

    async def shoot() -> Outcome:
        before, generators = await used(deployment), of_ended_children()
        outcome = await load()
        generator_us = (of_ended_children() - generators) * 1e6 / max(1, outcome.load.requests)
        if clients is not None:
            await settled(clients)
        spent = per_piece(before, await used(deployment), outcome.load.requests)
        return Outcome(outcome.load, {**spent, GENERATOR: round(generator_us, 1)} if spent else spent)

    return shoot


async def settled(clients: ServiceClients) -> None:
    """Wait until the ATP has published everything and the reclassifier has counted it."""
    async with asyncio.timeout(SETTLE_SECONDS_MAX):
        for service in ("atp", "reclassifier"):
            # What is asked has no event to wait for.
            while not (await clients.call(service, "GET", "/internal/quiet?wait_seconds=1"))["quiet"]:  # noqa: ASYNC110
                await asyncio.sleep(SETTLE_POLL_SECONDS)


async def in_turn(shots: Mapping[str, Shot], *, rounds: int = ROUNDS) -> dict[str, list[Outcome]]:
    """One shot of each to warm up, then rounds of all in turn."""
    found: dict[str, list[Outcome]] = {name: [] for name in shots}
    for number in range(rounds + 1):
        for name, shoot in shots.items():
            outcome = await shoot()
            if number:
                found[name].append(outcome)
    return found


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """Shots that ran at the same time as one: rates and counts add up, of latencies the worst counts."""
    loads = [outcome.load for outcome in outcomes]
    return Outcome(
        Load(
            per_second=sum(load.per_second for load in loads),
            p50_ms=max(load.p50_ms for load in loads),
            p99_ms=max(load.p99_ms for load in loads),
            requests=sum(load.requests for load in loads),
            errors=sum(load.errors for load in loads),
        )
    )


def ratio(own: float, other: float) -> float | None:
    """How many times the other; None where a slow machine completed nothing of one of them."""
    return own / other if own and other else None


def rate(outcomes: Sequence[Outcome]) -> float:
    """Requests a second, the median."""
    return statistics.median(each.load.per_second for each in outcomes)


def p50_ms(outcomes: Sequence[Outcome]) -> float:
    """The median of the medians, in milliseconds."""
    return statistics.median(each.load.p50_ms for each in outcomes)


def p99_ms(outcomes: Sequence[Outcome]) -> float:
    """The median of the 99th percentiles, in milliseconds."""
    return statistics.median(each.load.p99_ms for each in outcomes)


def figure(
    case: str,
    outcomes: Sequence[Outcome],
    *,
    pieces: int = 1,
    unit: str = "1/s",
    baseline: str | None = None,
    ratio: float | None = None,
) -> Figure:
    """A rate with its latencies; a request holds so many `pieces`, and the processor time is of one piece."""
    return Figure(
        case=case,
        metric="requests" if pieces == 1 else "pieces",
        unit=unit,
        value=rate(outcomes) * pieces,
        p50_ms=p50_ms(outcomes) or None,
        p99_ms=p99_ms(outcomes) or None,
        baseline=baseline,
        ratio=ratio,
        errors=sum(each.load.errors for each in outcomes),
        processor_us=_processor_us(outcomes, pieces),
    )


def _processor_us(outcomes: Sequence[Outcome], pieces: int) -> Mapping[str, float] | None:
    looks = [each.processor_us for each in outcomes if each.processor_us]
    if not looks:
        return None
    names = dict.fromkeys(name for look in looks for name in look)
    return {name: round(statistics.median(look.get(name, 0.0) for look in looks) / pieces, 1) for name in names}
