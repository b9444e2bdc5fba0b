"""Publishing to Kafka: acknowledged by all in-sync replicas, in order per key, under a deadline.

Not idempotent in Kafka's sense, on purpose. aiokafka's idempotent producer never gives a batch up (its `_can_retry` is
always true), so that `send` and `stop` hang for as long as the brokers are gone. What it would prevent, a batch that
is stored twice by a retry, our consumers must take anyway: a relay that dies between the broker's answer and its mark
publishes again, from another producer. Order does not need it either: aiokafka has one batch per partition in flight,
and here the next one is handed over only when the one before is acknowledged.

After a deadline the client is thrown away with everything that it still holds, so that nothing old is sent behind what
a later call publishes. What is on the wire already may still be stored (a stopped broker that goes on does that).
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownError,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.chassis.event_log.kafka_client import (
    START_SECONDS,
    STOP_SECONDS,
    answered,
    let_go,
)
from services.chassis.event_log.partitions import partition_of
from services.chassis.event_log.port import LogUnavailable, PublishRefused, PublishUnknown, Record, TopicPartition

RECORD_MAX_BYTES: Final = 1_000_000  # the broker's default (1,048,588 with the batch's head), a little below
BATCH_MAX_BYTES: Final = 256 * 1_024
GRACE_SECONDS: Final = 0.1  # for a request whose answer is on its way

Indexed = tuple[int, Record]


class KafkaProducer:
    """A producer that makes its client when it is needed, and a new one after the old was abandoned."""

    def __init__(self, options: dict[str, Any], name: str) -> None:
        self._options = options
        self._name = name
        self._client: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()  # one call at a time: two calls could not keep the order of a key
        self._dying: set[asyncio.Task[None]] = set()
        self.on_close: Callable[[Any], None] | None = None

    async def publish(self, records: Sequence[Record], *, deadline_seconds: float) -> None:
        """See the port."""
        if not records:
            return
        for index, record in enumerate(records):
            _refuse_what_is_too_large(index, record)
        try:
            async with asyncio.timeout(deadline_seconds), self._lock:
                await self._publish_or_abandon(records)
        except TimeoutError as error:
            raise PublishUnknown(f"not confirmed within {deadline_seconds:g} s") from error
        except (KafkaError, LogUnavailable) as error:
            raise PublishUnknown(repr(error)) from error

    async def close(self) -> None:
        """See the port."""
        client, self._client = self._client, None
        if client is not None and not await let_go(client.stop(), self._name):
            await _take_apart(client, self._name)
        if self._dying:
            await asyncio.wait(self._dying, timeout=STOP_SECONDS)
        if self.on_close is not None:
            self.on_close(self)

    async def _publish_or_abandon(self, records: Sequence[Record]) -> None:
        try:
            await self._publish(records)
        except asyncio.CancelledError:  # the deadline, or our caller: what the client still holds must not be sent
            client, self._client = self._client, None
            if client is not None:
                task = asyncio.create_task(_take_apart(client, self._name), name=f"{self._name}: abandon a client")
                self._dying.add(task)
                task.add_done_callback(self._dying.discard)
            raise

    async def _publish(self, records: Sequence[Record]) -> None:
        client = self._client or await self._connect()
        topics = dict.fromkeys(record.topic for record in records)
        partitions = {topic: sorted(await client.partitions_for(topic)) for topic in topics}
        by_partition: dict[TopicPartition, list[Indexed]] = defaultdict(list)
        for index, record in enumerate(records):
            by_partition[record.topic, _partition(record, partitions[record.topic])].append((index, record))
        outcomes = await asyncio.gather(
            *(self._send(client, place, indexed) for place, indexed in by_partition.items()), return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if outcome is not None]
        # An unknown outcome comes before a refusal: the caller must publish again in any case.
        for failure in sorted(failures, key=lambda error: isinstance(error, PublishRefused)):
            raise failure

    async def _connect(self) -> AIOKafkaProducer:
        client = AIOKafkaProducer(
            **self._options,
            acks="all",
            enable_idempotence=False,
            linger_ms=0,  # the caller brings batches; waiting for more would only add latency
            max_batch_size=BATCH_MAX_BYTES,
            max_request_size=4 * RECORD_MAX_BYTES,
        )
        try:
            await answered(client.start(), f"{self._name}: start", seconds=START_SECONDS)
        except BaseException:
            await _take_apart(client, self._name)
            raise
        self._client = client
        return client

    async def _send(self, client: AIOKafkaProducer, place: TopicPartition, indexed: Sequence[Indexed]) -> None:
        """Send the records of one partition, batch after batch, each acknowledged before the next."""
        topic, partition = place
        position = 0
        while position < len(indexed):
            first = position
            batch = client.create_batch()
            for _, record in indexed[first:]:
                if (
                    batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
                    is None
                ):
                    break
                position += 1
            batch.close()
            acknowledged = await client.send_batch(batch, topic, partition=partition)
            try:
                await acknowledged
            except KafkaError as error:
                raise _meaning(error, indexed[first:position]) from error


def _refuse_what_is_too_large(index: int, record: Record) -> None:
    size = DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, record.value, list(record.headers))
    if size > RECORD_MAX_BYTES:
        raise PublishRefused(index, "record_too_large", f"{size} bytes, at most {RECORD_MAX_BYTES}")


def _meaning(error: KafkaError, batch: Sequence[Indexed]) -> Exception:
    """What a broker's answer to a batch says about its records.

    A record without a key is refused by a compacted topic with a code that aiokafka does not know and shows as
    `UnknownError`, together with all others of its batch.
    """
    if isinstance(error, UnknownError):
        keyless = [index for index, record in batch if record.key is None]
        if keyless:
            return PublishRefused(keyless[0], "key_missing", "the topic is compacted and takes no record without a key")
    if isinstance(error, MessageSizeTooLargeError | RecordListTooLargeError):
        if len(batch) == 1:
            return PublishRefused(batch[0][0], "record_too_large", "larger than the topic takes")
        return PublishUnknown("the topic takes smaller batches than this client sends")
    return PublishUnknown(repr(error))


async def _take_apart(client: AIOKafkaProducer, name: str) -> None:
    """End a client that cannot be stopped in order: nothing that it holds is sent any more.

    There is no public way: `stop()` first waits until everything is sent.
    """
    client._closed = True  # noqa: SLF001 - keeps it from warning that it was not stopped
    sender = client._sender.sender_task  # noqa: SLF001
    for _ in range(2):  # the first cancellation lets requests in flight end, the second one does not
        if sender is not None and not sender.done():
            sender.cancel()
            await asyncio.wait([sender], timeout=GRACE_SECONDS)
    await let_go(client.client.close(), name)


def _partition(record: Record, partitions: Sequence[int]) -> int:
    """Where a record goes; one without a key goes anywhere."""
    if record.partition is not None:
        if record.partition not in partitions:
            raise LogUnavailable(f"{record.topic} has no partition {record.partition}")
        return record.partition
    if record.key is None:
        return random.choice(partitions)  # noqa: S311 - spreads records, protects nothing
    return partitions[partition_of(record.key, len(partitions))]
