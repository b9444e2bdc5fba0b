"""What was planned takes effect: an assignment begins or ends by date, and the world is told of the move then.

A planned assignment is in the customer's published state from the moment it is decided, so that whoever keeps effective
dates needs nothing more. Those who only follow moves hear of it at the moment it counts. Each boundary of a tier
history is worked once, in order, and before any other change of the customer, so that moves form one chain: each begins
in the tier in which the one before it ended.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.segment_registry.domain import timeline
from services.segment_registry.domain.customers import Customer, moment_for
from services.segment_registry.domain.moves import Move
from services.segment_registry.domain.tiers import Tier, default_tier
from services.segment_registry.domain.timeline import Assignment, Grounds

_NOBODY: Final = "segment_registry"
ENDED_AS_PLANNED: Final = "the assignment before it ended as planned"


@dataclass(frozen=True, slots=True)
class TookEffect:
    """A customer after boundaries of its tier history were passed, and the moves that this made."""

    customer: Customer
    moves: tuple[Move, ...]


def take_effect(
    customer: Customer, tiers: Mapping[str, Tier], passed: Sequence[datetime], now: datetime
) -> TookEffect | None:
    """Pass these boundaries (ascending, none after now); None where none of them changes the tier.

    `customer` holds its whole tier history. A boundary that is none any more (withdrawn, replaced) changes nothing.
    """
    if customer.merged_into is not None:
        return None  # it is served as another one
    sequence = customer.sequence
    notices: list[Move] = []
    for moment in passed:
        before = timeline.in_force_before(customer.assignments, moment)
        after = timeline.in_force(customer.assignments, moment)
        notice = _notice(customer.customer_id, sequence + 1, tiers, (before, after), moment)
        if notice is not None:
            sequence += 1
            notices.append(notice)
    if not notices:
        return None
    changed = replace(customer, sequence=sequence, changed_at=moment_for(customer, now))
    return TookEffect(changed, tuple(notices))


def _notice(
    customer_id: str,
    sequence: int,
    tiers: Mapping[str, Tier],
    change: tuple[Assignment | None, Assignment | None],
    moment: datetime,
) -> Move | None:
    """The move at a boundary; None where the tier stays the same."""
    before, after = change
    from_tier = before.tier if before else None
    to_tier = after.tier if after else default_tier(tiers).tier
    if before == after or from_tier == to_tier:
        return None
    if after is not None and after.effective_from == moment:
        return Move(customer_id, sequence, from_tier, to_tier, moment, after.effective_to, after.grounds)
    author = before.grounds.author if before else _NOBODY  # it ended: what lies below it counts again
    until = after.effective_to if after else None
    return Move(customer_id, sequence, from_tier, to_tier, moment, until, Grounds(ENDED_AS_PLANNED, author))
