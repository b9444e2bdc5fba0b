"""What the reclassifier's use cases need of the outside.

A use case is a function over one `ReclassifierTransaction`. Locks are taken in one order: who owns which orders, the
orders by key, the days by owner and day, the customers by owner, the open proposals. `now` is asked for after them.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from services.chassis.audit.chain import AuditEntry, AuditRecord
from services.chassis.envelope import Event
from services.reclassifier.domain.features import Detail, Features
from services.reclassifier.domain.feedback import FeedbackKey, HeardFeedback
from services.reclassifier.domain.orders import Activity, Counted, Day, OrderKey, Outcomes, OwnedDay, Reference
from services.reclassifier.domain.predicates import Finding
from services.reclassifier.domain.rule_set import RuleSet
from services.reclassifier.domain.standing import Assigned

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cause:
    """What made a customer worth a look: ids for those who trace it."""

    correlation_id: str
    causation_id: str
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A customer as the registry published it at one sequence."""

    customer_id: str
    sequence: int
    status: str
    merged_into: str | None
    identifiers: tuple[Reference, ...]
    assignments: tuple[Assigned, ...]

    @property
    def active(self) -> bool:
        """Whether it may be moved: it is neither merged nor deleted."""
        return self.status == "active"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A customer (or a reference that nobody resolved yet) whose evaluation is due; `proposals` were made so far."""

    owner: str
    proposals: int
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation leaves: when to look again (None: when something happens), and proposals made so far."""

    owner: str
    again_at: datetime | None
    proposals: int


class ProposalState(StrEnum):
    """What became of a proposal, as far as it shows.

    open ──▶ applied      the registry published the proposed tier
         ├─▶ overtaken    the registry published something else of this customer
         ├─▶ superseded   the rule set has a newer version
         └─▶ expired      neither happened in time; refused, most likely
    """

    OPEN = "open"
    APPLIED = "applied"
    OVERTAKEN = "overtaken"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal as made; `position` counts all of them, 0 until stored."""

    proposal_id: str
    customer_id: str
    from_tier: str
    to_tier: str
    rule_set_id: str
    rule_version: int
    as_of: datetime
    expires_at: datetime
    based_on_sequence: int
    reason: str
    evidence: tuple[Finding, ...]
    state: ProposalState = ProposalState.OPEN
    position: int = 0


@dataclass(frozen=True, slots=True)
class StoredRuleSet:
    """One version of a rule set with its document, who gave it, and when."""

    rule_set: RuleSet
    document: Mapping[str, Any]
    author: str
    stored_at: datetime


class ReclassifierReader(Protocol):
    """Reads of one moment."""

    async def now(self) -> datetime:
        """The business time."""
        ...

    async def collecting(self) -> bool:
        """Whether a replay is collecting: features change, nobody is evaluated."""
        ...

    async def owner_of(self, customer_id: str) -> str:
        """The owner under whom a customer's orders count now: of a merged customer, the one it was merged into."""
        ...

    async def features(
        self, owners: Sequence[str], today: Day, windows: Sequence[int], detail: Sequence[Detail] = ()
    ) -> dict[str, Features]:
        """The features of these owners, as `features_of` defines them."""
        ...

    async def segments(self, customer_ids: Collection[str]) -> dict[str, Segment]:
        """Those of these customers that the registry published (without their identifiers)."""
        ...

    async def rule_set(self, rule_set_id: str, version: int | None = None) -> StoredRuleSet | None:
        """A version of a rule set, the newest without a version."""
        ...

    async def page_of_audit(self, after: int, limit: int) -> list[AuditRecord]:
        """Audit records by position, after the one given."""
        ...

    async def rule_sets(self) -> list[StoredRuleSet]:
        """The newest version of every rule set, by id."""
        ...

    async def page_of_proposals(self, after: int, limit: int) -> list[Proposal]:
        """Proposals by position, after the one given."""
        ...

    async def customers_due(self, limit: int) -> int:
        """How many evaluations are due now (counted up to the limit), customers that a new rule set awaits included."""
        ...

    async def events_unpublished(self) -> int:
        """How many events the log does not have yet."""
        ...

    async def activity(self) -> int:
        """A count of everything that was done; never falls."""
        ...


class ReclassifierTransaction(ReclassifierReader, Protocol):
    """One transaction: everything in it is stored together or not at all."""

    async def hold_ownership(self, *, changing: bool) -> None:
        """Keep who owns which orders as it is; or, to change it, wait for all who keep it and keep them out."""
        ...

    async def owners(
        self, customer_ids: Collection[str], references: Collection[Reference]
    ) -> tuple[dict[str, str], dict[Reference, str]]:
        """The owners of these customers (as `owner_of`) and of these references."""
        ...

    async def lock_orders(self, keys: Collection[OrderKey]) -> dict[OrderKey, Counted]:
        """Those of these orders that are stored, held as they are."""
        ...

    async def save_orders(self, new: Sequence[Counted], changed: Sequence[Counted]) -> set[OrderKey]:
        """Store orders; returns those of the new ones that another transaction stored first (not stored here)."""
        ...

    async def add_activity(self, changes: Mapping[OwnedDay, Activity]) -> None:
        """Add to days, in the order given."""
        ...

    async def lock_feedback(self, keys: Collection[FeedbackKey]) -> dict[FeedbackKey, HeardFeedback]:
        """Those of these pieces of feedback that are stored; nobody else stores any until the commit."""
        ...

    async def save_feedback(self, heard: Sequence[HeardFeedback]) -> None:
        """Store feedback as it is now."""
        ...

    async def add_outcomes(self, changes: Mapping[OwnedDay, Outcomes]) -> None:
        """Add to days, in the order given."""
        ...

    async def forget_days(self, today: Day, limit: int) -> int:
        """Delete days before everything that a window can reach, up to the limit; how many."""
        ...

    async def make_due(self, causes: Mapping[str, Cause | None], *, known_only: bool = False) -> None:
        """Have these owners evaluated; with `known_only` those alone of whom something is stored."""
        ...

    async def apply_segments(self, segments: Sequence[Segment]) -> tuple[list[Segment], list[tuple[str, str]]]:
        """Store published customers whose sequence is higher than the stored one.

        Returns those, and (reference owner or merged customer, its owner from now on) for what changed hands.
        """
        ...

    async def move_orders(self, moves: Sequence[tuple[str, str]]) -> list[str]:
        """Let orders count under another owner; returns the new owners that got any."""
        ...

    async def claim_due(self, limit: int) -> list[Claimed]:
        """Owners whose evaluation is due, earliest first, held; those that others hold are left out."""
        ...

    async def save_evaluations(self, evaluated: Sequence[Evaluated]) -> None:
        """Store when to look again."""
        ...

    async def lock_open_proposals(self, customer_ids: Collection[str]) -> dict[str, list[Proposal]]:
        """The open proposals of these customers, held as they are."""
        ...

    async def add_proposals(self, proposals: Sequence[Proposal]) -> None:
        """Store new proposals, in this order."""
        ...

    async def end_proposals(self, ended: Sequence[tuple[str, ProposalState]], at: datetime) -> None:
        """Store what became of proposals, by id."""
        ...

    async def add_rule_set(self, stored: StoredRuleSet) -> None:
        """Store a new version."""
        ...

    async def append_audit(self, entries: Sequence[AuditEntry], at: datetime) -> None:
        """Write the audit trail; the last lock of a transaction."""
        ...

    async def lock_rule_sets(self) -> None:
        """Keep others from storing versions until the commit."""
        ...

    async def start_sweep(self) -> None:
        """Have every customer evaluated, a portion at a time; a sweep that is under way starts again."""
        ...

    async def continue_sweep(self, limit: int) -> int:
        """Make the next customers of the sweep due; how many."""
        ...

    async def publish(self, events: Sequence[Event]) -> None:
        """Put events into the outbox."""
        ...

    async def count_activity(self) -> None:
        """Say that something was done."""
        ...


class Transactions(Protocol):
    """Runs use cases."""

    async def run(self, work: Callable[[ReclassifierTransaction], Awaitable[T]], *, label: str) -> T:
        """Run in one transaction and return after its commit."""
        ...

    async def read(self, work: Callable[[ReclassifierReader], Awaitable[T]]) -> T:
        """Run on one consistent picture."""
        ...
