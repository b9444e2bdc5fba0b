"""Rule sets in PostgreSQL: every version stays."""

from typing import Final

import asyncpg
import orjson

from services.chassis.database import Connection
from services.reclassifier.application.ports import StoredRuleSet
from services.reclassifier.application.rule_set_document import RuleSetDocument

_LOCK: Final = 4_217_303  # any number that no other advisory lock here uses


async def load_rule_set(connection: Connection, rule_set_id: str, version: int | None) -> StoredRuleSet | None:
    """One version, the newest without one."""
    row = await connection.fetchrow(
        "SELECT * FROM rule_set WHERE rule_set_id = $1 AND ($2::bigint IS NULL OR version = $2)"
        " ORDER BY version DESC LIMIT 1",
        rule_set_id,
        version,
    )
    return None if row is None else _stored(row)


async def load_rule_sets(connection: Connection) -> list[StoredRuleSet]:
    """The newest version of each, by id."""
    rows = await connection.fetch("SELECT DISTINCT ON (rule_set_id) * FROM rule_set ORDER BY rule_set_id, version DESC")
    return [_stored(row) for row in rows]


async def add_rule_set(connection: Connection, stored: StoredRuleSet) -> None:
    """Store a new version."""
    await connection.execute(
        "INSERT INTO rule_set (rule_set_id, version, document, author, stored_at) VALUES ($1, $2, $3::jsonb, $4, $5)",
        stored.rule_set.rule_set_id,
        stored.rule_set.version,
        orjson.dumps(stored.document).decode(),
        stored.author,
        stored.stored_at,
    )


async def lock_rule_sets(connection: Connection) -> None:
    """One writer at a time, so that versions count without gaps."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)


def _stored(row: asyncpg.Record) -> StoredRuleSet:
    document = orjson.loads(row["document"])
    rule_set = RuleSetDocument.model_validate(document).to_domain(row["rule_set_id"], row["version"])
    return StoredRuleSet(rule_set, document, row["author"], row["stored_at"])
