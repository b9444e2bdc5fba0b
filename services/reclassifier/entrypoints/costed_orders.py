"""`orders.costed.v1` in: what orders cost, counted in batches."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from services.chassis.deliveries import Delivery, Rejected
from services.chassis.envelope import Event
from services.contracts.catalogue import INVALID_PAYLOAD, EventRefused, decode
from services.contracts.costs import CostOfDay, OrderCosted
from services.reclassifier.application.ports import Cause, Transactions
from services.reclassifier.application.record_costs import record_costs
from services.reclassifier.domain.costs import Costs, OrderCost, nanos_per_micro_minor
from services.reclassifier.domain.orders import Day, OrderKey, Reference
from services.reclassifier.entrypoints.evaluator import Evaluator
from services.reclassifier.metrics import ReclassifierMetrics

MICROS: Final = 1_000_000


class CostedOrdersHandler:
    """Counts batches of costs; it is idempotent, so that it needs no inbox."""

    def __init__(
        self, transactions: Transactions, metrics: ReclassifierMetrics, evaluator: Evaluator, *, currency: str
    ) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._evaluator = evaluator
        self._currency = currency

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Count what can be read, then have the customers with news judged."""
        told: list[tuple[OrderCost, Cause]] = []
        rejected: list[Rejected] = []
        for index, delivery in enumerate(batch):
            event = delivery.event
            try:
                cost = _cost(_read(event, self._currency))
            except EventRefused as refused:
                rejected.append(Rejected(index, refused.code, refused.detail))
                continue
            told.append((cost, Cause(event.correlation_id, event.id, event.traceparent)))
        if told:
            news = await self._transactions.run(
                lambda transaction: record_costs(transaction, told), label="record costs"
            )
            self._metrics.costs.at("news").inc(news)
            self._metrics.costs.at("known").inc(len(told) - news)
            if news:
                self._evaluator.wake()
        return rejected


def _read(event: Event, currency: str) -> OrderCosted:
    payload = decode(event.type, event.data, topic=event.topic)
    if not isinstance(payload, OrderCosted):
        raise EventRefused(INVALID_PAYLOAD, "no cost of an order")
    if payload.currency != currency:
        raise EventRefused(INVALID_PAYLOAD, "not in the currency of the deployment")
    return payload


def _cost(payload: OrderCosted) -> OrderCost:
    scale = nanos_per_micro_minor(payload.currency)
    return OrderCost(
        OrderKey(payload.order.source, payload.order.order_id),
        payload.sequence,
        payload.customer_id,
        Reference(payload.customer.system, payload.customer.id),
        tuple(_day(one, scale) for one in payload.days),
    )


def _day(one: CostOfDay, scale: int) -> tuple[Day, Costs]:
    return one.day.toordinal(), Costs(
        _exact(one.cost_to_serve_minor) * scale, _exact(one.goods_minor) * scale, one.missing, 1
    )


def _exact(amount: Decimal) -> int:
    """Millionths of the minor unit: amounts have at most six decimals."""
    return int(amount * MICROS)
