"""The life of a process: a death stops it with its reason, and it ends stage by stage within its deadlines."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.chassis.lifecycle import Quiet, Stage, Supervisor, TaskDied

PROMPTLY_SECONDS = 60.0


def _obedient(log: list[str], name: str) -> Callable[[asyncio.Event], Awaitable[None]]:
    async def run(stop: asyncio.Event) -> None:
        await stop.wait()
        log.append(name)

    return run


async def _end(supervisor: Supervisor) -> None:
    async with asyncio.timeout(PROMPTLY_SECONDS):
        await supervisor.run_until_stopped()


async def test_stages_end_one_after_another_and_closers_last_opened_first() -> None:
    supervisor, log = Supervisor(), list[str]()
    for stage in (Stage.RELAY, Stage.SERVER, Stage.CONSUMERS, Stage.QUEUES):
        supervisor.spawn(stage.name, _obedient(log, stage.name), stage=stage)

    async def close(name: str) -> None:
        log.append(name)

    supervisor.on_drain(lambda: log.append("readiness off"))
    supervisor.on_close("pool", lambda: close("pool"))
    supervisor.on_close("cache", lambda: close("cache"))
    supervisor.request_stop("SIGTERM")
    await _end(supervisor)
    assert log == ["readiness off", "SERVER", "QUEUES", "CONSUMERS", "RELAY", "cache", "pool"]
    assert supervisor.reason == "SIGTERM"


async def test_a_stage_is_not_asked_to_stop_before_the_former_has_ended() -> None:
    supervisor, log = Supervisor(), list[str]()
    queue: asyncio.Queue[str] = asyncio.Queue()
    await queue.put("accepted")

    async def worker(stop: asyncio.Event) -> None:
        await stop.wait()
        while not queue.empty():
            log.append(queue.get_nowait())

    async def server(stop: asyncio.Event) -> None:
        await stop.wait()
        await asyncio.wait_for(queue.put("in flight at the end"), PROMPTLY_SECONDS)

    supervisor.spawn("worker", worker, stage=Stage.QUEUES)
    supervisor.spawn("server", server, stage=Stage.SERVER)
    supervisor.request_stop("SIGTERM")
    await _end(supervisor)
    assert log == ["accepted", "in flight at the end"]


async def test_a_task_that_fails_stops_the_process_with_its_reason() -> None:
    supervisor, log = Supervisor(), list[str]()

    async def broken(_: asyncio.Event) -> None:
        raise KeyError("lost")

    supervisor.spawn("relay", broken, stage=Stage.RELAY)
    supervisor.spawn("consumer", _obedient(log, "consumer"))
    with pytest.raises(TaskDied, match="relay died: KeyError") as caught:
        await _end(supervisor)
    assert isinstance(caught.value.__cause__, KeyError)
    assert log == ["consumer"]
    assert supervisor.reason == "relay died: KeyError('lost')"


async def test_a_task_that_ends_unasked_is_dead_too() -> None:
    supervisor = Supervisor()

    async def lazy(_: asyncio.Event) -> None:
        """Ends at once."""

    supervisor.spawn("heartbeat", lazy)
    with pytest.raises(TaskDied, match="heartbeat ended without being asked to"):
        await _end(supervisor)


async def test_a_task_that_does_not_end_is_cut_and_the_rest_goes_on() -> None:
    supervisor, log = Supervisor(stage_deadline_seconds=0.01), list[str]()

    async def deaf(_: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("deaf was cut")

    async def close() -> None:
        log.append("closed")

    supervisor.spawn("deaf", deaf, stage=Stage.QUEUES)
    supervisor.spawn("relay", _obedient(log, "relay"), stage=Stage.RELAY)
    supervisor.on_close("pool", close)
    supervisor.request_stop("SIGTERM")
    await _end(supervisor)
    assert log == ["deaf was cut", "relay", "closed"]


async def test_a_closer_that_fails_or_hangs_does_not_keep_the_others_from_closing() -> None:
    supervisor, log = Supervisor(stage_deadline_seconds=0.01), list[str]()

    async def good() -> None:
        log.append("closed")

    async def broken() -> None:
        raise RuntimeError("no")

    async def hanging() -> None:
        await asyncio.Event().wait()

    supervisor.on_close("first", good)
    supervisor.on_close("broken", broken)
    supervisor.on_close("hanging", hanging)
    supervisor.request_stop("SIGTERM")
    with pytest.raises(TaskDied, match="closing broken"):
        await _end(supervisor)
    assert log == ["closed"]


async def test_a_death_while_stopping_is_told() -> None:
    supervisor = Supervisor()

    async def clumsy(stop: asyncio.Event) -> None:
        await stop.wait()
        raise RuntimeError("could not commit")

    supervisor.spawn("consumer", clumsy)
    supervisor.request_stop("SIGTERM")
    with pytest.raises(TaskDied, match="could not commit"):
        await _end(supervisor)


async def test_a_second_signal_ends_the_patience() -> None:
    supervisor, log = Supervisor(drain_seconds=3_600, stage_deadline_seconds=3_600), list[str]()
    deaf_is_waiting = asyncio.Event()

    async def deaf(_: asyncio.Event) -> None:
        try:
            deaf_is_waiting.set()
            await asyncio.Event().wait()
        finally:
            log.append("cut")

    supervisor.spawn("deaf", deaf)
    ending = asyncio.create_task(_end(supervisor))
    await deaf_is_waiting.wait()
    supervisor.request_stop("SIGTERM")
    supervisor.request_stop("SIGTERM")
    await ending
    assert log == ["cut"]


async def test_it_goes_on_serving_while_balancers_find_out() -> None:
    supervisor, log = Supervisor(drain_seconds=0.02), list[str]()
    supervisor.spawn("server", _obedient(log, "server"), stage=Stage.SERVER)
    drained = asyncio.Event()

    def note() -> None:
        assert supervisor.stopping
        log.append("readiness off")
        drained.set()

    supervisor.on_drain(note)
    ending = asyncio.create_task(_end(supervisor))
    supervisor.request_stop("SIGTERM")
    await drained.wait()
    assert log == ["readiness off"]
    await ending
    assert log == ["readiness off", "server"]


async def test_a_cancelled_supervisor_still_closes_everything() -> None:
    supervisor, log = Supervisor(), list[str]()
    supervisor.spawn("relay", _obedient(log, "relay"), stage=Stage.RELAY)
    running = asyncio.create_task(supervisor.run_until_stopped())
    await asyncio.wait([running], timeout=0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert log == ["relay"]


def test_quiet_is_shown_as_json_values() -> None:
    assert Quiet(quiet=False, activity=7, pending={"outbox": 2}).document() == {
        "quiet": False,
        "activity": 7,
        "pending": {"outbox": 2},
    }
