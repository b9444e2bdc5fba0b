"""What a subscriber keeps of Tiercel's events, and where it reads them. Needs Python 3.11 and, for Kafka, aiokafka.

Take it as it is, or as a pattern: all that matters is in `Tiers.take`, `Tiers.of` and `Promises.take`.
"""

import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

MERGES_FOLLOWED_MAX = 8  # a longer chain is a loop
LIVE = {"promised", "confirmed"}

Record = dict[str, Any]
Answer = Callable[[Record], object]


class Tiers:
    """Who is in which tier, from `segments.current.v1` and `segments.policies.v1`."""

    def __init__(self) -> None:
        self.customers: dict[str, Record] = {}
        self.tiers: dict[str, Record] = {}

    @property
    def default(self) -> str | None:
        """The tier of those who are in none. While the mark goes from one tier to another there may be none."""
        return next((each["tier"] for each in self.tiers.values() if each.get("is_default")), None)

    def take(self, record: Record) -> None:
        """Apply a record: only a higher sequence or version changes anything, so repetitions and rewinds do not matter.

        A tombstone needs nothing: the value before it said `deleted`, and keeping that keeps older values out.
        """
        value, kind = record["value"], record["headers"]["ce_type"]
        if value is None:
            return
        if kind.startswith("tier.policy."):
            held = self.tiers.get(value["tier"])
            if held is None or held["version"] < value["version"]:
                self.tiers[value["tier"]] = value
        if kind.startswith("segment.current."):
            known = self.customers.get(value["customer_id"])
            if known is None or known["sequence"] < value["sequence"]:
                self.customers[value["customer_id"]] = value

    def of(self, system: str, id_: str, at: datetime) -> str | None:
        """The tier at a moment; plans and overrides that end take effect without a further event."""
        customer = self._named(system, id_)
        best, tier = None, self.default
        for each in customer.get("assignments", ()) if customer else ():
            begins, ends = datetime.fromisoformat(each["effective_from"]), each.get("effective_to")
            if begins <= at and (ends is None or at < datetime.fromisoformat(ends)):
                place = (each.get("kind") == "override", begins, each["sequence"])
                if best is None or place > best:
                    best, tier = place, each["tier"]
        return tier

    def _named(self, system: str, id_: str) -> Record | None:
        """The customer of another system's id, merges followed; None if nobody has it, or it was deleted."""
        name = {"system": system, "id": id_}
        customer = next((each for each in self.customers.values() if name in each.get("identifiers", ())), None)
        for _ in range(MERGES_FOLLOWED_MAX):
            if customer is None or customer.get("status") != "merged":
                break
            customer = self.customers.get(customer["merged_into"])
        return customer if customer is not None and customer.get("status", "active") == "active" else None


class Promises:
    """What is promised, from `promises.v1`."""

    def __init__(self) -> None:
        self.promises: dict[str, Record] = {}

    def take(self, record: Record) -> None:
        """Apply a record: every answer and change carries the whole promise, and its highest revision counts."""
        kind, value = record["headers"]["ce_type"], record["value"]
        if kind.startswith(("promise.answered.", "promise.taken_over.")):
            promise = value["promise"]
        elif kind.startswith("promise.changed."):
            promise = value["new"]
        else:
            return  # at risk, and what there will be: nothing moves by it
        known = self.promises.get(promise["promise_id"])
        if known is None or known["revision"] < promise["revision"]:
            self.promises[promise["promise_id"]] = promise

    def parts(self) -> Iterator[tuple[Record, Record, Record]]:
        """Every promised part with its line and its promise."""
        for promise in self.promises.values():
            if promise["state"] in LIVE:
                for line in promise["lines"]:
                    for part in line.get("schedule", ()):
                        yield promise, line, part


def check(take: Callable[[Record], None], answer: Answer) -> None:
    """Records and questions from standard input, as `tiercel check-subscriber` tells them."""
    for text in sys.stdin:
        line = json.loads(text)
        if "question" in line:
            print(json.dumps(answer(line)), flush=True)
        else:
            take(line)


async def kafka(servers: str, topics: Sequence[str], *, once: bool) -> AsyncIterator[Record]:
    """All records of the topics from the beginning, then those that come; `once`: up to what is there now.

    The state is made anew at every start. A subscriber that keeps it in a database stores the offsets in the same
    transaction, and begins behind them.
    """
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        places = consumer.assignment()  # all partitions: without a group nobody shares them
        ends = await consumer.end_offsets(places)
        while not once or any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for each in records:
                    yield {
                        "topic": each.topic,
                        "key": each.key.decode() if each.key else None,
                        "headers": {name: value.decode() for name, value in each.headers},
                        "value": json.loads(each.value) if each.value else None,
                    }
    finally:
        await consumer.stop()
