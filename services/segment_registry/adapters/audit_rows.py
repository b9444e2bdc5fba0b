"""The audit trail in PostgreSQL. Its head is one row, locked last: positions have no gaps and follow the commits."""

from collections.abc import Sequence
from datetime import datetime

import orjson

from services.chassis.database import Connection
from services.segment_registry.application.ports import AuditEntry, AuditRecord


async def append_audit(connection: Connection, entries: Sequence[AuditEntry], at: datetime) -> None:
    """Write entries in order."""
    if not entries:
        return
    last: int = await connection.fetchval(
        "UPDATE audit_head SET position = position + $1 RETURNING position", len(entries)
    )
    first = last - len(entries) + 1
    await connection.copy_records_to_table(
        "audit",
        columns=["position", "at", "author", "action", "subject", "detail"],
        records=[
            (position, at, entry.author, entry.action, entry.subject, orjson.dumps(entry.detail).decode())
            for position, entry in enumerate(entries, first)
        ],
    )


async def page_of_audit(connection: Connection, after: int, limit: int) -> list[AuditRecord]:
    """Records by position, after the one given."""
    rows = await connection.fetch(
        "SELECT position, at, author, action, subject, detail FROM audit"
        " WHERE position > $1 ORDER BY position LIMIT $2",
        after,
        limit,
    )
    return [
        AuditRecord(
            row["position"],
            row["at"],
            AuditEntry(row["author"], row["action"], row["subject"], orjson.loads(row["detail"])),
        )
        for row in rows
    ]


async def audit_position(connection: Connection) -> int:
    """The position of the last record."""
    position: int = await connection.fetchval("SELECT position FROM audit_head")
    return position
