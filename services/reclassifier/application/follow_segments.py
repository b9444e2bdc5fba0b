"""Follow the registry's customers: adopt orders of those it now knows, and see what became of proposals."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from services.reclassifier.application.ports import (
    Cause,
    Proposal,
    ProposalState,
    ReclassifierTransaction,
    Segment,
)
from services.reclassifier.application.profile_customers import retire_profiles
from services.reclassifier.application.recount_owners import recount_owners
from services.reclassifier.domain.orders import owner_of_customer
from services.reclassifier.domain.standing import standing_at


async def follow_segments(
    transaction: ReclassifierTransaction, published: Sequence[Segment], causes: Mapping[str, Cause]
) -> int:
    """Apply published customers, each if its sequence is higher than the one stored; how many were."""
    newest = _newest(published)
    if not newest:
        return 0
    await transaction.hold_ownership(changing=True)
    applied, moves, disputed = await transaction.apply_segments(newest)
    if not applied:
        return 0
    adopting = [*await transaction.move_orders(moves), *await recount_owners(transaction, disputed)]
    known = {owner_of_customer(one.customer_id): causes.get(one.customer_id) for one in applied}
    await transaction.make_due(known, known_only=True)
    await transaction.make_due(dict.fromkeys(adopting))
    gone = [one.customer_id for one in applied if not one.active]
    if gone:
        await retire_profiles(transaction, gone, causes, await transaction.now())
    await _end_proposals(transaction, applied)
    await transaction.count_activity()
    return len(applied)


def _newest(published: Iterable[Segment]) -> list[Segment]:
    newest: dict[str, Segment] = {}
    for segment in published:
        known = newest.get(segment.customer_id)
        if known is None or segment.sequence > known.sequence:
            newest[segment.customer_id] = segment
    return [newest[customer_id] for customer_id in sorted(newest)]


async def _end_proposals(transaction: ReclassifierTransaction, applied: Sequence[Segment]) -> None:
    proposals = await transaction.lock_open_proposals([segment.customer_id for segment in applied])
    if not proposals:
        return
    now = await transaction.now()
    ended = [
        (proposal.proposal_id, _fate(proposal, segment, now))
        for segment in applied
        for proposal in proposals.get(segment.customer_id, [])
        if segment.sequence > proposal.based_on_sequence
    ]
    await transaction.end_proposals(ended, now)


def _fate(proposal: Proposal, segment: Segment, now: datetime) -> ProposalState:
    if proposal.state is not ProposalState.OPEN:  # nobody was told of it
        return ProposalState.OVERTAKEN
    came_true = standing_at(segment.assignments, now).tier == proposal.to_tier
    return ProposalState.APPLIED if came_true else ProposalState.OVERTAKEN
