"""The promise as a document: what HTTP answers and `promises.v1` carries, the same bytes.

The shape is `services.contracts.promises.Promise`; it is built as plain values because it is on the hot path, and a
test proves that each validates.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import orjson

from services.atp.application.content import Content, OrderKey
from services.atp.application.customers import Served
from services.atp.domain.cut_over import TakenOverLine
from services.atp.domain.model import Binding, Day, LineDecision, Planned

DAYS_CACHED: Final = 4_096  # some eleven years of days
NOTE_MAX_CHARS: Final = 500
OPTIONS: Final = orjson.OPT_UTC_Z
Document = dict[str, Any]
_QUOTA_REACHED: Final = {"quota_reached": True}


class Act(NamedTuple):
    """What a planner did for an order before its turn, and who: `services.contracts.orders.PriorityAct`."""

    kind: Literal["expedited", "reassigned"]
    by: str


@lru_cache(maxsize=DAYS_CACHED)
def iso(day: Day) -> str:
    """A day as YYYY-MM-DD."""
    return date.fromordinal(day).isoformat()


def dump(document: Document) -> bytes:
    """The bytes of a document."""
    return orjson.dumps(document, option=OPTIONS)


def load(encoded: bytes) -> Document:
    """A stored document as values."""
    document: Document = orjson.loads(encoded)
    return document


def order_reference(key: OrderKey, version: int) -> Document:
    """An order as its source knows it."""
    return {"source": key.source, "order_id": key.order_id, "version": version}


def answer_body(
    key: OrderKey,
    version: int,
    content: Content,
    served: Served,
    lines: list[Document],
    *,
    now: datetime,
    ordered_at: datetime,
    cost_minor: int,
    currency: str,
) -> Document:
    """What an inquiry and a promise have in common."""
    collected = {} if content.pick_up_at is None else {"pick_up_at": content.pick_up_at}
    limited = {} if content.max_shipments is None else {"max_shipments": content.max_shipments}
    return {
        "order": order_reference(key, version),
        "customer": {"system": content.customer.system, "id": content.customer.id},
        "customer_id": served.customer_id,
        "served_as": served_as(served),
        "decided_at": now,
        "ordered_at": ordered_at,
        "zone": content.zone,
        **collected,
        "channel": content.channel,
        "ship_complete": content.ship_complete,
        **limited,
        "lines": lines,
        "cost_minor": cost_minor,
        "currency": currency,
    }


def served_as(served: Served) -> Document:
    """The tier that counted, how it was known, and the micro-segment of it whose policy this is, where one is."""
    segment = served.tier.micro_segment
    refined = {} if segment is None else {"micro_segment": segment}
    return {
        "tier": served.tier.tier,
        "priority_rank": served.tier.priority_rank,
        "policy_version": served.tier.policy_version,
        **refined,
        "basis": served.basis,
        "assignment_sequence": served.sequence,
        "tier_at_order": served.tier_at_order,
        "projection_stale": served.stale,
    }


def promised_line(decision: LineDecision, routings: Iterable[Document | None]) -> Document:
    """The answer for one line, when it is decided or taken over for the first time; a routing for each part of it."""
    planned = decision.planned
    line = {
        "line": decision.line,
        "sku": decision.item_id,
        "quantity": decision.quantity,
        "outcome": decision.outcome,
        "promised": sum([part.quantity for part in planned]),
        "backordered": decision.backordered,
        "shipped": sum(decision.shipped) if isinstance(decision, TakenOverLine) else 0,
        "requested_arrival": iso(decision.requested_arrival),
        "schedule": [schedule_line(part, routing) for part, routing in zip(planned, routings, strict=True)],
        "why": [constraint(binding) for binding in decision.why],
    }
    show_choices(line, decision)
    return line


def show_choices(line: Document, decision: LineDecision) -> None:
    """Let a line name the alternatives of its newest decision, and the rules by which its ways were chosen."""
    line.pop("alternatives", None)
    line.pop("routed_by", None)
    if decision.alternatives:
        line["alternatives"] = [
            {
                "sku": each.item_id,
                "quantity": each.quantity,
                "arrival_date": iso(each.arrival_day),
                "replaces": each.replaces,
                "rule": each.rule or None,
            }
            for each in decision.alternatives
        ]

    if decision.routed_by:
        line["routed_by"] = [
            {"kind": each.kind, "rule": each.reference, "version": each.version} for each in decision.routed_by
        ]


def schedule_line(part: Planned, routing: Document | None) -> Document:
    """A promised quantity with where it comes from, how it travels and when."""
    return {
        "quantity": part.quantity,
        "location": part.key.location_id,
        "service": part.service,
        "ship_date": iso(part.ship_day),
        "arrival_date": iso(part.arrival_day),
        "cost_minor": part.cost_minor,
        "routing": routing,
    }


def constraint(binding: Binding) -> Document:
    """Why not more, or not sooner."""
    return {
        "kind": binding.kind,
        "reference": binding.reference,
        "allowed": binding.allowed,
        "day": None if binding.day is None else iso(binding.day),
        "tier": binding.tier,
        "would_help": binding.would_help[:NOTE_MAX_CHARS],
        "needed": binding.needed,
    }


def answered_event(document: bytes) -> bytes:
    """The payload of `promise.answered.v2`."""
    return b'{"promise":' + document + b"}"


def changed_event(old: bytes, new: bytes, cause: str, reason: str = "") -> bytes:
    """The payload of `promise.changed.v2`; `cause` is one of its closed set, `reason` what somebody gave as his."""
    given = b',"reason":' + orjson.dumps(reason) if reason else b""
    return b'{"old":' + old + b',"new":' + new + b',"cause":"' + cause.encode() + b'"' + given + b"}"


def recorded_event(
    document: Mapping[str, Any],
    prices: Mapping[str, str | None],
    *,
    change: str,
    sequence: int,
    now: datetime,
    delivered: Mapping[str, int],
    on_time: bool | None,
    entered_by: str | None,
    act: Act | None,
) -> bytes:
    """The payload of `order.recorded.v2`: totals by line, from the promise as it is now."""
    return orjson.dumps(
        {
            "order": document["order"],
            "change": change,
            "sequence": sequence,
            "customer_id": document["customer_id"],
            "customer": document["customer"],
            "tier": document["served_as"]["tier"],
            "channel": document["channel"],
            "zone": document["zone"],
            "ordered_at": document["ordered_at"],
            "occurred_at": now,
            "lines": [
                {
                    "line": line["line"],
                    "sku": line["sku"],
                    "quantity": line["quantity"],
                    "unit_price": prices.get(line["line"]),
                    "promised_quantity": line["promised"],
                    "shipped_quantity": line["shipped"],
                    "delivered_quantity": delivered.get(line["line"], 0),
                    "returned_quantity": line.get("returned", 0),
                    **(_QUOTA_REACHED if any(each["kind"] == "quota" for each in line["why"]) else {}),
                }
                for line in document["lines"]
            ],
            "currency": document["currency"],
            "cost_minor": document["cost_minor"],
            "on_time": on_time,
            **({} if entered_by is None else {"entered_by": entered_by}),
            **({} if act is None else {"act": {"kind": act.kind, "by": act.by}}),
        },
        option=OPTIONS,
    )


def total_cost(lines: Iterable[Mapping[str, Any]]) -> int:
    """The shipping cost of all schedule lines."""
    return sum(part["cost_minor"] for line in lines for part in line["schedule"])
