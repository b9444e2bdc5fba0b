"""Store a new version of a rule set and have every customer looked at again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.chassis.audit.chain import AuditEntry
from services.reclassifier.application.ports import ReclassifierTransaction, StoredRuleSet
from services.reclassifier.domain.rule_set import RuleSet


async def change_rule_set(
    transaction: ReclassifierTransaction, rule_set: RuleSet, document: Mapping[str, Any], author: str
) -> tuple[StoredRuleSet, bool]:
    """Store the next version; the same document again changes nothing. Returns the version, and whether it is new."""
    await transaction.lock_rule_sets()
    stored = await transaction.rule_set(rule_set.rule_set_id)
    if stored is not None and stored.document == document:
        return stored, False
    version = 1 if stored is None else stored.rule_set.version + 1
    now = await transaction.now()
    changed = StoredRuleSet(replace(rule_set, version=version), document, author, now)
    await transaction.add_rule_set(changed)
    await transaction.start_sweep()
    await transaction.count_activity()
    detail = {"version": version, "document": document}
    await transaction.append_audit([AuditEntry(author, "rule_set.changed", rule_set.rule_set_id, detail)], now)
    return changed, True


async def store_first_rule_set(
    transaction: ReclassifierTransaction, rule_set: RuleSet, document: Mapping[str, Any]
) -> bool:
    """Store the shipped rule set if there is none of its id; whether it was stored."""
    await transaction.lock_rule_sets()
    if await transaction.rule_set(rule_set.rule_set_id) is not None:
        return False
    await change_rule_set(transaction, rule_set, document, author="shipped")
    return True
