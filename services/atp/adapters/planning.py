"""What planners set, kept in PostgreSQL: each method of the port is one transaction."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

import asyncpg

from services.atp.adapters import allocations, capacity_figures, items, region_rows
from services.atp.adapters.configuration import change_alone
from services.atp.application.planning import AllocationKind, Draft, Names, PeriodsOverlap, Values, VersionMoved
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database
from services.contracts.items import CatalogItem

T = TypeVar("T")
AUDITED: Final = {
    "protection": "protections",
    "quota": "quotas",
    "hierarchy": "hierarchies",
    "capacity": "capacities",
}  # in names of entries


class PostgresPlanning:
    """`Planning` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store_items(self, rows: Sequence[CatalogItem]) -> int:
        """See the port."""
        return await self._run(lambda connection: items.store_items(connection, rows))

    async def items(self, after: str, limit: int) -> list[Values]:
        """See the port."""
        return await self._database.read(lambda connection: items.read_items(connection, after, limit))

    async def item(self, sku: str) -> Values | None:
        """See the port."""
        return await self._database.read(lambda connection: items.read_item(connection, sku))

    async def store_document(self, draft: Draft) -> int:
        """See the port."""
        try:
            return await self._run(lambda connection: _audited(connection, draft))
        except asyncpg.ExclusionViolationError as error:
            raise PeriodsOverlap from error
        except asyncpg.UniqueViolationError as error:
            raise VersionMoved(None) from error

    async def serve_waiting(self) -> int:
        """See the port."""
        return await self._run(allocations.serve_waiting)

    async def store_region(self, region: str, zones: Sequence[str]) -> None:
        """See the port."""
        await self._run(lambda connection: region_rows.store_region(connection, region, zones))

    async def regions(self) -> dict[str, list[str]]:
        """See the port."""
        return await self._database.read(region_rows.read_regions)

    async def document(
        self, document_id: str, kind: AllocationKind, version: int | None = None, at: datetime | None = None
    ) -> Values | None:
        """See the port."""
        return await self._database.read(
            lambda connection: allocations.read_document(connection, document_id, kind, version, at)
        )

    async def versions(self, document_id: str, kind: AllocationKind, before: int | None, limit: int) -> list[Values]:
        """See the port."""
        return await self._database.read(
            lambda connection: allocations.read_versions(connection, document_id, kind, before, limit)
        )

    async def documents(self, at: datetime | None, after: str, limit: int) -> tuple[list[Values], str | None]:
        """See the port."""
        return await self._database.read(lambda connection: allocations.read_documents(connection, at, after, limit))

    async def capacity_days(self, document_id: str, first: int | None, days: int) -> list[Values]:
        """See the port."""

        async def work(connection: Connection) -> list[Values]:
            now = await business_now(connection)
            day = now.toordinal() if first is None else first
            return await capacity_figures.days_of_document(connection, document_id, now, day, days)

        return await self._database.read(work)

    async def unknown(self, names: Names) -> Names:
        """See the port."""
        return await self._database.read(lambda connection: allocations.unknown_names(connection, names))

    async def _run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        return await self._database.run(work, label="planning")


async def _audited(connection: Connection, draft: Draft) -> int:
    """Store a version of a document, and write that it was; the audit trail is the last lock."""
    head = draft.head
    if draft.kind == "capacity":
        await change_alone(connection)
    version = await allocations.store(connection, draft)
    detail = {
        "version": version,
        "effective_from": head.effective_from,
        "sha256": hashlib.sha256(head.body).hexdigest(),
    }
    entry = AuditEntry(head.author, f"{AUDITED[draft.kind]}.changed", head.document_id, detail)
    await audit.append(connection, [entry], await business_now(connection))
    return version
