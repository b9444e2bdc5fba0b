"""Moving a customer between tiers: whichever way it was asked for, the same checks and the same notice of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.segment_registry.domain import timeline
from services.segment_registry.domain.customers import Customer, moment_for, served_tier
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import Assignment, Grounds, Kind, TimelineRefusal, Unchanged, Wanted


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """A wish to move a customer. `effective_from` None is now; `effective_to` None lasts until what is planned next."""

    tier: str
    kind: Kind
    effective_from: datetime | None
    effective_to: datetime | None
    grounds: Grounds


class TierUnusable(StrEnum):
    """Why a tier cannot be assigned."""

    UNKNOWN_TIER = "unknown_tier"
    INACTIVE_TIER = "inactive_tier"


class CustomerMerged(StrEnum):
    """Why a customer cannot move."""

    MERGED_CUSTOMER = "merged_customer"


class BudgetRefusal(StrEnum):
    """Why the rules of change refuse a move."""

    OVERRIDE_BUDGET_SPENT = "override_budget_spent"


MoveRefusal = CustomerMerged | TierUnusable | TimelineRefusal | BudgetRefusal


@dataclass(frozen=True, slots=True)
class Move:
    """One move, as told to the world. `from_tier` is None for a customer that was in no tier.

    One that does not take effect as it is decided (planned, or below an override) is told when it does
    (`taking_effect`).
    """

    customer_id: str
    sequence: int
    from_tier: str | None
    to_tier: str
    effective_from: datetime
    effective_to: datetime | None
    grounds: Grounds
    takes_effect: bool = True


@dataclass(frozen=True, slots=True)
class Moved:
    """The customer after the move, the assignment that is new (or was ended), and the notice."""

    customer: Customer
    assignment: Assignment
    move: Move


@dataclass(frozen=True, slots=True)
class MoveRefused:
    """Nothing was altered; `conflict` is the assignment in the way, if one is."""

    reason: MoveRefusal
    conflict: Assignment | None = None


def move(
    customer: Customer, tiers: Mapping[str, Tier], request: MoveRequest, now: datetime
) -> Moved | Unchanged | MoveRefused:
    """Put a customer into a tier."""
    if customer.merged_into is not None:
        return MoveRefused(CustomerMerged.MERGED_CUSTOMER)
    tier = tiers.get(request.tier)
    if tier is None:
        return MoveRefused(TierUnusable.UNKNOWN_TIER)
    if not tier.active:
        return MoveRefused(TierUnusable.INACTIVE_TIER)
    moment = moment_for(customer, now)
    start = request.effective_from or moment
    wanted = Wanted(request.tier, request.kind, start, request.effective_to, request.grounds)
    sequence = customer.sequence + 1
    match timeline.assign(customer.assignments, wanted, sequence=sequence, now=moment):
        case timeline.Unchanged() as unchanged:
            return unchanged
        case timeline.Refused(reason, conflict):
            return MoveRefused(reason, conflict)
        case timeline.Changed(assignments, new):
            former = timeline.in_force(customer.assignments, moment if new.covers(moment) else start)
            notice = Move(
                customer.customer_id,
                sequence,
                former.tier if former else None,
                new.tier,
                new.effective_from,
                new.effective_to,
                request.grounds,
                takes_effect=_takes_effect(assignments, new, moment),
            )
            return Moved(_after(customer, assignments, moment), new, notice)


def end(
    customer: Customer, tiers: Mapping[str, Tier], sequence: int, grounds: Grounds, now: datetime
) -> Moved | Unchanged | MoveRefused:
    """End the assignment named by `sequence` now, or withdraw it if it has not started."""
    if customer.merged_into is not None:
        return MoveRefused(CustomerMerged.MERGED_CUSTOMER)
    moment = moment_for(customer, now)
    match timeline.end_assignment(customer.assignments, sequence, now=moment):
        case timeline.Unchanged() as unchanged:
            return unchanged
        case timeline.Refused(reason, conflict):
            return MoveRefused(reason, conflict)
        case timeline.Changed(assignments, ended):
            after = _after(customer, assignments, moment)
            start = max(moment, ended.effective_from)
            notice = Move(
                customer.customer_id,
                after.sequence,
                ended.tier,
                served_tier(after, tiers, start).tier,
                start,
                ended.effective_to,
                grounds,
                takes_effect=timeline.in_force(customer.assignments, moment) == ended,
            )
            return Moved(after, ended, notice)


def _takes_effect(assignments: tuple[Assignment, ...], new: Assignment, moment: datetime) -> bool:
    """Whether the new assignment counts now; one of the past corrects what was said of it, and is told at once too."""
    return not new.ends_after(moment) or timeline.in_force(assignments, moment) == new


def _after(customer: Customer, assignments: tuple[Assignment, ...], moment: datetime) -> Customer:
    sequence = customer.sequence + 1
    return replace(customer, sequence=sequence, timeline_sequence=sequence, changed_at=moment, assignments=assignments)
