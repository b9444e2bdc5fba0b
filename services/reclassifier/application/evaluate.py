"""Judge the customers whose evaluation is due, and propose the moves that the numbers ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from services.chassis.audit.chain import AuditEntry
from services.chassis.ids import new_id
from services.reclassifier.application.calendar import next_run
from services.reclassifier.application.guard_moves import blow_if_too_many
from services.reclassifier.application.ports import (
    Cause,
    Claimed,
    Evaluated,
    Proposal,
    ProposalState,
    ReclassifierReader,
    ReclassifierTransaction,
    RunCause,
    Segment,
    Swept,
)
from services.reclassifier.application.publishing import proposal_event
from services.reclassifier.domain.classification import Held, Judgement, Memory, Move, held_by, judge
from services.reclassifier.domain.features import Features
from services.reclassifier.domain.orders import customer_of_owner
from services.reclassifier.domain.rule_set import Mode, RuleSet
from services.reclassifier.domain.standing import standing_at

PORTION_MAX: Final = 500  # customers judged in one transaction: some 20 ms, for which news may wait


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one portion came to; `more` says that there is probably more to do at once.

    Moves are counted by direction and by what becomes of them; `stopped` says whether the fuse is blown (None: the
    portion did not ask); `swept` is the run that the portion was of.
    """

    judged: int = 0
    promotions: int = 0
    demotions: int = 0
    recorded: int = 0
    awaiting: int = 0
    more: bool = False
    stopped: bool | None = None
    swept: Swept | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that the judgement of one customer needs."""

    claimed: Claimed
    segment: Segment
    features: Features
    open_proposal: Proposal | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What to store of one customer."""

    evaluated: Evaluated
    proposed: Proposal | None = None
    ended: tuple[str, ProposalState] | None = None


async def evaluate_due(transaction: ReclassifierTransaction, rule_set_id: str) -> Evaluation:
    """Judge one portion of what is due, or else of the run under way. While a replay collects, nobody is judged."""
    if await transaction.collecting():
        return Evaluation()
    stored = await transaction.rule_set(rule_set_id)
    rule_set = None if stored is None else stored.rule_set
    if rule_set is not None and rule_set.calendar is not None and await transaction.calendar_due(rule_set):
        await _start_calendar_run(transaction, rule_set)
        return Evaluation(more=True)
    stopped = await _is_stopped(transaction, rule_set)
    claimed: Sequence[Claimed] = await transaction.claim_due(PORTION_MAX)
    swept = None if claimed else await transaction.claim_sweep(PORTION_MAX)
    if swept is not None:
        claimed = swept.claimed
    if not claimed:
        return Evaluation(stopped=stopped, swept=swept)
    now = await transaction.now()
    if rule_set is not None:
        rule_set = await at_last_cut(transaction, rule_set, now)
    cases = [] if rule_set is None else await _cases(transaction, claimed, rule_set, now)
    outcomes = [] if rule_set is None else [_decide(case, rule_set, now) for case in cases]
    entries: Sequence[AuditEntry] = ()
    if rule_set is not None:
        outcomes, entries, stopped = await _guarded(transaction, rule_set, outcomes, now)
    judged = {outcome.evaluated.owner for outcome in outcomes}
    idle = [Evaluated(one.owner, None, one.proposals) for one in claimed if one.owner not in judged]
    await _store(transaction, outcomes, idle, {one.owner: one.cause for one in claimed}, now)
    if entries:
        await transaction.append_audit(entries, now)
    return replace(_summary(outcomes, rule_set, stopped), swept=swept)


async def _start_calendar_run(transaction: ReclassifierTransaction, rule_set: RuleSet) -> None:
    """Cut shares and judge everybody as one run; a run that was missed while nobody was up is made once."""
    now = await transaction.now()
    assert rule_set.calendar is not None  # noqa: S101 - its calendar has come round
    await transaction.set_calendar(rule_set, next_run(rule_set.calendar, now))
    run_id = await transaction.start_run(rule_set, RunCause.CALENDAR, now)
    await transaction.count_activity()
    detail = {"rule_version": rule_set.version, "run_id": run_id}
    await transaction.append_audit([AuditEntry("reclassifier", "run.started", rule_set.rule_set_id, detail)], now)


async def _is_stopped(transaction: ReclassifierTransaction, rule_set: RuleSet | None) -> bool | None:
    if rule_set is None or rule_set.fuse is None:
        return None
    state = await transaction.fuse(rule_set.rule_set_id)
    return state is not None and state.blown_at is not None


async def at_last_cut(reader: ReclassifierReader, rule_set: RuleSet, now: datetime) -> RuleSet:
    """The rule set with the limits of its last cut, unless that is too old."""
    if not rule_set.tops:
        return rule_set
    cut = await reader.last_cut(rule_set)
    stale = rule_set.cut_stale_days
    if cut is None or (stale is not None and now - cut.cut_at > timedelta(days=stale)):
        return rule_set.at_cut(None)
    return rule_set.at_cut(cut.limits)


async def _cases(
    transaction: ReclassifierTransaction, claimed: Sequence[Claimed], rule_set: RuleSet, now: datetime
) -> list[_Case]:
    """The claimed owners that the registry knows and that may be moved; the others wait for it."""
    ids = {one.owner: customer_id for one in claimed if (customer_id := customer_of_owner(one.owner)) is not None}
    segments = await transaction.segments(list(ids.values()))
    movable = [one for one in claimed if one.owner in ids and _may_move(segments.get(ids[one.owner]))]
    owners, customer_ids = [one.owner for one in movable], [ids[one.owner] for one in movable]
    features = await transaction.features(owners, now.toordinal(), rule_set.windows, rule_set.detail)
    proposals = await transaction.lock_open_proposals(customer_ids)
    failed = await transaction.failed_at(customer_ids, rule_set.rule_set_id) if rule_set.cool_down_days else {}
    return [
        _Case(
            one,
            segments[ids[one.owner]],
            features[one.owner],
            _of_rule_set(proposals.get(ids[one.owner], []), rule_set),
            failed.get(ids[one.owner]),
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
            return _Outcome(Evaluated(claimed.owner, proposal.expires_at, claimed.proposals, claimed.falling_since))
        ended = None if fate is proposal.state else (proposal.proposal_id, fate)
    if not rule_set.by_events and claimed.run_id is None:
        again_at = None if proposal is None or ended is not None else proposal.expires_at
        return _Outcome(Evaluated(claimed.owner, again_at, claimed.proposals, claimed.falling_since), ended=ended)
    failed = now if ended is not None and ended[1] is ProposalState.EXPIRED else case.failed_at
    judgement = _judge(case, rule_set, now, failed)
    again_at = judgement.again_at if rule_set.by_events else None  # days of grace then end at the next run
    if proposal is not None and ended is None:
        if judgement.move is not None and judgement.move.to_tier == proposal.to_tier:
            again_at = _earlier(again_at, proposal.expires_at)
            return _Outcome(Evaluated(claimed.owner, again_at, claimed.proposals, judgement.falling_since))
        ended = (proposal.proposal_id, ProposalState.OVERTAKEN)
        judgement = _judge(case, rule_set, now, now)  # it came to nothing now: as if that had been seen a while before
        again_at = judgement.again_at if rule_set.by_events else None
    evaluated = Evaluated(claimed.owner, again_at, claimed.proposals, judgement.falling_since)
    if judgement.move is None:
        return _Outcome(evaluated, ended=ended)
    proposed = _proposal(case, judgement.move, rule_set, now)
    again_at = _earlier(again_at, proposed.expires_at)
    published = claimed.proposals + (proposed.state is ProposalState.OPEN)
    return _Outcome(replace(evaluated, again_at=again_at, proposals=published), proposed, ended)


def _judge(case: _Case, rule_set: RuleSet, now: datetime, failed_at: datetime | None) -> Judgement:
    memory = Memory(case.claimed.falling_since, failed_at if rule_set.cool_down_days else None)
    return judge(rule_set, standing_at(case.segment.assignments, now), case.features, now, memory)


def _fate(proposal: Proposal, rule_set: RuleSet, now: datetime) -> ProposalState:
    if proposal.rule_version != rule_set.version:
        return ProposalState.SUPERSEDED
    return ProposalState.EXPIRED if proposal.expires_at <= now else proposal.state


def _earlier(again_at: datetime | None, expires_at: datetime) -> datetime:
    return expires_at if again_at is None else min(again_at, expires_at)


def _proposal(case: _Case, move: Move, rule_set: RuleSet, now: datetime) -> Proposal:
    held = held_by(rule_set, move, fuse_blown=False)
    state = ProposalState.OPEN if held is None else ProposalState.AWAITING
    return Proposal(
        proposal_id=str(new_id()),
        customer_id=case.segment.customer_id,
        from_tier=move.from_tier,
        to_tier=move.to_tier,
        rule_set_id=rule_set.rule_set_id,
        rule_version=rule_set.version,
        as_of=now,
        expires_at=now + timedelta(days=rule_set.proposal_ttl_days),
        based_on_sequence=case.segment.sequence,
        reason=move.reason,
        evidence=move.evidence,
        state=ProposalState.SHADOW if move.mode is Mode.SHADOW else state,
        run_id=case.claimed.run_id,
        held_by=held,
    )


async def _guarded(
    transaction: ReclassifierTransaction, rule_set: RuleSet, outcomes: list[_Outcome], now: datetime
) -> tuple[list[_Outcome], Sequence[AuditEntry], bool | None]:
    """The outcomes, their automatic moves held where the fuse is blown or blows by them."""
    automatic = sum(one.proposed is not None and one.proposed.state is ProposalState.OPEN for one in outcomes)
    blown, entries = await blow_if_too_many(transaction, rule_set, automatic, now)
    if not blown:
        return outcomes, entries, None if rule_set.fuse is None or not automatic else False
    return [_held(one) for one in outcomes], entries, True


def _held(outcome: _Outcome) -> _Outcome:
    proposed = outcome.proposed
    if proposed is None or proposed.state is not ProposalState.OPEN:
        return outcome
    held = replace(proposed, state=ProposalState.AWAITING, held_by=Held.BY_FUSE)
    evaluated = replace(outcome.evaluated, proposals=outcome.evaluated.proposals - 1)
    return replace(outcome, evaluated=evaluated, proposed=held)


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
    await transaction.propose(
        [
            proposal_event(proposal, after.proposals, causes[after.owner], now)
            for proposal, after in proposed
            if proposal.state is ProposalState.OPEN
        ]
    )
    await transaction.count_activity()


def _summary(outcomes: Sequence[_Outcome], rule_set: RuleSet | None, stopped: bool | None) -> Evaluation:
    if rule_set is None:
        return Evaluation(more=True)
    made = [one.proposed for one in outcomes if one.proposed is not None]
    up = sum(rule_set.tiers.index(one.to_tier) < rule_set.tiers.index(one.from_tier) for one in made)
    states = [one.state for one in made]
    return Evaluation(
        len(outcomes),
        up,
        len(made) - up,
        recorded=states.count(ProposalState.SHADOW),
        awaiting=states.count(ProposalState.AWAITING),
        more=True,
        stopped=stopped,
    )
