"""Waiting until a service has nothing left to do."""

import asyncio

from services.chassis.event_log.port import EventLogError
from services.chassis.lifecycle import Quiet
from services.chassis.quiet import LOOK_SECONDS, Stir, look_twice, when_quiet


class Work:
    """Some work left to do, as a service would report it."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.looks = 0
        self.looked = asyncio.Event()

    async def look(self) -> Quiet:
        self.looks += 1
        self.looked.set()
        return Quiet(quiet=self.left == 0, activity=0, pending={"left": self.left})


async def test_what_is_quiet_is_told_at_once() -> None:
    work = Work(0)
    assert (await when_quiet(work.look, Stir(), 3_600)).quiet
    assert work.looks == 1


async def test_without_waiting_the_first_look_is_told_whatever_it_finds() -> None:
    work = Work(1)
    assert (await when_quiet(work.look, Stir(), 0)).pending == {"left": 1}
    assert work.looks == 1


async def test_whoever_waits_is_woken_by_what_was_done() -> None:
    work, stir = Work(1), Stir()
    waiting = asyncio.create_task(when_quiet(work.look, stir, 3_600))
    await work.looked.wait()
    work.left = 0
    stir.tell()
    assert (await waiting).quiet
    assert work.looks == 2


async def test_what_is_done_during_a_look_is_not_missed() -> None:
    stir, work = Stir(), Work(1)

    async def look() -> Quiet:
        found = await work.look()
        work.left = 0
        stir.tell()
        return found

    assert (await when_quiet(look, stir, 3_600)).quiet
    assert work.looks == 2


async def test_what_another_process_did_is_found_without_being_told() -> None:
    work = Work(1)
    waiting = asyncio.create_task(when_quiet(work.look, Stir(), 100 * LOOK_SECONDS))
    await work.looked.wait()
    work.left = 0
    assert (await waiting).quiet


async def test_at_the_end_of_the_wait_what_is_left_is_told() -> None:
    work = Work(2)
    assert (await when_quiet(work.look, Stir(), 0.01)).pending == {"left": 2}


async def test_telling_nobody_is_no_work() -> None:
    stir = Stir()
    stir.tell()
    coming = stir.coming()
    assert not coming.done()
    stir.tell()
    stir.tell()
    assert coming.done()


async def test_what_was_read_of_the_log_while_it_was_asked_shows_in_the_second_look() -> None:
    tables = {"events_unpublished": 0}

    async def left() -> tuple[int, dict[str, int]]:
        return 7, dict(tables)

    async def unread() -> dict[str, int]:
        tables["events_unpublished"] = 1  # the last event of the log was taken in between and something came of it
        return {"orders_unread": 0}

    found = await look_twice(left, unread)
    assert not found.quiet
    assert found.pending == {"events_unpublished": 1, "orders_unread": 0}


async def test_the_log_is_not_asked_while_tables_have_something_left() -> None:
    async def left() -> tuple[int, dict[str, int]]:
        return 7, {"due": 2}

    async def unread() -> dict[str, int]:
        raise AssertionError

    assert (await look_twice(left, unread)).pending == {"due": 2}


async def test_a_log_that_cannot_be_reached_is_something_left() -> None:
    async def left() -> tuple[int, dict[str, int]]:
        return 7, {"due": 0}

    async def unread() -> dict[str, int]:
        message = "no broker"
        raise EventLogError(message)

    found = await look_twice(left, unread)
    assert (found.quiet, found.activity, found.pending) == (False, 7, {"log_unreachable": 1})
