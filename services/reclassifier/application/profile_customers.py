"""Tell whose demand profile changed: after news of a customer, and as its weeks pass.

This has its own queue beside that of judgements, which come first: under load news of a customer are looked at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from services.chassis.envelope import Event
from services.reclassifier.application.ports import Cause, ReclassifierTransaction
from services.reclassifier.application.publishing import profile_event
from services.reclassifier.domain.demand import NO_DEMAND, PROFILE_WINDOW_DAYS, Profiled, look_at
from services.reclassifier.domain.orders import customer_of_owner

LOOKS_MAX: Final = 500  # customers of one transaction: some 20 ms


async def profile_due(transaction: ReclassifierTransaction) -> int:
    """Look at the demand of one portion of customers and publish the profiles that changed; how many were looked at.

    While a replay collects nobody is. One that nobody resolved yet has no profile, nor has one that was merged or
    deleted.
    """
    if await transaction.collecting():
        return 0
    claimed = await transaction.claim_looks(LOOKS_MAX)
    if not claimed:
        return 0
    now = await transaction.now()
    owners = {found: owner for owner in claimed if (found := customer_of_owner(owner)) is not None}
    standing = await transaction.profiles(list(owners))
    demands = await transaction.demands([owners[each] for each in standing], now.toordinal(), PROFILE_WINDOW_DAYS)
    again: dict[str, datetime | None] = dict.fromkeys(claimed)
    changed: dict[str, Profiled] = {}
    events: list[Event] = []
    for customer_id, former in standing.items():
        owner = owners[customer_id]
        demand = demands.get(owner, NO_DEMAND)
        look = look_at(demand, former, now)
        again[owner] = look.again_at
        if look.changed is not None:
            changed[customer_id] = look.changed
            events.append(profile_event(customer_id, look.changed, demand, None))
    await transaction.save_looks(again)
    await _store(transaction, changed, events)
    await transaction.count_activity()
    return len(claimed)


async def retire_profiles(
    transaction: ReclassifierTransaction, customer_ids: Sequence[str], causes: Mapping[str, Cause], now: datetime
) -> None:
    """Take the profiles back of customers that are served as others now, or not at all."""
    ended: dict[str, Profiled] = {}
    for customer_id, former in (await transaction.profiles(customer_ids, inactive_too=True)).items():
        if former is not None and former.profile is not None:
            ended[customer_id] = replace(former, profile=None, sequence=former.sequence + 1, since=now)
    events = [profile_event(each, profiled, NO_DEMAND, causes.get(each)) for each, profiled in ended.items()]
    await _store(transaction, ended, events)


async def _store(
    transaction: ReclassifierTransaction, changed: Mapping[str, Profiled], events: Sequence[Event]
) -> None:
    if changed:
        await transaction.save_profiles(changed)
        await transaction.publish(events)
