"""The registry's ports over PostgreSQL: one object per transaction, its statements in the `*_rows` modules."""
# ruff: noqa: D102 -- each method is documented by the port that it implements

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Final, TypeVar
from uuid import UUID

import asyncpg

from services.chassis import audit, idempotency, inbox, outbox
from services.chassis.audit.chain import AuditEntry, AuditRecord
from services.chassis.business_time import Phase, business_now, replay_state
from services.chassis.database import Connection, Database, DatabaseUnavailable
from services.chassis.envelope import Event
from services.chassis.idempotency import StoredAnswer
from services.chassis.outbox import Lane
from services.segment_registry.adapters import (
    change_request_rows,
    change_rule_rows,
    customer_rows,
    effect_rows,
    feed_rows,
    merge_rows,
    planned_tier_rows,
    proposal_rows,
    record_rows,
    tier_rows,
)
from services.segment_registry.application.ports import (
    BothHands,
    Commander,
    FeedPlace,
    KnownCustomer,
    LostRace,
    ProposalVerdict,
    RegistryReader,
    RegistryTransaction,
    TierLock,
    TierOfTime,
    TierVersion,
)
from services.segment_registry.domain.change_requests import ChangeRequest, RequestState
from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.customers import Customer, Identifier
from services.segment_registry.domain.planned_tiers import PlannedTier
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.served_history import MergeSpan
from services.segment_registry.domain.tier_cards import TierCard
from services.segment_registry.domain.tiers import Tier

SCHEMA: Final = "segment_registry"
T = TypeVar("T")


class PostgresTransactions:
    """Runs use cases against the registry's schema, once a database is attached."""

    def __init__(self, database: Database | None = None) -> None:
        self._attached = database

    def attach(self, database: Database) -> None:
        """Use this database from now on; routes are made before it is opened."""
        self._attached = database

    async def run(self, work: Callable[[RegistryTransaction], Awaitable[T]], *, label: str) -> T:
        """As the port says; operating failures are those of `Database.run`."""
        return await self._database.run(lambda connection: work(PostgresTransaction(connection)), label=label)

    async def read(self, work: Callable[[RegistryReader], Awaitable[T]]) -> T:
        """As the port says; operating failures are those of `Database.read`."""
        return await self._database.read(lambda connection: work(PostgresTransaction(connection)))

    @property
    def _database(self) -> Database:
        if self._attached is None:
            raise DatabaseUnavailable("the service has not started")
        return self._attached


class PostgresTransaction:
    """What a use case may do within a transaction; each method does what the port says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stored: dict[str, None] = {}  # customers that are to be listed under the next audit entry

    async def now(self) -> datetime:
        return await business_now(self._connection)

    async def tiers(self) -> dict[str, Tier]:
        return await tier_rows.load_tiers(self._connection)

    async def lock_tiers(self, lock: TierLock) -> dict[str, Tier]:
        return await tier_rows.lock_tiers(self._connection, lock)

    async def tier_in_use(self, tier: str, at: datetime) -> bool:
        return await tier_rows.tier_in_use(self._connection, tier, at)

    async def save_tiers(self, tiers: Sequence[Tier], commander: Commander, at: datetime) -> None:
        await tier_rows.save_tiers(self._connection, tiers, commander, at)

    async def tier_version(self, tier: str) -> TierVersion | None:
        return await tier_rows.newest_version(self._connection, tier)

    async def tier_versions(self, tier: str, limit: int) -> list[TierOfTime]:
        return await planned_tier_rows.versions_of(self._connection, tier, limit)

    async def tier_at(self, tier: str, at: datetime) -> TierOfTime | None:
        return await planned_tier_rows.version_at(self._connection, tier, at)

    async def tier_plans(self, tier: str) -> list[PlannedTier]:
        return await planned_tier_rows.plans_of(self._connection, tier)

    async def due_tier_plan(self, now: datetime) -> PlannedTier | None:
        return await planned_tier_rows.due_plan(self._connection, now)

    async def save_tier_plan(self, plan: PlannedTier) -> None:
        await planned_tier_rows.save_plan(self._connection, plan)

    async def drop_tier_plan(self, tier: str, effective_from: datetime) -> None:
        await planned_tier_rows.drop_plan(self._connection, tier, effective_from)

    async def tier_cards(self) -> dict[str, TierCard]:
        return await tier_rows.load_cards(self._connection)

    async def save_tier_card(self, tier: str, card: TierCard) -> None:
        await tier_rows.save_card(self._connection, tier, card)

    async def owners(self, identifiers: Collection[Identifier]) -> dict[Identifier, str]:
        return await customer_rows.load_owners(self._connection, identifiers)

    async def lock_owners(
        self, identifiers: Collection[Identifier]
    ) -> tuple[dict[Identifier, str], dict[str, Customer]]:
        return await customer_rows.lock_owners(self._connection, identifiers, await self.now())

    async def customers(self, customer_ids: Collection[str], *, ended_too: bool = False) -> dict[str, Customer]:
        return await customer_rows.load_customers(self._connection, customer_ids, await self._ended_after(ended_too))

    async def lock_customers(self, customer_ids: Collection[str], *, ended_too: bool = False) -> dict[str, Customer]:
        ended_after = await self._ended_after(ended_too)
        return await customer_rows.load_customers(self._connection, customer_ids, ended_after, lock=True)

    async def page_of_customers(self, after: str | None, limit: int) -> list[Customer]:
        cursor = None if after is None else UUID(after)
        return await customer_rows.page_of_customers(self._connection, cursor, limit, await self.now())

    async def save_customers(self, before: Mapping[str, Customer], after: Sequence[Customer], at: datetime) -> None:
        await customer_rows.save_customers(self._connection, before, after, at)
        self._stored |= dict.fromkeys(customer.customer_id for customer in after)

    async def append_audit(self, entries: Sequence[AuditEntry], at: datetime) -> None:
        await audit.append(self._connection, entries, at)
        if entries and self._stored:
            await feed_rows.list_changed(self._connection, list(self._stored))
            self._stored.clear()

    async def personal(self, customer_id: str) -> dict[str, str]:
        return await record_rows.load_personal(self._connection, customer_id)

    async def save_personal(self, customer_id: str, fields: Mapping[str, str]) -> None:
        await record_rows.save_personal(self._connection, customer_id, fields)

    async def change_rules(self) -> ChangeRules:
        return await change_rule_rows.load_rules(self._connection)

    async def save_change_rules(self, rules: ChangeRules, author: str, at: datetime) -> None:
        await change_rule_rows.save_rules(self._connection, rules, author, at)

    async def root_of(self, customer_id: str) -> str | None:
        wanted = customer_rows.uuids([customer_id])
        found = await merge_rows.roots(self._connection, wanted)
        return str(found[wanted[0]]) if found else None

    async def merges_of(self, customer_ids: Collection[str]) -> dict[str, list[MergeSpan]]:
        return await merge_rows.merges_of(self._connection, customer_rows.uuids(customer_ids))

    async def records_below(self, customer_ids: Collection[str]) -> dict[str, list[CustomerRecord]]:
        return await merge_rows.records_below(self._connection, customer_rows.uuids(customer_ids))

    async def merged_below(self, customer_id: str) -> list[tuple[str, int]]:
        return await merge_rows.merged_below(self._connection, customer_id)

    async def merged_as_known(self, customer_id: str, at: datetime, known_at: datetime) -> str | None:
        return await merge_rows.merged_as_known(self._connection, customer_id, at, known_at)

    async def change_request(self, request_id: str) -> ChangeRequest | None:
        return await change_request_rows.load_request(self._connection, request_id)

    async def lock_change_request(self, request_id: str) -> ChangeRequest | None:
        return await change_request_rows.load_request(self._connection, request_id, lock=True)

    async def page_of_change_requests(
        self, state: RequestState | None, after: str | None, limit: int
    ) -> list[ChangeRequest]:
        return await change_request_rows.page_of_requests(self._connection, state, after, limit)

    async def drafts(self) -> int:
        return await change_request_rows.drafts(self._connection)

    async def requests_of_tier(self, tier: str, limit: int) -> list[ChangeRequest]:
        return await change_request_rows.requests_of_tier(self._connection, tier, limit)

    async def save_change_requests(self, requests: Sequence[ChangeRequest]) -> None:
        await change_request_rows.save_requests(self._connection, requests)

    async def both_hands(self, propose: Sequence[str], approve: Sequence[str]) -> BothHands:
        return await change_request_rows.both_hands(self._connection, propose, approve)

    async def customers_in_tier(self, tier: str, at: datetime) -> int:
        return await tier_rows.customers_in_tier(self._connection, tier, at)

    async def overrides_used(self, month: date) -> dict[str, int]:
        return await change_rule_rows.overrides_used(self._connection, month)

    async def count_override(self, tier: str, month: date, budget: int | None) -> bool:
        return await change_rule_rows.count_override(self._connection, tier, month, budget)

    async def due_customers(self, now: datetime, limit: int) -> list[str]:
        return await effect_rows.due_customers(self._connection, now, limit)

    async def due_effects(self, customer_ids: Collection[str], now: datetime) -> dict[str, list[datetime]]:
        return await effect_rows.due_effects(self._connection, customer_ids, now)

    async def forget_effects(self, customer_ids: Collection[str], now: datetime) -> None:
        await effect_rows.forget_effects(self._connection, customer_ids, now)

    async def effects_waiting(self) -> int:
        return await effect_rows.effects_waiting(self._connection, await self.now())

    async def page_of_changed(self, after: FeedPlace | None, limit: int) -> list[tuple[FeedPlace, Customer]]:
        return await feed_rows.page_of_changed(self._connection, after, limit, await self.now())

    async def customer_as_known(self, customer_id: str, known_at: datetime) -> KnownCustomer | None:
        return await customer_rows.customer_as_known(self._connection, customer_id, known_at)

    async def default_tier_at(self, at: datetime) -> str:
        return await tier_rows.default_tier_at(self._connection, at)

    async def page_of_audit(self, after: int, limit: int) -> list[AuditRecord]:
        return await audit.page(self._connection, after, limit)

    async def audit_position(self) -> int:
        return await audit.position(self._connection)

    async def publish(self, events: Sequence[Event], lane: Lane) -> None:
        await outbox.enqueue(self._connection, events, lane)

    async def collecting(self) -> bool:
        state = await replay_state(self._connection)
        return state is not None and state.phase is Phase.INTAKE

    async def unseen(self, consumer: str, event_ids: Sequence[str]) -> set[str]:
        return await inbox.first_seen(self._connection, consumer, event_ids)

    async def proposals_known(self, proposal_ids: Collection[str]) -> set[str]:
        return await proposal_rows.proposals_known(self._connection, proposal_ids)

    async def proposals_waiting(self) -> int:
        return await proposal_rows.proposals_waiting(self._connection)

    async def lock_waiting_proposals(self, limit: int) -> list[ProposalVerdict]:
        return await proposal_rows.lock_waiting_proposals(self._connection, limit)

    async def save_proposals(self, verdicts: Sequence[ProposalVerdict], at: datetime) -> None:
        await proposal_rows.save_proposals(self._connection, verdicts, at)

    async def stored_answer(self, caller: str, key: str) -> StoredAnswer | None:
        return (await idempotency.look_up(self._connection, [(caller, key)])).get((caller, key))

    async def store_answer(self, answer: StoredAnswer) -> None:
        try:
            await idempotency.store(self._connection, [answer])
        except asyncpg.UniqueViolationError as error:
            raise LostRace("the idempotency key was used at the same time") from error

    async def events_unpublished(self) -> int:
        return await outbox.pending(self._connection)

    async def _ended_after(self, ended_too: bool) -> datetime | None:
        """From when on assignments must last to be loaded. A time before the locks are held only loads more."""
        return None if ended_too else await self.now()
