"""What the reclassifier's use cases need of the outside.

A use case is a function over one `ReclassifierTransaction`. Locks are taken in one order: who owns which orders, the
orders by key, the days by owner and day, the customers by owner, the open proposals. `now` is asked for after them.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from services.chassis.audit.chain import AuditEntry, AuditRecord
from services.chassis.envelope import Event
from services.reclassifier.application.detection_ports import DetectionReader, DetectionTransaction
from services.reclassifier.application.ownership_ports import OwnershipTransaction
from services.reclassifier.domain.classification import Held
from services.reclassifier.domain.costs import Costs, OwnedCost
from services.reclassifier.domain.demand import Demand, Profiled
from services.reclassifier.domain.features import Detail, Features
from services.reclassifier.domain.feedback import FeedbackKey, HeardFeedback
from services.reclassifier.domain.leaves import Finding, TopKey
from services.reclassifier.domain.orders import Activity, Counted, Day, OrderKey, Outcomes, OwnedDay, Reference
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
    """A customer (or a reference that nobody resolved yet) whose evaluation is due.

    `proposals` were published so far; `run_id` is the run that waits for the judgement; `falling_since` is since when
    the numbers have asked for a demotion.
    """

    owner: str
    proposals: int
    cause: Cause | None
    run_id: int | None = None
    falling_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation leaves: when to look again (None: when something happens), proposals published so far."""

    owner: str
    again_at: datetime | None
    proposals: int
    falling_since: datetime | None = None


class ProposalState(StrEnum):
    """What became of a proposal, as far as it shows.

    shadow ─────────────────▶ superseded, overtaken, expired   it was only recorded
    awaiting ──approve──▶ open      a person decides
             ├─reject──▶ rejected
             └─▶ superseded, overtaken, expired
    open ──▶ applied      the registry published the proposed tier
         ├─▶ overtaken    the registry published something else, or the numbers say something else by now
         ├─▶ superseded   the rule set has a newer version
         └─▶ expired      neither happened in time; refused, most likely
    """

    SHADOW = "shadow"
    AWAITING = "awaiting"
    REJECTED = "rejected"
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
    run_id: int | None = None
    held_by: Held | None = None
    decided_by: str | None = None
    decision_reason: str | None = None


@dataclass(frozen=True, slots=True)
class StoredRuleSet:
    """One version of a rule set with its document, who gave it, and who approved it (None: a draft, not in force)."""

    rule_set: RuleSet
    document: Mapping[str, Any]
    author: str
    stored_at: datetime
    content_hash: str
    approved_by: str | None = None
    approved_at: datetime | None = None


class RunCause(StrEnum):
    """Why everybody is judged."""

    VERSION = "version"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class Run:
    """One judgement of everybody: a batch to review. `waiting` customers are not judged yet; proposals by state.

    `customers` were there at its start (None: not counted), `judged` of them by now; one that was begun again as
    another run has no end.
    """

    run_id: int
    rule_set_id: str
    rule_version: int
    cause: RunCause
    started_at: datetime
    customers: int | None = None
    judged: int = 0
    ended_at: datetime | None = None
    waiting: int = 0
    proposals: Mapping[ProposalState, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Swept:
    """The next customers of the run under way, held; none of them: it has come to its end. Counts include them."""

    run_id: int
    claimed: Sequence[Claimed]
    judged: int
    customers: int | None


@dataclass(frozen=True, slots=True)
class Cut:
    """The limits of shares of all customers, as of one moment; None: the share is of nobody."""

    run_id: int
    cut_at: datetime
    population: int
    limits: Mapping[TopKey, int | None]


@dataclass(frozen=True, slots=True)
class FuseState:
    """Whether automatic moves are stopped. `sequence` counts what happened to the fuse."""

    sequence: int
    blown_at: datetime | None
    rule_version: int
    moves: int
    limit: int


@dataclass(frozen=True, slots=True)
class OwnersMonth:
    """What an owner of orders brought and cost in some days; the owner is empty in a sum."""

    owner: str
    value_micros: int = 0
    returned_value_micros: int = 0
    to_serve_nanos: int = 0
    goods_nanos: int = 0
    missing: int = 0


class ReclassifierReader(DetectionReader, Protocol):
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

    async def profiles(self, customer_ids: Sequence[str], *, inactive_too: bool = False) -> dict[str, Profiled | None]:
        """The demand profiles last published of those of these customers that are neither merged nor deleted.

        With `inactive_too` of all of them. None: none was ever published.
        """
        ...

    async def demands(self, owners: Sequence[str], today: Day, days: int) -> dict[str, Demand]:
        """The demand of those of these owners that have any in a window of whole weeks, as `Rhythm` has it."""
        ...

    async def segments(self, customer_ids: Collection[str]) -> dict[str, Segment]:
        """Those of these customers that the registry published (without their identifiers)."""
        ...

    async def rule_set(self, rule_set_id: str, version: int | None = None) -> StoredRuleSet | None:
        """A version of a rule set; without one the newest that was approved, which is in force."""
        ...

    async def newest_version(self, rule_set_id: str) -> StoredRuleSet | None:
        """The newest version, approved or not."""
        ...

    async def last_cut(self, rule_set: RuleSet) -> Cut | None:
        """The last cut of shares for this version."""
        ...

    async def runs(self, before: int | None, limit: int) -> list[Run]:
        """Runs without their counts, the newest first."""
        ...

    async def run(self, run_id: int) -> Run | None:
        """A run with its counts."""
        ...

    async def fuse(self, rule_set_id: str) -> FuseState | None:
        """The fuse as it is; None if it never blew."""
        ...

    async def month(self, first: Day, last: Day, after: str, limit: int) -> list[OwnersMonth]:
        """What each owner brought and cost from one day to another, by owner after the one given."""
        ...

    async def month_totals(self, first: Day, last: Day) -> dict[bool, OwnersMonth]:
        """The same in sum: True for customers of the registry, False for whom nobody has resolved yet."""
        ...

    async def page_of_audit(self, after: int, limit: int) -> list[AuditRecord]:
        """Audit records by position, after the one given."""
        ...

    async def rule_sets(self) -> list[StoredRuleSet]:
        """The newest version of every rule set, by id."""
        ...

    async def page_of_proposals(
        self, after: int, limit: int, *, state: ProposalState | None = None, run_id: int | None = None
    ) -> list[Proposal]:
        """Proposals by position, after the one given; of one state or one run where that is asked for."""
        ...

    async def customers_due(self, limit: int) -> int:
        """How many evaluations are due now (counted up to the limit), customers that a new rule set awaits included."""
        ...

    async def looks_due(self, limit: int) -> int:
        """Whose demand is to be looked at now: how many (counted up to the limit)."""
        ...

    async def events_unpublished(self) -> int:
        """How many events the log does not have yet."""
        ...

    async def activity(self) -> int:
        """A count of everything that was done; never falls."""
        ...


class ReclassifierTransaction(ReclassifierReader, DetectionTransaction, OwnershipTransaction, Protocol):
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

    async def lock_costs(self, keys: Collection[OrderKey]) -> dict[OrderKey, OwnedCost]:
        """Those of these orders whose cost is stored; nobody else stores any until the commit."""
        ...

    async def save_costs(self, costs: Sequence[OwnedCost]) -> None:
        """Store what orders cost now."""
        ...

    async def add_costs(self, changes: Mapping[OwnedDay, Costs]) -> None:
        """Add to days, in the order given."""
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

    async def apply_segments(
        self, segments: Sequence[Segment]
    ) -> tuple[list[Segment], list[tuple[str, str]], list[str]]:
        """Store published customers whose sequence is higher than the stored one.

        Returns those; (reference owner or merged customer, its owner from now on) for what changed hands as a whole;
        and the owners of whose orders some may count elsewhere now.
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

    async def claim_looks(self, limit: int) -> list[str]:
        """Owners whose demand is to be looked at, held; those that others hold are left out."""
        ...

    async def save_looks(self, again: Mapping[str, datetime | None]) -> None:
        """Store when to look at the demand of owners again; None: when something is told of them."""
        ...

    async def save_profiles(self, profiles: Mapping[str, Profiled]) -> None:
        """Store what is published of customers."""
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
        """Keep others from storing versions, starting runs and changing fuses until the commit."""
        ...

    async def approve_rule_set(self, rule_set: RuleSet, approver: str, at: datetime) -> None:
        """Put a version in force."""
        ...

    async def start_run(self, rule_set: RuleSet, cause: RunCause, at: datetime) -> int:
        """Have every customer evaluated, a portion at a time, and cut its shares; a run under way starts again as this.

        Returns its id.
        """
        ...

    async def calendar_due(self, rule_set: RuleSet) -> bool:
        """Whether the calendar of the version has come round; held until the commit where it has."""
        ...

    async def set_calendar(self, rule_set: RuleSet, next_at: datetime | None) -> None:
        """When to judge everybody next; None: never."""
        ...

    async def failed_at(self, customer_ids: Collection[str], rule_set_id: str) -> dict[str, datetime]:
        """When a proposal for these customers last came to nothing."""
        ...

    async def automatic_moves_since(self, rule_set_id: str, since: datetime) -> int:
        """How many moves were made without a person since then."""
        ...

    async def active_customers(self) -> int:
        """How many customers the registry has."""
        ...

    async def save_fuse(self, rule_set_id: str, state: FuseState) -> None:
        """Store what happened to a fuse."""
        ...

    async def lock_awaiting(
        self, *, proposal_id: str | None = None, run_id: int | None = None, limit: int = 1
    ) -> list[Proposal]:
        """Proposals that await a person, held as they are: one, or the first of a run."""
        ...

    async def decide_proposals(self, decided: Sequence[Proposal], at: datetime) -> dict[str, int]:
        """Store state, decider and reason of proposals; by customer how many were published so far."""
        ...

    async def claim_sweep(self, limit: int) -> Swept | None:
        """The next customers of the run under way, due or not; None without one, or if another transaction is at it."""
        ...

    async def propose(self, proposals: Sequence[Event]) -> None:
        """As `publish`, each with the proof that it is ours. Raises UnusableKey: there is no key to prove it with."""
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
