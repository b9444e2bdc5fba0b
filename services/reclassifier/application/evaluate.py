"""Judge the customers whose evaluation is due, and propose the moves that the numbers ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from services.chassis.envelope import Event
from services.chassis.ids import new_id
from services.contracts.catalogue import SEGMENT_PROPOSED
from services.reclassifier.application.ports import (
    Cause,
    Claimed,
    Evaluated,
    Proposal,
    ProposalState,
    ReclassifierTransaction,
    Segment,
)
from services.reclassifier.domain.classification import Judgement, Move, judge
from services.reclassifier.domain.features import Features
from services.reclassifier.domain.orders import customer_of_owner
from services.reclassifier.domain.rule_set import RuleSet
from services.reclassifier.domain.standing import standing_at

SOURCE: Final = "reclassifier"
PORTION_MAX: Final = 500  # customers judged in one transaction: some 20 ms
SWEEP_MAX: Final = 2_000  # customers made due in one transaction when a rule set is new


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one portion came to; `more` says that there is probably more to do at once."""

    judged: int = 0
    promotions: int = 0
    demotions: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that the judgement of one customer needs."""

    claimed: Claimed
    segment: Segment
    features: Features
    open_proposal: Proposal | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What to store of one customer."""

    evaluated: Evaluated
    proposed: Proposal | None = None
    ended: tuple[str, ProposalState] | None = None


async def evaluate_due(transaction: ReclassifierTransaction, rule_set_id: str) -> Evaluation:
    """Judge one portion of what is due. While a replay collects, nothing is."""
    if await transaction.collecting():
        return Evaluation()
    claimed = await transaction.claim_due(PORTION_MAX)
    if not claimed:
        return Evaluation(more=await transaction.continue_sweep(SWEEP_MAX) > 0)
    stored = await transaction.rule_set(rule_set_id)
    now = await transaction.now()
    cases = [] if stored is None else await _cases(transaction, claimed, stored.rule_set, now)
    outcomes = [] if stored is None else [_decide(case, stored.rule_set, now) for case in cases]
    judged = {outcome.evaluated.owner for outcome in outcomes}
    idle = [Evaluated(one.owner, None, one.proposals) for one in claimed if one.owner not in judged]
    await _store(transaction, outcomes, idle, {one.owner: one.cause for one in claimed}, now)
    up, down = _directions(outcomes, stored.rule_set if stored else None)
    return Evaluation(len(outcomes), up, down, more=True)


async def _cases(
    transaction: ReclassifierTransaction, claimed: Sequence[Claimed], rule_set: RuleSet, now: datetime
) -> list[_Case]:
    """The claimed owners that the registry knows and that may be moved; the others wait for it."""
    ids = {one.owner: customer_id for one in claimed if (customer_id := customer_of_owner(one.owner)) is not None}
    segments = await transaction.segments(list(ids.values()))
    movable = [one for one in claimed if one.owner in ids and _may_move(segments.get(ids[one.owner]))]
    features = await transaction.features(
        [one.owner for one in movable], now.toordinal(), rule_set.windows, rule_set.detail
    )
    proposals = await transaction.lock_open_proposals([ids[one.owner] for one in movable])
    return [
        _Case(
            one,
            segments[ids[one.owner]],
            features[one.owner],
            _of_rule_set(proposals.get(ids[one.owner], []), rule_set),
        )
        for one in movable
    ]


def _may_move(segment: Segment | None) -> bool:
    return segment is not None and segment.active


def _of_rule_set(proposals: Sequence[Proposal], rule_set: RuleSet) -> Proposal | None:
    return next((one for one in proposals if one.rule_set_id == rule_set.rule_set_id), None)


def _decide(case: _Case, rule_set: RuleSet, now: datetime) -> _Outcome:
    claimed, proposal = case.claimed, case.open_proposal
    ended = None
    if proposal is not None:
        fate = _fate(proposal, rule_set, now)
        if fate is ProposalState.OPEN:  # one at a time; the registry's answer makes the customer due again
            return _Outcome(Evaluated(claimed.owner, proposal.expires_at, claimed.proposals))
        ended = (proposal.proposal_id, fate)
    judgement = judge(rule_set, standing_at(case.segment.assignments, now), case.features, now)
    if judgement.move is None:
        return _Outcome(Evaluated(claimed.owner, judgement.again_at, claimed.proposals), ended=ended)
    proposed = _proposal(case.segment, judgement.move, rule_set, now)
    again_at = _earlier(judgement, proposed.expires_at)
    return _Outcome(Evaluated(claimed.owner, again_at, claimed.proposals + 1), proposed, ended)


def _fate(proposal: Proposal, rule_set: RuleSet, now: datetime) -> ProposalState:
    if proposal.rule_version != rule_set.version:
        return ProposalState.SUPERSEDED
    return ProposalState.EXPIRED if proposal.expires_at <= now else ProposalState.OPEN


def _earlier(judgement: Judgement, expires_at: datetime) -> datetime:
    return expires_at if judgement.again_at is None else min(judgement.again_at, expires_at)


def _proposal(segment: Segment, move: Move, rule_set: RuleSet, now: datetime) -> Proposal:
    return Proposal(
        proposal_id=str(new_id()),
        customer_id=segment.customer_id,
        from_tier=move.from_tier,
        to_tier=move.to_tier,
        rule_set_id=rule_set.rule_set_id,
        rule_version=rule_set.version,
        as_of=now,
        expires_at=now + timedelta(days=rule_set.proposal_ttl_days),
        based_on_sequence=segment.sequence,
        reason=move.reason,
        evidence=move.evidence,
    )


async def _store(
    transaction: ReclassifierTransaction,
    outcomes: Sequence[_Outcome],
    idle: Sequence[Evaluated],
    causes: Mapping[str, Cause | None],
    now: datetime,
) -> None:
    await transaction.end_proposals([one.ended for one in outcomes if one.ended is not None], now)
    proposed = [(one.proposed, one.evaluated) for one in outcomes if one.proposed is not None]
    await transaction.add_proposals([proposal for proposal, _ in proposed])
    await transaction.save_evaluations([*(one.evaluated for one in outcomes), *idle])
    events = [_event(proposal, after.proposals, causes[after.owner], now) for proposal, after in proposed]
    await transaction.publish(events)
    await transaction.count_activity()


def _directions(outcomes: Sequence[_Outcome], rule_set: RuleSet | None) -> tuple[int, int]:
    if rule_set is None:
        return 0, 0
    made = [one.proposed for one in outcomes if one.proposed is not None]
    up = sum(rule_set.tiers.index(one.to_tier) < rule_set.tiers.index(one.from_tier) for one in made)
    return up, len(made) - up


def _event(proposal: Proposal, number: int, cause: Cause | None, now: datetime) -> Event:
    """The proposal for the registry; `number` counts the proposals of this customer."""
    return Event(
        id=proposal.proposal_id,
        type=SEGMENT_PROPOSED.name,
        source=SOURCE,
        topic=SEGMENT_PROPOSED.topic.name,
        key=proposal.customer_id,
        sequence=number,
        time=now,
        data=orjson.dumps(proposal_document(proposal)),
        correlation_id=proposal.proposal_id if cause is None else cause.correlation_id,
        causation_id=proposal.proposal_id if cause is None else cause.causation_id,
        traceparent=None if cause is None else cause.traceparent,
        dataschema=SEGMENT_PROPOSED.dataschema,
    )


def proposal_document(proposal: Proposal) -> dict[str, object]:
    """A proposal as the contract `SegmentProposed` has it."""
    return {
        "proposal_id": proposal.proposal_id,
        "customer_id": proposal.customer_id,
        "from_tier": proposal.from_tier,
        "to_tier": proposal.to_tier,
        "rule": proposal.rule_set_id,
        "rule_version": proposal.rule_version,
        "as_of": proposal.as_of,
        "based_on_sequence": proposal.based_on_sequence,
        "reason": proposal.reason,
        "evidence": [{"name": one.name, "value": one.value, "limit": one.limit} for one in proposal.evidence],
    }
