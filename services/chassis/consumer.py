"""The consumer loop: takes records of a group in batches to a handler, and loses or skips none silently.

    open ─▶ poll ─▶ decode ─▶ apply (retry, halve) ─▶ write dead letters ─▶ commit ─▶ poll ...
     ▲        │                                        │ the twin takes none: its partition stops, the others go on
     └────────┘ the log is away: a new consumer, which starts at the committed offsets

Guarantees: an offset is committed only after the handler said that everything before it is stored, or after its letter
is written; events of a partition are applied in order, except that a poison event is set aside and does not hold up
those behind it. Not guaranteed: exactly once; the handler's inbox sees to that.

It ends the process (raises) when letters come too fast (`DeadLetterFuse`), and when it made no progress for too long
(`ConsumerStalled`), because a process that only looks healthy is worse than one that is started again.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog
from opentelemetry.trace import SpanKind

from services.chassis import tracing
from services.chassis.clocks import SystemClock, WallClock
from services.chassis.consumer_metrics import ConsumerMetrics
from services.chassis.database import Retry
from services.chassis.dead_letters import DeadLetterFuse, Fuse, Letter, offsets_before, write_letters
from services.chassis.deliveries import Delivery, Handler, Rejected
from services.chassis.envelope import MalformedEvent, from_record
from services.chassis.event_log.port import (
    EventLog,
    GroupConsumer,
    LogUnavailable,
    OwnershipLost,
    Producer,
    PublishRefused,
    PublishUnknown,
    Received,
    TopicPartition,
)
from services.chassis.isolation import Interrupted, Isolation, Patience
from services.chassis.tracing import Name

__all__ = ["ConsumerRunner", "ConsumerStalled", "Delivery", "Handler", "Limits", "Rejected"]

BATCH_MAX: Final = 500  # records; the database work of a batch stays well below a second

_log = structlog.get_logger(__name__)


class ConsumerStalled(Exception):  # noqa: N818 - says what happened
    """The loop made no progress for too long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often; the defaults suit production, tests shorten them."""

    poll_seconds: float = 1.0
    gather_seconds: float = 0.0  # for how long the log may hold records back, so that batches fill
    stall_seconds: float = 300.0  # without a poll that the log answered, or a batch that was applied
    reopen: Retry = field(default_factory=lambda: Retry(pause_first_seconds=0.2, pause_max_seconds=5.0))
    letter_seconds: float = 10.0  # to write dead letters
    stopped_partition_seconds: float = 5.0  # between attempts to write the letters of a stopped partition
    lag_seconds: float = 5.0  # between measurements of the lag
    fuse_records: int = 100
    fuse_window_seconds: float = 60.0
    patience: Patience = field(default_factory=Patience)


class ConsumerRunner:
    """Runs a handler over the topics of a group until it is told to stop. One runner is one member of the group."""

    def __init__(
        self,
        log: EventLog,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        *,
        batch_max: int = BATCH_MAX,
        dead_letters: Callable[[str], str],
        metrics: ConsumerMetrics,
        member: str | None = None,
        limits: Limits | None = None,
        wall: WallClock | None = None,
        committed: Callable[[], None] | None = None,
        foreign: Collection[str] = (),
    ) -> None:
        """`dead_letters` names the twin of a topic; `member` is a name that survives a restart, if there is one.

        `committed` is called whenever offsets were stored. `foreign` are reasons of rejections that say nothing about
        this consumer: whoever may write to a topic could else stop its reader by a flood that is refused anyway.
        """
        self._log = log
        self._group = group
        self._topics = tuple(topics)
        self._handler = handler
        self._batch_max = batch_max
        self._twin_of = dead_letters
        self._metrics = metrics
        self._member = member
        self._limits = limits or Limits()
        self._wall = wall or SystemClock()
        self._committed = committed
        self._foreign = frozenset(foreign)
        self._fuse = Fuse(self._limits.fuse_records, self._limits.fuse_window_seconds)
        self._stopped: dict[TopicPartition, _Stopped] = {}
        self._progressed_at = self._wall.monotonic()
        self._tried_letters_at = self._measured_lag_at = float("-inf")
        self.activity = 0
        """How many events were applied or set aside since the start; never falls."""

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; then the batch at hand is finished and committed.

        Raises:
            DeadLetterFuse, ConsumerStalled: the process must end.
        """
        self._progress()
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(), name=f"{self._group}: watch")
                await self._consume(stop)
                watching.cancel()
        except BaseExceptionGroup as several:  # the first one is why the others were cancelled
            raise several.exceptions[0] from several

    async def _watch(self) -> None:
        """End the loop when it stands still: aiokafka may stop working without an error, and so may a handler."""
        while True:
            idle_seconds = self._wall.monotonic() - self._progressed_at
            if idle_seconds > self._limits.stall_seconds:
                raise ConsumerStalled(f"{self._group}: no progress for {idle_seconds:.0f} s")
            await asyncio.sleep(min(1.0, self._limits.stall_seconds / 10))

    def _progress(self) -> None:
        self._progressed_at = self._wall.monotonic()

    async def _consume(self, stop: asyncio.Event) -> None:
        failures = 0
        while not stop.is_set():
            began = self._wall.monotonic()
            try:
                await self._consume_as_member(stop)
            except LogUnavailable as error:
                failures = 1 if self._progressed_at > began else failures + 1
                _log.warning("event_log_unavailable", consumer=self._group, failures=failures, error=str(error))
                self._metrics.reopened.at(self._group).inc()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.reopen.pause_seconds(failures)):
                        await stop.wait()

    async def _consume_as_member(self, stop: asyncio.Event) -> None:
        """Consume with one consumer until it is asked to stop, or the log is away."""
        consumer = await self._log.consumer(
            self._group, self._topics, self._member, gather_seconds=self._limits.gather_seconds
        )
        producer = await self._log.producer(f"{self._group}.dlq")
        isolation = Isolation(
            self._handler,
            stop,
            name=self._group,
            patience=self._limits.patience,
            retried=self._metrics.retries.at(self._group).inc,
        )
        self._stopped.clear()
        try:
            while not stop.is_set():
                received = await consumer.poll(self._batch_max, self._limits.poll_seconds)
                self._progress()
                self._metrics.polled_at.at(self._group).set(self._wall.now().timestamp())
                if received:
                    await self._handle(consumer, producer, isolation, received)
                await self._try_stopped_partitions(consumer, producer)
                await self._measure_lag(consumer)
        except Interrupted:
            _log.info("batch_given_back", consumer=self._group)
        finally:
            await consumer.close()
            await producer.close()

    async def _handle(
        self, consumer: GroupConsumer, producer: Producer, isolation: Isolation, received: Sequence[Received]
    ) -> None:
        with self._metrics.batch_seconds.at(self._group).time():
            deliveries, letters = self._decode(received)
            with tracing.span(
                f"process {self._group}",
                SpanKind.CONSUMER,
                {Name.MESSAGING_GROUP: self._group, Name.MESSAGING_BATCH_SIZE: len(deliveries)},
                follows=(delivery.event.traceparent for delivery in deliveries),
            ):
                rejected = await isolation.apply(deliveries) if deliveries else []
        self._progress()
        letters += [self._letter(deliveries[each.index].received, each.code, each.detail) for each in rejected]
        self._count_applied(deliveries, rejected)
        offsets = {each.place: each.offset + 1 for each in received}
        unwritten = await self._write(producer, sorted(letters, key=lambda letter: letter.original.offset))
        for place in {letter.original.place for letter in unwritten}:
            mine = [letter for letter in unwritten if letter.original.place == place]
            self._stopped[place] = _Stopped(mine, offsets[place])
            _log.error("partition_stopped", consumer=self._group, topic=place[0], partition=place[1], letters=len(mine))
        consumer.pause(self._stopped)
        self._metrics.stopped_partitions.at(self._group).set(len(self._stopped))
        await self._commit(consumer, offsets | offsets_before(unwritten))

    def _decode(self, received: Sequence[Received]) -> tuple[list[Delivery], list[Letter]]:
        deliveries: list[Delivery] = []
        letters: list[Letter] = []
        for each in received:
            try:
                deliveries.append(Delivery(from_record(each), each))
            except MalformedEvent as error:
                letters.append(self._letter(each, error.reason, error.detail))
        return deliveries, letters

    def _letter(self, original: Received, reason: str, detail: str) -> Letter:
        return Letter(original, self._group, reason, detail, self._wall.now())

    def _count_applied(self, deliveries: Sequence[Delivery], rejected: Sequence[Rejected]) -> None:
        self.activity += len(deliveries)
        topics = [delivery.event.topic for delivery in deliveries]
        refused = [topics[each.index] for each in rejected]
        for topic in self._topics:
            self._metrics.applied.at(self._group, topic).inc(topics.count(topic) - refused.count(topic))

    async def _write(self, producer: Producer, letters: Sequence[Letter]) -> list[Letter]:
        """Write the letters to the twins of their topics; return those that could not be written."""
        if not letters:
            return []
        try:
            own = [letter for letter in letters if letter.reason not in self._foreign]
            self._fuse.pass_through(own, self._wall.monotonic())
        except DeadLetterFuse as error:
            _log.error("dead_letter_fuse", consumer=self._group, error=str(error))
            raise
        unwritten: list[Letter] = []
        for topic in dict.fromkeys(letter.place.topic for letter in letters):
            mine = [letter for letter in letters if letter.place.topic == topic]
            if not await self._write_to_twin(producer, topic, mine):
                unwritten += mine
        return unwritten

    async def _write_to_twin(self, producer: Producer, topic: str, letters: Sequence[Letter]) -> bool:
        seconds = self._limits.letter_seconds
        try:
            await write_letters(producer, self._twin_of(topic), letters, deadline_seconds=seconds)
        except (PublishUnknown, PublishRefused) as error:
            _log.warning("dead_letters_not_written", consumer=self._group, topic=topic, error=str(error))
            return False
        for letter in letters:
            self.activity += 1
            self._metrics.dead_letters.at(topic, letter.reason).inc()
            _log.warning(
                "dead_letter",
                consumer=self._group,
                topic=topic,
                partition=letter.place.partition,
                offset=letter.place.offset,
                reason=letter.reason,
            )
        return True

    async def _try_stopped_partitions(self, consumer: GroupConsumer, producer: Producer) -> None:
        """Write the letters of stopped partitions after all, and let those go on for which it worked."""
        now = self._wall.monotonic()
        if not self._stopped or now - self._tried_letters_at < self._limits.stopped_partition_seconds:
            return
        self._tried_letters_at = now
        for place, stopped in tuple(self._stopped.items()):
            if place in consumer.assigned():
                if not await self._write_to_twin(producer, place[0], stopped.letters):
                    continue
                await self._commit(consumer, {place: stopped.next_offset})
            del self._stopped[place]
            consumer.resume([place])
        self._metrics.stopped_partitions.at(self._group).set(len(self._stopped))

    async def _commit(self, consumer: GroupConsumer, offsets: dict[TopicPartition, int]) -> None:
        try:
            await consumer.commit(offsets)
        except OwnershipLost as error:  # whoever has them now reads again what we applied, and its inbox knows
            _log.info("partitions_lost", consumer=self._group, error=str(error))
        if self._committed is not None:
            self._committed()

    async def _measure_lag(self, consumer: GroupConsumer) -> None:
        now = self._wall.monotonic()
        if now - self._measured_lag_at < self._limits.lag_seconds:
            return
        self._measured_lag_at = now
        lag = await consumer.lag()
        for topic in self._topics:
            self._metrics.lag.at(self._group, topic).set(sum(lag[place] for place in lag if place[0] == topic))


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A partition that waits for its letters to be written, and where it goes on then."""

    letters: Sequence[Letter]
    next_offset: int
