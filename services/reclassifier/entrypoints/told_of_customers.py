"""The topics that tell of customers' doings, in: each batch to the handler of its topic."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.chassis.deliveries import Delivery, Handler, Rejected
from services.chassis.envelope import Event
from services.contracts.catalogue import INVALID_PAYLOAD, WRONG_TOPIC, EventRefused, decode
from services.contracts.feedback import FeedbackGiven
from services.contracts.topics import CUSTOMER_FEEDBACK, ORDERS_COSTED, ORDERS_RECORDED
from services.reclassifier.application.ports import Cause, Transactions
from services.reclassifier.application.record_feedback import record_feedback
from services.reclassifier.domain.feedback import Feedback, FeedbackKey, FeedbackKind
from services.reclassifier.domain.orders import Reference
from services.reclassifier.metrics import ReclassifierMetrics

TOPICS: Final = (ORDERS_RECORDED.name, ORDERS_COSTED.name, CUSTOMER_FEEDBACK.name)
REGISTRY_SYSTEM: Final = "tiercel"  # the system name under which a customer's registry id is given


class FeedbackHandler:
    """Counts batches of feedback; it is idempotent, so that it needs no inbox."""

    def __init__(self, transactions: Transactions, metrics: ReclassifierMetrics) -> None:
        self._transactions = transactions
        self._metrics = metrics

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Count what can be read; what cannot is told."""
        heard: list[tuple[Feedback, Cause]] = []
        rejected: list[Rejected] = []
        for index, delivery in enumerate(batch):
            try:
                heard.append(_heard(delivery.event))
            except EventRefused as refused:
                rejected.append(Rejected(index, refused.code, refused.detail))
        if heard:
            news = await self._transactions.run(
                lambda transaction: record_feedback(transaction, heard), label="record feedback"
            )
            self._metrics.feedback.at("news").inc(news)
            self._metrics.feedback.at("known").inc(len(heard) - news)
        return rejected


class ByTopic:
    """Gives each delivery of a batch to the handler of its topic, in the order of `handlers`."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """What the handlers reject, by place in the batch; a topic without a handler is refused whole."""
        rejected = [
            Rejected(index, WRONG_TOPIC, "nobody here reads this topic")
            for index, delivery in enumerate(batch)
            if delivery.event.topic not in self._handlers
        ]
        for topic, handler in self._handlers.items():
            places = [index for index, delivery in enumerate(batch) if delivery.event.topic == topic]
            if places:
                own = await handler([batch[place] for place in places])
                rejected += [Rejected(places[one.index], one.code, one.detail) for one in own]
        return rejected


def _heard(event: Event) -> tuple[Feedback, Cause]:
    payload = decode(event.type, event.data, topic=event.topic)
    if not isinstance(payload, FeedbackGiven):
        raise EventRefused(INVALID_PAYLOAD, "no feedback")
    return _feedback(payload), Cause(event.correlation_id, event.id, event.traceparent)


def _feedback(given: FeedbackGiven) -> Feedback:
    said_by = Reference(given.customer.system, given.customer.id)
    return Feedback(
        FeedbackKey(given.source, given.reference),
        given.version,
        said_by.id if said_by.system == REGISTRY_SYSTEM else None,
        said_by,
        given.occurred_at.toordinal(),
        FeedbackKind(given.kind),
        given.score or 0,
        given.withdrawn,
    )
