"""Routing rules in PostgreSQL: each version of a document is a row that never changes but for its end.

Whoever waits is asked anew when rules come into effect: at once when they are stored, and when their date comes.
"""

from datetime import datetime
from typing import Final

import asyncpg
import orjson

from services.atp.adapters.configuration import raise_version
from services.atp.adapters.turns import plan_items
from services.atp.adapters.waking import LOCK_POSITIONS, mark_waiting
from services.atp.application.planning import OtherKind, VersionMoved
from services.atp.application.routing import NamedInRules, RoutingDraft, RoutingKind, TooManyRules, Values
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database

RULES_IN_EFFECT_MAX: Final = 10_000  # of all documents: every process holds them, and a batch looks through them
CAUSE: Final = "routing_changed"
_LATEST: Final = """
SELECT version, kind FROM routing_document WHERE document_id = $1 ORDER BY version DESC LIMIT 1
"""
_SAME: Final = """
SELECT version FROM routing_document AS newest
WHERE document_id = $1 AND kind = $2 AND body = $3::jsonb AND ($4::bigint IS NULL OR version = $4)
    AND effective_from <= recorded_at AND effective_to IS NULL
    AND version = (SELECT max(version) FROM routing_document WHERE document_id = newest.document_id)
"""
_ADD: Final = """
INSERT INTO routing_document (document_id, version, kind, effective_from, author, body, rules, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_END: Final = """
UPDATE routing_document SET effective_to = $3
WHERE document_id = $1 AND version < $2 AND (effective_to IS NULL OR effective_to > $3)
"""
_COUNT: Final = """
SELECT coalesce(sum(rules), 0) FROM routing_document
WHERE effective_to IS NULL OR effective_to > greatest(effective_from, $1)
"""
_HEAD: Final = "document_id, version, effective_from, effective_to, author, recorded_at, rules"
_DOCUMENT: Final = f"""
SELECT {_HEAD}, body FROM routing_document WHERE document_id = $1 AND kind = $2
    AND ($3::bigint IS NULL OR version = $3)
    AND ($4::timestamptz IS NULL OR (effective_from <= $4 AND (effective_to IS NULL OR $4 < effective_to)))
ORDER BY version DESC LIMIT 1
"""  # noqa: S608 - made of constants
_VERSIONS: Final = f"""
SELECT {_HEAD} FROM routing_document WHERE document_id = $1 AND kind = $2 AND ($3::bigint IS NULL OR version < $3)
ORDER BY version DESC LIMIT $4
"""  # noqa: S608 - made of constants
_DOCUMENTS: Final = f"""
SELECT DISTINCT ON (document_id) {_HEAD} FROM routing_document WHERE kind = $1 AND document_id > $2
ORDER BY document_id, version DESC LIMIT $3
"""  # noqa: S608 - made of constants
_UNKNOWN: Final = """
SELECT name FROM unnest($1::text[]) AS asked (name) WHERE NOT EXISTS (SELECT FROM {table} WHERE {column} = name)
"""
_ALL_WAITING: Final = "SELECT DISTINCT item_id FROM backorder ORDER BY item_id"


class PostgresRoutingDocuments:
    """`RoutingDocuments` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, draft: RoutingDraft) -> int | None:
        """See the port."""

        async def work(connection: Connection) -> int | None:
            same = await connection.fetchval(_SAME, draft.document_id, draft.kind, draft.body.decode(), draft.base)
            if same is not None and draft.version is None and draft.effective_from is None:
                return int(same)  # what is sent again is no new version
            version = await store_routing(connection, draft)
            if version is not None:
                detail = {"version": version, "rules": draft.rules, "effective_from": str(draft.effective_from or "")}
                entry = AuditEntry(draft.author, f"{draft.kind}.written", draft.document_id, detail)
                await audit.append(connection, [entry], await business_now(connection))
            return version

        try:
            return await self._database.run(work, label="routing rules")
        except asyncpg.UniqueViolationError as error:
            raise VersionMoved(None) from error

    async def document(
        self, kind: RoutingKind, document_id: str, version: int | None, at: datetime | None
    ) -> Values | None:
        """See the port."""

        async def work(connection: Connection) -> Values | None:
            row = await connection.fetchrow(_DOCUMENT, document_id, kind, version, at)
            if row is None:
                return None
            head = {name: value for name, value in row.items() if name != "body"}
            return {**head, "rules": orjson.loads(row["body"])}

        return await self._database.read(work)

    async def versions(self, kind: RoutingKind, document_id: str, before: int | None, limit: int) -> list[Values]:
        """See the port."""

        async def work(connection: Connection) -> list[Values]:
            return [dict(row) for row in await connection.fetch(_VERSIONS, document_id, kind, before, limit)]

        return await self._database.read(work)

    async def documents(self, kind: RoutingKind, after: str, limit: int) -> list[Values]:
        """See the port."""

        async def work(connection: Connection) -> list[Values]:
            return [dict(row) for row in await connection.fetch(_DOCUMENTS, kind, after, limit)]

        return await self._database.read(work)

    async def unknown(self, names: NamedInRules) -> NamedInRules:
        """See the port."""

        async def work(connection: Connection) -> NamedInRules:
            found = []
            for asked, table, column in (
                (names.tiers, "tier", "tier"),
                (names.locations, "location", "location_id"),
                (names.items, "item", "item_id"),
            ):
                rows = await connection.fetch(_UNKNOWN.format(table=table, column=column), list(asked))
                found.append(tuple(row["name"] for row in rows))
            return NamedInRules(*found)

        return await self._database.read(work)


async def store_routing(connection: Connection, draft: RoutingDraft) -> int | None:
    """See the port; without the audit trail."""
    former = await connection.fetchrow(_LATEST, draft.document_id)
    current: int = 0 if former is None else former["version"]
    if former is not None and former["kind"] != draft.kind:
        raise OtherKind
    if draft.base is not None and draft.base != current:
        raise VersionMoved(current)
    if draft.version is not None and draft.version <= current:
        return None
    version = current + 1 if draft.version is None else draft.version
    now = await business_now(connection)
    effective_from = draft.effective_from or now
    await connection.execute(_END, draft.document_id, version, effective_from)
    row = (draft.document_id, version, draft.kind, effective_from, draft.author, draft.body.decode(), draft.rules, now)
    await connection.execute(_ADD, *row)
    if await connection.fetchval(_COUNT, now) > RULES_IN_EFFECT_MAX:
        raise TooManyRules
    await ask_those_who_wait(connection, now)
    await plan_items(connection, (), now)
    await raise_version(connection)
    return version


async def ask_those_who_wait(connection: Connection, now: datetime) -> None:
    """Let all who wait be asked anew: how they may be served has changed."""
    items = [row["item_id"] for row in await connection.fetch(_ALL_WAITING)]
    await connection.fetch(LOCK_POSITIONS, items)
    await mark_waiting(connection, items, now, CAUSE)
