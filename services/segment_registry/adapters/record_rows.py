"""Golden records and personal fields in PostgreSQL, each in one table; a customer without one has no row."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import orjson

from services.chassis.database import Connection
from services.segment_registry.domain.customers import Customer
from services.segment_registry.domain.records import NO_RECORD, Contract, CustomerRecord


async def load_records(connection: Connection, customer_ids: Collection[UUID]) -> dict[UUID, CustomerRecord]:
    """Those that these customers have."""
    rows = await connection.fetch(
        "SELECT customer_id, account_owner, customer_type, industry, strategic, contract FROM customer_record"
        " WHERE customer_id = ANY($1)",
        list(customer_ids),
    )
    return {
        row["customer_id"]: CustomerRecord(
            row["account_owner"], row["customer_type"], row["industry"], row["strategic"], _contract(row["contract"])
        )
        for row in rows
    }


async def save_records(connection: Connection, before: Mapping[str, Customer], after: Sequence[Customer]) -> None:
    """Store those that differ."""
    changed = [
        customer
        for customer in after
        if customer.record != (before[customer.customer_id].record if customer.customer_id in before else NO_RECORD)
    ]
    if changed:
        await connection.executemany(
            "INSERT INTO customer_record (customer_id, account_owner, customer_type, industry, strategic, contract)"
            " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (customer_id) DO UPDATE SET"
            " account_owner = excluded.account_owner, customer_type = excluded.customer_type,"
            " industry = excluded.industry, strategic = excluded.strategic, contract = excluded.contract",
            [_values(customer) for customer in changed],
        )


async def load_personal(connection: Connection, customer_id: str) -> dict[str, str]:
    """The personal fields of a customer by name."""
    fields: str | None = await connection.fetchval(
        "SELECT fields FROM customer_personal WHERE customer_id = $1", UUID(customer_id)
    )
    return {} if fields is None else dict(orjson.loads(fields))


async def save_personal(connection: Connection, customer_id: str, fields: Mapping[str, str]) -> None:
    """Store them whole; none deletes the row."""
    if not fields:
        await connection.execute("DELETE FROM customer_personal WHERE customer_id = $1", UUID(customer_id))
        return
    await connection.execute(
        "INSERT INTO customer_personal (customer_id, fields) VALUES ($1, $2)"
        " ON CONFLICT (customer_id) DO UPDATE SET fields = excluded.fields",
        UUID(customer_id),
        orjson.dumps(dict(fields)).decode(),
    )


def _values(customer: Customer) -> tuple[Any, ...]:
    record = customer.record
    return (
        customer.customer_id,
        record.account_owner,
        record.customer_type,
        record.industry,
        record.strategic,
        None if record.contract is None else contract_json(record.contract),
    )


def contract_json(contract: Contract) -> str:
    """As stored."""
    return orjson.dumps(contract).decode()


def _contract(stored: str | None) -> Contract | None:
    if stored is None:
        return None
    fields = orjson.loads(stored)
    ends = fields["ends"]
    return Contract(
        date.fromisoformat(fields["starts"]),
        None if ends is None else date.fromisoformat(ends),
        fields["minimum_tier"],
        tuple(fields["commitments"]),
    )
