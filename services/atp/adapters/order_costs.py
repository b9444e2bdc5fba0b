"""What orders cost, published on `orders.costed.v1`: by the measuring, where anything of it is known and has changed.

The same amounts at the same rates as `GET /v1/service-levels` tells by tier, so that both add up to the same. A rate
that changes has all orders measured anew if anything was done since its day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import orjson

from services.atp.adapters.order_records import StoredOrder
from services.atp.application.batch import EVENT_SOURCE
from services.atp.domain.model import Day
from services.atp.domain.service_measures import AmountKey
from services.chassis import outbox
from services.chassis.database import Connection
from services.chassis.envelope import Event
from services.chassis.ids import new_id
from services.contracts.catalogue import ORDER_COSTED
from services.contracts.costs import exact

_AT_RATES: Final = """
SELECT k.number, r.amount_minor FROM unnest($1::int[], $2::text[], $3::text[], $4::int[]) AS k (number, kind, name, day)
JOIN LATERAL (
    SELECT c.amount_minor FROM cost_rate c
    WHERE c.kind = k.kind AND c.name = k.name AND c.effective_day <= k.day AND c.amount_minor IS NOT NULL
    ORDER BY c.effective_day DESC LIMIT 1
) AS r ON true
"""
_FORMER: Final = "SELECT promise_id, sequence, days FROM costed_order WHERE promise_id = ANY($1::uuid[])"
_KEEP: Final = """
INSERT INTO costed_order (promise_id, sequence, days) SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::jsonb[])
ON CONFLICT (promise_id) DO UPDATE SET sequence = excluded.sequence, days = excluded.days
"""
_ANEW: Final = """
UPDATE measuring SET through_xid = 0 WHERE EXISTS (
    SELECT FROM measure_total WHERE day >= $1 AND measure IN ('activity', 'goods_units') AND amount <> 0)
"""
_COUNTED: Final = {"activity": "activity", "goods_units": "landed"}


@dataclass(slots=True)
class _Day:
    to_serve: Decimal = Decimal(0)
    goods: Decimal = Decimal(0)
    missing: int = 0
    known: bool = False


async def publish_costs(
    connection: Connection, orders: Sequence[tuple[StoredOrder, Mapping[AmountKey, int]]], at: datetime
) -> None:
    """Tell what these orders cost by now, each if that is something else than what was told before."""
    found = await _costs(connection, [amounts for _, amounts in orders])
    former = {row["promise_id"]: row for row in await connection.fetch(_FORMER, [one.promise_id for one, _ in orders])}
    told: list[tuple[UUID, int, str]] = []
    events: list[Event] = []
    for (order, _), days in zip(orders, found, strict=True):
        before = former.get(order.promise_id)
        written = _written(days) if any(day.known for day in days.values()) else []
        if written == ([] if before is None else orjson.loads(before["days"])):
            continue
        sequence = 1 if before is None else before["sequence"] + 1
        told.append((order.promise_id, sequence, orjson.dumps(written).decode()))
        events.append(_event(order, sequence, written, at))
    if told:
        await connection.execute(_KEEP, *(list(column) for column in zip(*told, strict=True)))
        await outbox.enqueue(connection, events)


async def measure_anew_since(connection: Connection, day: Day) -> None:
    """Have all orders measured again if anything that is charged at a rate was done since the day.

    The caller holds the lock of the measuring.
    """
    await connection.execute(_ANEW, day)


async def _costs(connection: Connection, orders: Sequence[Mapping[AmountKey, int]]) -> list[dict[Day, _Day]]:
    """By order and day what is known."""
    counted = [
        (number, key, amount)
        for number, amounts in enumerate(orders)
        for key, amount in amounts.items()
        if key.measure in _COUNTED and amount
    ]
    rows = await connection.fetch(
        _AT_RATES,
        list(range(len(counted))),
        [_COUNTED[key.measure] for _, key, _ in counted],
        [key.detail for _, key, _ in counted],
        [key.day for _, key, _ in counted],
    )
    rates: dict[int, Decimal] = {row["number"]: row["amount_minor"] for row in rows}
    found: list[dict[Day, _Day]] = [{} for _ in orders]
    for place, (number, key, amount) in enumerate(counted):
        day = found[number].setdefault(key.day, _Day())
        rate = rates.get(place)
        if rate is None:
            day.missing += amount
            continue
        day.known = True
        if key.measure == "goods_units":
            day.goods += rate * amount
        else:
            day.to_serve += rate * amount
    for number, amounts in enumerate(orders):
        for key, amount in amounts.items():
            if key.measure in ("cost_actual", "cost_rate") and amount:
                day = found[number].setdefault(key.day, _Day())
                day.to_serve += amount
                day.known = True
            elif key.measure == "cost_missing" and amount:
                found[number].setdefault(key.day, _Day()).missing += amount
    return found


def _written(days: Mapping[Day, _Day]) -> list[dict[str, Any]]:
    return [
        {
            "day": date.fromordinal(day).isoformat(),
            "cost_to_serve_minor": exact(_plain(days[day].to_serve)),
            "goods_minor": exact(_plain(days[day].goods)),
            "missing": days[day].missing,
        }
        for day in sorted(days)
    ]


def _plain(amount: Decimal) -> Decimal:
    """One way to write each amount, so that equal ones are written equally."""
    return amount.normalize() + 0


def _event(order: StoredOrder, sequence: int, days: list[dict[str, Any]], at: datetime) -> Event:
    document, identifier = order.document, str(new_id())
    customer = document["customer"]
    data = {
        "order": document["order"],
        "sequence": sequence,
        "customer_id": document["customer_id"],
        "customer": customer,
        "currency": document["currency"],
        "costed_at": at,
        "days": days,
    }
    return Event(
        id=identifier,
        type=ORDER_COSTED.name,
        source=EVENT_SOURCE,
        topic=ORDER_COSTED.topic.name,
        key=document["customer_id"] or f"{customer['system']}/{customer['id']}",
        sequence=sequence,
        time=at.astimezone(UTC),
        data=orjson.dumps(data),
        correlation_id=identifier,
        causation_id=identifier,
        dataschema=ORDER_COSTED.dataschema,
    )
