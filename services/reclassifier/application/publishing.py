"""What the reclassifier publishes: proposals, demand profiles, and that automatic moves stopped or go on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import orjson

from services.chassis.envelope import Event
from services.chassis.ids import new_id
from services.contracts.catalogue import (
    RECLASSIFICATION_RESUMED,
    RECLASSIFICATION_STOPPED,
    SEGMENT_PROFILED,
    SEGMENT_PROPOSED,
)
from services.contracts.payload import NOTE_MAX_CHARS
from services.reclassifier.application.ports import Cause, FuseState, Proposal
from services.reclassifier.domain.demand import ADI_CUT, CV2_CUT, Demand, Profiled

SOURCE: Final = "reclassifier"


def proposal_event(proposal: Proposal, number: int, cause: Cause | None, now: datetime) -> Event:
    """The proposal for the registry; `number` counts those published of this customer."""
    return Event(
        id=proposal.proposal_id,
        type=SEGMENT_PROPOSED.name,
        source=SOURCE,
        topic=SEGMENT_PROPOSED.topic.name,
        key=proposal.customer_id,
        sequence=number,
        time=now,
        data=orjson.dumps(_proposal_document(proposal)),
        correlation_id=proposal.proposal_id if cause is None else cause.correlation_id,
        causation_id=proposal.proposal_id if cause is None else cause.causation_id,
        traceparent=None if cause is None else cause.traceparent,
        dataschema=SEGMENT_PROPOSED.dataschema,
    )


def profile_event(customer_id: str, profiled: Profiled, demand: Demand, cause: Cause | None) -> Event:
    """The customer's demand profile from now on; the numbers behind it, where there is one."""
    event_id = str(new_id())
    data = {
        "customer_id": customer_id,
        "sequence": profiled.sequence,
        "demand_profile": profiled.profile,
        "since": profiled.since,
        "evidence": [] if profiled.profile is None else _numbers(demand),
    }
    return Event(
        id=event_id,
        type=SEGMENT_PROFILED.name,
        source=SOURCE,
        topic=SEGMENT_PROFILED.topic.name,
        key=customer_id,
        sequence=profiled.sequence,
        time=profiled.since,
        data=orjson.dumps(data),
        correlation_id=event_id if cause is None else cause.correlation_id,
        causation_id=event_id if cause is None else cause.causation_id,
        traceparent=None if cause is None else cause.traceparent,
        dataschema=SEGMENT_PROFILED.dataschema,
    )


def _numbers(demand: Demand) -> list[dict[str, str]]:
    """Each number beside the limit between profiles, to the hundredth, towards zero."""
    named = (("average_interval", demand.interval, ADI_CUT), ("squared_variation", demand.variation, CV2_CUT))
    return [
        {"name": name, "value": _hundredths(*number), "limit": _hundredths(*limit)}
        for name, number, limit in named
        if number is not None
    ]


def _hundredths(numerator: int, denominator: int) -> str:
    whole, rest = divmod(numerator * 100 // denominator, 100)
    return f"{whole}.{rest:02d}"


def stopped_event(rule_set_id: str, state: FuseState, within_hours: int, now: datetime) -> Event:
    """Automatic moves of a rule set stopped."""
    data = {
        "rule": rule_set_id,
        "rule_version": state.rule_version,
        "sequence": state.sequence,
        "moves": state.moves,
        "limit": state.limit,
        "within_hours": within_hours,
        "stopped_at": now,
    }
    return _of_fuse(RECLASSIFICATION_STOPPED.name, RECLASSIFICATION_STOPPED.dataschema, rule_set_id, state, data, now)


def resumed_event(rule_set_id: str, state: FuseState, author: str, reason: str, now: datetime) -> Event:
    """They go on."""
    data = {
        "rule": rule_set_id,
        "sequence": state.sequence,
        "author": author,
        "reason": reason,
        "resumed_at": now,
    }
    return _of_fuse(RECLASSIFICATION_RESUMED.name, RECLASSIFICATION_RESUMED.dataschema, rule_set_id, state, data, now)


def _of_fuse(  # noqa: PLR0917 - one event's parts
    name: str, schema: str, rule_set_id: str, state: FuseState, data: Mapping[str, object], now: datetime
) -> Event:
    event_id = str(new_id())
    return Event(
        id=event_id,
        type=name,
        source=SOURCE,
        topic=RECLASSIFICATION_STOPPED.topic.name,
        key=rule_set_id,
        sequence=state.sequence,
        time=now,
        data=orjson.dumps(data),
        correlation_id=event_id,
        causation_id=event_id,
        dataschema=schema,
    )


def _proposal_document(proposal: Proposal) -> dict[str, object]:
    """A proposal as the contract `SegmentProposed` has it; who let it pass is part of its reason."""
    approved = "" if proposal.decided_by is None else f" (approved by {proposal.decided_by})"
    return {
        "proposal_id": proposal.proposal_id,
        "customer_id": proposal.customer_id,
        "from_tier": proposal.from_tier,
        "to_tier": proposal.to_tier,
        "rule": proposal.rule_set_id,
        "rule_version": proposal.rule_version,
        "as_of": proposal.as_of,
        "based_on_sequence": proposal.based_on_sequence,
        "reason": proposal.reason[: NOTE_MAX_CHARS - len(approved)] + approved,
        "evidence": [{"name": one.name, "value": one.value, "limit": one.limit} for one in proposal.evidence],
    }
