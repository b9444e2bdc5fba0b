"""Customers in PostgreSQL: the record, its identifiers and its tier history.

Rows are locked in ascending order of the customer id, always the customer's own row: whoever changes identifiers or
assignments holds it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from services.chassis.database import Connection
from services.segment_registry.adapters.assignment_rows import (
    close_assignments,
    load_as_known,
    load_assignments,
    open_assignments,
)
from services.segment_registry.adapters.effect_rows import plan_effects
from services.segment_registry.adapters.merge_rows import roots, save_merges
from services.segment_registry.adapters.record_rows import load_records, save_records
from services.segment_registry.application.ports import KnownCustomer, LostRace
from services.segment_registry.domain.customers import Customer, Identifier
from services.segment_registry.domain.records import NO_RECORD
from services.segment_registry.domain.timeline import difference

_SELECT: Final = """
SELECT customer_id, sequence, timeline_sequence, changed_at, merged_into FROM customer
WHERE customer_id = ANY($1) ORDER BY customer_id
"""
_SELECT_LOCKED: Final = _SELECT + "FOR NO KEY UPDATE"


async def load_customers(
    connection: Connection, customer_ids: Collection[str], ended_after: datetime | None, *, lock: bool = False
) -> dict[str, Customer]:
    """Those of these customers that exist; their assignments that end after the moment given, or all for None."""
    wanted = uuids(customer_ids)
    if not wanted:
        return {}
    rows = await connection.fetch(_SELECT_LOCKED if lock else _SELECT, wanted)
    return await _assemble(connection, rows, ended_after)


async def page_of_customers(connection: Connection, after: UUID | None, limit: int, at: datetime) -> list[Customer]:
    """Customers by id, with their assignments that end after the moment given."""
    rows = await connection.fetch(
        "SELECT customer_id, sequence, timeline_sequence, changed_at, merged_into FROM customer"
        " WHERE $1::uuid IS NULL OR customer_id > $1 ORDER BY customer_id LIMIT $2",
        after,
        limit,
    )
    return list((await _assemble(connection, rows, at)).values())


async def customer_as_known(connection: Connection, customer_id: str, known_at: datetime) -> KnownCustomer | None:
    """A customer with its tier history as it was known at a moment; None if it is unknown today."""
    for wanted in uuids([customer_id]):
        sequence = await connection.fetchval("SELECT sequence FROM customer WHERE customer_id = $1", wanted)
        if sequence is not None:
            return KnownCustomer(customer_id, sequence, tuple(await load_as_known(connection, wanted, known_at)))
    return None


async def load_owners(connection: Connection, identifiers: Collection[Identifier]) -> dict[Identifier, str]:
    """Who holds which of these identifiers; of one that was merged, the customer as which it is served."""
    rows = await connection.fetch(
        "SELECT system, id, customer_id FROM identifier"
        " JOIN unnest($1::text[], $2::text[]) AS wanted (system, id) USING (system, id)",
        [identifier.system for identifier in identifiers],
        [identifier.id for identifier in identifiers],
    )
    merged = await roots(connection, {row["customer_id"] for row in rows}) if rows else {}
    return {
        Identifier(row["system"], row["id"]): str(merged.get(row["customer_id"], row["customer_id"])) for row in rows
    }


async def lock_owners(
    connection: Connection, identifiers: Collection[Identifier], at: datetime
) -> tuple[dict[Identifier, str], dict[str, Customer]]:
    """Who holds which of these identifiers, and these customers, locked.

    An identifier can change hands between the look and the lock; then the command is run again (`LostRace`). One that
    nobody holds can still be taken by somebody else until this transaction commits: storing it finds out.
    """
    owners = await load_owners(connection, identifiers)
    customers = await load_customers(connection, set(owners.values()), at, lock=True)
    if owners and owners != await load_owners(connection, identifiers):
        raise LostRace("an identifier changed hands")
    return owners, customers


async def save_customers(
    connection: Connection, before: Mapping[str, Customer], after: Sequence[Customer], at: datetime
) -> None:
    """Store what differs. A tier history changes at the business time of its customer's change."""
    new = [customer for customer in after if customer.customer_id not in before]
    changed = [customer for customer in after if customer.customer_id in before]
    if new:
        await _insert(connection, new, at)
    if changed:
        await _update(connection, changed)
    await _save_identifiers(connection, before, after)
    await save_records(connection, before, after)
    await save_merges(connection, before, after)
    closed, opened = [], []
    for customer in after:
        former = before[customer.customer_id].assignments if customer.customer_id in before else ()
        left, entered = difference(former, customer.assignments)
        closed += [(customer, assignment) for assignment in left]
        opened += [(customer, assignment) for assignment in entered]
    await close_assignments(connection, closed)
    await open_assignments(connection, opened)
    await plan_effects(connection, opened)


async def _assemble(
    connection: Connection, rows: Sequence[asyncpg.Record], ended_after: datetime | None
) -> dict[str, Customer]:
    found: list[UUID] = [row["customer_id"] for row in rows]
    identifiers: dict[UUID, list[Identifier]] = defaultdict(list)
    for row in await connection.fetch(
        "SELECT customer_id, system, id FROM identifier WHERE customer_id = ANY($1) ORDER BY system, id", found
    ):
        identifiers[row["customer_id"]].append(Identifier(row["system"], row["id"]))
    assignments = await load_assignments(connection, found, ended_after)
    records = await load_records(connection, found)
    return {
        str(row["customer_id"]): Customer(
            str(row["customer_id"]),
            row["sequence"],
            row["timeline_sequence"],
            row["changed_at"],
            tuple(identifiers[row["customer_id"]]),
            tuple(assignments[row["customer_id"]]),
            records.get(row["customer_id"], NO_RECORD),
            None if row["merged_into"] is None else str(row["merged_into"]),
        )
        for row in rows
    }


async def _insert(connection: Connection, customers: Sequence[Customer], at: datetime) -> None:
    await connection.copy_records_to_table(
        "customer",
        columns=["customer_id", "sequence", "timeline_sequence", "created_at", "changed_at"],
        records=[
            (customer.customer_id, customer.sequence, customer.timeline_sequence, at, customer.changed_at)
            for customer in customers
        ],
    )


async def _update(connection: Connection, customers: Sequence[Customer]) -> None:
    await connection.execute(
        "UPDATE customer SET sequence = new.sequence, timeline_sequence = new.timeline_sequence,"
        " changed_at = new.changed_at"
        " FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[])"
        " AS new (customer_id, sequence, timeline_sequence, changed_at)"
        " WHERE customer.customer_id = new.customer_id",
        [customer.customer_id for customer in customers],
        [customer.sequence for customer in customers],
        [customer.timeline_sequence for customer in customers],
        [customer.changed_at for customer in customers],
    )


async def _save_identifiers(connection: Connection, before: Mapping[str, Customer], after: Sequence[Customer]) -> None:
    removed: list[Identifier] = []
    added: list[tuple[str, str, str]] = []
    for customer in after:
        former = before[customer.customer_id].identifiers if customer.customer_id in before else ()
        if former != customer.identifiers:
            owner = customer.customer_id
            removed += [identifier for identifier in former if identifier not in customer.identifiers]
            added += [(*identifier, owner) for identifier in customer.identifiers if identifier not in former]
    if removed:
        await connection.execute(
            "DELETE FROM identifier USING unnest($1::text[], $2::text[]) AS gone (system, id)"
            " WHERE identifier.system = gone.system AND identifier.id = gone.id",
            [identifier.system for identifier in removed],
            [identifier.id for identifier in removed],
        )
    if added:
        try:
            await connection.copy_records_to_table(
                "identifier", columns=["system", "id", "customer_id"], records=sorted(added)
            )
        except asyncpg.UniqueViolationError as error:
            raise LostRace("an identifier was taken") from error


def uuids(customer_ids: Collection[str]) -> list[UUID]:
    """The ids that can be customers of this registry; events and paths may hold any text."""
    found = []
    for customer_id in customer_ids:
        try:
            uuid = UUID(customer_id)
        except ValueError:
            continue
        if str(uuid) == customer_id:  # one way to write an id: the answer is found under the text that was asked for
            found.append(uuid)
    return found
