"""Count what orders cost, exactly once, whatever its order and however often it comes."""

from collections.abc import Sequence

from services.reclassifier.application.ports import Cause, ReclassifierTransaction
from services.reclassifier.domain.costs import OrderCost, OwnedCost, cost_changes, newest_costs
from services.reclassifier.domain.orders import sum_changes


async def record_costs(transaction: ReclassifierTransaction, told: Sequence[tuple[OrderCost, Cause]]) -> int:
    """Bring costs and their days up to date and have their customers judged; how many orders said something new."""
    await transaction.hold_ownership(changing=False)
    given = newest_costs(cost for cost, _ in told)
    stored = await transaction.lock_costs(given)
    joined = newest_costs([*(one.cost for one in stored.values()), *given.values()])
    customers = {one.customer_id for one in joined.values() if one.customer_id is not None}
    references = {one.reference for one in joined.values() if one.customer_id is None}
    by_customer, by_reference = await transaction.owners(customers, references)
    after = [
        OwnedCost(one, by_reference[one.reference] if one.customer_id is None else by_customer[one.customer_id])
        for _, one in sorted(joined.items())
    ]
    changed = [one for one in after if stored.get(one.cost.key) != one]
    if not changed:
        return 0
    await transaction.save_costs(changed)
    found = [(one.cost.key, change) for one in changed for change in cost_changes(stored.get(one.cost.key), one)]
    await transaction.add_costs(sum_changes(change for _, change in found))
    causes = {cost.key: cause for cost, cause in told}
    await transaction.make_due({day.owner: causes.get(key) for key, (day, _) in found}, known_only=True)
    await transaction.count_activity()
    return len(changed)
