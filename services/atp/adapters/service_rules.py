"""Rules of who is served first, in PostgreSQL: versions that replace each other from their effective dates on."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from services.atp.adapters.due_rows import DueStore
from services.atp.adapters.waiting_totals import BASIS_PER_RULE
from services.atp.application.planning import Values, VersionMoved
from services.atp.application.ports import Due, EffectiveRule
from services.atp.application.service_rules import RuleDraft
from services.atp.application.turn_dates import EVERY_ITEM, TURN
from services.atp.domain.service_rule import SERVED_BY_TIER, Criterion, ServiceRule, SetAsideRule
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database

VERSIONS_READ_MAX: Final = 100  # newest ones: more do not come into effect between two reads of the configuration
_RULES: Final = """
SELECT version, effective_from, effective_to, author, recorded_at, body FROM service_rule
WHERE $1::bigint IS NULL OR version < $1 ORDER BY version DESC LIMIT $2
"""
_RANKS_VERSION: Final = "SELECT ranks_version FROM configuration"
_LOCK: Final = "SELECT version FROM configuration FOR UPDATE"
_LATEST: Final = "SELECT coalesce(max(version), 0) FROM service_rule"
_ADD: Final = "INSERT INTO service_rule (version, effective_from, author, body) VALUES ($1, $2, $3, $4)"
_END_OTHERS: Final = """
UPDATE service_rule SET effective_to = $2 WHERE version < $1 AND (effective_to IS NULL OR effective_to > $2)
"""
_RAISE: Final = "UPDATE configuration SET version = version + 1"
_ACTIVE_RANKS: Final = "SELECT priority_rank FROM tier WHERE active ORDER BY priority_rank"


async def read_service_rules(connection: Connection) -> tuple[EffectiveRule, ...]:
    """The rules, the newest version first; the last one is that of before any was made."""
    ranks: int = await connection.fetchval(_RANKS_VERSION)
    found = [
        EffectiveRule(rule_of(row, ranks), row["effective_from"], row["effective_to"])
        for row in await connection.fetch(_RULES, None, VERSIONS_READ_MAX)
    ]
    first = ServiceRule(criteria=SERVED_BY_TIER.criteria, basis=ranks)
    return (*found, EffectiveRule(first, None, None))


def rule_of(row: asyncpg.Record, ranks: int) -> ServiceRule:
    """A stored version as decisions read it."""
    body: Values = orjson.loads(row["body"])
    version: int = row["version"]
    ageing: Mapping[str, int] = body["ageing"] or {"points": 0, "days": 1}
    criteria = tuple(
        Criterion(**{**each, "values": tuple(sorted(each["values"].items())), "name": each.get("name") or ""})
        for each in body["criteria"]
    )
    basis = version * BASIS_PER_RULE + ranks
    set_aside = _set_aside_of(body.get("set_aside"))
    return ServiceRule(version, body["kind"], criteria, ageing["points"], ageing["days"], basis, set_aside)


def _set_aside_of(body: Values | None) -> SetAsideRule | None:
    if body is None:
        return None
    return SetAsideRule(body["after_days"], body["lasts_days"], tuple(sorted(body["tiers"].items())))


async def store_rule(connection: Connection, draft: RuleDraft) -> int:
    """Write the next version, in effect from its date on; its number. All who wait are asked anew by it when it comes.

    Raises VersionMoved.
    """
    await connection.execute(_LOCK)
    latest: int = await connection.fetchval(_LATEST)
    if draft.base is not None and draft.base != latest:
        raise VersionMoved(latest)
    now = await business_now(connection)
    effective_from = draft.effective_from or now
    await connection.execute(_ADD, latest + 1, effective_from, draft.author, draft.body.decode())
    await connection.execute(_END_OTHERS, latest + 1, effective_from)
    await connection.execute(_RAISE)
    # A name that is no item's, and comes before all of them: the portions of another matter go their own way.
    turn = Due(TURN, (EVERY_ITEM, f" {latest + 1}"))
    await DueStore(connection).store({turn: effective_from})
    return latest + 1


class PostgresServiceRules:
    """`ServiceRules` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, draft: RuleDraft) -> int:
        """See the port."""
        return await self._database.run(lambda connection: _audited(connection, draft), label="service rule")

    async def versions(self, before: int | None, limit: int) -> list[Values]:
        """See the port."""
        return await self._database.read(lambda connection: _versions(connection, before, limit))

    async def in_effect(self, at: datetime | None) -> tuple[ServiceRule, Values | None, list[int]]:
        """See the port."""

        async def work(connection: Connection) -> tuple[ServiceRule, Values | None, list[int]]:
            moment = at or await business_now(connection)
            ranks: int = await connection.fetchval(_RANKS_VERSION)
            tiers = [row["priority_rank"] for row in await connection.fetch(_ACTIVE_RANKS)]
            for row in await connection.fetch(_RULES, None, VERSIONS_READ_MAX):
                rule = EffectiveRule(rule_of(row, ranks), row["effective_from"], row["effective_to"])
                if rule.covers(moment):
                    return rule.rule, _shown(row), tiers
            return SERVED_BY_TIER, None, tiers

        return await self._database.read(work)


async def _versions(connection: Connection, before: int | None, limit: int) -> list[Values]:
    return [_shown(row) for row in await connection.fetch(_RULES, before, limit)]


async def _audited(connection: Connection, draft: RuleDraft) -> int:
    version = await store_rule(connection, draft)
    now = await business_now(connection)
    detail: dict[str, Any] = {"version": version, "effective_from": draft.effective_from or now}
    await audit.append(connection, [AuditEntry(draft.author, "service_rule.changed", "service_rule", detail)], now)
    return version


def _shown(row: asyncpg.Record) -> Values:
    shown = {name: row[name] for name in ("version", "effective_from", "effective_to", "author", "recorded_at")}
    return {"set_aside": None, **orjson.loads(row["body"]), **shown}
