"""Proposals from the event log: proven, read, applied in batches; and those that waited for a replay to settle.

Whoever may write to the topic could move customers, if the registry believed what an event says of its source. So an
event without the proof of a known producer is set aside before anything of it is read, and changes nothing.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from services.chassis.consumer import Delivery, Rejected
from services.chassis.envelope import Event
from services.chassis.event_proofs import ProofCheck, ProofRefusal
from services.contracts.catalogue import (
    INVALID_PAYLOAD,
    UNKNOWN_TYPE,
    UNKNOWN_VERSION,
    WRONG_TOPIC,
    EventRefused,
    decode,
)
from services.contracts.segments import SegmentProposed
from services.segment_registry.application.apply_proposals import ReceivedProposal, apply_proposals
from services.segment_registry.application.ports import Cause, ProposalVerdict, RegistryReader, Transactions
from services.segment_registry.domain.proposals import Proposal
from services.segment_registry.domain.timeline import Evidence
from services.segment_registry.entrypoints.authors import author_of
from services.segment_registry.entrypoints.rounds import Rounds
from services.segment_registry.metrics import RegistryMetrics

GROUP: Final = "segment_registry"
FORGED: Final = tuple(ProofRefusal)
REFUSALS: Final = (*FORGED, UNKNOWN_TYPE, UNKNOWN_VERSION, WRONG_TOPIC, INVALID_PAYLOAD)


class ProposalsHandler:
    """Applies batches of `segments.proposals.v1`; see `services.chassis.consumer.Handler`."""

    def __init__(self, transactions: Transactions, metrics: RegistryMetrics, proofs: ProofCheck) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._proofs = proofs

    async def __call__(self, batch: Sequence[Delivery]) -> Sequence[Rejected]:
        """Apply the batch in order."""
        received: list[ReceivedProposal] = []
        rejected: list[Rejected] = []
        for index, delivery in enumerate(batch):
            try:
                received.append(self._received(delivery.event))
            except EventRefused as refused:
                rejected.append(Rejected(index, refused.code, refused.detail))
        if received:
            verdicts = await self._transactions.run(
                lambda transaction: apply_proposals(transaction, received), label="apply proposals"
            )
            count_verdicts(self._metrics, verdicts)
        return rejected

    def _received(self, event: Event) -> ReceivedProposal:
        refusal = self._proofs.refusal(event)
        if refusal is not None:
            raise EventRefused(refusal, "not proven to come from a producer whose key is known")
        return _received(event)


class WaitingProposals(Rounds):
    """Applies proposals that a replay kept, once it settles or is over."""

    def __init__(self, transactions: Transactions, metrics: RegistryMetrics, *, poll_seconds: float) -> None:
        super().__init__(poll_seconds=poll_seconds)
        self._transactions = transactions
        self._metrics = metrics

    async def settle(self) -> None:
        """Apply what waits, unless the replay still collects."""
        waiting, collecting = await self._transactions.read(_waiting)
        self._metrics.proposals_waiting.set(waiting)
        while waiting and not collecting:
            verdicts = await self._transactions.run(
                lambda transaction: apply_proposals(transaction, []), label="settle proposals"
            )
            count_verdicts(self._metrics, verdicts)
            waiting, collecting = await self._transactions.read(_waiting)
            self._metrics.proposals_waiting.set(waiting)


def count_verdicts(metrics: RegistryMetrics, verdicts: Iterable[ProposalVerdict]) -> None:
    """Count what became of proposals."""
    for verdict in verdicts:
        metrics.proposals.at(verdict.refusal or verdict.state).inc()


async def _waiting(reader: RegistryReader) -> tuple[int, bool]:
    return await reader.proposals_waiting(), await reader.collecting()


def _received(event: Event) -> ReceivedProposal:
    payload = decode(event.type, event.data, topic=event.topic)
    if not isinstance(payload, SegmentProposed) or event.key != payload.customer_id:
        # Under another key, proposals of one customer could overtake each other.
        raise EventRefused(INVALID_PAYLOAD, "the event's key is not the customer of the proposal")
    proposal = Proposal(
        proposal_id=payload.proposal_id,
        customer_id=payload.customer_id,
        from_tier=payload.from_tier,
        to_tier=payload.to_tier,
        rule=payload.rule,
        rule_version=payload.rule_version,
        based_on_sequence=payload.based_on_sequence,
        as_of=payload.as_of,
        reason=payload.reason,
        author=author_of(event.source),
        evidence=tuple(Evidence(one.name, one.value, one.limit) for one in payload.evidence),
    )
    cause = Cause(event.correlation_id, event.id, event.traceparent)
    return ReceivedProposal(event.id, ProposalVerdict(proposal, cause))
