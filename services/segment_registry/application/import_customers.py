"""Take in a bulk of customers with their tiers, in one transaction, published on the throttled lane."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import orjson

from services.chassis.audit.chain import AuditEntry
from services.chassis.ids import new_ids
from services.chassis.outbox import Lane
from services.segment_registry.application.ports import Commander, RegistryTransaction, TierLock
from services.segment_registry.application.publishing import events_of
from services.segment_registry.application.settle_effects import settle_effects
from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.imports import Bulk, ImportDecision, ImportRow, RowRefused, import_rows
from services.segment_registry.domain.second_person import Need, SecondPersonNeeded

IMPORT_ROWS_MAX: Final = 5_000  # of one transaction: a second of locks on a busy machine
SLICE_ROWS: Final = 100  # decided and stored at a time: what else the process has to do waits for some 5 ms


@dataclass(slots=True)
class Imported:
    """What became of the rows of a bulk, in numbers, and the rows left out."""

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: list[RowRefused] = field(default_factory=list)

    def add(self, decision: ImportDecision) -> None:
        """Count some rows."""
        self.created += decision.created
        self.changed += decision.changed
        self.unchanged += decision.unchanged
        self.refused += decision.refused


async def import_customers(
    transaction: RegistryTransaction, rows: Sequence[ImportRow], commander: Commander, *, approved: bool = False
) -> Imported | SecondPersonNeeded:
    """Take in the good rows; the bad ones are in the answer.

    Unless it was `approved`, a row whose move needs a second person is a bad one, and a bulk may be too large.
    """
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    identifiers = list(dict.fromkeys(identifier for row in rows for identifier in row.identifiers))
    rules = ChangeRules() if approved else await transaction.change_rules()
    if rules.bulk_rows_max is not None and len(rows) > rules.bulk_rows_max:
        return SecondPersonNeeded((Need.BULK,))
    owners, customers = await transaction.lock_owners(identifiers)
    now = await transaction.now()
    settled = await settle_effects(transaction, customers, tiers, commander.cause, now)
    ids = (str(customer_id) for customer_id in new_ids(len(rows)))
    bulk = Bulk(owners, settled.customers, tiers, ids, commander.author, now, rules)
    imported = Imported()
    for start in range(0, len(rows), SLICE_ROWS):
        decision = import_rows(rows[start : start + SLICE_ROWS], bulk)
        imported.add(decision)
        await _store(transaction, decision, commander, now)
    if imported.created or imported.changed:
        settled.audit.append(_entry(rows, imported, commander.author))
    await transaction.append_audit(settled.audit, now)
    return imported


async def _store(
    transaction: RegistryTransaction, decision: ImportDecision, commander: Commander, now: datetime
) -> None:
    await transaction.save_customers(decision.before, decision.after, now)
    await transaction.publish(events_of(decision.after, decision.moves, commander.cause, now), Lane.BULK)


def _entry(rows: Sequence[ImportRow], imported: Imported, author: str) -> AuditEntry:
    content = [[row.index, [list(each) for each in row.identifiers], row.tier, row.reason, row.record] for row in rows]
    digest = hashlib.sha256(orjson.dumps(content)).hexdigest()
    detail = {
        "rows": len(rows),
        "created": imported.created,
        "changed": imported.changed,
        "unchanged": imported.unchanged,
        "refused": len(imported.refused),
        "sha256": digest,
    }
    return AuditEntry(author, "customers.imported", f"sha256:{digest}", detail)
