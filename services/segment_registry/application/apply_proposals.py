"""Apply what rules propose, once each; while a replay collects, keep it until the step settles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.chassis.audit.chain import AuditEntry
from services.chassis.envelope import Event
from services.chassis.ids import new_ids
from services.segment_registry.application.change_content import audit_of_request, content_of_proposal
from services.segment_registry.application.change_customers import audit_of_move, store_change
from services.segment_registry.application.ports import ProposalVerdict, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.application.settle_effects import settle_effects
from services.segment_registry.domain.change_requests import ChangeRequest, propose
from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.moves import Moved
from services.segment_registry.domain.proposals import ProposalRefusal, judge
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.tiers import Tier

CONSUMER: Final = "segments.proposals"
WAITING_MAX: Final = 1_000  # waiting proposals taken by one transaction


@dataclass(frozen=True, slots=True)
class ReceivedProposal:
    """A proposal as it came: `event_id` and `verdict` without a decision yet."""

    event_id: str
    verdict: ProposalVerdict


async def apply_proposals(
    transaction: RegistryTransaction, received: Sequence[ReceivedProposal]
) -> list[ProposalVerdict]:
    """Decide these proposals, after those that were waiting; what was seen before is left out.

    Returns what was decided or, in a replay that is collecting, kept.
    """
    fresh = await _fresh(transaction, received)
    if await transaction.collecting():
        if fresh:
            await transaction.save_proposals(fresh, await transaction.now())
        return fresh
    open_ones = [*await transaction.lock_waiting_proposals(WAITING_MAX), *fresh]
    return await _decide(transaction, open_ones) if open_ones else []


async def _fresh(transaction: RegistryTransaction, received: Sequence[ReceivedProposal]) -> list[ProposalVerdict]:
    """The first delivery of each proposal, by the id of its event and by its own."""
    if not received:
        return []
    unseen = await transaction.unseen(CONSUMER, [one.event_id for one in received])
    known = await transaction.proposals_known([one.verdict.proposal.proposal_id for one in received])
    fresh: dict[str, ProposalVerdict] = {}
    for one in received:
        proposal_id = one.verdict.proposal.proposal_id
        if one.event_id in unseen and proposal_id not in known:
            fresh.setdefault(proposal_id, one.verdict)
    return list(fresh.values())


@dataclass(frozen=True, slots=True)
class _Decided:
    """A verdict with the customer after it, as far as it was moved."""

    verdict: ProposalVerdict
    moved: Moved | None


async def _decide(transaction: RegistryTransaction, verdicts: Sequence[ProposalVerdict]) -> list[ProposalVerdict]:
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customer_ids = dict.fromkeys(verdict.proposal.customer_id for verdict in verdicts)
    customers = await transaction.lock_customers(list(customer_ids))
    now = await transaction.now()
    settled = await settle_effects(transaction, customers, tiers, verdicts[0].cause, now)
    rules = await transaction.change_rules()
    records = await transaction.records_below(list(customers))
    decided = _judge_all(verdicts, settled.customers, tiers, now, rules, records)
    await transaction.save_proposals([one.verdict for one in decided], now)
    moved = [(one.moved, one.verdict.cause) for one in decided if one.moved is not None]
    last = {each.customer.customer_id: (each.customer, cause) for each, cause in moved}
    events: list[Event] = []
    for customer, cause in last.values():
        events += events_of([customer], [], cause, now)
    for each, cause in moved:
        events += events_of([], [each.move], cause, now)
    after = [customer for customer, _ in last.values()]
    audit = [*settled.audit, *(_entry(one) for one in decided)]
    requests = _requests(decided, now, rules)
    await transaction.save_change_requests(requests)
    audit += [audit_of_request(request, request.authors[0], "change_request.proposed") for request in requests]
    await store_change(transaction, settled.customers, after, events, audit, at=now)
    return [one.verdict for one in decided]


def _requests(decided: Sequence[_Decided], now: datetime, rules: ChangeRules) -> list[ChangeRequest]:
    """What a rule proposes and the rules of change let nobody decide alone."""
    asked = [one.verdict.proposal for one in decided if one.verdict.refusal is ProposalRefusal.APPROVAL_REQUIRED]
    return [
        propose(str(request_id), "assignments", content_of_proposal(each), each.reason, each.author, now, rules)
        for request_id, each in zip(new_ids(len(asked)), asked, strict=True)
    ]


def _judge_all(  # noqa: PLR0917 - private, called with all of them
    verdicts: Sequence[ProposalVerdict],
    customers: Mapping[str, Customer],
    tiers: Mapping[str, Tier],
    now: datetime,
    rules: ChangeRules,
    records: Mapping[str, Sequence[CustomerRecord]],
) -> list[_Decided]:
    working = dict(customers)
    decided: list[_Decided] = []
    for verdict in verdicts:
        customer_id = verdict.proposal.customer_id
        merged = records.get(customer_id, ())
        outcome = judge(verdict.proposal, working.get(customer_id), tiers, now, rules, merged=merged)
        if isinstance(outcome, Moved):
            working[outcome.customer.customer_id] = outcome.customer
            applied = replace(verdict, assignment_sequence=outcome.assignment.sequence)
            decided.append(_Decided(applied, outcome))
        else:
            decided.append(_Decided(replace(verdict, refusal=outcome), None))
    return decided


def _entry(decided: _Decided) -> AuditEntry:
    proposal = decided.verdict.proposal
    if decided.moved is not None:
        return audit_of_move(decided.moved.move, "proposal.applied")
    detail = {
        "proposal_id": proposal.proposal_id,
        "refusal": decided.verdict.refusal,
        "from_tier": proposal.from_tier,
        "to_tier": proposal.to_tier,
        "based_on_sequence": proposal.based_on_sequence,
        "rule": proposal.rule,
        "rule_version": proposal.rule_version,
    }
    return AuditEntry(proposal.author, "proposal.refused", proposal.customer_id, detail)
