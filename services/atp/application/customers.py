"""Which tier counts for a customer at a moment, by what the registry published.

Assignments are effective-dated: a scheduled change or the end of an override needs no message. An assignment to a tier
that is not known here is passed over; the former one stays in force, and the caller counts it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.atp.application.customer_blocks import CustomerBlock, blocks_at
from services.atp.domain.model import Tier
from services.atp.domain.validation_rules import Block

Basis = Literal["assigned", "unknown_customer", "unassigned", "caller_override"]


@dataclass(frozen=True, slots=True)
class TierAssignment:
    """A customer is in a tier from (inclusive) to (exclusive, None = open)."""

    tier: str
    effective_from: datetime
    effective_to: datetime | None
    sequence: int
    override: bool = False

    def covers(self, moment: datetime) -> bool:
        """Whether it is in force at the moment."""
        return self.effective_from <= moment and (self.effective_to is None or moment < self.effective_to)


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of the registry; `stale` says that the registry was silent for too long when this was read.

    `blocks` are those that are set, whether or not they are over. `demand_profile` is the one last told (None: none).
    """

    customer_id: str | None
    assignments: tuple[TierAssignment, ...] = ()
    stale: bool = False
    blocks: tuple[CustomerBlock, ...] = ()
    demand_profile: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """The tier that counts, and how it is known. `by_value`: the order of service looks at what orders are worth."""

    customer_id: str | None
    tier: Tier
    basis: Basis
    sequence: int | None
    tier_at_order: str
    stale: bool
    unknown_tier: bool
    blocks: tuple[Block, ...] = ()
    by_value: bool = False


def serve(
    customer: Customer, tiers: Mapping[str, Tier], default: Tier, *, now: datetime, ordered_at: datetime
) -> Served:
    """The tier that counts for this customer now, and the one at order time."""
    assignment, unknown_tier = _in_force(customer.assignments, tiers, now)
    tier = default if assignment is None else tiers[assignment.tier]
    basis: Basis = "assigned"
    if assignment is None:
        basis = "unknown_customer" if customer.customer_id is None else "unassigned"
    tier_at_order = tier.tier
    if ordered_at != now:
        before, _ = _in_force(customer.assignments, tiers, ordered_at)
        tier_at_order = tier.tier if before is None else before.tier
    return Served(
        customer_id=customer.customer_id,
        tier=tier,
        basis=basis,
        sequence=None if assignment is None else assignment.sequence,
        tier_at_order=tier_at_order,
        stale=customer.stale,
        unknown_tier=unknown_tier,
        blocks=blocks_at(customer.blocks, now) if customer.blocks else (),
    )


def _in_force(
    assignments: Sequence[TierAssignment], tiers: Mapping[str, Tier], moment: datetime
) -> tuple[TierAssignment | None, bool]:
    """The assignment that counts, an override before others, the youngest first; and whether one was passed over."""
    best: TierAssignment | None = None
    passed_over = False
    for each in assignments:
        if not each.covers(moment):
            continue
        if each.tier not in tiers:
            passed_over = True
        elif best is None or _precedence(each) > _precedence(best):
            best = each
    if best is not None or not passed_over:
        return best, passed_over
    former = [each for each in assignments if each.effective_from <= moment and each.tier in tiers]
    return max(former, key=_precedence, default=None), True


def _precedence(assignment: TierAssignment) -> tuple[bool, datetime, int]:
    return assignment.override, assignment.effective_from, assignment.sequence
