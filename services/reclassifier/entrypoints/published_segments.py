"""`segments.current.v1` and `segments.policies.v1` in: the projection of the registry's customers and tiers."""

from collections.abc import Sequence

from services.chassis.deliveries import Delivery, Rejected
from services.contracts.catalogue import EventRefused, decode
from services.contracts.segments import Assignment, SegmentCurrent, TierDefined
from services.reclassifier.application.follow_segments import follow_segments
from services.reclassifier.application.ports import Cause, ReclassifierTransaction, Segment
from services.reclassifier.domain.orders import MICROS_PER_UNIT, Reference
from services.reclassifier.domain.standing import Assigned
from services.reclassifier.domain.traces import TierTerms


async def apply_published(transaction: ReclassifierTransaction, batch: Sequence[Delivery]) -> list[Rejected]:
    """Apply a batch of the topics within a transaction; returns what could not be read.

    Heartbeats say nothing of a customer. A tombstone follows a value `deleted`, which is kept: sequences never restart.
    """
    segments: list[Segment] = []
    causes: dict[str, Cause] = {}
    terms: list[TierTerms] = []
    rejected: list[Rejected] = []
    for index, delivery in enumerate(batch):
        event = delivery.event
        if not event.data:
            continue
        try:
            payload = decode(event.type, event.data, topic=event.topic)
        except EventRefused as refused:
            rejected.append(Rejected(index, refused.code, refused.detail))
            continue
        if isinstance(payload, SegmentCurrent):
            segments.append(_segment(payload))
            causes[payload.customer_id] = Cause(event.correlation_id, event.id, event.traceparent)
        elif isinstance(payload, TierDefined):
            terms.append(_terms(payload))
    await transaction.save_terms(terms)
    await follow_segments(transaction, segments, causes)
    return rejected


def _terms(payload: TierDefined) -> TierTerms:
    policy, limits = payload.policy, payload.policy.validation
    value = None if limits is None else limits.order_value_max
    return TierTerms(
        payload.tier,
        payload.version,
        payload.priority_rank,
        policy.fill_rate_target_bp,
        policy.on_time_target_bp,
        None if limits is None else limits.order_quantity_max,
        None if value is None else int(value * MICROS_PER_UNIT),
    )


def _segment(payload: SegmentCurrent) -> Segment:
    return Segment(
        payload.customer_id,
        payload.sequence,
        payload.status,
        payload.merged_into,
        tuple(Reference(one.system, one.id) for one in payload.identifiers),
        tuple(_assigned(one) for one in payload.assignments),
    )


def _assigned(one: Assignment) -> Assigned:
    return Assigned(one.tier, one.effective_from, one.effective_to, one.sequence, one.kind == "override")
