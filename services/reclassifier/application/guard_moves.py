"""The fuse: automatic moves of a rule set stop when too many customers would move at once, until a person resets it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from services.chassis.audit.chain import AuditEntry
from services.reclassifier.application.ports import FuseState, ReclassifierTransaction
from services.reclassifier.application.publishing import resumed_event, stopped_event
from services.reclassifier.domain.rule_set import Fuse, RuleSet

WHOLE_SHARE: Final = 100_000_000  # millionths of a percent


async def blow_if_too_many(
    transaction: ReclassifierTransaction, rule_set: RuleSet, more: int, now: datetime
) -> tuple[bool, Sequence[AuditEntry]]:
    """Whether the fuse is blown now, `more` moves being asked for; and what the audit trail must hear of it.

    Evaluations come here one at a time, so that two of them cannot both be the last one that is let through.
    """
    fuse = rule_set.fuse
    if fuse is None or not more:
        return False, ()
    before = await transaction.automatic_moves_since(rule_set.rule_set_id, now - timedelta(hours=fuse.within_hours))
    state = await transaction.fuse(rule_set.rule_set_id)
    if state is not None and state.blown_at is not None:
        return True, ()
    moves = before + more
    limit = await _limit(transaction, fuse, moves)
    if moves <= limit:
        return False, ()
    sequence = 1 if state is None else state.sequence + 1
    blown = FuseState(sequence, now, rule_set.version, moves, limit)
    await transaction.save_fuse(rule_set.rule_set_id, blown)
    await transaction.publish([stopped_event(rule_set.rule_set_id, blown, fuse.within_hours, now)])
    detail = {"rule_version": rule_set.version, "moves": moves, "limit": limit, "within_hours": fuse.within_hours}
    return True, [AuditEntry("reclassifier", "fuse.blown", rule_set.rule_set_id, detail)]


async def reset_fuse(transaction: ReclassifierTransaction, rule_set_id: str, author: str, reason: str) -> bool:
    """Let automatic moves be made again; False if the fuse is whole. What waits for a person still does."""
    await transaction.lock_rule_sets()
    state = await transaction.fuse(rule_set_id)
    if state is None or state.blown_at is None:
        return False
    now = await transaction.now()
    whole = FuseState(state.sequence + 1, None, state.rule_version, state.moves, state.limit)
    await transaction.save_fuse(rule_set_id, whole)
    await transaction.publish([resumed_event(rule_set_id, whole, author, reason, now)])
    await transaction.count_activity()
    await transaction.append_audit([AuditEntry(author, "fuse.reset", rule_set_id, {"reason": reason})], now)
    return True


async def _limit(transaction: ReclassifierTransaction, fuse: Fuse, moves: int) -> int:
    if fuse.share is None or moves <= fuse.moves_max:
        return fuse.moves_max
    return max(fuse.moves_max, await transaction.active_customers() * fuse.share // WHOLE_SHARE)
