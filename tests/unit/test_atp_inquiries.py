"""Inquiries that wait at the same time share one picture; a failure of one is not the others'."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from services.atp.application.batch import Batch
from services.atp.application.commands import Command, Origin, Remembered
from services.atp.application.inquiries import TOGETHER_LINES_MAX, Inquiries
from services.atp.application.ports import Session, Transactions, Unavailable


@dataclass(frozen=True, slots=True)
class Question:
    """A command that is only inquired."""

    name: str
    lines: int = 1
    origin: Origin = field(default_factory=lambda: Origin("c", "c"))
    remembered: Remembered | None = None


def _ask(name: str, lines: int = 1) -> Question:
    return Question(name, lines)


def _names(picture: Batch | BaseException) -> Any:
    return picture


class Pictures:
    """Transactions that keep what was loaded together; a load waits until `open` is set."""

    def __init__(self) -> None:
        self.taken: list[list[str]] = []
        self.open = asyncio.Event()
        self.poison: str | None = None
        self.away = False

    async def read(self, work: Callable[[Session], Awaitable[Any]]) -> Any:
        await self.open.wait()
        if self.away:
            raise Unavailable("away")
        return await work(cast("Session", None))

    async def load(self, _: Session, commands: Sequence[Command]) -> Batch:
        items = [cast("Question", command).name for command in commands]
        self.taken.append(items)
        if self.poison in items:
            raise LookupError(self.poison)
        return cast("Batch", tuple(items))

    def inquiries(self) -> Inquiries:
        return Inquiries(cast("Transactions", self), self.load)


async def test_what_comes_at_once_is_loaded_together() -> None:
    pictures = Pictures()
    pictures.open.set()
    inquiries = pictures.inquiries()

    seen = await asyncio.gather(*(inquiries.picture(_ask(item)) for item in "abc"))

    assert pictures.taken == [["a", "b", "c"]]
    assert [_names(each) for each in seen] == [("a", "b", "c")] * 3


async def test_what_comes_while_pictures_are_taken_shares_the_next_one() -> None:
    pictures = Pictures()
    inquiries = pictures.inquiries()
    first = inquiries.picture(_ask("a"))
    await asyncio.sleep(0)
    second = inquiries.picture(_ask("b"))
    await asyncio.sleep(0)
    later = [inquiries.picture(_ask(item)) for item in "cd"]
    await asyncio.sleep(0)
    pictures.open.set()

    await asyncio.gather(first, second, *later)

    assert pictures.taken == [["a"], ["b"], ["c", "d"]]


async def test_a_picture_is_bounded_by_lines() -> None:
    pictures = Pictures()
    pictures.open.set()
    inquiries = pictures.inquiries()

    await asyncio.gather(*(inquiries.picture(_ask(item, TOGETHER_LINES_MAX // 2)) for item in "abc"))

    assert sorted(pictures.taken) == [["a", "b"], ["c"]]


async def test_one_that_cannot_be_loaded_fails_alone() -> None:
    pictures = Pictures()
    pictures.open.set()
    pictures.poison = "b"
    inquiries = pictures.inquiries()

    found = await asyncio.gather(*(inquiries.picture(_ask(item)) for item in "abc"), return_exceptions=True)

    assert _names(found[0]) == ("a",)
    assert isinstance(found[1], LookupError)
    assert _names(found[2]) == ("c",)


async def test_a_database_that_is_away_is_not_asked_for_each() -> None:
    pictures = Pictures()
    pictures.open.set()
    pictures.away = True
    inquiries = pictures.inquiries()

    found = await asyncio.gather(*(inquiries.picture(_ask(item)) for item in "ab"), return_exceptions=True)

    assert [type(each) for each in found] == [Unavailable, Unavailable]
    assert pictures.taken == []


async def test_one_who_left_keeps_nobody_from_an_answer() -> None:
    pictures = Pictures()
    inquiries = pictures.inquiries()
    gone, stays = inquiries.picture(_ask("a")), inquiries.picture(_ask("b"))
    gone.cancel()
    pictures.open.set()

    assert _names(await stays) == ("a", "b")
    with pytest.raises(asyncio.CancelledError):
        await gone
