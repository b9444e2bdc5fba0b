"""Store versions of a rule set, and put them in force: by a second person, bound to the content that was read.

draft ──approve (not by its author, content hash as stored)──▶ in force ──the next version is approved──▶ superseded
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from services.chassis.audit.chain import AuditEntry
from services.reclassifier.application.calendar import next_run
from services.reclassifier.application.ports import ReclassifierTransaction, RunCause, StoredRuleSet
from services.reclassifier.application.rule_set_document import content_hash
from services.reclassifier.domain.persons import person
from services.reclassifier.domain.rule_set import RuleSet

SHIPPED: Final = "shipped"  # the author and approver of what comes with the product


class ApprovalRefusal(StrEnum):
    """Why a version was not put in force, in the order in which it is looked at."""

    UNKNOWN = "unknown"
    OTHER_CONTENT = "other_content"
    OWN_WORK = "own_work"
    OVERTAKEN = "overtaken"


async def change_rule_set(
    transaction: ReclassifierTransaction, rule_set: RuleSet, document: Mapping[str, Any], author: str
) -> tuple[StoredRuleSet, bool]:
    """Store the next version as a draft; the newest document again changes nothing. Returns it; whether it is new."""
    await transaction.lock_rule_sets()
    newest = await transaction.newest_version(rule_set.rule_set_id)
    if newest is not None and newest.document == document:
        return newest, False
    version = 1 if newest is None else newest.rule_set.version + 1
    now = await transaction.now()
    stored = StoredRuleSet(replace(rule_set, version=version), document, author, now, content_hash(document))
    await transaction.add_rule_set(stored)
    await transaction.count_activity()
    detail = {"version": version, "document": document}
    await transaction.append_audit([AuditEntry(author, "rule_set.changed", rule_set.rule_set_id, detail)], now)
    return stored, True


async def approve_rule_set(
    transaction: ReclassifierTransaction,
    rule_set_id: str,
    version: int,
    hashed: str,
    approver: str,
    *,
    comes_with_the_product: bool = False,
) -> StoredRuleSet | ApprovalRefusal:
    """Put a draft in force and have everybody judged by it; a version that is in force already stays as it is.

    What comes with the product is put in force by whoever wrote it; of all else nobody approves their own.

    An approval that is refused is an entry of the audit trail, for somebody tried.
    """
    await transaction.lock_rule_sets()
    stored = await transaction.rule_set(rule_set_id, version)
    if stored is None:
        return ApprovalRefusal.UNKNOWN
    now = await transaction.now()
    refusal = _refusal(stored, await transaction.rule_set(rule_set_id), hashed)
    if refusal is None and not comes_with_the_product and _is_own(stored, approver):
        refusal = ApprovalRefusal.OWN_WORK
    if refusal is not None:
        attempt = {"version": version, "refusal": refusal}
        await transaction.append_audit([AuditEntry(approver, "rule_set.approval_refused", rule_set_id, attempt)], now)
        return refusal
    if stored.approved_by is not None:
        return stored
    rule_set = stored.rule_set
    await transaction.approve_rule_set(rule_set, approver, now)
    calendar = rule_set.calendar
    await transaction.set_calendar(rule_set, None if calendar is None else next_run(calendar, now))
    run_id = await transaction.start_run(rule_set, RunCause.VERSION, now)
    await transaction.count_activity()
    detail = {"version": version, "content_hash": hashed, "author": stored.author, "run_id": run_id}
    await transaction.append_audit([AuditEntry(approver, "rule_set.approved", rule_set_id, detail)], now)
    return replace(stored, approved_by=approver, approved_at=now)


def _refusal(stored: StoredRuleSet, in_force: StoredRuleSet | None, hashed: str) -> ApprovalRefusal | None:
    if stored.content_hash != hashed:
        return ApprovalRefusal.OTHER_CONTENT
    if stored.approved_by is not None:
        return None
    if in_force is not None and in_force.rule_set.version > stored.rule_set.version:
        return ApprovalRefusal.OVERTAKEN
    return None


def _is_own(stored: StoredRuleSet, approver: str) -> bool:
    return stored.approved_by is None and person(approver) == person(stored.author)


async def store_first_rule_set(
    transaction: ReclassifierTransaction, rule_set: RuleSet, document: Mapping[str, Any]
) -> bool:
    """Store the shipped rule set and put it in force if there is none of its id; whether it was stored."""
    await transaction.lock_rule_sets()
    if await transaction.newest_version(rule_set.rule_set_id) is not None:
        return False
    stored, _ = await change_rule_set(transaction, rule_set, document, author=SHIPPED)
    await approve_rule_set(
        transaction, rule_set.rule_set_id, 1, stored.content_hash, SHIPPED, comes_with_the_product=True
    )
    return True
