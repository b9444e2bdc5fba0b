"""Reading from Kafka: as a member of a group, or whole topics without one.

Offsets are committed by hand, only committed records are read, and a group without offsets starts at the oldest record.

aiokafka returns nothing when it is cut off, as it does when there is nothing (its issues 376, 1154). So a client that
has been silent for a while is asked for the end offsets: no answer, or records ahead of a client that brings none, is
`LogUnavailable`, and the caller makes a new one.

aiokafka rejoins its group in the background, while the caller works, so a long batch holds nobody up. The group gives
up a member that has not polled for `MAX_POLL_SECONDS`, which is more than the consumer loop allows itself.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from services.chassis.event_log.kafka_client import START_SECONDS, answered, let_go
from services.chassis.event_log.port import LogUnavailable, OwnershipLost, Received, Record, TopicPartition

SESSION_SECONDS: Final = 10  # without a heartbeat for this long, a member's partitions go to the others
HEARTBEAT_SECONDS: Final = 1  # a member learns of a rebalance by its heartbeat: the others wait as long for it
MAX_POLL_SECONDS: Final = 600
PROBE_SECONDS: Final = 5.0  # silence after which a client is examined
STUCK_SECONDS: Final = 20.0  # silence with records ahead, after which it is given up
GATHERED_BYTES_MAX: Final = 1_048_576  # some 700 orders; then the broker waits no longer
POLL_GRACE_SECONDS: Final = 1.0  # above the poll's own time-out: a poll waits for a rebalance without one


def gathering(seconds: float) -> dict[str, int]:
    """The client's options to let the broker hold records back for this long, unless very many come."""
    if not seconds:
        return {}
    return {"fetch_min_bytes": GATHERED_BYTES_MAX, "fetch_max_wait_ms": int(seconds * 1_000)}


async def start_client(options: dict[str, Any], *, group: str | None, member: str | None) -> AIOKafkaConsumer:
    """A started client without topics (with them, starting would wait for the group's rebalance).

    Raises:
        LogUnavailable: no broker answered in time.
    """
    client = AIOKafkaConsumer(
        **options,
        group_id=group,
        group_instance_id=None if group is None or member is None else f"{group}.{member}",
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_SECONDS * 1_000,
        heartbeat_interval_ms=HEARTBEAT_SECONDS * 1_000,
        max_poll_interval_ms=MAX_POLL_SECONDS * 1_000,
    )
    try:
        await answered(client.start(), f"{options['client_id']}: start", seconds=START_SECONDS)
    except BaseException:
        await stop_client(client, options["client_id"])
        raise
    return client


async def stop_client(client: AIOKafkaConsumer, name: str) -> None:
    """Stop a client; one that hangs is taken apart from inside, for which there is no public way."""
    if await let_go(client.stop(), name):
        return
    fetcher = client._fetcher  # noqa: SLF001
    if fetcher is not None:
        await let_go(fetcher.close(), name)
    await let_go(client._client.close(), name)  # noqa: SLF001


class _Polling:
    """What a group member and a reader have in common."""

    def __init__(self, client: AIOKafkaConsumer, name: str) -> None:
        self._client = client
        self._name = name
        self._paused: set[KafkaPartition] = set()
        self._progressed_at = self._probed_at = time.monotonic()
        self.on_close: Callable[[Any], None] | None = None

    async def poll(self, max_records: int, timeout_seconds: float) -> list[Received]:
        """See the port."""
        self._pause_assigned()
        try:
            async with asyncio.timeout(timeout_seconds + POLL_GRACE_SECONDS):
                batches = await self._client.getmany(timeout_ms=int(timeout_seconds * 1_000), max_records=max_records)
        except TimeoutError:
            batches = {}
        except (KafkaError, OSError) as error:
            raise LogUnavailable(f"{self._name}: {error!r}") from error
        received = [
            _received(record)
            for partition, records in batches.items()
            if self._may_deliver(partition, records)
            for record in records
        ]
        now = time.monotonic()
        if received:
            self._progressed_at = self._probed_at = now
        elif now - self._probed_at >= PROBE_SECONDS:
            await self._probe()
        return received

    async def close(self) -> None:
        """See the port."""
        await stop_client(self._client, self._name)
        if self.on_close is not None:
            self.on_close(self)

    def _pause_assigned(self) -> None:
        """A rebalance forgets who is paused, also of partitions that stay."""
        for partition in self._paused & self._client.assignment():
            self._client.pause(partition)

    def _may_deliver(self, partition: KafkaPartition, records: Sequence[ConsumerRecord[bytes, bytes]]) -> bool:
        """False for records of a paused partition that a rebalance during the poll let through: they come again."""
        if partition not in self._paused:
            return True
        if partition in self._client.assignment():
            self._client.pause(partition)
            self._client.seek(partition, records[0].offset)
        return False

    async def _probe(self) -> None:
        """Find out whether silence means that there is nothing.

        Raises:
            LogUnavailable: the log does not answer, or there are records and this client does not bring them.
        """
        self._probed_at = time.monotonic()
        partitions = self._client.assignment()
        if not partitions:  # more members than partitions, or the group is rebalancing
            await answered(self._client.topics(), f"{self._name}: metadata")
            return
        ends = await answered(self._client.end_offsets(list(partitions)), f"{self._name}: end offsets")
        for partition in partitions - self._paused:
            position = await answered(self._position(partition), f"{self._name}: position")
            silent = time.monotonic() - self._progressed_at
            if position is not None and position < ends[partition] and silent >= STUCK_SECONDS:
                raise LogUnavailable(
                    f"{self._name}: {partition.topic}/{partition.partition} is at {position} of {ends[partition]} and "
                    f"brought nothing for {silent:.0f} s"
                )

    async def _position(self, partition: KafkaPartition) -> int | None:
        try:
            position: int = await self._client.position(partition)
        except IllegalStateError:  # a rebalance took it
            return None
        return position


class KafkaGroupConsumer(_Polling):
    """One member of a group."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See the port."""
        assigned = self._client.assignment()
        wanted = {KafkaPartition(*place): offset for place, offset in offsets.items()}
        mine = {partition: offset for partition, offset in wanted.items() if partition in assigned}
        try:
            if mine:
                await answered(self._client.commit(mine), f"{self._name}: commit")
        except LogUnavailable as error:
            if isinstance(error.__cause__, CommitFailedError | IllegalStateError):
                raise OwnershipLost(f"{self._name}: the group was rebalanced") from error
            raise
        if len(mine) < len(wanted):
            lost = sorted((partition.topic, partition.partition) for partition in wanted.keys() - mine.keys())
            raise OwnershipLost(f"{self._name}: no longer reads {lost}")

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """See the port."""
        self._paused |= {KafkaPartition(*place) for place in partitions}
        self._pause_assigned()

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """See the port."""
        resumed = {KafkaPartition(*place) for place in partitions} & self._paused
        self._paused -= resumed
        for partition in resumed & self._client.assignment():
            self._client.resume(partition)

    def assigned(self) -> frozenset[TopicPartition]:
        """See the port."""
        return frozenset((partition.topic, partition.partition) for partition in self._client.assignment())

    async def lag(self) -> dict[TopicPartition, int]:
        """See the port."""
        partitions = sorted(self._client.assignment())
        if not partitions:
            return {}
        ends = await answered(self._client.end_offsets(partitions), f"{self._name}: end offsets")
        starts = await answered(self._client.beginning_offsets(partitions), f"{self._name}: beginning offsets")
        committed = await answered(
            asyncio.gather(*(self._client.committed(partition) for partition in partitions)),
            f"{self._name}: committed offsets",
        )
        return {
            (partition.topic, partition.partition): max(0, ends[partition] - max(done or 0, starts[partition]))
            for partition, done in zip(partitions, committed, strict=True)
        }


class KafkaReader(_Polling):
    """Reads all partitions of some topics, from the beginning."""

    def __init__(
        self,
        client: AIOKafkaConsumer,
        name: str,
        partitions: Iterable[KafkaPartition],
        ends: Callable[[Sequence[KafkaPartition]], Awaitable[Mapping[KafkaPartition, int]]],
    ) -> None:
        """`ends` asks for end offsets on a connection of its own.

        A broker answers a connection in order, so on the reader's own the question would wait for the fetch under way,
        which lasts up to half a second when there is nothing new.
        """
        super().__init__(client, name)
        self._partitions = sorted(partitions)
        self._ends = ends
        client.assign(self._partitions)

    async def end_offsets(self) -> dict[TopicPartition, int]:
        """See the port."""
        ends = await self._ends(self._partitions)
        return {(partition.topic, partition.partition): offset for partition, offset in ends.items()}

    async def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """See the port."""
        for place, offset in offsets.items():
            partition = KafkaPartition(*place)
            if partition in self._partitions:
                self._client.seek(partition, offset)

    async def positions(self) -> dict[TopicPartition, int]:
        """See the port."""
        offsets = await answered(
            asyncio.gather(*(self._client.position(partition) for partition in self._partitions)),
            f"{self._name}: positions",
        )
        return {
            (partition.topic, partition.partition): offset
            for partition, offset in zip(self._partitions, offsets, strict=True)
        }


def _received(record: ConsumerRecord[bytes, bytes]) -> Received:
    return Received(
        record=Record(
            topic=record.topic,
            key=record.key,
            value=record.value,
            headers=tuple([(name, value or b"") for name, value in record.headers]),
            partition=record.partition,
        ),
        partition=record.partition,
        offset=record.offset,
        at=datetime.fromtimestamp(record.timestamp / 1_000, UTC),
    )
