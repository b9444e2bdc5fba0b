"""The audit trail in PostgreSQL. Its head is one row, locked last: positions have no gaps and follow the commits."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

import orjson

from services.chassis.audit.chain import AuditEntry, AuditRecord, Head, canonical, digest_of
from services.chassis.database import Connection, Database, announce

ANNOUNCED: Final = "audit"
CATCH_UP_ROWS: Final = 5_000  # linked by one transaction, under the lock of the head
READ_ROWS: Final = 1_000

_HEAD: Final = "SELECT position, linked, digest FROM audit_head"
_PAGE: Final = (
    "SELECT audit.position, at, author, action, subject, detail, digest"
    " FROM audit LEFT JOIN audit_link USING (position)"
    " WHERE audit.position > $1 ORDER BY audit.position LIMIT $2"
)


async def append(connection: Connection, entries: Sequence[AuditEntry], at: datetime) -> None:
    """Write entries in order and chain them; the last lock of a transaction."""
    if not entries:
        return
    before = await _linked_head(connection)
    digest = before.digest
    rows, links = [], []
    for position, entry in enumerate(entries, before.position + 1):
        detail = canonical(entry.detail)
        digest = digest_of(digest, position, at, entry)
        rows.append((position, at, entry.author, entry.action, entry.subject, detail.decode()))
        links.append((position, digest))
    await connection.copy_records_to_table(
        "audit", columns=["position", "at", "author", "action", "subject", "detail"], records=rows
    )
    await connection.copy_records_to_table("audit_link", columns=["position", "digest"], records=links)
    last = before.position + len(entries)
    await connection.execute("UPDATE audit_head SET position = $1, linked = $1, digest = $2", last, digest)
    await announce(connection, ANNOUNCED)


async def catch_up(database: Database) -> int:
    """Chain entries that a version without the chain wrote, in bounded portions; how many there were."""
    linked = 0
    while True:
        done = await database.run(_link_some, label="chain the audit trail")
        if not done:
            return linked
        linked += done


async def head(connection: Connection, *, lock: bool = False) -> Head:
    """How far the trail goes; held as it is with `lock`."""
    row = await connection.fetchrow(_HEAD + (" FOR UPDATE" if lock else ""))
    assert row is not None  # noqa: S101 -- the migration makes it
    return Head(row["position"], row["linked"], row["digest"])


async def position(connection: Connection) -> int:
    """The position of the last entry: a count of everything that was changed."""
    last: int = await connection.fetchval("SELECT position FROM audit_head")
    return last


async def page(connection: Connection, after: int, limit: int) -> list[AuditRecord]:
    """Entries by position, after the one given."""
    return [
        AuditRecord(
            row["position"],
            row["at"],
            AuditEntry(row["author"], row["action"], row["subject"], orjson.loads(row["detail"])),
            row["digest"],
        )
        for row in await connection.fetch(_PAGE, after, limit)
    ]


async def everything(connection: Connection) -> AsyncIterator[AuditRecord]:
    """The whole trail in order, a page at a time; the caller's transaction makes it one picture."""
    after = 0
    while found := await page(connection, after, READ_ROWS):
        for record in found:
            yield record
        after = found[-1].position


async def digest_at(connection: Connection, at_position: int) -> bytes | None:
    """The digest at a position, if it is chained."""
    digest: bytes | None = await connection.fetchval("SELECT digest FROM audit_link WHERE position = $1", at_position)
    return digest


async def _linked_head(connection: Connection) -> Head:
    """The head under its lock, everything before it chained: also what an older version has written since."""
    while True:
        found = await head(connection, lock=True)
        if found.linked == found.position:
            return found
        await _link(connection, found)


async def _link_some(connection: Connection) -> int:
    found = await head(connection, lock=True)
    return await _link(connection, found) if found.linked < found.position else 0


async def _link(connection: Connection, before: Head) -> int:
    """Chain the next entries after the last one that is chained; how many."""
    digest = before.digest
    links = []
    for record in await page(connection, before.linked, CATCH_UP_ROWS):
        digest = digest_of(digest, record.position, record.at, record.entry)
        links.append((record.position, digest))
    await connection.copy_records_to_table("audit_link", columns=["position", "digest"], records=links)
    # Entries that should be there and are not were deleted by force: the check finds it, and the service goes on.
    reached = links[-1][0] if links else before.position
    await connection.execute("UPDATE audit_head SET linked = $1, digest = $2", reached, digest)
    return reached - before.linked
