"""Orders as they are measured: read from promises, their history, commitments, fulfilments and reports."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from services.atp.application.documents import DAYS_CACHED, load
from services.atp.domain.breach_cause import DueReceipt
from services.atp.domain.model import Day
from services.atp.domain.service_measures import (
    RESETS,
    AnsweredLine,
    Done,
    OrderRecord,
    Reported,
    Revision,
    Scheduled,
    Taken,
)
from services.chassis.database import Connection

UTC_NAME: Final = "UTC"
_PROMISES: Final = """
SELECT p.promise_id, p.source, p.order_id, p.document, p.cut_over IS NOT NULL AS taken_over
FROM unnest($1::uuid[]) AS k (promise_id)
JOIN promise p ON p.promise_id = k.promise_id
"""
# A shipment changes no answer, only how much of it has left: of what it made, the document need not be read.
_HISTORY: Final = """
SELECT h.promise_id, h.cause, h.replaced_at, CASE
    WHEN lag(h.cause) OVER (PARTITION BY h.promise_id ORDER BY h.revision) IS DISTINCT FROM 'shipped' THEN h.document
    END AS document
FROM unnest($1::uuid[]) AS k (promise_id) JOIN promise_history h ON h.promise_id = k.promise_id
ORDER BY h.promise_id, h.revision
"""
_TAKEN: Final = """
SELECT c.promise_id, c.line, c.item_id, c.location_id, c.quantity, c.shipped, c.available_day, c.cost_minor
FROM unnest($1::uuid[]) AS k (promise_id) JOIN commitment c ON c.promise_id = k.promise_id
ORDER BY c.promise_id, c.line, c.part
"""
# Shipments beyond a promise have left all the same; deliveries beyond what shipped are somebody's mistake.
_DONE: Final = """
SELECT f.promise_id, f.kind, f.line, f.quantity, f.occurred_at, f.actual_cost_minor
FROM unnest($1::uuid[]) AS k (promise_id) JOIN fulfilment f ON f.promise_id = k.promise_id
WHERE f.outcome = 'applied' OR (f.kind = 'shipped' AND f.outcome = 'beyond_promise')
ORDER BY f.promise_id, f.occurred_at, f.source, f.reference
"""
_REPORTED: Final = """
SELECT r.promise_id, r.kind, r.what, r.quantity, r.occurred_at, r.line, r.actual_cost_minor
FROM unnest($1::uuid[]) AS k (promise_id) JOIN order_report r ON r.promise_id = k.promise_id
WHERE r.outcome = 'applied' ORDER BY r.promise_id, r.occurred_at, r.source, r.reference
"""
_ZONES: Final = "SELECT location_id, zone_name FROM location"
_DUE: Final = """
SELECT DISTINCT ON (d.source, d.reference, d.location_id) d.item_id, d.location_id, d.source, d.reference, d.due_day,
    d.quantity
FROM receipt_due d WHERE d.item_id = $1 AND d.told_at <= $2
ORDER BY d.source, d.reference, d.location_id, d.told_at DESC, d.recorded_at DESC
"""
_CAME: Final = """
SELECT location_id, receipt_reference, quantity, occurred_at FROM movement
WHERE item_id = $1 AND kind = 'receipt' AND receipt_reference IS NOT NULL
ORDER BY occurred_at, source, reference
"""


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as it is measured, its name, when its content was answered first, and whether it was taken over."""

    promise_id: UUID
    name: str
    record: OrderRecord
    answered_at: datetime
    document: Mapping[str, Any]
    taken_over: bool = False


class _Rows(NamedTuple):
    """What is stored of an order besides its promise."""

    history: Sequence[asyncpg.Record]
    taken: Sequence[asyncpg.Record]
    done: Sequence[asyncpg.Record]
    reported: Sequence[asyncpg.Record]


class LocalDays:
    """The day of a moment at a location."""

    def __init__(self, zones: Mapping[str, str]) -> None:
        self._zones = {location: ZoneInfo(name) for location, name in zones.items()}
        self._utc = ZoneInfo(UTC_NAME)

    def at(self, moment: datetime, location: str | None) -> Day:
        """The day at a location; of one that nobody knows, the day in UTC."""
        return moment.astimezone(self._zones.get(location or "", self._utc)).toordinal()


async def local_days(connection: Connection) -> LocalDays:
    """With the time zones of all locations."""
    return LocalDays({row["location_id"]: row["zone_name"] for row in await connection.fetch(_ZONES)})


async def load_orders(connection: Connection, promise_ids: Sequence[UUID]) -> list[StoredOrder]:
    """The orders of these promises, in the order of their ids."""
    days = await local_days(connection)
    promises = {row["promise_id"]: row for row in await connection.fetch(_PROMISES, promise_ids)}
    history = _grouped(await connection.fetch(_HISTORY, promise_ids))
    taken = _grouped(await connection.fetch(_TAKEN, promise_ids))
    done = _grouped(await connection.fetch(_DONE, promise_ids))
    reported = _grouped(await connection.fetch(_REPORTED, promise_ids))
    orders = []
    for one in sorted(promises):
        rows = _Rows(history.get(one, []), taken.get(one, []), done.get(one, []), reported.get(one, []))
        orders.append(_order(promises[one], rows, days))
        await asyncio.sleep(0)  # one may have a thousand lines, and this process has more to do
    return orders


async def due_receipts(connection: Connection, item_id: str, told_by: datetime) -> list[DueReceipt]:
    """The receipts of an item as they were known at a moment, with what has come of them since."""
    days = await local_days(connection)
    came: dict[tuple[str, str], list[tuple[Day, int]]] = {}
    for row in await connection.fetch(_CAME, item_id):
        place = (row["location_id"], row["receipt_reference"])
        came.setdefault(place, []).append((days.at(row["occurred_at"], row["location_id"]), row["quantity"]))
    return [
        DueReceipt(
            row["item_id"],
            row["location_id"],
            row["due_day"],
            row["quantity"],
            tuple(came.get((row["location_id"], row["reference"]), ())),
        )
        for row in await connection.fetch(_DUE, item_id, told_by)
    ]


def _grouped(rows: Iterable[asyncpg.Record]) -> dict[UUID, list[asyncpg.Record]]:
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in rows:
        found.setdefault(row["promise_id"], []).append(row)
    return found


def _order(promise: asyncpg.Record, rows: _Rows, days: LocalDays) -> StoredOrder:
    answers = [row["document"] for row in rows.history] + [promise["document"]]
    documents = [None if answer is None else load(answer) for answer in answers]
    first = datetime.fromisoformat((documents[0] or {})["decided_at"])
    made = [("", first), *[(row["cause"], row["replaced_at"]) for row in rows.history]]
    parts = tuple(Taken(*tuple(row)[1:]) for row in rows.taken)
    places = {part.line: part.location_id for part in reversed(parts)}
    record = OrderRecord(
        tuple(_revision(document, *how, days) for document, how in zip(documents, made, strict=True) if document),
        parts,
        tuple(
            Done(
                row["kind"],
                row["line"],
                row["quantity"],
                days.at(row["occurred_at"], places.get(row["line"])),
                row["actual_cost_minor"],
            )
            for row in rows.done
        ),
        tuple(
            Reported(
                row["kind"],
                row["what"],
                row["quantity"],
                days.at(row["occurred_at"], places.get(row["line"])),
                row["line"],
                row["actual_cost_minor"],
            )
            for row in rows.reported
        ),
    )
    answered_at = [at for cause, at in made if not cause or cause in RESETS][-1]
    name = f"{promise['source']}/{promise['order_id']}"
    return StoredOrder(promise["promise_id"], name, record, answered_at, documents[-1] or {}, promise["taken_over"])


def _revision(document: Mapping[str, Any], cause: str, at: datetime, days: LocalDays) -> Revision:
    return Revision(
        cause,
        days.at(at, None),
        document["served_as"]["tier"],
        document["served_as"]["basis"],
        document["state"],
        tuple(_line(line) for line in document["lines"]),
        document["cost_minor"],
    )


def _line(line: Mapping[str, Any]) -> AnsweredLine:
    return AnsweredLine(
        line["line"],
        line["sku"],
        line["quantity"],
        line["outcome"],
        line["promised"],
        line["backordered"],
        _day(line["requested_arrival"]),
        tuple(
            Scheduled(part["quantity"], _day(part["ship_date"]), _day(part["arrival_date"]))
            for part in line["schedule"]
        ),
        tuple(each["kind"] for each in line["why"]),
    )


@lru_cache(maxsize=DAYS_CACHED)
def _day(written: str) -> Day:
    return date.fromisoformat(written).toordinal()
