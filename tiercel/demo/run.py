"""`tiercel demo`: an order history, or the generated one, through the running services, and what came of it."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final

from tiercel.demo.channels import Answers, LogChannel, ReplayFailedError, ServiceClients
from tiercel.demo.driver import Replay, Sent, eve_of
from tiercel.demo.forms import Ground, run_on_embedded, run_on_stack
from tiercel.demo.generated import generate
from tiercel.demo.history import History
from tiercel.demo.invariants import Invariants, check
from tiercel.demo.peak_memory import own_peak_mib, peaks_mib
from tiercel.demo.reading import UnusableHistoryError, read_history
from tiercel.demo.returning import Returns
from tiercel.demo.setting_up import customer_names, set_up, tier_changes
from tiercel.demo.settling import set_time, settled
from tiercel.demo.stock_model import StockPlan, plan_supply
from tiercel.demo.summary import count
from tiercel.demo.telling import Teller, show
from tiercel.demo.warehouse import Warehouse

OUTPUT: Final = Path("build/demo")
SUPPLY_SHARE_PERCENT: Final = 90
KILL_DELAY_SECONDS: Final = 0.07


@dataclass(slots=True)
class _Outcome:
    """What the work leaves for the exit status."""

    faults: list[str] = field(default_factory=list)
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What to replay and where: `supply_percent` is the modelled supply against demand."""

    orders: Path | None
    mapping: Mapping[str, str]
    form: str
    data: Path
    supply_percent: int = SUPPLY_SHARE_PERCENT
    output: Path = OUTPUT
    kills: int = 0  # of the ATP's process, spread over the replay
    generated: Mapping[str, int] = field(default_factory=dict)  # arguments of `generate`


@dataclass(frozen=True, slots=True)
class _Job:
    wish: Wish
    history: History
    plan: StockPlan
    outcome: _Outcome


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay. `changes` are tier changes by rule; `customers` are their names by registry id."""

    seconds: float
    memory_mib: float
    sent: Sent
    answers: Answers
    warehouse: Warehouse
    changes: list[dict[str, Any]]
    customers: Mapping[str, str]
    found: Invariants


def demo(wish: Wish) -> int:
    """Replay; 0 if every invariant holds."""
    try:
        history = _history(wish)
    except UnusableHistoryError as error:
        print(f"tiercel demo: {error}", file=sys.stderr)
        return 2
    for reason, rows in sorted(history.set_aside_by_reason.items()):
        print(f"{rows:,} rows set aside: {reason} ({history.set_aside_file})", file=sys.stderr)
    plan = plan_supply(history, supply_share=Fraction(wish.supply_percent, 100))
    job = _Job(wish, history, plan, _Outcome())
    run = run_on_embedded if wish.form == "embedded" else run_on_stack
    folder = wish.data / f"demo-{wish.form}"
    try:
        status = run(partial(_replay, job), folder)
    except ReplayFailedError as error:
        print(f"tiercel demo: {error}", file=sys.stderr)
        return 1
    if not job.outcome.finished:
        print(f"tiercel demo: stopped before its end; the logs in {folder} say why", file=sys.stderr)
    return status if job.outcome.finished and not job.outcome.faults else 1


def _history(wish: Wish) -> History:
    if wish.orders is None:
        return generate(**wish.generated)
    return read_history(wish.orders, wish.mapping, wish.output / "set_aside.csv")


async def _replay(job: _Job, ground: Ground) -> None:
    history = job.history
    came = await replay(history, job.plan, ground, kills=job.wish.kills)
    found, answers = came.found, came.answers
    counted = count(answers.first, answers.promises, came.warehouse.shipped_in_time)
    summary: dict[str, Any] = {
        "form": job.wish.form,
        "source": history.source,
        "orders": len(history.orders),
        "lines": history.lines,
        "units": history.units,
        "answered_once": found.answered_once,
        "unanswered": found.unanswered,
        "promised_lines": counted.promised_lines,
        "backordered_lines": counted.backordered_lines,
        "oversold_positions": found.oversold_positions,
        "duplicate_effects": found.duplicate_effects,
        "lost_events": found.lost_events,
        "tier_changes": len(came.changes),
        "returns": came.warehouse.returns_sent,
        "returned_units": came.warehouse.returned_units,
        "unreturned_units": came.warehouse.returns.open_units,
        "seconds": round(came.seconds, 2),
        "promises_per_second": round(len(history.orders) / came.seconds, 1),
        "peak_rss_mib": round(came.memory_mib, 1),
        "by_tier": counted.by_tier,
    }
    await asyncio.to_thread(_write, job.wish.output / "summary.json", summary)
    show(summary, came.changes, found, _notes(came))
    job.outcome.faults, job.outcome.finished = found.faults, True


async def replay(history: History, plan: StockPlan, ground: Ground, *, kills: int = 0) -> Replayed:
    """Replay a history from an empty deployment to its end, and look at what came of it.

    Raises:
        ReplayFailedError: a service refused something, or never answered.
    """
    warehouse = Warehouse(returns=Returns(history.returns))
    async with ServiceClients(ground.endpoints) as clients, LogChannel(ground.event_log, warehouse.learn) as channel:
        await set_time(clients, eve_of(history), "settle", 0)
        await set_up(clients, history, plan)
        await settled(clients)
        teller = Teller(len(history.orders), lambda: warehouse.backlog_lines)
        going = Replay(history, plan, clients, channel, warehouse, teller.day)
        started = time.monotonic()
        try:
            await _run(going, kills, ground)
        finally:
            teller.end()
        seconds = time.monotonic() - started
        changes = await tier_changes(ground.event_log)
        customers = await customer_names(clients)
        found = await check(ground.database_url, history, going.sent, channel.answers, warehouse)
        memory = own_peak_mib() + peaks_mib(ground.process_ids)
    return Replayed(seconds, memory, going.sent, channel.answers, warehouse, changes, customers, found)


async def _run(replay: Replay, kills: int, ground: Ground) -> None:
    """Run the replay; meanwhile, each time that another part of the orders is done, kill the ATP."""
    if not kills:
        await replay.run()
        return
    if ground.kill_atp is None:
        raise ReplayFailedError("--kills needs the distributed form, where the ATP is a process of its own")
    running = asyncio.create_task(replay.run(), name="replay")
    killing = asyncio.create_task(_kill(replay, kills, ground.kill_atp), name="kills")
    await asyncio.wait([running, killing], return_when=asyncio.FIRST_EXCEPTION)
    if killing.done() and killing.exception() is not None:
        running.cancel()
        await asyncio.wait([running])
    killing.cancel()
    await asyncio.wait([killing])
    for task in (killing, running):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _kill(replay: Replay, kills: int, kill_atp: Callable[[], Awaitable[None]]) -> None:
    orders = len(replay.history.orders)
    for number in range(1, kills + 1):
        while replay.done < orders * number // (kills + 1):
            replay.day_done.clear()
            await replay.day_done.wait()
        await asyncio.sleep(KILL_DELAY_SECONDS * number)  # each kill finds the next day at another point
        await kill_atp()


def _notes(came: Replayed) -> list[str]:
    causes = ", ".join(f"{cause} {number:,}" for cause, number in sorted(came.answers.changes_by_cause.items()))
    sent, warehouse = came.sent, came.warehouse
    orders = (
        f"{sent.orders_by_http:,} orders by HTTP, {sent.orders_by_log:,} by the event log,"
        f" {sent.copies:,} events sent twice on purpose; promise changes: {causes or 'none'}"
    )
    returns = f"{warehouse.returned_units:,} units came back in {warehouse.returns_sent:,} returns"
    if never := warehouse.returns.open_units:
        returns += f", {never:,} units did not, since they were never delivered"
    return [orders, returns]


def _write(path: Path, summary: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=2) + "\n")
