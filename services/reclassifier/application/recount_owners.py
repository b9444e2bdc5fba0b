"""Let things count under another owner, one by one: after a split, and after a name was taken from a customer.

A merge, and a name that is given, move all that counts under one owner, and days are added up where they are. What goes
back is a part: it is found among what does not name the owner itself, and its days are taken off and added anew. So
what counts where depends on what the registry says now, and not on what was told first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from services.reclassifier.application.ports import ReclassifierTransaction
from services.reclassifier.domain.costs import OwnedCost, cost_changes
from services.reclassifier.domain.feedback import FeedbackKey, feedback_changes
from services.reclassifier.domain.orders import (
    Counted,
    OrderKey,
    Reference,
    changes,
    outcome_changes,
    sum_changes,
)

PORTION_MAX: Final = 2_000  # looked at in one round trip; some megabytes


async def recount_owners(transaction: ReclassifierTransaction, owners: Sequence[str]) -> list[str]:
    """Count anew what counts under these owners; returns those that have more or less of it, ascending.

    The caller holds the ownership for changing.
    """
    touched: dict[str, None] = {}
    for owner in await transaction.counting_others(owners):
        touched |= dict.fromkeys(await _recount_orders(transaction, owner))
        touched |= dict.fromkeys(await _recount_costs(transaction, owner))
        await _recount_feedback(transaction, owner)
    return sorted(touched)


async def _recount_orders(transaction: ReclassifierTransaction, owner: str) -> list[str]:
    touched: list[str] = []
    after: OrderKey | None = None
    while found := await transaction.orders_of(owner, after, PORTION_MAX):
        after = found[-1].state.key
        named = [(one.state.customer_id, one.state.reference) for one in found]
        now_of = await _owners(transaction, named)
        moved = [(one, Counted(one.state, new)) for one, new in zip(found, now_of, strict=True) if new != one.owner]
        if moved:
            await transaction.save_orders([], [new for _, new in moved])
            activity = chain.from_iterable(changes(*each) for each in moved)
            await transaction.add_activity(sum_changes(activity))
            outcomes = chain.from_iterable(outcome_changes(*each) for each in moved)
            await transaction.add_outcomes(sum_changes(outcomes))
            touched += [owner, *(new.owner for _, new in moved)]
    return touched


async def _recount_costs(transaction: ReclassifierTransaction, owner: str) -> list[str]:
    touched: list[str] = []
    after: OrderKey | None = None
    while found := await transaction.costs_of(owner, after, PORTION_MAX):
        after = found[-1].cost.key
        now_of = await _owners(transaction, [(one.cost.customer_id, one.cost.reference) for one in found])
        moved = [(one, OwnedCost(one.cost, new)) for one, new in zip(found, now_of, strict=True) if new != one.owner]
        if moved:
            await transaction.save_costs([new for _, new in moved])
            await transaction.add_costs(sum_changes(chain.from_iterable(cost_changes(*each) for each in moved)))
            touched += [owner, *(new.owner for _, new in moved)]
    return touched


async def _recount_feedback(transaction: ReclassifierTransaction, owner: str) -> None:
    """What customers say moves no tier: nobody has to be judged for it."""
    after: FeedbackKey | None = None
    while found := await transaction.feedback_of(owner, after, PORTION_MAX):
        after = found[-1].feedback.key
        now_of = await _owners(transaction, [(one.feedback.customer_id, one.feedback.said_by) for one in found])
        moved = [(one, replace(one, owner=new)) for one, new in zip(found, now_of, strict=True) if new != one.owner]
        if moved:
            await transaction.save_feedback([new for _, new in moved])
            await transaction.add_outcomes(sum_changes(chain.from_iterable(feedback_changes(*each) for each in moved)))


async def _owners(transaction: ReclassifierTransaction, named: Sequence[tuple[str | None, Reference]]) -> list[str]:
    """Under whom these count by what the registry says now: by the customer's id or, where none was given, its name."""
    ids = {customer_id for customer_id, _ in named if customer_id is not None}
    names = {reference for customer_id, reference in named if customer_id is None}
    by_customer, by_reference = await transaction.owners(ids, names)
    return [_owner(each, by_customer, by_reference) for each in named]


def _owner(
    named: tuple[str | None, Reference], by_customer: Mapping[str, str], by_reference: Mapping[Reference, str]
) -> str:
    customer_id, reference = named
    return by_reference[reference] if customer_id is None else by_customer[customer_id]
