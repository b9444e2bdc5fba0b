"""Rule sets in PostgreSQL: every version stays."""

from datetime import datetime
from functools import lru_cache
from typing import Final

import asyncpg
import orjson

from services.chassis.database import Connection
from services.reclassifier.application.ports import StoredRuleSet
from services.reclassifier.application.rule_set_document import RuleSetDocument, content_hash
from services.reclassifier.domain.rule_set import RuleSet

_LOCK: Final = 4_217_303  # any number that no other advisory lock here uses
_PARSED_MAX: Final = 64  # versions kept as read: an evaluation needs the one in force every time


async def load_rule_set(connection: Connection, rule_set_id: str, version: int | None) -> StoredRuleSet | None:
    """One version; without one, the newest that was approved."""
    row = await connection.fetchrow(
        "SELECT * FROM rule_set WHERE rule_set_id = $1"
        " AND (version = $2 OR ($2::bigint IS NULL AND approved_at IS NOT NULL)) ORDER BY version DESC LIMIT 1",
        rule_set_id,
        version,
    )
    return None if row is None else _stored(row)


async def load_newest(connection: Connection, rule_set_id: str) -> StoredRuleSet | None:
    """The newest version, approved or not."""
    row = await connection.fetchrow(
        "SELECT * FROM rule_set WHERE rule_set_id = $1 ORDER BY version DESC LIMIT 1", rule_set_id
    )
    return None if row is None else _stored(row)


async def load_rule_sets(connection: Connection) -> list[StoredRuleSet]:
    """The newest version of each, approved or not, by id."""
    rows = await connection.fetch("SELECT DISTINCT ON (rule_set_id) * FROM rule_set ORDER BY rule_set_id, version DESC")
    return [_stored(row) for row in rows]


async def add_rule_set(connection: Connection, stored: StoredRuleSet) -> None:
    """Store a new version, not in force."""
    await connection.execute(
        "INSERT INTO rule_set (rule_set_id, version, document, author, stored_at) VALUES ($1, $2, $3::jsonb, $4, $5)",
        stored.rule_set.rule_set_id,
        stored.rule_set.version,
        orjson.dumps(stored.document).decode(),
        stored.author,
        stored.stored_at,
    )


async def approve_rule_set(connection: Connection, rule_set: RuleSet, approver: str, at: datetime) -> None:
    """Put a version in force."""
    await connection.execute(
        "UPDATE rule_set SET approved_by = $3, approved_at = $4 WHERE rule_set_id = $1 AND version = $2",
        rule_set.rule_set_id,
        rule_set.version,
        approver,
        at,
    )


async def lock_rule_sets(connection: Connection) -> None:
    """One writer at a time, so that versions count without gaps."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


def _stored(row: asyncpg.Record) -> StoredRuleSet:
    document = orjson.loads(row["document"])
    return StoredRuleSet(
        _parsed(row["rule_set_id"], row["version"], row["document"]),
        document,
        row["author"],
        row["stored_at"],
        content_hash(document),
        row["approved_by"],
        row["approved_at"],
    )


@lru_cache(maxsize=_PARSED_MAX)
def _parsed(rule_set_id: str, version: int, written: str) -> RuleSet:
    return RuleSetDocument.model_validate_json(written).to_domain(rule_set_id, version)
