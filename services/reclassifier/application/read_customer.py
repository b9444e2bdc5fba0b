"""What is known of one customer: its numbers, their windows, its tier and what the numbers say of it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from services.reclassifier.application.evaluate import at_last_cut
from services.reclassifier.application.ports import ReclassifierReader, Segment, StoredRuleSet
from services.reclassifier.domain.classification import Judgement, judge
from services.reclassifier.domain.demand import Profiled
from services.reclassifier.domain.distances import Distance, distance_above, distance_below
from services.reclassifier.domain.features import EVERY_DETAIL, Features
from services.reclassifier.domain.orders import customer_of_owner
from services.reclassifier.domain.standing import Standing, standing_at

NO_RULES_WINDOWS = (90,)


@dataclass(frozen=True, slots=True)
class CustomerView:
    """One customer as of one moment. `counted_as` is under whom its orders count: itself, or who it was merged into.

    `profiled`: the demand profile that others act on, None before there ever was one.
    `above` and `below`: how far its numbers are from other tiers of the rule set; None where its tier is not of the
    rule set, or is held by an override.
    """

    customer_id: str
    counted_as: str
    as_of: datetime
    features: Features
    segment: Segment | None
    standing: Standing
    rule_set: StoredRuleSet | None
    judgement: Judgement | None
    profiled: Profiled | None = None
    above: Distance | None = None
    below: Distance | None = None


async def read_customer(
    reader: ReclassifierReader, customer_id: str, rule_set_id: str, windows: Collection[int] = ()
) -> CustomerView | None:
    """The view over the rules' windows and these; None of a customer that neither the registry nor an order named."""
    now = await reader.now()
    owner = await reader.owner_of(customer_id)
    rule_set = await reader.rule_set(rule_set_id)
    of_rules = NO_RULES_WINDOWS if rule_set is None else rule_set.rule_set.windows
    lengths = sorted({*of_rules, *windows})
    features = (await reader.features([owner], now.toordinal(), lengths, EVERY_DETAIL))[owner]
    counted_as = customer_of_owner(owner) or customer_id
    segment = (await reader.segments([counted_as])).get(counted_as)
    if segment is None and features.last_order_day is None and features.next_day is None:
        return None
    profiled = (await reader.profiles([counted_as])).get(counted_as)
    standing = standing_at(() if segment is None else segment.assignments, now)
    if rule_set is None or segment is None:
        return CustomerView(customer_id, counted_as, now, features, segment, standing, rule_set, None, profiled)
    rules = await at_last_cut(reader, rule_set.rule_set, now)
    judgement = judge(rules, standing, features, now)
    view = CustomerView(customer_id, counted_as, now, features, segment, standing, rule_set, judgement, profiled)
    tier = rules.floor if standing.tier is None else standing.tier
    if tier not in rules.tiers or standing.overridden:
        return view
    above, below = distance_above(rules, tier, features), distance_below(rules, tier, features)
    return replace(view, above=above, below=below)
