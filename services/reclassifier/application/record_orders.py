"""Count what recorded orders say, exactly once, whatever their order and however often they come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.reclassifier.application.ports import Cause, ReclassifierTransaction
from services.reclassifier.domain.orders import (
    Activity,
    Counted,
    OrderKey,
    OrderState,
    OwnedDay,
    Reference,
    changes,
    join,
    join_all,
    sum_changes,
)


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """One record of an order, and what it comes from."""

    state: OrderState
    cause: Cause


@dataclass(frozen=True, slots=True)
class Recording:
    """How many orders said something new, and how many records said nothing new."""

    orders_changed: int
    records_without_news: int


async def record_orders(transaction: ReclassifierTransaction, records: Sequence[RecordedOrder]) -> Recording:
    """Bring orders, days and due evaluations up to date with these records."""
    waiting = join_all(record.state for record in records)
    causes = {record.state.key: record.cause for record in records}
    await transaction.hold_ownership(changing=False)
    orders_changed = 0
    while waiting:  # twice only if another transaction stores one of the new orders meanwhile
        stored = await transaction.lock_orders(waiting)
        after = await _counted(transaction, _joined(waiting, stored))
        new = [counted for key, counted in after.items() if key not in stored]
        changed = [counted for key, counted in after.items() if key in stored and counted != stored[key]]
        lost = await transaction.save_orders(new, changed)
        kept = [counted for counted in (*new, *changed) if counted.state.key not in lost]
        await _count(transaction, stored, kept, causes)
        orders_changed += len(kept)
        waiting = {key: state for key, state in waiting.items() if key in lost}
    if orders_changed:
        await transaction.count_activity()
    return Recording(orders_changed, len(records) - orders_changed)


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
    transaction: ReclassifierTransaction,
    stored: Mapping[OrderKey, Counted],
    kept: Sequence[Counted],
    causes: Mapping[OrderKey, Cause],
) -> None:
    found: list[tuple[OwnedDay, Activity]] = []
    due: dict[str, Cause | None] = {}
    for counted in kept:
        key = counted.state.key
        for day, activity in changes(stored.get(key), counted):
            found.append((day, activity))
            due[day.owner] = causes[key]
    await transaction.add_activity(sum_changes(found))
    await transaction.make_due(due)
