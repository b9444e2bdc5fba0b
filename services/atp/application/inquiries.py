"""Inquiries: decided on one consistent picture, which those that wait at the same time share.

A transaction costs more than an inquiry, so what came while the ones before were loaded is loaded together. None sees
another's effects (there are none), and each picture is taken after the inquiries that it is for have come. Nobody waits
for a timer.

    waiting ──▶ picture of all ──▶ each decides on it
                  │ failed: one of them may be to blame
                  └─▶ a picture for each
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from services.atp.application.batch import Batch
from services.atp.application.commands import Command
from services.atp.application.ports import Session, Transactions, Unavailable

TOGETHER_LINES_MAX: Final = 512  # of one picture, but for a single larger inquiry
PICTURES_AT_ONCE: Final = 2  # one is taken while another is; the other connections are for decisions
Load = Callable[[Session, Sequence[Command]], Awaitable[Batch]]


@dataclass(slots=True, eq=False)
class _Inquiry:
    """One that waits for a picture."""

    command: Command
    picture: "asyncio.Future[Batch]"


class Inquiries:
    """Takes the pictures; made by the engine."""

    def __init__(self, transactions: Transactions, load: Load) -> None:
        self._transactions = transactions
        self._load = load
        self._waiting: deque[_Inquiry] = deque()
        self._taking: set[asyncio.Task[None]] = set()

    def picture(self, command: Command) -> "asyncio.Future[Batch]":
        """All that the command needs, as of now. Others may look at it too: it must be left as it is.

        The future raises what loading raises.
        """
        inquiry = _Inquiry(command, asyncio.get_running_loop().create_future())
        self._waiting.append(inquiry)
        if len(self._taking) < PICTURES_AT_ONCE:
            task = asyncio.create_task(self._take_all(), name="engine: pictures")
            self._taking.add(task)
            task.add_done_callback(self._taking.discard)
        return inquiry.picture

    async def _take_all(self) -> None:
        """Take pictures until nobody waits."""
        while self._waiting:
            together = self._next()
            error = await self._take(together)
            if error is not None and len(together) > 1 and not isinstance(error, Unavailable):
                for inquiry in together:
                    _fail([inquiry], await self._take([inquiry]))
            else:
                _fail(together, error)

    def _next(self) -> list[_Inquiry]:
        together = [self._waiting.popleft()]
        lines = together[0].command.lines
        while self._waiting and lines + self._waiting[0].command.lines <= TOGETHER_LINES_MAX:
            together.append(self._waiting.popleft())
            lines += together[-1].command.lines
        return together

    async def _take(self, together: Sequence[_Inquiry]) -> BaseException | None:
        """One picture for all of these; the error if there is none."""
        load = partial(self._load_for, [inquiry.command for inquiry in together])
        task = asyncio.create_task(self._transactions.read(load), name="engine: picture")
        await asyncio.wait({task})
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None:
            return error
        for inquiry in together:
            if not inquiry.picture.done():  # whoever asked may have left
                inquiry.picture.set_result(task.result())
        return None

    async def _load_for(self, commands: Sequence[Command], session: Session) -> Batch:
        return await self._load(session, commands)


def _fail(together: Sequence[_Inquiry], error: BaseException | None) -> None:
    for inquiry in together:
        if error is not None and not inquiry.picture.done():
            inquiry.picture.set_exception(error)
