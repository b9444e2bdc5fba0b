"""A bulk of customers and tiers, decided row by row: a later row sees what an earlier one did.

A bad row alters nothing and is returned with its index and reason; the others stand.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.segment_registry.domain import moves
from services.segment_registry.domain.change_rules import NO_RULES, ChangeRules
from services.segment_registry.domain.customers import (
    Customer,
    Identifier,
    IdentifierRefusal,
    IdentifiersRefused,
    add_identifiers,
    new_customer,
    resolve,
    with_record,
)
from services.segment_registry.domain.moves import Move, Moved, MoveRefusal, MoveRefused, MoveRequest
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.second_person import needs_of_move, needs_of_record
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import Grounds, Kind, Unchanged


@dataclass(frozen=True, slots=True)
class ImportRow:
    """A customer under some identifiers; the tier it belongs in from now on and its record (None: left alone)."""

    index: int
    identifiers: tuple[Identifier, ...]
    tier: str | None
    reason: str
    record: CustomerRecord | None = None


class RowRefusal(StrEnum):
    """Why a row is refused that no single command would refuse so."""

    CONTRACT_TIER_UNKNOWN = "contract_tier_unknown"
    APPROVAL_REQUIRED = "approval_required"


@dataclass(frozen=True, slots=True)
class RowRefused:
    """A row that was left out."""

    index: int
    reason: IdentifierRefusal | MoveRefusal | RowRefusal


@dataclass(slots=True)
class Bulk:
    """What rows are decided on, and what the rows so far have made of it: owners and customers grow."""

    owners: dict[Identifier, str]
    customers: dict[str, Customer]
    tiers: Mapping[str, Tier]
    new_ids: Iterator[str]
    author: str
    now: datetime
    rules: ChangeRules = NO_RULES


@dataclass(frozen=True, slots=True)
class ImportDecision:
    """What became of some rows of a bulk.

    `before` and `after` are the customers that are new or changed, `after` in the order of the rows; the numbers count
    rows; `refused` is in the order of the rows.
    """

    before: Mapping[str, Customer]
    after: tuple[Customer, ...]
    moves: tuple[Move, ...]
    refused: tuple[RowRefused, ...]
    created: int
    changed: int
    unchanged: int


def import_rows(rows: Sequence[ImportRow], bulk: Bulk) -> ImportDecision:
    """Decide rows of a bulk, in order; `bulk` is then as they leave it."""
    before: dict[str, Customer] = {}
    touched: dict[str, None] = {}
    notices: list[Move] = []
    refused: list[RowRefused] = []
    created = changed = unchanged = 0
    for row in rows:
        decided = _decide(row, bulk)
        if isinstance(decided, RowRefused):
            refused.append(decided)
            continue
        customer, notice = decided
        former = bulk.customers.get(customer.customer_id)
        if former is customer:
            unchanged += 1
            continue
        created += former is None
        changed += former is not None
        if former is not None and customer.customer_id not in touched:
            before[customer.customer_id] = former
        touched[customer.customer_id] = None
        bulk.customers[customer.customer_id] = customer
        bulk.owners.update(dict.fromkeys(row.identifiers, customer.customer_id))
        if notice is not None:
            notices.append(notice)
    after = tuple(bulk.customers[customer_id] for customer_id in touched)
    return ImportDecision(before, after, tuple(notices), tuple(refused), created, changed, unchanged)


def _decide(row: ImportRow, bulk: Bulk) -> tuple[Customer, Move | None] | RowRefused:
    customer = _found_or_new(row, bulk)
    if isinstance(customer, IdentifiersRefused):
        return RowRefused(row.index, customer.reason)
    recorded = _recorded(row, customer, bulk)
    if isinstance(recorded, RowRefusal):
        return RowRefused(row.index, recorded)
    return _moved(row, recorded, bulk)


def _recorded(row: ImportRow, customer: Customer, bulk: Bulk) -> Customer | RowRefusal:
    if row.record is None:
        return customer
    promised = None if row.record.contract is None else row.record.contract.minimum_tier
    if promised is not None and promised not in bulk.tiers:
        return RowRefusal.CONTRACT_TIER_UNKNOWN
    if needs_of_record(bulk.rules, customer, row.record, bulk.now):
        return RowRefusal.APPROVAL_REQUIRED
    return with_record(customer, row.record, bulk.now)


def _moved(row: ImportRow, customer: Customer, bulk: Bulk) -> tuple[Customer, Move | None] | RowRefused:
    if row.tier is None:
        return customer, None
    request = MoveRequest(row.tier, Kind.ASSIGNED, None, None, Grounds(row.reason, bulk.author))
    match moves.move(customer, bulk.tiers, request, bulk.now):
        case Moved(after, _, notice):
            if needs_of_move(bulk.rules, customer, after, bulk.tiers, bulk.now):
                return RowRefused(row.index, RowRefusal.APPROVAL_REQUIRED)
            return after, notice
        case Unchanged():
            return customer, None
        case MoveRefused(reason):
            return RowRefused(row.index, reason)


def _found_or_new(row: ImportRow, bulk: Bulk) -> Customer | IdentifiersRefused:
    found = resolve(row.identifiers, bulk.owners)
    if isinstance(found, IdentifiersRefused):
        return found
    if found is None:
        return new_customer(next(bulk.new_ids), row.identifiers, bulk.now)
    new = tuple(each for each in row.identifiers if each not in bulk.owners)
    return add_identifiers(bulk.customers[found], new, bulk.now)
