"""What the reclassifier's routes answer with."""

from datetime import date, datetime

from services.reclassifier.application.ports import FuseState, Proposal, ProposalState, Run, RunCause, StoredRuleSet
from services.reclassifier.application.read_customer import CustomerView
from services.reclassifier.application.rule_set_document import RuleSetDocument
from services.reclassifier.domain.classification import Held, Move
from services.reclassifier.domain.demand import DemandProfile, Profiled
from services.reclassifier.domain.distances import Direction, Distance
from services.reclassifier.domain.leaves import Finding
from services.reclassifier.entrypoints.window_documents import Answer, WindowDocument, window_document


class NumberDocument(Answer):
    """One number beside its limit."""

    name: str
    value: str
    limit: str


class MoveDocument(Answer):
    """Where the numbers put a customer."""

    from_tier: str
    to_tier: str
    reason: str
    evidence: list[NumberDocument]


class ChangeDocument(Answer):
    """One number as it is, and how much more or less of it would do; `by` null: that cannot be said in a number."""

    feature: str
    window_days: int | None
    value: str
    direction: Direction
    by: str | None


class DistanceDocument(Answer):
    """What together would have to change until the numbers ask for another tier; empty: they do already."""

    tier: str
    changes: list[ChangeDocument]


class ProfileDocument(Answer):
    """A customer's demand profile as it was last published on `segments.profiles.v1`; null: not any more."""

    demand_profile: DemandProfile | None
    sequence: int
    since: datetime


class FeaturesDocument(Answer):
    """What is known of a customer; `staleness`: everything that the log delivered before `as_of` was read is in it.

    `profile` is what micro-segments of policies go by, null before there ever was one; a window's own is that of its
    numbers alone. `above` and `below`: the distances to the next tiers of the rule set in force, null where there is
    none, and for a customer that no rule moves.
    """

    customer_id: str
    counted_as: str
    as_of: datetime
    windows: list[WindowDocument]
    recency_days: int | None
    last_order_day: date | None
    tier: str | None
    tier_since: datetime | None
    overridden: bool
    segment_sequence: int | None
    rule_set: str | None
    rule_version: int | None
    move_due: MoveDocument | None
    next_look_at: datetime | None
    profile: ProfileDocument | None
    above: DistanceDocument | None
    below: DistanceDocument | None


class ProposalDocument(Answer):
    """A proposal with what became of it, as far as it shows."""

    position: int
    proposal_id: str
    customer_id: str
    from_tier: str
    to_tier: str
    rule: str
    rule_version: int
    as_of: datetime
    expires_at: datetime
    based_on_sequence: int
    reason: str
    evidence: list[NumberDocument]
    state: ProposalState
    run_id: int | None
    held_by: Held | None
    decided_by: str | None
    decision_reason: str | None


class ProposalsPage(Answer):
    """Proposals in the order of their positions; `next_after` is the cursor of the next page, null at the end."""

    items: list[ProposalDocument]
    next_after: int | None


class StoredRuleSetDocument(Answer):
    """A version of a rule set."""

    rule_set: str
    version: int
    in_force: bool
    author: str
    stored_at: datetime
    content_hash: str
    approved_by: str | None
    approved_at: datetime | None
    document: RuleSetDocument


class RuleSetsPage(Answer):
    """The newest version of every rule set."""

    items: list[StoredRuleSetDocument]


class FuseDocument(Answer):
    """Whether automatic moves of a rule set are stopped; the numbers are those of the last time."""

    rule_set: str
    blown: bool
    blown_at: datetime | None
    moves: int | None
    limit: int | None


class RunDocument(Answer):
    """One judgement of everybody; `proposals`, `judged` and `waiting` (customers not judged yet) as of the read.

    `customers` were there at its start (null: not counted). `ended_at` is null while it is under way, and of a run that
    was begun again as another one.
    """

    run_id: int
    rule_set: str
    rule_version: int
    cause: RunCause
    started_at: datetime
    ended_at: datetime | None
    customers: int | None
    judged: int
    waiting: int
    proposals: dict[ProposalState, int]


class RunsPage(Answer):
    """Runs, the newest first; `next_before` is the cursor of the next page, null at the end."""

    items: list[RunDocument]
    next_before: int | None


class ReviewedRun(Answer):
    """How many were decided now, how many had expired, and the run afterwards: repeat while any awaits somebody."""

    decided: int
    expired: int
    run: RunDocument


def features_document(view: CustomerView) -> FeaturesDocument:
    """The view as it is answered."""
    features, segment, judgement = view.features, view.segment, view.judgement
    prior = None if view.rule_set is None else view.rule_set.rule_set.prior
    return FeaturesDocument(
        customer_id=view.customer_id,
        counted_as=view.counted_as,
        as_of=view.as_of,
        windows=[window_document(features.windows[days], prior) for days in sorted(features.windows)],
        recency_days=features.recency_days,
        last_order_day=None if features.last_order_day is None else date.fromordinal(features.last_order_day),
        tier=view.standing.tier,
        tier_since=view.standing.since,
        overridden=view.standing.overridden,
        segment_sequence=None if segment is None else segment.sequence,
        rule_set=None if view.rule_set is None else view.rule_set.rule_set.rule_set_id,
        rule_version=None if view.rule_set is None else view.rule_set.rule_set.version,
        move_due=None if judgement is None or judgement.move is None else _move(judgement.move),
        next_look_at=None if judgement is None else judgement.again_at,
        profile=None if view.profiled is None else _profile(view.profiled),
        above=_distance(view.above),
        below=_distance(view.below),
    )


def _profile(profiled: Profiled) -> ProfileDocument:
    return ProfileDocument(demand_profile=profiled.profile, sequence=profiled.sequence, since=profiled.since)


def proposal_document(proposal: Proposal) -> ProposalDocument:
    """A proposal as it is answered."""
    return ProposalDocument(
        position=proposal.position,
        proposal_id=proposal.proposal_id,
        customer_id=proposal.customer_id,
        from_tier=proposal.from_tier,
        to_tier=proposal.to_tier,
        rule=proposal.rule_set_id,
        rule_version=proposal.rule_version,
        as_of=proposal.as_of,
        expires_at=proposal.expires_at,
        based_on_sequence=proposal.based_on_sequence,
        reason=proposal.reason,
        evidence=[_number(one) for one in proposal.evidence],
        state=proposal.state,
        run_id=proposal.run_id,
        held_by=proposal.held_by,
        decided_by=proposal.decided_by,
        decision_reason=proposal.decision_reason,
    )


def rule_set_document(stored: StoredRuleSet, in_force: StoredRuleSet | None) -> StoredRuleSetDocument:
    """A version of a rule set as it is answered, beside the one that is in force."""
    return StoredRuleSetDocument(
        rule_set=stored.rule_set.rule_set_id,
        version=stored.rule_set.version,
        in_force=in_force is not None and in_force.rule_set == stored.rule_set,
        author=stored.author,
        stored_at=stored.stored_at,
        content_hash=stored.content_hash,
        approved_by=stored.approved_by,
        approved_at=stored.approved_at,
        document=RuleSetDocument.model_validate(stored.document),
    )


def fuse_document(rule_set_id: str, state: FuseState | None) -> FuseDocument:
    """The fuse as it is answered."""
    if state is None:
        return FuseDocument(rule_set=rule_set_id, blown=False, blown_at=None, moves=None, limit=None)
    blown = state.blown_at is not None
    return FuseDocument(
        rule_set=rule_set_id, blown=blown, blown_at=state.blown_at, moves=state.moves, limit=state.limit
    )


def run_document(run: Run) -> RunDocument:
    """A run as it is answered."""
    return RunDocument(
        run_id=run.run_id,
        rule_set=run.rule_set_id,
        rule_version=run.rule_version,
        cause=run.cause,
        started_at=run.started_at,
        ended_at=run.ended_at,
        customers=run.customers,
        judged=run.judged,
        waiting=run.waiting,
        proposals=dict(run.proposals),
    )


def _distance(distance: Distance | None) -> DistanceDocument | None:
    if distance is None:
        return None
    changes = [
        ChangeDocument(
            feature=each.feature,
            window_days=each.window_days or None,
            value=each.value,
            direction=each.direction,
            by=each.by,
        )
        for each in distance.changes
    ]
    return DistanceDocument(tier=distance.tier, changes=changes)


def _move(move: Move) -> MoveDocument:
    evidence = [_number(one) for one in move.evidence]
    return MoveDocument(from_tier=move.from_tier, to_tier=move.to_tier, reason=move.reason, evidence=evidence)


def _number(finding: Finding) -> NumberDocument:
    return NumberDocument(name=finding.name, value=finding.value, limit=finding.limit)
