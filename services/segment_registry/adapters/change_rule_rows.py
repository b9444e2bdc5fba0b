"""The rules of change and what was used of their budgets, in PostgreSQL. Every version stays."""

from dataclasses import asdict
from datetime import date, datetime

import orjson

from services.chassis.database import Connection
from services.segment_registry.domain.change_rules import ChangeRules

_COUNT = """
INSERT INTO override_use (tier, month, used) VALUES ($1, $2, 1)
ON CONFLICT (tier, month) DO UPDATE SET used = override_use.used + 1 WHERE override_use.used < $3 RETURNING used
"""
_UNLIMITED = 2**31 - 1  # what the column can hold; nobody decides so many overrides in a month


async def load_rules(connection: Connection) -> ChangeRules:
    """The newest version; fields that it did not know, and a document that was never written, limit nothing."""
    row = await connection.fetchrow("SELECT version, document FROM change_rules ORDER BY version DESC LIMIT 1")
    return ChangeRules() if row is None else ChangeRules(row["version"], **orjson.loads(row["document"]))


async def save_rules(connection: Connection, rules: ChangeRules, author: str, at: datetime) -> None:
    """Store the next version."""
    await connection.execute(
        "INSERT INTO change_rules (version, document, author, defined_at) VALUES ($1, $2, $3, $4)",
        rules.version,
        rules_json(rules),
        author,
        at,
    )


def rules_json(rules: ChangeRules) -> str:
    """As stored."""
    fields = asdict(rules)
    del fields["version"]
    return orjson.dumps(fields, option=orjson.OPT_SORT_KEYS).decode()


async def count_override(connection: Connection, tier: str, month: date, budget: int | None) -> bool:
    """Count one more override of a tier and month; False where its budget is spent. Holds the count until the end."""
    if budget == 0:
        return False
    limit = _UNLIMITED if budget is None else budget
    return await connection.fetchval(_COUNT, tier, month, limit) is not None


async def overrides_used(connection: Connection, month: date) -> dict[str, int]:
    """How many overrides were decided in a month, by tier."""
    rows = await connection.fetch("SELECT tier, used FROM override_use WHERE month = $1 ORDER BY tier", month)
    return {row["tier"]: row["used"] for row in rows}
