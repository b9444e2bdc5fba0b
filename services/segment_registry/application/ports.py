"""What the registry's use cases need of the outside.

A use case is a function over one `RegistryTransaction`: it loads under locks, decides by the domain, stores. Locks are
taken in one order: a change request, the tiers, customers by id, the head of the audit trail. `now` is asked for after
the locks.

    RegistryError
    |- LostRace             another transaction was first with the same identifier or key; the command is run again
    `- AtpUnavailable       the ATP does not answer; what is shown then says so
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from services.chassis.audit.chain import AuditEntry, AuditRecord
from services.chassis.envelope import Event
from services.chassis.idempotency import StoredAnswer
from services.chassis.outbox import Lane
from services.segment_registry.domain.change_requests import ChangeRequest, RequestState
from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.customers import Customer, Identifier
from services.segment_registry.domain.planned_tiers import PlannedTier
from services.segment_registry.domain.proposals import Proposal, ProposalRefusal
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.served_history import MergeSpan
from services.segment_registry.domain.tier_cards import TierCard
from services.segment_registry.domain.tier_distances import FoundDistances
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import Assignment

T = TypeVar("T")


class RegistryError(Exception):
    """The parent of what the ports raise."""


class LostRace(RegistryError):  # noqa: N818 - says what happened
    """Another transaction stored the same identifier, proposal or idempotency key first; nothing was stored."""


class AtpUnavailable(RegistryError):  # noqa: N818 - says what happened
    """The ATP did not answer what it was asked; the text says why."""


class ReclassifierUnavailable(RegistryError):  # noqa: N818 - says what happened
    """The reclassifier did not answer what it was asked; the text says why."""


class TierLock(StrEnum):
    """How the tiers are held while a command runs: assigning excludes defining, not other assigning."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"


@dataclass(frozen=True, slots=True)
class Cause:
    """What an event comes from, for those who trace it."""

    correlation_id: str
    causation_id: str
    traceparent: str | None = None


class ByRequest(NamedTuple):
    """The change request that a command carries out, and who approved it (None: the rules asked nobody)."""

    request_id: str
    approver: str | None


@dataclass(frozen=True, slots=True)
class Commander:
    """Who gives a command, what it comes from, and the change request that it carries out, if it does."""

    author: str
    cause: Cause
    by: ByRequest | None = None


@dataclass(frozen=True, slots=True)
class ProposalVerdict:
    """What became of a proposal: waiting if neither an assignment nor a refusal is named.

    `waited` says that it is stored already.
    """

    proposal: Proposal
    cause: Cause
    assignment_sequence: int | None = None
    refusal: ProposalRefusal | None = None
    waited: bool = False

    @property
    def state(self) -> str:
        """As stored."""
        if self.refusal is not None:
            return "refused"
        return "waiting" if self.assignment_sequence is None else "applied"


class FeedPlace(NamedTuple):
    """A place among all customers by their last change: the position of its audit entry, and the customer."""

    position: int
    customer_id: str


class KnownCustomer(NamedTuple):
    """A tier history as it was known at a moment; `sequence` is the customer's today."""

    customer_id: str
    sequence: int
    assignments: tuple[Assignment, ...]


class BothHands(NamedTuple):
    """By their keys: subject and scopes. By what they did: person, kind of change, proposals, approvals."""

    keys: tuple[tuple[str, tuple[str, ...]], ...]
    acted: tuple[tuple[str, str, int, int], ...]


class TierVersion(NamedTuple):
    """The newest version of a tier: who defined it when."""

    version: int
    author: str
    defined_at: datetime


class TierOfTime(NamedTuple):
    """A version of a tier: who made it, since when it was in effect, and by which change request, if by one."""

    tier: Tier
    author: str
    defined_at: datetime
    by: ByRequest | None = None


class RegistryReader(Protocol):
    """Reads of one moment."""

    async def now(self) -> datetime:
        """The business time."""
        ...

    async def tiers(self) -> dict[str, Tier]:
        """All tiers, by priority rank."""
        ...

    async def tier_version(self, tier: str) -> TierVersion | None:
        """Who defined the newest version of a tier; None if there is no such tier."""
        ...

    async def tier_versions(self, tier: str, limit: int) -> list[TierOfTime]:
        """The newest versions of a tier, the newest first."""
        ...

    async def tier_at(self, tier: str, at: datetime) -> TierOfTime | None:
        """The version of a tier that was in effect at a moment; None if there was none."""
        ...

    async def tier_plans(self, tier: str) -> list[PlannedTier]:
        """What is planned for a tier, the earliest first."""
        ...

    async def due_tier_plan(self, now: datetime) -> PlannedTier | None:
        """The earliest plan whose moment has come."""
        ...

    async def tier_cards(self) -> dict[str, TierCard]:
        """The cards of the tiers that have one."""
        ...

    async def owners(self, identifiers: Collection[Identifier]) -> dict[Identifier, str]:
        """Who holds which of these identifiers; of one that was merged, the customer as which it is served."""
        ...

    async def customers(self, customer_ids: Collection[str], *, ended_too: bool = False) -> dict[str, Customer]:
        """Those of these customers that exist, with the assignments not yet ended, or with all."""
        ...

    async def page_of_customers(self, after: str | None, limit: int) -> list[Customer]:
        """Customers by id, after the one given."""
        ...

    async def customer_as_known(self, customer_id: str, known_at: datetime) -> KnownCustomer | None:
        """A customer with its whole tier history as it was known at a moment; None if it is unknown today."""
        ...

    async def default_tier_at(self, at: datetime) -> str:
        """The tier that was the default at a moment; before the first definition, the first one."""
        ...

    async def page_of_changed(self, after: FeedPlace | None, limit: int) -> list[tuple[FeedPlace, Customer]]:
        """Customers in the order of their last change, after the place given, each once."""
        ...

    async def personal(self, customer_id: str) -> dict[str, str]:
        """The personal fields of a customer, by name."""
        ...

    async def change_rules(self) -> ChangeRules:
        """The rules of change in force."""
        ...

    async def root_of(self, customer_id: str) -> str | None:
        """The customer as which a merged one is served; None if it is not merged."""
        ...

    async def merges_of(self, customer_ids: Collection[str]) -> dict[str, list[MergeSpan]]:
        """Every merge that there was of these customers, ascending; one without any may be left out."""
        ...

    async def records_below(self, customer_ids: Collection[str]) -> dict[str, list[CustomerRecord]]:
        """The golden records of those that were merged into these customers; one without any may be left out."""
        ...

    async def merged_below(self, customer_id: str) -> list[tuple[str, int]]:
        """Who is merged into a customer, and by how many steps."""
        ...

    async def merged_as_known(self, customer_id: str, at: datetime, known_at: datetime) -> str | None:
        """Into whom a customer was merged at a moment, as far as it was known at another."""
        ...

    async def change_request(self, request_id: str) -> ChangeRequest | None:
        """A change request; None if there is none."""
        ...

    async def page_of_change_requests(
        self, state: RequestState | None, after: str | None, limit: int
    ) -> list[ChangeRequest]:
        """Change requests by id, after the one given; `state` as stored."""
        ...

    async def drafts(self) -> int:
        """How many change requests are drafts."""
        ...

    async def requests_of_tier(self, tier: str, limit: int) -> list[ChangeRequest]:
        """Drafts, open and approved requests for a definition of the tier, the oldest first."""
        ...

    async def both_hands(self, propose: Sequence[str], approve: Sequence[str]) -> BothHands:
        """Who may both propose and approve by their keys' scopes, and who has done both with one kind of change."""
        ...

    async def tier_in_use(self, tier: str, at: datetime) -> bool:
        """Whether a customer is in the tier at that moment or later."""
        ...

    async def customers_in_tier(self, tier: str, at: datetime) -> int:
        """How many customers have an assignment to the tier in force."""
        ...

    async def overrides_used(self, month: date) -> dict[str, int]:
        """How many overrides were decided in a month, by tier."""
        ...

    async def effects_waiting(self) -> int:
        """How many customers have a boundary of their tier history behind them that was not told."""
        ...

    async def page_of_audit(self, after: int, limit: int) -> list[AuditRecord]:
        """Audit records by position, after the one given."""
        ...

    async def audit_position(self) -> int:
        """The position of the last audit record: a count of everything that was changed."""
        ...

    async def proposals_waiting(self) -> int:
        """How many proposals wait for a replay to settle."""
        ...

    async def events_unpublished(self) -> int:
        """How many events the log does not have yet."""
        ...

    async def collecting(self) -> bool:
        """Whether a replay is collecting: what a step causes takes effect when it settles."""
        ...


class RegistryTransaction(RegistryReader, Protocol):
    """One transaction: everything in it is stored together or not at all."""

    async def lock_tiers(self, lock: TierLock) -> dict[str, Tier]:
        """All tiers, held as they are."""
        ...

    async def lock_customers(self, customer_ids: Collection[str], *, ended_too: bool = False) -> dict[str, Customer]:
        """As `customers`, held as they are."""
        ...

    async def lock_owners(
        self, identifiers: Collection[Identifier]
    ) -> tuple[dict[Identifier, str], dict[str, Customer]]:
        """Who holds which of these identifiers, and these customers, held as they are. Raises `LostRace`."""
        ...

    async def save_tiers(self, tiers: Sequence[Tier], commander: Commander, at: datetime) -> None:
        """Store new versions of tiers, in this order."""
        ...

    async def save_tier_plan(self, plan: PlannedTier) -> None:
        """Store a plan; there is none for the same moment."""
        ...

    async def drop_tier_plan(self, tier: str, effective_from: datetime) -> None:
        """Forget a plan."""
        ...

    async def save_tier_card(self, tier: str, card: TierCard) -> None:
        """Store the card of a tier."""
        ...

    async def save_customers(self, before: Mapping[str, Customer], after: Sequence[Customer], at: datetime) -> None:
        """Store customers that are new or were changed since `before`. Raises `LostRace`."""
        ...

    async def append_audit(self, entries: Sequence[AuditEntry], at: datetime) -> None:
        """Write the audit trail; the last lock of a transaction.

        The customers stored so far are listed as changed under the position of the last entry.
        """
        ...

    async def save_personal(self, customer_id: str, fields: Mapping[str, str]) -> None:
        """Store the personal fields of a customer whole; none of them leaves no trace."""
        ...

    async def lock_change_request(self, request_id: str) -> ChangeRequest | None:
        """As `change_request`, held as it is; the first lock of a transaction."""
        ...

    async def save_change_requests(self, requests: Sequence[ChangeRequest]) -> None:
        """Store change requests as they are now."""
        ...

    async def save_change_rules(self, rules: ChangeRules, author: str, at: datetime) -> None:
        """Store the next version of the rules of change."""
        ...

    async def count_override(self, tier: str, month: date, budget: int | None) -> bool:
        """Count one more override of a tier and month; False, and nothing is counted, where its budget is spent."""
        ...

    async def due_customers(self, now: datetime, limit: int) -> list[str]:
        """Customers with a boundary of their tier history behind them that was not told, the longest waiting first."""
        ...

    async def due_effects(self, customer_ids: Collection[str], now: datetime) -> dict[str, list[datetime]]:
        """The boundaries of these customers up to now that were not told, ascending."""
        ...

    async def forget_effects(self, customer_ids: Collection[str], now: datetime) -> None:
        """The boundaries of these customers up to now were told."""
        ...

    async def publish(self, events: Sequence[Event], lane: Lane) -> None:
        """Put events into the outbox."""
        ...

    async def unseen(self, consumer: str, event_ids: Sequence[str]) -> set[str]:
        """Which of these events the consumer has not seen before; they count as seen from here on."""
        ...

    async def proposals_known(self, proposal_ids: Collection[str]) -> set[str]:
        """Which of these proposals were received before."""
        ...

    async def lock_waiting_proposals(self, limit: int) -> list[ProposalVerdict]:
        """Waiting proposals in the order of their arrival, held as they are."""
        ...

    async def save_proposals(self, verdicts: Sequence[ProposalVerdict], at: datetime) -> None:
        """Store what became of proposals, received now or before. Raises `LostRace`."""
        ...

    async def stored_answer(self, caller: str, key: str) -> StoredAnswer | None:
        """What a command with this idempotency key was answered."""
        ...

    async def store_answer(self, answer: StoredAnswer) -> None:
        """Keep the answer of a command under its idempotency key. Raises `LostRace`."""
        ...


class Previews(Protocol):
    """What the ATP says that other tiers of customers would do."""

    async def of_tiers(self, wanted: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Customer ids and tiers, as if they counted from now on. Raises AtpUnavailable."""
        ...


class Distances(Protocol):
    """How far the reclassifier finds customers from other tiers."""

    async def of_customer(self, customer_id: str) -> FoundDistances:
        """By the rule set in force and the numbers now. Raises ReclassifierUnavailable."""
        ...


class ServiceLevels(Protocol):
    """What the ATP measured of a tier."""

    async def closed_ratios(self, month: str, tier: str) -> dict[str, int | None] | None:
        """Basis points by measure of a closed month (YYYY-MM); None if it is not closed. Raises AtpUnavailable."""
        ...


class Atp(Previews, ServiceLevels, Protocol):
    """What the registry asks of the ATP."""


class Transactions(Protocol):
    """Runs use cases."""

    async def run(self, work: Callable[[RegistryTransaction], Awaitable[T]], *, label: str) -> T:
        """Run in one transaction and return after its commit."""
        ...

    async def read(self, work: Callable[[RegistryReader], Awaitable[T]]) -> T:
        """Run on one consistent picture."""
        ...
