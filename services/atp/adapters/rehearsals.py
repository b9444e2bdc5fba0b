"""Rehearsals on PostgreSQL: sessions over copies of what a change concerns, under one picture of all the rest.

Copied is what the commands of a preview may write (`services.chassis.rehearsal` has the server refuse everything else):
the positions, protections and counters of the items concerned, and the promises that wait for them, are open on them,
or count under a document that is tried, each whole. Items that are served together with them (orders that ship
complete) have their positions copied too; what is being re-decided of these stays as it stands.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg

from services.atp.adapters import allocations
from services.atp.adapters.backorders import marked_items
from services.atp.adapters.capacities import items_awaited_at
from services.atp.adapters.closings import close, orders_open_at
from services.atp.adapters.customers import customers as read_customers
from services.atp.adapters.routing_documents import store_routing
from services.atp.adapters.run_variants import segments_of, version_row
from services.atp.adapters.runs import insert_run
from services.atp.adapters.service_rules import store_rule
from services.atp.adapters.transactions import PostgresSession, PostgresTransactions
from services.atp.adapters.waking import items_awaited, mark_customers, mark_items
from services.atp.application.closings import TriedClosing
from services.atp.application.content import CustomerKey, OrderKey
from services.atp.application.customers import Customer, TierAssignment
from services.atp.application.documents import load as load_document
from services.atp.application.planner_records import Planner
from services.atp.application.planning import CapacityRow, Draft, PeriodsOverlap
from services.atp.application.ports import Configuration, Unavailable
from services.atp.application.preview_changes import (
    POSITIONS_MAX,
    PROMISES_MAX,
    SECONDS_MAX,
    Changes,
    NotKnown,
    PreviewTooLarge,
    PromiseHead,
    Rehearsal,
    TierChange,
    TriedRun,
)
from services.atp.application.redecide import ITEMS_AT_ONCE_MAX, PORTION_LINES_MAX
from services.atp.application.routing import RoutingDraft
from services.atp.application.runs import RunAsked
from services.atp.application.service_rules import RuleDraft
from services.atp.application.supply_entries import Reference
from services.atp.application.waiting_lines import MarkedItem
from services.atp.domain.model import PositionKey, Tier
from services.atp.domain.run_segments import asked_items
from services.atp.domain.scheduled_receipts import Scheduled
from services.atp.domain.shifts import LineKey, LineStanding
from services.atp.domain.strategies import Strategy
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database, DatabaseUnavailable, StillInConflict
from services.chassis.envelope import Event
from services.chassis.idempotency import StoredAnswer
from services.chassis.rehearsal import shadow
from services.contracts.risks import RiskCause

T = TypeVar("T")
NAMES_SHOWN_MAX: Final = 20  # of what is not known

_OF_ITEMS: Final = "o.item_id = ANY({items}::text[])"
_OF_PROMISES: Final = "o.promise_id = ANY({promises}::uuid[])"
_OF_DOCUMENTS: Final = "o.document_id = ANY({documents}::text[])"
COPIES: Final[Mapping[str, str | None]] = {
    "position": _OF_ITEMS,
    "protection": f"{_OF_ITEMS} OR {_OF_DOCUMENTS}",
    "protection_group": f"{_OF_ITEMS} OR {_OF_DOCUMENTS}",
    "quota": "true",
    "hierarchy": "true",
    "capacity": "true",
    "capacity_gate": "true",
    "location_closing": "true",
    "allocation_document": _OF_DOCUMENTS,
    "routing_document": "true",
    "service_rule": "true",
    "backorder_run": None,
    "configuration": "true",
    "usage": """
        (o.kind IN ('protection', 'shipped', 'asked')
            AND o.limit_id IN (SELECT p.protection_id FROM pg_temp.protection p))
        OR o.kind IN ('quota', 'capacity')
        OR (o.kind = 'node' AND split_part(o.limit_id, '/', 1) IN (SELECT h.hierarchy_id FROM pg_temp.hierarchy h))
    """,
    "promise": _OF_PROMISES,
    "order_identity": "(o.source, o.order_id) IN (SELECT p.source, p.order_id FROM pg_temp.promise p)",
    "promise_history": None,
    "commitment": _OF_PROMISES,
    "backorder": _OF_PROMISES,
    "decision_batch": None,
    "unapplied_command": None,
    "deficit": _OF_ITEMS,
    "deficit_review": _OF_ITEMS,
    "scheduled_receipt": _OF_ITEMS,
    "due": None,
}
"""What is copied, and of it which rows. A table that is not here cannot be written by a rehearsal."""

_PROMISES: Final = """
SELECT promise_id FROM backorder WHERE item_id = ANY($1::text[])
UNION SELECT promise_id FROM commitment WHERE item_id = ANY($1::text[]) AND open > 0
UNION SELECT promise_id FROM commitment WHERE available_day BETWEEN $2::int AND $3::int AND open + shipped > 0
    AND ($4 OR item_id = ANY($1::text[]))
LIMIT $5
"""
_UNKNOWN_LOCATIONS: Final = """
SELECT name FROM unnest($1::text[]) AS asked (name) WHERE NOT EXISTS (SELECT FROM location WHERE location_id = name)
"""
_PROMISED_AT: Final = "SELECT DISTINCT item_id FROM commitment WHERE location_id = ANY($1::text[]) AND open > 0"
_ALL_WAITING: Final = "SELECT DISTINCT item_id FROM backorder ORDER BY item_id"
_SERVED_TOGETHER: Final = "SELECT DISTINCT item_id FROM backorder WHERE promise_id = ANY($1::uuid[])"
_POSITIONS: Final = "SELECT count(*) FROM position WHERE item_id = ANY($1::text[])"
_LEAVE_OTHERS: Final = "UPDATE position SET marked_at = NULL WHERE item_id <> ALL($1::text[]) AND marked_at IS NOT NULL"
_REVIEWS: Final = "SELECT item_id, location_id, cause FROM deficit_review ORDER BY asked_at, item_id, location_id"
_LINES: Final = "SELECT promise_id, source, order_id, customer_id, document FROM promise ORDER BY promise_id"
_AT_RISK: Final = "SELECT promise_id, line, sum(quantity)::bigint AS quantity FROM deficit GROUP BY promise_id, line"
_NOTHING: Final = (1, 0)  # days of no period
_NEVER: Final = timedelta.max  # whether the registry is silent does not matter here


class PreviewRuns(Unavailable):
    """A process makes one preview at a time, so that previews never crowd out promises."""

    problem_code = "overloaded"


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a change concerns. `together`: the items, and those that are served together with them."""

    items: Sequence[str]
    together: Sequence[str]
    positions: int
    promises: Sequence[UUID]
    documents: Sequence[str]


class RehearsalSession(PostgresSession):
    """A session over copies: it takes no lock, publishes nothing, and counts customers in the tiers that are tried."""

    tried: Mapping[str, TierAssignment] = {}
    strategies: Mapping[str, Strategy] = {}

    async def configuration(self) -> Configuration:
        """What planners set and tiers say, but for the strategies that are tried."""
        found = await super().configuration()
        if not self.strategies:
            return found
        tiers = {name: self._with_strategy(tier) for name, tier in found.tiers.items()}
        return replace(found, tiers=tiers, default_tier=self._with_strategy(found.default_tier))

    def _with_strategy(self, tier: Tier) -> Tier:
        return replace(tier, strategy=self.strategies.get(tier.tier, tier.strategy))

    async def customers(self, keys: Sequence[CustomerKey]) -> dict[CustomerKey, Customer]:
        """Customers as the registry published them, but for the tiers that are tried."""
        found = await super().customers(keys)
        return {key: self._tried(customer) for key, customer in found.items()}

    def _tried(self, customer: Customer) -> Customer:
        tried = None if customer.customer_id is None else self.tried.get(customer.customer_id)
        return customer if tried is None else replace(customer, assignments=(*customer.assignments, tried))

    async def taking_in(self) -> bool:
        """What waits is served also while a replay takes in: that is what would come next."""
        return False

    async def append_audit(self, entries: Sequence[AuditEntry], at: datetime) -> None:
        """Nothing happened."""

    async def finish(self, events: Sequence[Event], answers: Sequence[StoredAnswer], *, marked: bool) -> None:
        """Nothing is told to anybody."""


class PostgresRehearsals:
    """`Rehearsals` over a database."""

    def __init__(self, database: Database, transactions: PostgresTransactions) -> None:
        self._database = database
        self._transactions = transactions
        self._running = False

    async def rehearse(self, changes: Changes, work: Callable[[Rehearsal], Awaitable[T]]) -> T:
        """See the port."""
        if self._running:
            raise PreviewRuns("a preview is being made")
        self._running = True
        try:
            return await self._database.rehearse(
                lambda connection: self._run(connection, changes, work), label="preview"
            )
        except (DatabaseUnavailable, StillInConflict) as error:
            raise Unavailable(str(error)) from error
        finally:
            self._running = False

    async def _run(self, connection: Connection, changes: Changes, work: Callable[[Rehearsal], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(SECONDS_MAX):
                scope = await _scope(connection, changes)
                arguments = {
                    "items": scope.together,
                    "promises": scope.promises,
                    "documents": scope.documents,
                }
                await shadow(connection, self._database.schema, COPIES, arguments)
                await connection.execute(_LEAVE_OTHERS, scope.items)
                session = self._transactions.session(connection, RehearsalSession)
                return await work(_PostgresRehearsal(connection, session, scope))
        except TimeoutError:
            raise PreviewTooLarge("seconds", int(SECONDS_MAX)) from None


class _PostgresRehearsal:
    """`Rehearsal` on copies."""

    def __init__(self, connection: Connection, session: RehearsalSession, scope: _Scope) -> None:
        self._connection = connection
        self.session = session
        self.items = scope.items
        self.positions = scope.positions

    async def store(self, draft: Draft) -> int:
        """See the port."""
        at_once = replace(draft, head=replace(draft.head, effective_from=None))
        try:
            return await allocations.store(self._connection, at_once)
        except asyncpg.ExclusionViolationError as error:
            raise PeriodsOverlap from error

    async def store_routing(self, draft: RoutingDraft) -> int:
        """See the port."""
        version = await store_routing(self._connection, replace(draft, effective_from=None))
        assert version is not None  # noqa: S101 - of documents without a source's version every one is the next
        return version

    async def set_rule(self, draft: RuleDraft) -> int:
        """See the port."""
        version = await store_rule(self._connection, replace(draft, effective_from=None))
        await mark_items(self._connection, self.items, await business_now(self._connection), allocations.CAUSE)
        return version

    async def change_tiers(self, changes: Sequence[TierChange]) -> None:
        """See the port."""
        tiers = (await self.session.configuration()).tiers
        unknown = [change.tier for change in changes if change.tier not in tiers]
        if unknown:
            raise NotKnown("tier", unknown[:NAMES_SHOWN_MAX])
        now = await business_now(self._connection)
        found = await self.session.customers([change.customer for change in changes])
        tried: dict[str, TierAssignment] = {}
        for change in changes:
            customer = found[change.customer]
            assert customer.customer_id is not None  # noqa: S101 - the scope was made of known ones
            sequence = max((each.sequence for each in customer.assignments), default=0) + 1
            tried[customer.customer_id] = TierAssignment(change.tier, now, None, sequence, override=True)
        self.session.tried = tried
        await mark_customers(self._connection, list(tried), now)

    async def run(self, tried: TriedRun) -> None:
        """See the port."""
        tiers = (await self.session.configuration()).tiers
        unknown = [tier for tier in tried.strategies if tier not in tiers]
        if unknown:
            raise NotKnown("tier", unknown[:NAMES_SHOWN_MAX])
        self.session.strategies = tried.strategies
        await mark_items(self._connection, self.items, await business_now(self._connection), "reprocessed")

    async def begin_run(self, variant_id: str, version: int | None) -> UUID:
        """See the port."""
        now = await business_now(self._connection)
        row = await version_row(self._connection, variant_id, version, now)
        assert row is not None  # noqa: S101 - the scope was made of a known one
        asked = RunAsked(variant_id, version, "preview", "preview")
        return await insert_run(self._connection, asked, row["version"], now)

    async def close(self, closings: Sequence[TriedClosing]) -> Sequence[OrderKey]:
        """See the port."""
        for each in closings:
            await close(self._connection, each.location_id, Planner("preview", "preview", each.through))
        return await orders_open_at(self._connection, [each.location_id for each in closings])

    async def scheduled(self, names: Sequence[Reference]) -> Mapping[Reference, Scheduled]:
        """See the port."""
        return await self.session.supply.scheduled(names)

    async def marked(self) -> Sequence[MarkedItem]:
        """See the port."""
        return await marked_items(self._connection, ITEMS_AT_ONCE_MAX, PORTION_LINES_MAX)

    async def reviews(self) -> Sequence[tuple[PositionKey, RiskCause]]:
        """See the port."""
        rows = await self._connection.fetch(_REVIEWS)
        return [(PositionKey(row["item_id"], row["location_id"]), row["cause"]) for row in rows]

    async def lines(self) -> tuple[Mapping[str, PromiseHead], Mapping[LineKey, LineStanding]]:
        """See the port."""
        at_risk = {(row["promise_id"], row["line"]): row["quantity"] for row in await self._connection.fetch(_AT_RISK)}
        heads: dict[str, PromiseHead] = {}
        lines: dict[LineKey, LineStanding] = {}
        for row in await self._connection.fetch(_LINES):
            promise_id = str(row["promise_id"])
            heads[promise_id] = PromiseHead(row["source"], row["order_id"], row["customer_id"])
            document = load_document(row["document"])
            for line in document["lines"]:
                risk = at_risk.get((row["promise_id"], line["line"]), 0)
                lines[LineKey(promise_id, line["line"])] = _standing(document, line, risk)
        return heads, lines

    async def flush(self) -> None:
        """See the port."""
        await self.session.flush()


def _standing(document: Mapping[str, Any], line: Mapping[str, Any], at_risk: int) -> LineStanding:
    return LineStanding(
        tier=document["served_as"]["tier"],
        item_id=line["sku"],
        promised=line["promised"],
        backordered=line["backordered"],
        at_risk=at_risk,
        last_arrival=max((part["arrival_date"] for part in line["schedule"]), default=None),
    )


async def _scope(connection: Connection, changes: Changes) -> _Scope:
    """What the changes concern. Raises NotKnown, PreviewTooLarge."""
    named: dict[str, None] = {change.name.position.item_id: None for change in changes.receipts}
    everything = bool(changes.routing) or changes.service_rule is not None
    for draft in changes.drafts:
        concerned = await allocations.items_concerned(connection, draft)
        everything = everything or concerned is None
        named |= dict.fromkeys(concerned or ())
    if changes.closings:
        places = [each.location_id for each in changes.closings]
        unknown = [row["name"] for row in await connection.fetch(_UNKNOWN_LOCATIONS, places)]
        if unknown:
            raise NotKnown("location", unknown[:NAMES_SHOWN_MAX])
        named |= {row["item_id"]: None for row in await connection.fetch(_PROMISED_AT, places)}
        named |= dict.fromkeys(await items_awaited_at(connection, places))
    if changes.tiers:
        named |= dict.fromkeys(await items_awaited(connection, await _customer_ids(connection, changes.tiers)))
    if changes.run is not None:
        items_of_run = await _items_of_run(connection, changes.run)
        named |= dict.fromkeys(items_of_run)
        everything = everything or not items_of_run
    if everything:
        named |= {row["item_id"]: None for row in await connection.fetch(_ALL_WAITING)}
    items = sorted(named)
    first, last = _days(changes.drafts)
    rows = await connection.fetch(_PROMISES, items, first, last, everything, PROMISES_MAX + 1)
    if len(rows) > PROMISES_MAX:
        raise PreviewTooLarge("promises", PROMISES_MAX)
    promises = [row["promise_id"] for row in rows]
    together = {row["item_id"]: None for row in await connection.fetch(_SERVED_TOGETHER, promises)}
    both = sorted({**named, **together})
    positions: int = await connection.fetchval(_POSITIONS, both)
    if positions > POSITIONS_MAX:
        raise PreviewTooLarge("positions", POSITIONS_MAX, positions)
    return _Scope(items, both, positions, promises, [draft.head.document_id for draft in changes.drafts])


async def _items_of_run(connection: Connection, run: TriedRun) -> Sequence[str]:
    """The items that a run names; none: all that is waited for. Raises NotKnown."""
    if run.variant is None:
        return run.items
    row = await version_row(connection, *run.variant, await business_now(connection))
    if row is None:
        raise NotKnown("variant", [run.variant[0]])
    return asked_items(segments_of(row["body"])) or ()


def _days(drafts: Sequence[Draft]) -> tuple[int, int]:
    """The days in which quantities count under documents."""
    spans: list[tuple[int, int]] = []
    for draft in drafts:
        for row in (each for each in draft.rows if not isinstance(each, CapacityRow)):
            spans += getattr(row, "periods", None) or [(row.start_day, row.end_day)]  # type: ignore[union-attr]
    return (min(spans)[0], max(end for _, end in spans)) if spans else _NOTHING


async def _customer_ids(connection: Connection, changes: Sequence[TierChange]) -> list[str]:
    asked = list(dict.fromkeys(change.customer for change in changes))
    found = await read_customers(connection, asked, stale_after=_NEVER)
    unknown = [f"{key.system}:{key.id}" for key in asked if found[key].customer_id is None]
    if unknown:
        raise NotKnown("customer", unknown[:NAMES_SHOWN_MAX])
    return sorted({customer.customer_id for customer in found.values() if customer.customer_id is not None})
