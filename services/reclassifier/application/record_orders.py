"""Count what recorded orders say, exactly once, whatever their order and however often they come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.reclassifier.application.ports import Cause, ReclassifierTransaction
from services.reclassifier.domain.orders import (
    Activity,
    Counted,
    OrderKey,
    OrderState,
    Outcomes,
    OwnedDay,
    Reference,
    changes,
    join,
    join_all,
    outcome_changes,
    sum_changes,
)
from services.reclassifier.domain.traces import Act, Trace


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """One record of an order, and what it comes from; its trace if it is the first one, its act if it tells one."""

    state: OrderState
    cause: Cause
    trace: Trace | None = None
    act: Act | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """How many orders said something new, and how many records said nothing new."""

    orders_changed: int
    records_without_news: int


async def record_orders(transaction: ReclassifierTransaction, records: Sequence[RecordedOrder]) -> Recording:
    """Bring orders, days and due evaluations up to date with these records.

    Two transactions that store some of the same new orders at the same time (as after a rebalance) may wait for each
    other in a circle; the database ends one of them, and it is run again.
    """
    waiting = join_all(record.state for record in records)
    causes = {record.state.key: record.cause for record in records}
    await transaction.hold_ownership(changing=False)
    kept: list[_Change] = []
    while waiting:  # twice only if another transaction stores one of the new orders meanwhile
        saved, lost = await _save(transaction, waiting)
        kept += saved
        waiting = {key: waiting[key] for key in waiting if key in lost}
    await _count(transaction, kept, causes)
    await transaction.add_traces(
        [record.trace for record in records if record.trace is not None],
        [record.act for record in records if record.act is not None],
    )
    return Recording(len(kept), len(records) - len(kept))


@dataclass(frozen=True, slots=True)
class _Change:
    """An order before and after; None before its first record."""

    before: Counted | None
    after: Counted


async def _save(
    transaction: ReclassifierTransaction, waiting: Mapping[OrderKey, OrderState]
) -> tuple[list[_Change], set[OrderKey]]:
    """Store what is new; returns it, and the keys of orders that another transaction stored first."""
    stored = await transaction.lock_orders(waiting)
    after = await _counted(transaction, _joined(waiting, stored))
    changed = [_Change(stored.get(key), counted) for key, counted in after.items() if counted != stored.get(key)]
    lost = await transaction.save_orders(
        [one.after for one in changed if one.before is None], [one.after for one in changed if one.before is not None]
    )
    return [one for one in changed if one.after.state.key not in lost], lost


def _joined(waiting: Mapping[OrderKey, OrderState], stored: Mapping[OrderKey, Counted]) -> list[OrderState]:
    return [join(stored[key].state, state) if key in stored else state for key, state in sorted(waiting.items())]


async def _counted(transaction: ReclassifierTransaction, states: Sequence[OrderState]) -> dict[OrderKey, Counted]:
    """The states with their owners: the registry's customer, where anybody knows it."""
    customer_ids = {state.customer_id for state in states if state.customer_id is not None}
    references = {state.reference for state in states if state.customer_id is None}
    by_customer, by_reference = await transaction.owners(customer_ids, references)
    return {state.key: Counted(state, _owner(state, by_customer, by_reference)) for state in states}


def _owner(state: OrderState, by_customer: Mapping[str, str], by_reference: Mapping[Reference, str]) -> str:
    return by_reference[state.reference] if state.customer_id is None else by_customer[state.customer_id]


async def _count(
    transaction: ReclassifierTransaction, kept: Sequence[_Change], causes: Mapping[OrderKey, Cause]
) -> None:
    found: list[tuple[OwnedDay, Activity]] = []
    outcomes: list[tuple[OwnedDay, Outcomes]] = []
    due: dict[str, Cause | None] = {}
    for change in kept:
        for day, outcome in outcome_changes(change.before, change.after):
            outcomes.append((day, outcome))
            due[day.owner] = causes[change.after.state.key]
        for day, activity in changes(change.before, change.after):
            found.append((day, activity))
            due[day.owner] = causes[change.after.state.key]
    await transaction.add_activity(sum_changes(found))
    await transaction.add_outcomes(sum_changes(outcomes))
    await transaction.make_due(due)
    if kept:
        await transaction.count_activity()
