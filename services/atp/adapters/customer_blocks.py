"""Blocks of customers in PostgreSQL: the current ones in `customer_block`, every change in `customer_block_change`.

The first block ever stored raises the configuration's version: until then no decision asks for blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from services.atp.adapters.configuration import ANY_BLOCK, raise_version
from services.atp.adapters.customers import REGISTRY_SYSTEM
from services.atp.application.content import CustomerKey
from services.atp.application.customer_blocks import BlockChange, BlockPlace, CustomerBlock
from services.atp.application.customers import Customer
from services.atp.domain.validation_rules import Block
from services.chassis import audit
from services.chassis.audit.chain import AuditEntry
from services.chassis.business_time import business_now
from services.chassis.database import Connection, Database

_STORE: Final = """
WITH stored AS (
    INSERT INTO customer_block
        (system, external_id, kind, version, effect, effective_to, reason, author, changed_at)
    VALUES ($1, $2, $3, coalesce($4, 1), $5, $6, $7, $8, $9)
    ON CONFLICT (system, external_id, kind) DO UPDATE SET version = coalesce($4, customer_block.version + 1),
        effect = excluded.effect, effective_to = excluded.effective_to, reason = excluded.reason,
        author = excluded.author, changed_at = excluded.changed_at
    WHERE customer_block.version < coalesce($4, customer_block.version + 1)
    RETURNING *
)
INSERT INTO customer_block_change
    (system, external_id, kind, version, effect, effective_to, reason, author, changed_at)
SELECT system, external_id, kind, version, effect, effective_to, reason, author, changed_at FROM stored
RETURNING version
"""
_COLUMNS: Final = "system, external_id, kind, version, effect, effective_to, reason, author, changed_at"
_PAGE: Final = f"""
SELECT {_COLUMNS} FROM customer_block
WHERE effect IS NOT NULL AND ($1::text IS NULL OR (system, external_id, kind) > ($1, $2, $3))
ORDER BY system, external_id, kind LIMIT $4
"""  # noqa: S608 - made of constants
_HISTORY: Final = f"""
SELECT {_COLUMNS} FROM customer_block_change WHERE system = $1 AND external_id = $2 ORDER BY kind, version
"""  # noqa: S608 - made of constants

# A block counts under every name of the customer: as the order has it, as the registry has it, and all its identifiers.
_OF_CUSTOMERS: Final = """
WITH asked AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (system, id, customer_id, place)
), names AS (
    SELECT place, system, id FROM asked
    UNION SELECT place, $4, customer_id FROM asked WHERE customer_id IS NOT NULL
    UNION SELECT a.place, i.system, i.external_id
    FROM asked a JOIN segment_identifier i ON i.customer_id = a.customer_id
)
SELECT DISTINCT n.place, b.kind, b.effect, b.effective_to
FROM names n JOIN customer_block b ON b.system = n.system AND b.external_id = n.id
WHERE b.effect IS NOT NULL
ORDER BY n.place, b.kind, b.effect, b.effective_to
"""


class PostgresCustomerBlocks:
    """`CustomerBlocks` over a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def store(self, changes: Sequence[BlockChange]) -> int:
        """See the port."""
        return await self._database.run(lambda connection: _store(connection, changes), label="customer blocks")

    async def page(self, after: BlockPlace | None, limit: int) -> list[dict[str, Any]]:
        """See the port."""
        place = (None, None, None) if after is None else after

        async def read(connection: Connection) -> list[dict[str, Any]]:
            return [_document(row) for row in await connection.fetch(_PAGE, *place, limit)]

        return await self._database.read(read, label="customer blocks")

    async def history(self, customer: CustomerKey) -> list[dict[str, Any]]:
        """See the port."""

        async def read(connection: Connection) -> list[dict[str, Any]]:
            return [_document(row) for row in await connection.fetch(_HISTORY, *customer)]

        return await self._database.read(read, label="customer blocks")


async def with_blocks(connection: Connection, customers: Mapping[CustomerKey, Customer]) -> dict[CustomerKey, Customer]:
    """The customers with their blocks."""
    keys = sorted(customers)
    columns = ([key.system for key in keys], [key.id for key in keys], [customers[key].customer_id for key in keys])
    blocks: dict[CustomerKey, tuple[CustomerBlock, ...]] = {}
    for place, kind, effect, effective_to in await connection.fetch(_OF_CUSTOMERS, *columns, REGISTRY_SYSTEM):
        key = keys[place - 1]
        blocks[key] = (*blocks.get(key, ()), CustomerBlock(Block(kind, effect), effective_to))
    return {key: replace(customer, blocks=blocks.get(key, ())) for key, customer in customers.items()}


async def _store(connection: Connection, changes: Sequence[BlockChange]) -> int:
    if not await connection.fetchval(ANY_BLOCK):
        await raise_version(connection)
    now = await business_now(connection)
    stored: list[AuditEntry] = []
    for each in sorted(changes, key=_place):
        version = await connection.fetchval(
            _STORE,
            each.customer.system,
            each.customer.id,
            each.kind,
            each.version,
            each.effect,
            each.effective_to,
            each.reason,
            each.author,
            now,
        )
        if version is not None:
            stored.append(_entry(each, version))
    await audit.append(connection, stored, now)
    return len(stored)


def _entry(change: BlockChange, version: int) -> AuditEntry:
    detail = {
        "kind": change.kind,
        "version": version,
        "effect": change.effect,
        "effective_to": change.effective_to,
        "reason": change.reason,
    }
    return AuditEntry(change.author, "customer.blocked", f"{change.customer.system}:{change.customer.id}", detail)


def _place(change: BlockChange) -> tuple[CustomerKey, str, int]:
    """Rows are locked in this order; of one block the older version comes first."""
    return (change.customer, change.kind, change.version or 0)


def _document(row: Any) -> dict[str, Any]:
    return {
        "customer": {"system": row["system"], "id": row["external_id"]},
        "kind": row["kind"],
        "version": row["version"],
        "effect": row["effect"] or "none",
        "effective_to": row["effective_to"],
        "reason": row["reason"],
        "author": row["author"],
        "changed_at": row["changed_at"],
    }
