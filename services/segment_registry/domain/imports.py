"""A bulk of customers and tiers, decided row by row: a later row sees what an earlier one did.

A bad row alters nothing and is returned with its index and reason; the others stand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.segment_registry.domain import moves
from services.segment_registry.domain.customers import (
    Customer,
    Identifier,
    IdentifierRefusal,
    IdentifiersRefused,
    add_identifiers,
    new_customer,
    resolve,
)
from services.segment_registry.domain.moves import Move, Moved, MoveRefusal, MoveRefused, MoveRequest
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import Grounds, Kind, Unchanged


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A customer under some identifiers, and the tier it belongs in from now on (None: leave that alone)."""

    index: int
    identifiers: tuple[Identifier, ...]
    tier: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class RowRefused:
    """A row that was left out."""

    index: int
    reason: IdentifierRefusal | MoveRefusal


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the rows are decided on: who owns which identifier, these customers, all tiers."""

    owners: Mapping[Identifier, str]
    customers: Mapping[str, Customer]
    tiers: Mapping[str, Tier]


@dataclass(frozen=True, slots=True)
class ImportDecision:
    """`customers` are the new and changed ones as they are now, in the order of the rows; `refused` by index."""

    customers: tuple[Customer, ...]
    moves: tuple[Move, ...]
    refused: tuple[RowRefused, ...]
    created: int
    changed: int
    unchanged: int


@dataclass(slots=True)
class _Bulk:
    """The snapshot as the rows so far have left it."""

    owners: dict[Identifier, str]
    customers: dict[str, Customer]
    tiers: Mapping[str, Tier]
    new_ids: Iterator[str]
    author: str
    now: datetime


def import_rows(
    rows: Sequence[ImportRow], snapshot: Snapshot, *, new_ids: Iterator[str], author: str, now: datetime
) -> ImportDecision:
    """Decide a bulk; `new_ids` yields an id for each customer that is new."""
    bulk = _Bulk(dict(snapshot.owners), dict(snapshot.customers), snapshot.tiers, new_ids, author, now)
    touched: dict[str, None] = {}
    notices: list[Move] = []
    refused: list[RowRefused] = []
    unchanged = 0
    for row in rows:
        decided = _decide(row, bulk)
        if isinstance(decided, RowRefused):
            refused.append(decided)
            continue
        customer, notice = decided
        if bulk.customers.get(customer.customer_id) is customer:
            unchanged += 1
            continue
        bulk.customers[customer.customer_id] = customer
        bulk.owners.update(dict.fromkeys(row.identifiers, customer.customer_id))
        touched[customer.customer_id] = None
        if notice is not None:
            notices.append(notice)
    created = sum(customer_id not in snapshot.customers for customer_id in touched)
    return ImportDecision(
        customers=tuple(bulk.customers[customer_id] for customer_id in touched),
        moves=tuple(notices),
        refused=tuple(refused),
        created=created,
        changed=len(touched) - created,
        unchanged=unchanged,
    )


def _decide(row: ImportRow, bulk: _Bulk) -> tuple[Customer, Move | None] | RowRefused:
    customer = _found_or_new(row, bulk)
    if isinstance(customer, IdentifiersRefused):
        return RowRefused(row.index, customer.reason)
    if row.tier is None:
        return customer, None
    request = MoveRequest(row.tier, Kind.ASSIGNED, None, None, Grounds(row.reason, bulk.author))
    match moves.move(customer, bulk.tiers, request, bulk.now):
        case Moved(after, _, notice):
            return after, notice
        case Unchanged():
            return customer, None
        case MoveRefused(reason):
            return RowRefused(row.index, reason)


def _found_or_new(row: ImportRow, bulk: _Bulk) -> Customer | IdentifiersRefused:
    found = resolve(row.identifiers, bulk.owners)
    if isinstance(found, IdentifiersRefused):
        return found
    if found is None:
        return new_customer(next(bulk.new_ids), row.identifiers, bulk.now)
    return add_identifiers(bulk.customers[found], row.identifiers, bulk.now)
