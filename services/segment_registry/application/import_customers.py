"""Take in a bulk of customers with their tiers, in one transaction, published on the throttled lane."""

import hashlib
from collections.abc import Sequence
from typing import Final

import orjson

from services.chassis.ids import new_ids
from services.chassis.outbox import Lane
from services.segment_registry.application.change_customers import store_change
from services.segment_registry.application.ports import AuditEntry, Commander, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.domain.imports import ImportDecision, ImportRow, Snapshot, import_rows

IMPORT_ROWS_MAX: Final = 5_000  # a quarter of a second of locks; a million customers are 200 requests


async def import_customers(
    transaction: RegistryTransaction, rows: Sequence[ImportRow], commander: Commander
) -> ImportDecision:
    """Take in the good rows; the bad ones are in the answer."""
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    identifiers = list(dict.fromkeys(identifier for row in rows for identifier in row.identifiers))
    owners, customers = await transaction.lock_owners(identifiers)
    now = await transaction.now()
    ids = iter([str(customer_id) for customer_id in new_ids(len(rows))])
    snapshot = Snapshot(owners, customers, tiers)
    decision = import_rows(rows, snapshot, new_ids=ids, author=commander.author, now=now)
    if decision.customers:
        events = events_of(decision.customers, decision.moves, commander.cause, now)
        audit = [_entry(rows, decision, commander.author)]
        await store_change(transaction, customers, decision.customers, events, audit, at=now, lane=Lane.BULK)
    return decision


def _entry(rows: Sequence[ImportRow], decision: ImportDecision, author: str) -> AuditEntry:
    content = [[row.index, [list(each) for each in row.identifiers], row.tier, row.reason] for row in rows]
    digest = hashlib.sha256(orjson.dumps(content)).hexdigest()
    detail = {
        "rows": len(rows),
        "created": decision.created,
        "changed": decision.changed,
        "unchanged": decision.unchanged,
        "refused": len(decision.refused),
        "sha256": digest,
    }
    return AuditEntry(author, "customers.imported", f"sha256:{digest}", detail)
