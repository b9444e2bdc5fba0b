"""The orders that a deployment has recorded, as a history that can be replayed: `orders.recorded.v1`, read whole.

Of each order its highest record counts, at the moment at which it was ordered; of one that was ever cancelled counts
what had shipped, as in the reclassifier. An order of which nothing is left cannot be placed and is left out. The topic
forgets by age, so that a back-test reaches as far back as its retention does.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from services.chassis.envelope import from_record
from services.chassis.event_log.port import EventLog
from services.contracts import topics
from services.contracts.catalogue import ORDER_RECORDED
from tiercel.demo.history import History, HistoryLine, HistoryOrder
from tiercel.demo.reading import UnusableHistoryError

POLL_RECORDS: Final = 2_000
POLL_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Known:
    record: dict[str, Any]
    cancelled: bool


async def recorded_history(log: EventLog) -> History:
    """The history. Raises UnusableHistoryError if nothing can be replayed."""
    known: dict[tuple[str, str], _Known] = {}
    reader = await log.reader([topics.ORDERS_RECORDED.name])
    try:
        ends = await reader.end_offsets()
        while await _behind(reader, ends):
            for received in await reader.poll(POLL_RECORDS, POLL_SECONDS):
                event = from_record(received)
                if event.type == ORDER_RECORDED.name:
                    _take(known, orjson.loads(event.data))
    finally:
        await reader.close()
    return _history(known.values())


def history_of(records: Iterable[dict[str, Any]]) -> History:
    """The history of records of any order and number; its orders are named by their number."""
    known: dict[tuple[str, str], _Known] = {}
    for record in records:
        _take(known, record)
    return _history(known.values())


async def _behind(reader: Any, ends: dict[Any, int]) -> bool:
    at = await reader.positions()
    return any(at.get(place, 0) < end for place, end in ends.items())


def _take(known: dict[tuple[str, str], _Known], record: dict[str, Any]) -> None:
    key = (record["order"]["source"], record["order"]["order_id"])
    found = known.setdefault(key, _Known(record, cancelled=False))
    found.cancelled |= record["change"] == "cancelled"
    if found.record["sequence"] < record["sequence"]:
        found.record = record


def _history(known: Iterable[_Known]) -> History:
    placed = sorted(
        (each for each in known if any(_quantity(each, line) for line in each.record["lines"])),
        key=lambda each: (each.record["ordered_at"], each.record["order"]["source"], each.record["order"]["order_id"]),
    )
    if not placed:
        message = f"{topics.ORDERS_RECORDED.name} holds no order that can be replayed."
        raise UnusableHistoryError(message)
    orders = [_order(each, number) for number, each in enumerate(placed, start=1)]
    orders.sort(key=lambda order: (order.ordered_at, order.order_id))
    return History("recorded orders", min(each.record["currency"] for each in placed), orders)


def _order(known: _Known, number: int) -> HistoryOrder:
    record = known.record
    lines = tuple(
        HistoryLine(line["line"], line["sku"], quantity, _price(line))
        for line in record["lines"]
        if (quantity := _quantity(known, line))
    )
    customer = record["customer_id"] or f"{record['customer']['system']}/{record['customer']['id']}"
    at = datetime.fromisoformat(record["ordered_at"])
    return HistoryOrder(f"R{number:08d}", customer, at, record["zone"], lines)


def _price(line: dict[str, Any]) -> Decimal | None:
    return None if line.get("unit_price") is None else Decimal(line["unit_price"])


def _quantity(known: _Known, line: dict[str, Any]) -> int:
    return int(min(line["quantity"], line["shipped_quantity"]) if known.cancelled else line["quantity"])
