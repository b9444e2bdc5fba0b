"""The orders that a deployment has recorded, read from `orders.recorded.v1` whole, and who their customers are.

Of an order its highest record counts; once cancelled it stays so, and of it counts what had shipped, as in the
reclassifier. The topics forget by age, so that what is read reaches as far back as they do.
"""

import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

from services.chassis.envelope import Event, MalformedEvent, from_record
from services.chassis.event_log.port import EventLog
from services.contracts import topics
from services.contracts.catalogue import (
    ORDER_RECORDED,
    ORDER_RECORDED_V1,
    SEGMENT_CURRENT,
    EventRefused,
    decode,
)

POLL_RECORDS: Final = 2_000
POLL_SECONDS: Final = 1.0
REGISTRY_SYSTEM: Final = "tiercel"  # the system under which a customer's registry id is given
RECORDS: Final = (ORDER_RECORDED_V1.name, ORDER_RECORDED.name)  # the newer one says more, nothing else
MERGES_FOLLOWED_MAX: Final = 8  # a longer chain is a loop


class Told(NamedTuple):
    """An event about an order, as it can be looked up: its id, place in the order's events, and what it says."""

    event_id: str
    sequence: int
    change: str


class CountedLine(NamedTuple):
    """What of a line counts; `unit_price` in the currency's major unit, None where unknown."""

    line: str
    sku: str
    quantity: int
    unit_price: Decimal | None


class ReturnTotals(NamedTuple):
    """What had come back by a moment: units by line, those without any left out."""

    at: str
    units: dict[str, int]


@dataclass(slots=True)
class RecordedOrder:
    """One order as its records say, with those records; `came_back` is by the sequence of the record that says so."""

    record: dict[str, Any]
    cancelled: bool = False
    told: dict[str, Told] = field(default_factory=dict)
    came_back: dict[int, ReturnTotals] = field(default_factory=dict)

    @property
    def returns(self) -> Iterator[tuple[str, str, int]]:
        """Units that came back, each with its moment and line. Of a record that is not there the next one tells."""
        before: dict[str, int] = {}
        for sequence in sorted(self.came_back):
            at, units = self.came_back[sequence]
            for line, total in units.items():
                if total > before.get(line, 0):
                    yield at, line, total - before.get(line, 0)
                    before[line] = total

    @property
    def lines(self) -> Iterator[CountedLine]:
        """The lines of which anything counts."""
        for line in self.record["lines"]:
            quantity = min(line["quantity"], line["shipped_quantity"]) if self.cancelled else line["quantity"]
            if quantity:
                price = line.get("unit_price")
                yield CountedLine(line["line"], line["sku"], quantity, None if price is None else Decimal(price))


Key = tuple[str, str]


async def read_orders(log: EventLog) -> dict[Key, RecordedOrder]:
    """All orders, by source and order id. What is no record of an order is left out, as everywhere, and counted."""
    known: dict[Key, RecordedOrder] = {}
    left_out = 0
    async for event in _events(log, topics.ORDERS_RECORDED.name):
        if event is None or not _is_readable(event):
            left_out += 1
        elif event.type in RECORDS:
            take(known, event.id, orjson.loads(event.data))
    if left_out:
        print(f"{left_out:,} records of {topics.ORDERS_RECORDED.name} cannot be read: left out", file=sys.stderr)
    return known


def _is_readable(event: Event) -> bool:
    """Whether it keeps its schema, which what is taken of it relies on; of other types nothing is taken."""
    if event.type in RECORDS:
        try:
            decode(event.type, event.data)
        except EventRefused:
            return False
    return True


def take(known: dict[Key, RecordedOrder], event_id: str, record: dict[str, Any]) -> None:
    """One record more, in any order and as often as it comes."""
    found = known.setdefault((record["order"]["source"], record["order"]["order_id"]), RecordedOrder(record))
    found.cancelled |= record["change"] == "cancelled"
    found.told[event_id] = Told(event_id, record["sequence"], record["change"])
    if record["change"] == "returned":
        units = {line["line"]: line["returned_quantity"] for line in record["lines"] if line.get("returned_quantity")}
        found.came_back[record["sequence"]] = ReturnTotals(record["occurred_at"], units)
    if found.record["sequence"] < record["sequence"]:
        found.record = record


class Crosswalk:
    """Which customer of the registry a name of another system means, merges followed."""

    def __init__(self, states: Iterable[dict[str, Any]]) -> None:
        self._states: dict[str, dict[str, Any]] = {}
        for state in states:
            known = self._states.get(state["customer_id"])
            if known is None or known["sequence"] < state["sequence"]:
                self._states[state["customer_id"]] = state
        self._names = {
            (each["system"], each["id"]): customer_id
            for customer_id in sorted(self._states)
            for each in self._states[customer_id].get("identifiers", ())
        }

    @classmethod
    async def read(cls, log: EventLog) -> "Crosswalk":
        """From `segments.current.v1`."""
        found = [
            orjson.loads(event.data)
            async for event in _events(log, topics.SEGMENTS_CURRENT.name)
            if event is not None and event.type == SEGMENT_CURRENT.name and event.data
        ]
        return cls(found)

    def customer(self, system: str, id_: str) -> str:
        """The registry's id, or `system/id` of a customer that it does not know."""
        found = id_ if system == REGISTRY_SYSTEM else self._names.get((system, id_))
        for _ in range(MERGES_FOLLOWED_MAX):
            state = None if found is None else self._states.get(found)
            if state is None or state.get("status") != "merged":
                break
            found = state["merged_into"]
        return f"{system}/{id_}" if found is None else found


async def _events(log: EventLog, topic: str) -> AsyncIterator[Event | None]:
    """Everything that is there now; None for a record that is no event."""
    reader = await log.reader([topic])
    try:
        ends = await reader.end_offsets()
        while True:
            at = await reader.positions()
            if all(at.get(place, 0) >= end for place, end in ends.items()):
                return
            for received in await reader.poll(POLL_RECORDS, POLL_SECONDS):
                try:
                    event = from_record(received)
                except MalformedEvent:
                    event = None
                yield event
    finally:
        await reader.close()
