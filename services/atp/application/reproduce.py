"""Repeating the decisions of a record: the book and the steps back from their bytes, and decided again.

The same input gives the same decisions, byte for byte, as long as `engine_version` is the one of this code.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import orjson

from services.atp.application.workbook import Decision, Workbook
from services.atp.domain.contending import Contender, Holding
from services.atp.domain.cut_over import PromisedElsewhere
from services.atp.domain.model import (
    Backordering,
    Book,
    Calendar,
    Capacity,
    CapacityShare,
    Hierarchy,
    Item,
    Node,
    Offer,
    OpenBackorder,
    Planned,
    Position,
    PositionKey,
    Posting,
    PromisingRule,
    Protection,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
    UsageKey,
)
from services.atp.domain.routing_rules import Attempt, FulfilmentMode, RoutingRules, SourcingRule, Substitution
from services.atp.domain.service_rule import SERVED_BY_TIER, Criterion, ServiceRule, SetAside, SetAsideRule
from services.atp.domain.taking import Given
from services.atp.domain.validation_rules import Block, ValidationRules

Fields = dict[str, Any]


def reproduce(compressed: bytes) -> list[Decision]:
    """The decisions that follow from a record's input, in the order of their index."""
    record: Fields = orjson.loads(zlib.decompress(compressed))
    workbook = Workbook(_book(record))
    decisions: list[Decision] = []
    for kind, step in record["steps"]:
        match kind:
            case "decide":
                decisions.append(workbook.decide(_request(step)))
            case "serve":
                decisions.append(workbook.serve([_backorder(each) for each in step]))
            case "redecide":
                contenders, through, *_ = step
                place = None if through is None else (tuple(through[0]), through[1])
                decisions.append(workbook.redecide([_contender(each) for each in contenders], place).moves)
            case "cut_over":
                decisions.append(workbook.take_over(_promised_elsewhere(step)))
            case "release":
                workbook.release([_planned(each) for each in step])
            case "ship":
                part, quantity, on_hand_change = step
                workbook.ship(_planned(part), quantity, on_hand_change=on_hand_change)
            case "count":
                usage, quantity = step
                workbook.count(UsageKey(*usage), quantity)
            case "put":
                workbook.put(_position(step))
            case _:
                raise ValueError(f"a step {kind!r} is not known to this engine")
    return decisions


def _book(record: Fields) -> Book:
    protections: dict[PositionKey, tuple[Protection, ...]] = {}
    for fields in record["protections"]:
        protection = Protection(**{**fields, "key": PositionKey(*fields["key"])})
        protections[protection.key] = (*protections.get(protection.key, ()), protection)
    return Book(
        today=record["today"],
        items={each["item_id"]: _item(each) for each in record["items"]},
        positions={(position := _position(each)).key: position for each in record["positions"]},
        offers={zone: tuple(_offer(each) for each in offers) for zone, offers in record["offers"].items()},
        protections=protections,
        quotas=tuple(Quota(**each) for each in record["quotas"]),
        backlog=dict(record.get("backlog", ())),
        usage={UsageKey(kind, limit, start): consumed for kind, limit, start, consumed in record["usage"]},
        hierarchies=tuple(_hierarchy(each) for each in record.get("hierarchies", ())),
        regions=record.get("regions", {}),
        closed=dict(record.get("closed", ())),
        assumed_from=dict(record.get("assumed_from", ())),
        capacities=_capacities(record.get("capacities", ())),
        routing=_routing(*record.get("routing", ((), (), ()))),
        service=_service(record.get("service")),
    )


def _routing(sourcing: Sequence[Any], modes: Sequence[Any], substitutions: Sequence[Any]) -> RoutingRules:
    rules = [SourcingRule(*each) for each in sourcing]
    return RoutingRules(
        tuple(each._replace(locations=tuple((name, rank) for name, rank in each.locations)) for each in rules),
        tuple(
            each._replace(attempts=tuple(Attempt(tuple(kinds), tuple(classes)) for kinds, classes in each.attempts))
            for each in (FulfilmentMode(*mode) for mode in modes)
        ),
        tuple(Substitution(*each) for each in substitutions),
    )


def _capacities(record: Sequence[Fields]) -> dict[str, tuple[Capacity, ...]]:
    by_location: dict[str, tuple[Capacity, ...]] = {}
    for fields in record:
        lists: Fields = {
            "weekdays": tuple(fields["weekdays"]),
            "exceptions": tuple((day, units) for day, units in fields["exceptions"]),
            "shares": tuple(CapacityShare(*share) for share in fields["shares"]),
        }
        capacity = Capacity(**{**fields, **lists})
        by_location[capacity.location_id] = (*by_location.get(capacity.location_id, ()), capacity)
    return by_location


def _service(fields: Fields | None) -> ServiceRule:
    if fields is None:
        return SERVED_BY_TIER
    criteria = tuple(
        Criterion(**{**each, "values": tuple((name, value) for name, value in each["values"])})
        for each in fields["criteria"]
    )
    set_aside = fields.get("set_aside")
    if set_aside is not None:
        after, lasts, tiers = set_aside
        set_aside = SetAsideRule(after, lasts, tuple((tier, days) for tier, days in tiers))
    return ServiceRule(**{**fields, "criteria": criteria, "set_aside": set_aside})


def _hierarchy(fields: Fields) -> Hierarchy:
    nodes = tuple(Node(**{**each, "quantities": tuple(each["quantities"])}) for each in fields["nodes"])
    periods = tuple((start, end) for start, end in fields["periods"])
    return Hierarchy(**{**fields, "nodes": nodes, "periods": periods})


def _item(fields: Fields) -> Item:
    lists: Fields = {name: tuple(fields[name]) for name in ("groups", "substitutes") if name in fields}
    if "units" in fields:
        lists["units"] = tuple((unit, quantity) for unit, quantity in fields["units"])
    if "backorders" in fields:
        lists["backorders"] = Backordering(*fields["backorders"])
    if "rule" in fields:
        lists["rule"] = PromisingRule(*fields["rule"])
    return Item(**{**fields, **lists})


def _offer(fields: Fields) -> Offer:
    calendars = {name: _calendar(fields[name]) for name in ("working", "pick_up") if fields.get(name) is not None}
    return Offer(**{**fields, **calendars})


def _calendar(fields: Sequence[Any]) -> Calendar:
    weekdays, closed, opened = fields
    return Calendar(tuple(weekdays), tuple(closed), tuple(opened))


def _position(fields: Fields) -> Position:
    return Position(
        key=PositionKey(*fields["key"]),
        version=fields["version"],
        on_hand=fields["on_hand"],
        buffer=fields["buffer"],
        receipts=tuple(Receipts(**each) for each in fields["receipts"]),
        commitments=tuple((day, quantity) for day, quantity in fields["commitments"]),
        waiting=tuple((rank, quantity) for rank, quantity in fields["waiting"]),
        stopped_through=fields.get("stopped_through"),
        channel_buffers=tuple((channel, quantity) for channel, quantity in fields.get("channel_buffers", ())),
        waiting_basis=fields.get("waiting_basis", 0),
        set_aside=tuple(_set_aside(*each) for each in fields.get("set_aside", ())),
    )


def _set_aside(place: Sequence[Any], basis: int, through: int, steps: Sequence[Any]) -> SetAside:
    lead, further, source, order_id, line = place
    return SetAside(
        (lead, further, source, order_id, line), basis, through, tuple((day, units) for day, units in steps)
    )


def _request(fields: Fields) -> Request:
    given = fields["tier"]
    tier = Tier(
        **{
            **given,
            "carrier_classes": tuple(given["carrier_classes"]),
            "validation": _rules(given.get("validation")),
            "handling": tuple(given.get("handling", ())),
        }
    )
    lines = tuple(RequestLine(**each) for each in fields["lines"])
    blocks = tuple(Block(**each) for each in fields.get("blocks", ()))
    shipments = tuple((location, service, day) for location, service, day in fields.get("shipments", ()))
    return Request(**{**fields, "tier": tier, "lines": lines, "blocks": blocks, "shipments": shipments})


def _promised_elsewhere(fields: Fields) -> PromisedElsewhere:
    given = tuple(tuple(Given(PositionKey(*key), *rest) for key, *rest in line) for line in fields["given"])
    return PromisedElsewhere(_request(fields["request"]), given)


def _rules(fields: Fields | None) -> ValidationRules | None:
    if fields is None:
        return None
    given: Fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return ValidationRules(**given)


def _backorder(fields: Fields) -> OpenBackorder:
    return OpenBackorder(
        promise_id=fields["promise_id"],
        service_key=tuple(fields["service_key"]),
        request=_request(fields["request"]),
        line=RequestLine(**fields["line"]),
    )


def _contender(fields: Fields) -> Contender:
    return Contender(
        promise_id=fields["promise_id"],
        service_key=tuple(fields["service_key"]),
        strategy=fields["strategy"],
        request=_request(fields["request"]),
        held=tuple(Holding(line, number, _planned(planned), *rest) for line, number, planned, *rest in fields["held"]),
    )


def _planned(fields: Fields) -> Planned:
    postings = tuple(
        Posting(UsageKey(*each["usage"]), each["quantity"], each.get("taken", "own")) for each in fields["postings"]
    )
    return Planned(**{**fields, "key": PositionKey(*fields["key"]), "postings": postings})
