"""The batch engine: commands wait in bounded queues, one worker drains what is there and decides it in one transaction.

There is no timer: a lone command never waits, and under load a batch is what came while the one before was committed.
Commands are answered only after the database said that it committed.

    drained batch ──▶ transaction ──committed──▶ every command answered
                        ├─ Collision, Again ─▶ the same batch again, at most `ATTEMPTS_MAX` times
                        ├─ CommitLost ───────▶ the same batch again: what was stored is found by identity, key or event
                        ├─ Unavailable ──────▶ every command fails with it (503 and Retry-After, or the log's retry)
                        └─ anything else ────▶ halved, until the culprit is alone and fails with its own error

A command that is waited for no longer (its client left) is decided all the same: the client may ask for it again.

While a batch of new orders waits for the disk in its commit, the next one of other new orders begins, as another
replica would: it loads what it needs, and waits for the locks of positions that both need until the first one has
committed. Everything else is decided strictly one batch after another.

    first    load | lock | decide | write | commit ──▶ answered
    next                                   load | lock ······ | decide | write | commit
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from services.atp.application.batch import Again, Batch, Handler, Needs, answer_of, load_batch
from services.atp.application.commands import (
    AnsweredBefore,
    Command,
    KeyReused,
    Outcome,
    PlaceOrder,
    SeenBefore,
    UnknownOrder,
)
from services.atp.application.content import OrderKey
from services.atp.application.due import store_due
from services.atp.application.free_limits import settle_limits
from services.atp.application.inquiries import Inquiries
from services.atp.application.late_lines import settle_late
from services.atp.application.ports import Collision, CommitLost, EngineMetrics, Session, Transactions, Unavailable
from services.atp.application.queues import Entry, Lane, QueueFull, Queues
from services.atp.application.settling_set_aside import settle_set_aside
from services.atp.application.turn_location import freed_locations
from services.chassis.clocks import WallClock
from services.chassis.idempotency import StoredAnswer

ATTEMPTS_MAX: Final = 3  # a collision is seen at the second attempt; a third is for a second collision
_log = structlog.get_logger(__name__)
Handlers = Mapping[type, Handler[Any]]


class Stopped(Exception):  # noqa: N818 - says what happened
    """The engine takes no more commands: the process is shutting down."""

    problem_code = "draining"


class Engine:
    """Decides commands of all kinds. `run` is its worker; there is one per process."""

    def __init__(
        self, transactions: Transactions, handlers: Handlers, *, wall: WallClock, metrics: EngineMetrics, currency: str
    ) -> None:
        self._transactions = transactions
        self._handlers = handlers
        self._wall = wall
        self._metrics = metrics
        self._currency = currency
        self._queues = Queues()
        self._inquiries = Inquiries(transactions, self.load)
        self._came = asyncio.Event()
        self._room = asyncio.Event()
        self._stopped = False
        self._deciding = 0

    def submit(self, lane: Lane, command: Command) -> "asyncio.Future[Outcome]":
        """Queue a command; the future has its outcome once it is committed.

        Raises QueueFull and Stopped at once; the future raises Unavailable, CommitLost, or the command's own error.
        """
        if self._stopped:
            raise Stopped
        entry = Entry(lane, command, asyncio.get_running_loop().create_future(), self._wall.monotonic())
        self._queues.put(entry)
        self._came.set()
        return entry.answer

    async def submit_in_turn(self, lane: Lane, command: Command) -> "asyncio.Future[Outcome]":
        """`submit`, waiting for room where there is none: for bulks, whose sender waits for the whole."""
        while True:
            try:
                return self.submit(lane, command)
            except QueueFull:
                self._room.clear()
                await self._room.wait()

    def waiting_lines(self) -> int:
        """Lines that are queued or being decided."""
        return sum(self._queues.lines.values()) + self._deciding

    async def run(self, stop: asyncio.Event) -> None:
        """Decide until `stop` is set and the queues are empty; what is submitted later is refused."""
        stopping = asyncio.create_task(stop.wait(), name="engine: stop")
        stopping.add_done_callback(lambda _: self._came.set())
        try:
            await self._decide_until(stop)
        finally:
            self._stopped = True
            self._room.set()
            stopping.cancel()

    async def _decide_until(self, stop: asyncio.Event) -> None:
        before: _UnderWay | None = None
        try:
            while True:
                if before is not None and before.task.done():
                    before.task.result()
                    before = None
                entries = self._queues.take()
                self._room.set()
                if entries:
                    before = await self._begin(entries, before)
                    continue
                if stop.is_set() and before is None:
                    return
                self._came.clear()
                await self._came.wait()
        finally:
            if before is not None:
                before.task.cancel()

    async def _begin(self, entries: Sequence[Entry], before: "_UnderWay | None") -> "_UnderWay":
        """Decide a batch up to its commit; it may begin before the one before has committed, and not end before it."""
        orders = _new_orders(entries)
        if before is not None and (orders is None or before.orders is None or not orders.isdisjoint(before.orders)):
            await before.task
            before = None
        written = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._decide(entries, written), name="engine: decide")
        task.add_done_callback(lambda _: self._end(written))
        try:
            await written
            if before is not None:
                await before.task
            if orders is None:
                await task
        except asyncio.CancelledError:
            task.cancel()
            raise
        return _UnderWay(task, orders)

    def _end(self, written: "asyncio.Future[None]") -> None:
        _note(written)
        self._came.set()

    async def inquire(self, command: Command, decide: Callable[[Batch], Any]) -> Any:
        """Decide a command on one consistent picture; takes no lock, writes nothing.

        `decide` leaves the batch as it is: other inquiries may look at the same one.
        """
        return decide(await self._inquiries.picture(command))

    async def rehearse(self, session: Session, commands: Sequence[Command]) -> list[Outcome]:
        """Decide commands in a session that is never committed: nobody is answered and nothing is counted."""
        _, outcomes = await self._work(commands, session)
        return outcomes

    async def _decide(self, entries: Sequence[Entry], written: "asyncio.Future[None]") -> None:
        lines = sum(entry.command.lines for entry in entries)
        self._deciding += lines
        for lane in Lane:
            self._metrics.queued(lane, self._queues.lines[lane])
        halves = [list(entries)]
        while halves:
            part = halves.pop()
            error = await self._attempt(part, written)
            if error is None:
                continue
            if len(part) > 1 and not isinstance(error, Unavailable | CommitLost):
                middle = len(part) // 2
                halves += [part[middle:], part[:middle]]  # the first half next: first in, first out
                _log.warning("batch_halved", commands=len(part), error=repr(error))
                continue
            for entry in part:
                _fail(entry, error)
        self._deciding -= lines

    async def _attempt(self, entries: list[Entry], written: "asyncio.Future[None]") -> BaseException | None:
        """Decide and answer the entries; the error if they could not be, with none of them answered.

        `written` is set once nothing is left to do but the commit.
        """
        commands = [entry.command for entry in entries]

        async def work(session: Session) -> tuple[Batch, list[Outcome]]:
            result = await self._work(commands, session)
            await session.flush()
            _note(written)
            return result

        error: BaseException | None = None
        for _ in range(ATTEMPTS_MAX):
            task = asyncio.create_task(self._transactions.run(work), name="engine: batch")
            await asyncio.wait({task})
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                batch, outcomes = task.result()
                self._answer(entries, batch, outcomes)
                return None
            if not isinstance(error, Collision | Again | CommitLost):
                return error
        return error

    async def _work(self, commands: Sequence[Command], session: Session) -> tuple[Batch, list[Outcome]]:
        batch = await self.load(session, commands)
        unseen = {command.origin.event_id: None for command in commands if command.origin.event_id is not None}
        seen_first = await session.first_seen(list(unseen)) if unseen else set()
        pairs = [(each.remembered.caller, each.remembered.key) for each in commands if each.remembered is not None]
        answers = await session.stored_answers(pairs) if pairs else {}
        known = dict(answers)
        outcomes: list[Outcome] = []
        refused: list[str] = []
        for command in commands:
            event_id = command.origin.event_id
            if event_id is not None and event_id not in seen_first:
                outcomes.append(SeenBefore())
                continue
            outcome = self._outcome(batch, command, known)
            outcomes.append(outcome)
            if event_id is not None:
                seen_first.discard(event_id)
                if isinstance(outcome, UnknownOrder):
                    refused.append(event_id)
        if refused:
            await session.forget(refused)
        await self._store(session, commands, batch, [answer for pair, answer in known.items() if pair not in answers])
        return batch, outcomes

    def _outcome(self, batch: Batch, command: Command, known: dict[tuple[str, str], StoredAnswer]) -> Outcome:
        remembered = command.remembered
        if remembered is None:
            return self._decided(batch, command)
        stored = known.get((remembered.caller, remembered.key))
        if stored is not None:
            if stored.fingerprint != remembered.fingerprint:
                return KeyReused()
            return AnsweredBefore(stored.status, stored.body)
        outcome = self._decided(batch, command)
        known[remembered.caller, remembered.key] = answer_of(command, *remembered.render(outcome))
        return outcome

    def _decided(self, batch: Batch, command: Command) -> Outcome:
        outcome = self._handler(command).decide(batch, command)
        if batch.freed_limits:
            settle_limits(batch)
        return outcome

    async def load(self, session: Session, commands: Sequence[Command]) -> Batch:
        """All that commands need, as a session has it."""
        needs = Needs()
        kinds: dict[type, list[Command]] = {}
        for command in commands:
            kinds.setdefault(type(command), []).append(command)
        for kind, own in kinds.items():
            handler = self._handlers[kind]
            for command in own:
                handler.needs(command, needs)
            await handler.discover(session, own, needs)
        loader = await load_batch(session, needs, currency=self._currency)
        if loader.orders:
            for command in commands:
                self._handler(command).needs_of_orders(command, loader.orders, needs)
        batch = await loader.finish()
        for kind, own in kinds.items():
            await self._handlers[kind].load(session, batch, own)
        return batch

    async def _store(
        self, session: Session, commands: Sequence[Command], batch: Batch, answers: Sequence[StoredAnswer]
    ) -> None:
        for order in batch.touched.values():
            settle_late(batch, order)
        settle_set_aside(batch)
        batch.contend()
        changed = batch.changed_positions()
        usage = batch.workbook.changed_usage()
        if changed or usage:
            await session.positions.store(changed, usage)
        if divided := [item for item in batch.divided if any(each.position.key.item_id == item for each in changed)]:
            await session.divide(divided, batch.now)
        record = batch.workbook.record(batch.decision_id, batch.now)
        if batch.touched or record is not None or batch.unapplied:
            await session.orders.store(list(batch.touched.values()), record, batch.unapplied, batch.now)
        for kind in dict.fromkeys(type(command) for command in commands):
            await self._handlers[kind].store(session, batch)
        await store_due(session, batch)
        if freed := freed_locations(batch.configuration, batch.workbook.usage_before, usage):
            await session.turn_locations(freed, batch.now)
        if batch.reviews:
            await session.deficits.ask(batch.reviews, batch.now)
        marked = any(batch.marks.get(each.position.key) is not None for each in changed)
        if batch.emitted or answers or marked:
            await session.finish(batch.events(), answers, marked=marked)
        if batch.audited:
            await session.append_audit(batch.audited, batch.now)

    def _handler(self, command: Command) -> Handler[Any]:
        return self._handlers[type(command)]

    def _answer(self, entries: Sequence[Entry], batch: Batch, outcomes: Sequence[Outcome]) -> None:
        now = self._wall.monotonic()
        for entry, outcome in zip(entries, outcomes, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(outcome)
        self._metrics.answered(entries[0].lane, [now - entry.entered for entry in entries])
        self._metrics.promised(batch.promised)
        for what, count in batch.counts.items():
            self._metrics.counted(what, count)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A batch in its commit; `orders` are its new orders, None if it is of other commands too."""

    task: asyncio.Task[None]
    orders: frozenset[OrderKey] | None


def _new_orders(entries: Sequence[Entry]) -> frozenset[OrderKey] | None:
    """The orders of a batch that does nothing but place orders."""
    keys = [entry.command.key for entry in entries if isinstance(entry.command, PlaceOrder)]
    return frozenset(keys) if len(keys) == len(entries) else None


def _note(written: "asyncio.Future[None]") -> None:
    if not written.done():
        written.set_result(None)


def _fail(entry: Entry, error: BaseException) -> None:
    _log.error("command_failed", kind=type(entry.command).__name__, lane=entry.lane, error=repr(error))
    if not entry.answer.done():
        entry.answer.set_exception(error)
