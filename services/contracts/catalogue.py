"""Every event type: its payload, its topic and its schema; and the one way to read a payload of any version.

A published version never changes. A new one is a new type (`order.placed.v2`) with, where the old can be read as the
new, an upcaster from the payload of the old (a JSON object) to the payload of the next. A consumer that must read both
gets the newest; what it cannot read is refused with a code, which is the reason in the dead letter topic:

    EventRefused(code, detail)
      unknown_event_type      nobody here has heard of it
      unknown_event_version   a type that is known, in a version that is not
      wrong_topic             a known type on a topic that does not carry it
      invalid_payload         not JSON, or not what the schema of the version says
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from services.contracts import (
    audit,
    blocks,
    capacity,
    costs,
    cut_over,
    feedback,
    items,
    network,
    order_changes,
    orders,
    preemptions,
    promises,
    published_orders,
    published_promises,
    published_supply,
    published_tiers,
    reclassification,
    risks,
    routing,
    segments,
    service,
    supply,
    topics,
    warehouse,
)
from services.contracts.payload import BROKEN_RULE, Payload

SCHEMA_URN: Final = "urn:tiercel:schema:"
UNKNOWN_TYPE: Final = "unknown_event_type"
UNKNOWN_VERSION: Final = "unknown_event_version"
WRONG_TOPIC: Final = "wrong_topic"
INVALID_PAYLOAD: Final = "invalid_payload"
ERROR_PATH_MAX_CHARS: Final = 100  # an unknown field's name is the sender's choice
ERRORS_SHOWN_MAX: Final = 5  # a payload of 1,000 wrong lines must not make a reason of 1,000 sentences

_TYPE = re.compile(r"^(?P<stem>[a-z]+(\.[a-z_]+)+)\.v(?P<version>[1-9][0-9]{0,3})$")

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class EventRefused(Exception):  # noqa: N818 - a refusal is an answer for the sender, not an error of this process
    """An event that cannot be read; `code` is stable, `detail` names fields and never repeats their values."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class EventType:
    """One version of one event: its name, what its payload is and where it travels."""

    name: str
    model: type[Payload]
    topic: topics.Topic

    @property
    def stem(self) -> str:
        """The name without its version: `order.placed`."""
        return split_name(self.name)[0]

    @property
    def version(self) -> int:
        """The version in the name: 1 of `order.placed.v1`."""
        return split_name(self.name)[1]

    @property
    def dataschema(self) -> str:
        """The URI of its JSON Schema, as in the `dataschema` of the envelope."""
        return SCHEMA_URN + self.name


class Catalogue:
    """A set of event types with the upcasters between their versions, by the name of the old version."""

    def __init__(self, event_types: Sequence[EventType], upcasters: Mapping[str, Upcaster]) -> None:
        self.by_name: Final = {event_type.name: event_type for event_type in event_types}
        self.upcasters: Final = dict(upcasters)
        if len(self.by_name) != len(event_types):
            raise ValueError("an event type is listed twice")
        for old in self.upcasters:
            stem, version = split_name(old)
            if f"{stem}.v{version + 1}" not in self.by_name and f"{stem}.v{version + 1}" not in self.upcasters:
                raise ValueError(f"the upcaster of {old} leads nowhere")

    def find(self, name: str) -> EventType:
        """The event type of this name; `EventRefused` if it, or its version, is not known."""
        found = self.by_name.get(name)
        if found is not None:
            return found
        match = _TYPE.match(name)
        known = sorted(n for n in self.by_name if match and split_name(n)[0] == match["stem"])
        if known:
            raise EventRefused(UNKNOWN_VERSION, f"known versions: {', '.join(known)}")
        raise EventRefused(UNKNOWN_TYPE, "no event of this name is known")

    def decode(self, name: str, data: bytes, *, topic: str | None = None) -> Payload:
        """Read a payload as the newest version that its own can be raised to.

        `topic`, where given, must be the one that carries the type. Raises `EventRefused`.
        """
        written = self.by_name.get(name)
        if topic is not None and written is not None and topic != written.topic.name:
            raise EventRefused(WRONG_TOPIC, f"{name} travels on {written.topic.name}")
        if name in self.upcasters:
            name, data = self._upcast(name, data)
        event_type = self.find(name)
        if topic is not None and topic != event_type.topic.name:
            raise EventRefused(WRONG_TOPIC, f"{name} travels on {event_type.topic.name}")
        try:
            return event_type.model.model_validate_json(data)
        except ValidationError as error:
            raise EventRefused(INVALID_PAYLOAD, describe(error)) from None

    def _upcast(self, name: str, data: bytes) -> tuple[str, bytes]:
        old = self.by_name.get(name)
        if old is not None:
            try:
                old.model.model_validate_json(data)
            except ValidationError as error:
                raise EventRefused(INVALID_PAYLOAD, describe(error)) from None
        try:
            payload = json.loads(data)
        except ValueError:
            raise EventRefused(INVALID_PAYLOAD, "not JSON") from None
        if not isinstance(payload, dict):
            raise EventRefused(INVALID_PAYLOAD, "not a JSON object")
        while name in self.upcasters:
            payload = self.upcasters[name](payload)
            stem, version = split_name(name)
            name = f"{stem}.v{version + 1}"
        return name, json.dumps(payload).encode()


def split_name(name: str) -> tuple[str, int]:
    """`order.placed.v1` as (`order.placed`, 1); ValueError for what is no name of an event type."""
    match = _TYPE.match(name)
    if match is None:
        raise ValueError(f"{name!r} is no event type: <noun>.<verb>.v<N>")
    return match["stem"], int(match["version"])


def _rule(error: Mapping[str, Any]) -> str:
    return str(error["msg"] if error["type"] == BROKEN_RULE else error["type"])


def describe(error: ValidationError) -> str:
    """What is wrong with a payload: paths and rules, never the values, which may be anything."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(str(part) for part in one['loc'])[:ERROR_PATH_MAX_CHARS]}: {_rule(one)}" for one in found]
    rest = len(shown) - ERRORS_SHOWN_MAX
    return "; ".join(shown[:ERRORS_SHOWN_MAX]) + (f"; and {rest} more" if rest > 0 else "")


ORDER_PLACED_V1: Final = EventType("order.placed.v1", published_orders.OrderPlaced, topics.ORDERS)
ORDER_PLACED: Final = EventType("order.placed.v2", orders.OrderPlaced, topics.ORDERS)
ORDER_CONFIRMED: Final = EventType("order.confirmed.v1", orders.OrderConfirmed, topics.ORDERS)
ORDER_CANCELLED: Final = EventType("order.cancelled.v1", orders.OrderCancelled, topics.ORDERS)
SUPPLY_MOVEMENT_V1: Final = EventType("supply.movement.v1", published_supply.SupplyMovementV1, topics.SUPPLY)
SUPPLY_MOVEMENT: Final = EventType("supply.movement.v2", supply.SupplyMovement, topics.SUPPLY)
SUPPLY_SNAPSHOT_V1: Final = EventType("supply.snapshot.v1", published_supply.SupplySnapshotV1, topics.SUPPLY)
SUPPLY_SNAPSHOT: Final = EventType("supply.snapshot.v2", supply.SupplySnapshot, topics.SUPPLY)
SUPPLY_TRANSFER: Final = EventType("supply.transfer.v1", supply.Transfer, topics.SUPPLY)
ORDER_AMENDED: Final = EventType("order.amended.v1", order_changes.OrderAmended, topics.ORDERS)
ORDER_RELEASED: Final = EventType("order.released.v1", order_changes.OrderReleased, topics.ORDERS)
ORDER_TRANSFERRED: Final = EventType("order.transferred.v1", order_changes.OrderTransferred, topics.ORDERS)
ORDER_REVIVED: Final = EventType("order.revived.v1", order_changes.OrderRevived, topics.ORDERS)
SUPPLY_RECEIPT: Final = EventType("supply.receipt.v1", supply.ScheduledReceipt, topics.SUPPLY)
SUPPLY_CORRECTED: Final = EventType("supply.corrected.v1", supply.CountCorrected, topics.SUPPLY)
CATALOG_ITEM_V1: Final = EventType("catalog.item.v1", items.CatalogItemV1, topics.CATALOG)
CATALOG_LOCATION: Final = EventType("catalog.location.v1", network.CatalogLocation, topics.CATALOG)
CATALOG_LANE: Final = EventType("catalog.lane.v1", network.CatalogLane, topics.CATALOG)
CATALOG_SERVICE: Final = EventType("catalog.service.v1", network.CatalogService, topics.CATALOG)
CATALOG_CALENDAR: Final = EventType("catalog.calendar.v1", network.CatalogCalendar, topics.CATALOG)
CATALOG_ZONE: Final = EventType("catalog.zone.v1", network.CatalogZone, topics.CATALOG)
CATALOG_SOURCING_RULES: Final = EventType("catalog.sourcing_rules.v1", routing.CatalogSourcingRules, topics.CATALOG)
CATALOG_FULFILMENT_MODES: Final = EventType(
    "catalog.fulfilment_modes.v1", routing.CatalogFulfilmentModes, topics.CATALOG
)
CATALOG_SUBSTITUTIONS: Final = EventType("catalog.substitutions.v1", routing.CatalogSubstitutions, topics.CATALOG)
CATALOG_CAPACITY: Final = EventType("catalog.capacity.v1", capacity.CatalogCapacity, topics.CATALOG)
CATALOG_ITEM: Final = EventType("catalog.item.v2", items.CatalogItem, topics.CATALOG)
FULFILMENT_SHIPPED: Final = EventType("fulfilment.shipped.v1", supply.Shipped, topics.FULFILMENTS)
FULFILMENT_SHORT_PICKED: Final = EventType("fulfilment.short_picked.v1", warehouse.ShortPicked, topics.FULFILMENTS)
FULFILMENT_RETURNED: Final = EventType("fulfilment.returned.v1", warehouse.Returned, topics.FULFILMENTS)
FULFILMENT_DELIVERED: Final = EventType("fulfilment.delivered.v1", supply.Delivered, topics.FULFILMENTS)
FULFILMENT_DISCREPANCY: Final = EventType("fulfilment.discrepancy.v1", supply.Discrepancy, topics.FULFILMENTS)
FULFILMENT_ACTIVITY: Final = EventType("fulfilment.activity.v1", costs.ActivityReported, topics.FULFILMENTS)
CATALOG_LANDED_COST: Final = EventType("catalog.landed_cost.v1", costs.LandedCost, topics.CATALOG)
CATALOG_CUSTOMER_BLOCK: Final = EventType("catalog.customer_block.v1", blocks.CustomerBlock, topics.CATALOG)
CATALOG_ACTIVITY_RATE: Final = EventType("catalog.activity_rate.v1", costs.ActivityRate, topics.CATALOG)
ORDER_RECORDED_V1: Final = EventType("order.recorded.v1", published_orders.OrderRecorded, topics.ORDERS_RECORDED)
ORDER_RECORDED: Final = EventType("order.recorded.v2", orders.OrderRecorded, topics.ORDERS_RECORDED)
PROMISE_ANSWERED_V1: Final = EventType("promise.answered.v1", published_promises.PromiseAnswered, topics.PROMISES)
PROMISE_ANSWERED: Final = EventType("promise.answered.v2", promises.PromiseAnswered, topics.PROMISES)
PROMISE_CHANGED_V1: Final = EventType("promise.changed.v1", published_promises.PromiseChanged, topics.PROMISES)
PROMISE_CHANGED: Final = EventType("promise.changed.v2", promises.PromiseChanged, topics.PROMISES)
PROMISE_AT_RISK: Final = EventType("promise.at_risk.v1", risks.PromiseAtRisk, topics.PROMISES)
PROMISE_PREEMPTED: Final = EventType("promise.preempted.v1", preemptions.PromisePreempted, topics.PROMISES)
PROMISE_UNMET: Final = EventType("promise.unmet.v1", preemptions.PromiseUnmet, topics.PROMISES)
PROMISE_TAKEN_OVER: Final = EventType("promise.taken_over.v1", cut_over.PromiseTakenOver, topics.PROMISES)
SEGMENT_CURRENT: Final = EventType("segment.current.v1", segments.SegmentCurrent, topics.SEGMENTS_CURRENT)
SEGMENT_HEARTBEAT: Final = EventType("segment.heartbeat.v1", segments.SegmentHeartbeat, topics.SEGMENTS_CURRENT)
SEGMENT_CHANGED: Final = EventType("segment.changed.v1", segments.SegmentChanged, topics.SEGMENTS_CHANGES)
SEGMENT_PROPOSED: Final = EventType("segment.proposed.v1", segments.SegmentProposed, topics.SEGMENTS_PROPOSALS)
SEGMENT_PROFILED: Final = EventType("segment.profiled.v1", segments.SegmentProfiled, topics.SEGMENTS_PROFILES)
TIER_POLICY_V1: Final = EventType("tier.policy.v1", published_tiers.TierDefined, topics.SEGMENTS_POLICIES)
TIER_POLICY: Final = EventType("tier.policy.v2", segments.TierDefined, topics.SEGMENTS_POLICIES)
SERVICE_BREACHED: Final = EventType("service.breached.v1", service.ServiceBreached, topics.SERVICE_BREACHES)
ORDER_COSTED: Final = EventType("order.costed.v1", costs.OrderCosted, topics.ORDERS_COSTED)
RECLASSIFICATION_STOPPED: Final = EventType(
    "reclassification.stopped.v1", reclassification.ReclassificationStopped, topics.RECLASSIFICATION
)
RECLASSIFICATION_RESUMED: Final = EventType(
    "reclassification.resumed.v1", reclassification.ReclassificationResumed, topics.RECLASSIFICATION
)
FEEDBACK_GIVEN: Final = EventType("feedback.given.v1", feedback.FeedbackGiven, topics.CUSTOMER_FEEDBACK)
AUDIT_ANCHORED: Final = EventType("audit.anchored.v1", audit.AuditAnchored, topics.AUDIT_ANCHORS)

ALL: Final = (
    ORDER_PLACED_V1,
    ORDER_PLACED,
    ORDER_CONFIRMED,
    ORDER_CANCELLED,
    ORDER_AMENDED,
    ORDER_RELEASED,
    ORDER_TRANSFERRED,
    ORDER_REVIVED,
    SUPPLY_MOVEMENT_V1,
    SUPPLY_MOVEMENT,
    SUPPLY_SNAPSHOT_V1,
    SUPPLY_SNAPSHOT,
    SUPPLY_TRANSFER,
    SUPPLY_RECEIPT,
    SUPPLY_CORRECTED,
    CATALOG_ITEM_V1,
    CATALOG_ITEM,
    CATALOG_LOCATION,
    CATALOG_LANE,
    CATALOG_SERVICE,
    CATALOG_CALENDAR,
    CATALOG_ZONE,
    CATALOG_SOURCING_RULES,
    CATALOG_FULFILMENT_MODES,
    CATALOG_SUBSTITUTIONS,
    CATALOG_CAPACITY,
    FULFILMENT_SHIPPED,
    FULFILMENT_DELIVERED,
    FULFILMENT_SHORT_PICKED,
    FULFILMENT_RETURNED,
    FULFILMENT_DISCREPANCY,
    FULFILMENT_ACTIVITY,
    CATALOG_LANDED_COST,
    CATALOG_ACTIVITY_RATE,
    CATALOG_CUSTOMER_BLOCK,
    ORDER_RECORDED_V1,
    ORDER_RECORDED,
    PROMISE_ANSWERED_V1,
    PROMISE_ANSWERED,
    PROMISE_CHANGED_V1,
    PROMISE_CHANGED,
    PROMISE_AT_RISK,
    PROMISE_PREEMPTED,
    PROMISE_UNMET,
    PROMISE_TAKEN_OVER,
    SEGMENT_CURRENT,
    SEGMENT_HEARTBEAT,
    SEGMENT_CHANGED,
    SEGMENT_PROPOSED,
    SEGMENT_PROFILED,
    TIER_POLICY_V1,
    TIER_POLICY,
    SERVICE_BREACHED,
    ORDER_COSTED,
    RECLASSIFICATION_STOPPED,
    RECLASSIFICATION_RESUMED,
    FEEDBACK_GIVEN,
    AUDIT_ANCHORED,
)


def _as_it_is(payload: dict[str, Any]) -> dict[str, Any]:
    """The next version only adds fields that may be left out."""
    return payload


_ONLY_ADDED_TO: Final = (
    CATALOG_ITEM_V1,
    ORDER_PLACED_V1,
    ORDER_RECORDED_V1,
    PROMISE_ANSWERED_V1,
    PROMISE_CHANGED_V1,
    SUPPLY_MOVEMENT_V1,
    SUPPLY_SNAPSHOT_V1,
    TIER_POLICY_V1,
)
CATALOGUE: Final = Catalogue(ALL, {one.name: _as_it_is for one in _ONLY_ADDED_TO})


def decode(name: str, data: bytes, *, topic: str | None = None) -> Payload:
    """Read a payload of the published language; see `Catalogue.decode`."""
    return CATALOGUE.decode(name, data, topic=topic)
