"""`orders.recorded.v1` in: read, turned into order states, counted in batches."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from services.chassis.deliveries import Delivery, Rejected
from services.chassis.envelope import Event
from services.contracts.catalogue import INVALID_PAYLOAD, EventRefused, decode
from services.contracts.orders import OrderRecorded, RecordedLine
from services.reclassifier.application.ports import Cause, Transactions
from services.reclassifier.application.record_orders import RecordedOrder, Recording, record_orders
from services.reclassifier.domain.orders import (
    MICROS_PER_UNIT,
    Line,
    OrderKey,
    OrderState,
    Punctuality,
    Reference,
    demand_of,
)
from services.reclassifier.domain.traces import FIRST, Act, Trace
from services.reclassifier.entrypoints.evaluator import Evaluator
from services.reclassifier.metrics import ReclassifierMetrics

GROUP: Final = "reclassifier"
_PUNCTUALITY: Final = {None: Punctuality.UNTOLD, True: Punctuality.IN_TIME, False: Punctuality.LATE}


class RecordedOrdersHandler:
    """Applies batches; see `services.chassis.deliveries.Handler`. Counting is idempotent, so that it needs no inbox."""

    def __init__(
        self, transactions: Transactions, metrics: ReclassifierMetrics, evaluator: Evaluator, *, currency: str
    ) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._evaluator = evaluator
        self._currency = currency

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Count the batch, then have the customers with news judged."""
        records: list[RecordedOrder] = []
        rejected: list[Rejected] = []
        for index, delivery in enumerate(batch):
            try:
                records.append(_recorded(delivery.event, self._currency))
            except EventRefused as refused:
                rejected.append(Rejected(index, refused.code, refused.detail))
        if records:
            recording = await self._count(records)
            if recording.orders_changed:
                self._evaluator.wake()
        return rejected

    async def _count(self, records: Sequence[RecordedOrder]) -> Recording:
        recording = await self._transactions.run(
            lambda transaction: record_orders(transaction, records), label="record orders"
        )
        self._metrics.records.at("news").inc(recording.orders_changed)
        self._metrics.records.at("known").inc(recording.records_without_news)
        return recording


def _recorded(event: Event, currency: str) -> RecordedOrder:
    payload = decode(event.type, event.data, topic=event.topic)
    if not isinstance(payload, OrderRecorded):
        raise EventRefused(INVALID_PAYLOAD, "not a record of an order")
    cause = Cause(event.correlation_id, event.id, event.traceparent)
    return RecordedOrder(order_state(payload, currency), cause, trace_of(payload), act_of(payload))


def trace_of(record: OrderRecorded) -> Trace | None:
    """How an order came and what it was answered, from its first record; None from any other."""
    if record.sequence != FIRST or record.change == "cancelled":  # one cancelled before it came was not served
        return None
    return Trace(
        OrderKey(record.order.source, record.order.order_id),
        record.ordered_at,
        record.tier,
        record.zone,
        record.channel,
        record.entered_by,
        all(line.promised_quantity >= line.quantity for line in record.lines),
        any(line.quota_reached for line in record.lines),
    )


def act_of(record: OrderRecorded) -> Act | None:
    """The act of a planner that a record tells, if it tells one."""
    if record.act is None:
        return None
    key = OrderKey(record.order.source, record.order.order_id)
    return Act(key, record.sequence, record.act.kind, record.act.by, record.occurred_at)


def order_state(record: OrderRecorded, currency: str) -> OrderState:
    """What a record says; the value of an order in another currency is not known."""
    priced = record.currency == currency
    ordered, shipped, returned = demand_of(_line(line, priced=priced) for line in record.lines)
    return OrderState(
        key=OrderKey(record.order.source, record.order.order_id),
        sequence=record.sequence,
        customer_id=record.customer_id,
        reference=Reference(record.customer.system, record.customer.id),
        ordered_on=record.ordered_at.toordinal(),
        cancelled=record.change == "cancelled",
        ordered=ordered,
        shipped=shipped,
        returned=returned,
        punctuality=_PUNCTUALITY[record.on_time],
    )


def _line(line: RecordedLine, *, priced: bool) -> Line:
    price = line.unit_price if priced else None
    micros = None if price is None else _micros(price)
    return Line(line.line, line.quantity, line.shipped_quantity, micros, line.returned_quantity)


def _micros(price: Decimal) -> int:
    return int(price * MICROS_PER_UNIT)  # exact: at most 18 digits, 6 of them after the point
