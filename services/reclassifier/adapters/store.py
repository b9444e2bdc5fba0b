"""The reclassifier's ports over PostgreSQL: one object per transaction, its statements in the `*_rows` modules."""
# ruff: noqa: D102 -- each method is documented by the port that it implements

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from services.chassis import audit, outbox
from services.chassis.audit.chain import AuditEntry, AuditRecord
from services.chassis.business_time import Phase, business_now, replay_state
from services.chassis.database import Connection, Database, DatabaseUnavailable
from services.chassis.envelope import Event
from services.chassis.event_proofs import Prover
from services.chassis.signing_keys import UnusableKey
from services.reclassifier.adapters import (
    cost_rows,
    customer_rows,
    day_rows,
    feedback_rows,
    order_rows,
    outcome_rows,
    profile_rows,
    proposal_rows,
    rule_set_rows,
    run_rows,
    segment_rows,
)
from services.reclassifier.adapters.detection_store import PostgresDetections
from services.reclassifier.adapters.ownership_store import PostgresOwnership
from services.reclassifier.application.ports import (
    Cause,
    Claimed,
    Cut,
    Evaluated,
    FuseState,
    OwnersMonth,
    Proposal,
    ProposalState,
    ReclassifierReader,
    ReclassifierTransaction,
    Run,
    RunCause,
    Segment,
    StoredRuleSet,
    Swept,
)
from services.reclassifier.domain.costs import Costs, OwnedCost
from services.reclassifier.domain.demand import Demand, Profiled
from services.reclassifier.domain.features import Detail, Features
from services.reclassifier.domain.feedback import FeedbackKey, HeardFeedback
from services.reclassifier.domain.orders import (
    Activity,
    Counted,
    Day,
    OrderKey,
    Outcomes,
    OwnedDay,
    Reference,
    owner_of_customer,
)
from services.reclassifier.domain.rule_set import RuleSet

SCHEMA: Final = "reclassifier"
T = TypeVar("T")


class PostgresTransactions:
    """Runs use cases against the reclassifier's schema, once a database is attached."""

    def __init__(self, database: Database | None = None, prover: Prover | None = None) -> None:
        self._attached = database
        self._prover = prover

    def attach(self, database: Database) -> None:
        """Use this database from now on; routes are made before it is opened."""
        self._attached = database

    def prove_by(self, prover: Prover) -> None:
        """Prove proposals with this key from now on."""
        self._prover = prover

    async def run(self, work: Callable[[ReclassifierTransaction], Awaitable[T]], *, label: str) -> T:
        """As the port says; operating failures are those of `Database.run`."""
        return await self._database.run(
            lambda connection: work(PostgresTransaction(connection, self._prover)), label=label, by_key=True
        )

    async def read(self, work: Callable[[ReclassifierReader], Awaitable[T]]) -> T:
        """As the port says; operating failures are those of `Database.read`."""
        return await self._database.read(lambda connection: work(PostgresTransaction(connection)))

    @property
    def _database(self) -> Database:
        if self._attached is None:
            raise DatabaseUnavailable("the service has not started")
        return self._attached


class PostgresTransaction(PostgresDetections, PostgresOwnership):
    """What a use case may do within a transaction; each method does what the port says."""

    def __init__(self, connection: Connection, prover: Prover | None = None) -> None:
        super().__init__(connection)
        self._prover = prover

    async def now(self) -> datetime:
        return await business_now(self._connection)

    async def collecting(self) -> bool:
        state = await replay_state(self._connection)
        return state is not None and state.phase is Phase.INTAKE

    async def hold_ownership(self, *, changing: bool) -> None:
        await order_rows.hold_ownership(self._connection, changing=changing)

    async def owner_of(self, customer_id: str) -> str:
        return await order_rows.owner_of(self._connection, customer_id)

    async def owners(
        self, customer_ids: Collection[str], references: Collection[Reference]
    ) -> tuple[dict[str, str], dict[Reference, str]]:
        return await order_rows.load_owners(self._connection, customer_ids, references)

    async def lock_orders(self, keys: Collection[OrderKey]) -> dict[OrderKey, Counted]:
        return await order_rows.lock_orders(self._connection, keys)

    async def save_orders(self, new: Sequence[Counted], changed: Sequence[Counted]) -> set[OrderKey]:
        return await order_rows.save_orders(self._connection, new, changed)

    async def add_activity(self, changes: Mapping[OwnedDay, Activity]) -> None:
        await day_rows.add_activity(self._connection, changes)

    async def forget_days(self, today: Day, limit: int) -> int:
        return await day_rows.forget_days(self._connection, today, limit)

    async def features(
        self, owners: Sequence[str], today: Day, windows: Sequence[int], detail: Sequence[Detail] = ()
    ) -> dict[str, Features]:
        return await day_rows.load_features(self._connection, owners, today, windows, detail)

    async def lock_feedback(self, keys: Collection[FeedbackKey]) -> dict[FeedbackKey, HeardFeedback]:
        return await feedback_rows.lock_feedback(self._connection, keys)

    async def lock_costs(self, keys: Collection[OrderKey]) -> dict[OrderKey, OwnedCost]:
        return await cost_rows.lock_costs(self._connection, keys)

    async def save_costs(self, costs: Sequence[OwnedCost]) -> None:
        await cost_rows.save_costs(self._connection, costs)

    async def add_costs(self, changes: Mapping[OwnedDay, Costs]) -> None:
        await cost_rows.add_costs(self._connection, changes)

    async def month(self, first: Day, last: Day, after: str, limit: int) -> list[OwnersMonth]:
        return await cost_rows.load_month(self._connection, first, last, after, limit)

    async def month_totals(self, first: Day, last: Day) -> dict[bool, OwnersMonth]:
        return await cost_rows.load_month_totals(self._connection, first, last)

    async def save_feedback(self, heard: Sequence[HeardFeedback]) -> None:
        await feedback_rows.save_feedback(self._connection, heard)

    async def add_outcomes(self, changes: Mapping[OwnedDay, Outcomes]) -> None:
        await outcome_rows.add_outcomes(self._connection, changes)

    async def make_due(self, causes: Mapping[str, Cause | None], *, known_only: bool = False) -> None:
        await customer_rows.make_due(self._connection, causes, known_only=known_only)

    async def apply_segments(
        self, segments: Sequence[Segment]
    ) -> tuple[list[Segment], list[tuple[str, str]], list[str]]:
        return await segment_rows.apply_segments(self._connection, segments)

    async def segments(self, customer_ids: Collection[str]) -> dict[str, Segment]:
        return await segment_rows.load_segments(self._connection, customer_ids)

    async def move_orders(self, moves: Sequence[tuple[str, str]]) -> list[str]:
        targets = dict(moves)
        if not targets:
            return []
        await order_rows.reassign_orders(self._connection, targets)
        await feedback_rows.move_feedback(self._connection, targets)
        adopting = await day_rows.move_days(self._connection, targets)
        await customer_rows.forget_owners(self._connection, list(targets))
        return adopting

    async def claim_due(self, limit: int) -> list[Claimed]:
        return await customer_rows.claim_due(self._connection, limit)

    async def customers_due(self, limit: int) -> int:
        return await customer_rows.count_due(self._connection, limit)

    async def looks_due(self, limit: int) -> int:
        return await customer_rows.count_looks(self._connection, limit)

    async def save_evaluations(self, evaluated: Sequence[Evaluated]) -> None:
        await customer_rows.save_evaluations(self._connection, evaluated)

    async def claim_looks(self, limit: int) -> list[str]:
        return await customer_rows.claim_looks(self._connection, limit)

    async def save_looks(self, again: Mapping[str, datetime | None]) -> None:
        await customer_rows.save_looks(self._connection, again)

    async def profiles(self, customer_ids: Sequence[str], *, inactive_too: bool = False) -> dict[str, Profiled | None]:
        return await profile_rows.load_profiles(self._connection, customer_ids, inactive_too=inactive_too)

    async def demands(self, owners: Sequence[str], today: Day, days: int) -> dict[str, Demand]:
        return await profile_rows.load_demands(self._connection, owners, today, days)

    async def save_profiles(self, profiles: Mapping[str, Profiled]) -> None:
        await profile_rows.save_profiles(self._connection, profiles)

    async def claim_sweep(self, limit: int) -> Swept | None:
        return await run_rows.claim_sweep(self._connection, limit)

    async def lock_open_proposals(self, customer_ids: Collection[str]) -> dict[str, list[Proposal]]:
        return await proposal_rows.lock_open_proposals(self._connection, customer_ids)

    async def add_proposals(self, proposals: Sequence[Proposal]) -> None:
        await proposal_rows.add_proposals(self._connection, proposals)

    async def end_proposals(self, ended: Sequence[tuple[str, ProposalState]], at: datetime) -> None:
        await proposal_rows.end_proposals(self._connection, ended, at)

    async def page_of_proposals(
        self, after: int, limit: int, *, state: ProposalState | None = None, run_id: int | None = None
    ) -> list[Proposal]:
        return await proposal_rows.page_of_proposals(self._connection, after, limit, state=state, run_id=run_id)

    async def lock_awaiting(
        self, *, proposal_id: str | None = None, run_id: int | None = None, limit: int = 1
    ) -> list[Proposal]:
        return await proposal_rows.lock_awaiting(self._connection, proposal_id, run_id, limit)

    async def decide_proposals(self, decided: Sequence[Proposal], at: datetime) -> dict[str, int]:
        await proposal_rows.decide_proposals(self._connection, decided, at)
        published = [one.customer_id for one in decided if one.state is ProposalState.OPEN]
        counts = await customer_rows.count_published(self._connection, [owner_of_customer(one) for one in published])
        return {one: counts[owner_of_customer(one)] for one in published}

    async def failed_at(self, customer_ids: Collection[str], rule_set_id: str) -> dict[str, datetime]:
        return await proposal_rows.failed_at(self._connection, customer_ids, rule_set_id)

    async def automatic_moves_since(self, rule_set_id: str, since: datetime) -> int:
        return await proposal_rows.automatic_moves_since(self._connection, rule_set_id, since)

    async def newest_version(self, rule_set_id: str) -> StoredRuleSet | None:
        return await rule_set_rows.load_newest(self._connection, rule_set_id)

    async def approve_rule_set(self, rule_set: RuleSet, approver: str, at: datetime) -> None:
        await rule_set_rows.approve_rule_set(self._connection, rule_set, approver, at)

    async def start_run(self, rule_set: RuleSet, cause: RunCause, at: datetime) -> int:
        return await run_rows.start_run(self._connection, rule_set, cause, at)

    async def last_cut(self, rule_set: RuleSet) -> Cut | None:
        return await run_rows.last_cut(self._connection, rule_set)

    async def runs(self, before: int | None, limit: int) -> list[Run]:
        return await run_rows.load_runs(self._connection, before, limit)

    async def run(self, run_id: int) -> Run | None:
        return await run_rows.load_run(self._connection, run_id)

    async def calendar_due(self, rule_set: RuleSet) -> bool:
        return await run_rows.calendar_due(self._connection, rule_set)

    async def set_calendar(self, rule_set: RuleSet, next_at: datetime | None) -> None:
        await run_rows.set_calendar(self._connection, rule_set, next_at)

    async def fuse(self, rule_set_id: str) -> FuseState | None:
        return await run_rows.load_fuse(self._connection, rule_set_id)

    async def save_fuse(self, rule_set_id: str, state: FuseState) -> None:
        await run_rows.save_fuse(self._connection, rule_set_id, state)

    async def active_customers(self) -> int:
        return await run_rows.active_customers(self._connection)

    async def rule_set(self, rule_set_id: str, version: int | None = None) -> StoredRuleSet | None:
        return await rule_set_rows.load_rule_set(self._connection, rule_set_id, version)

    async def rule_sets(self) -> list[StoredRuleSet]:
        return await rule_set_rows.load_rule_sets(self._connection)

    async def page_of_audit(self, after: int, limit: int) -> list[AuditRecord]:
        return await audit.page(self._connection, after, limit)

    async def append_audit(self, entries: Sequence[AuditEntry], at: datetime) -> None:
        await audit.append(self._connection, entries, at)

    async def add_rule_set(self, stored: StoredRuleSet) -> None:
        await rule_set_rows.add_rule_set(self._connection, stored)

    async def lock_rule_sets(self) -> None:
        await rule_set_rows.lock_rule_sets(self._connection)

    async def propose(self, proposals: Sequence[Event]) -> None:
        if not proposals:
            return
        if self._prover is None:
            raise UnusableKey("no key is there to prove proposals with")
        await outbox.enqueue(self._connection, [self._prover.prove(each) for each in proposals])

    async def publish(self, events: Sequence[Event]) -> None:
        await outbox.enqueue(self._connection, events)

    async def events_unpublished(self) -> int:
        return await outbox.pending(self._connection)

    async def activity(self) -> int:
        count: int = await self._connection.fetchval("SELECT last_value + is_called::int FROM activity")
        return count

    async def count_activity(self) -> None:
        await self._connection.execute("SELECT nextval('activity')")
