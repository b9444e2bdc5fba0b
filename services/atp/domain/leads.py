"""The leading number of a line's key in the order of service, and what waits ahead of a request by it.

See `services.atp.domain.order_of_service` for the whole key and for what ageing is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.atp.domain.model import Day, Position, Request, Tier
from services.atp.domain.service_rule import Criterion, ServiceRule

EXPEDITED: Final = -(2**62)  # before all leads: a planner lets the line be served first
OUTDATED: Final = EXPEDITED  # where a line is counted whose key is of a former rule: before everybody, until it has one
WAITING_STEPS_MAX: Final = (
    64  # of what a marked position remembers of those who wait: its row is read by every decision
)
WANTED_DAYS_MAX: Final = 3_660  # a day wanted later than so many days after the order counts as this one
VALUE_MAX: Final = 10**12  # an order's value, and any single value, beyond it counts as it
LEAD_MAX: Final = 2**61  # of a score: it is kept within, so that it fits its column
_BIAS: Final = 2**63  # makes values of 64 bits sort as text of 16 hexadecimal digits


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a rule may look at, of one line."""

    tier_rank: int
    ordered_day: Day
    wanted: Day
    channel: str
    zone: str
    customer: str | None
    item_criticality: str | None
    order_value: int
    attributes: tuple[tuple[str, int], ...] = ()


def ranked_line(request: Request, wanted: Day, criticality: str | None) -> Ranked:
    """What a rule sees of a line that is to arrive on a day."""
    return Ranked(
        request.tier.priority_rank,
        request.ordered_day,
        wanted,
        request.channel,
        request.zone,
        request.customer_id,
        criticality,
        request.value or 0,
        request.attributes,
    )


def lead_of(rule: ServiceRule, ranked: Ranked) -> int:
    """The leading number of a line's key; the least is served first."""
    if rule.kind == "score":
        score = sum(each.weight * within(points_of(each, ranked)) for each in rule.criteria)
        value = -max(-LEAD_MAX // rule.days, min(LEAD_MAX // rule.days, score))
    else:
        value = _leading(rule.criteria[0], ranked)
    return value * rule.days + rule.points * ranked.ordered_day if rule.points else value


def lead_of_tier(rule: ServiceRule, tier: Tier, today: Day, channel: str | None) -> int:
    """The lead of an order of a tier that comes today and has nothing else to it: for looking at availability."""
    ranked = Ranked(tier.priority_rank, today, today + tier.lead_time_days, channel or "", "", None, None, 0)
    return lead_of(rule, ranked)


def waiting_ahead(position: Position, rule: ServiceRule, lead: int) -> int:
    """What waits at a position ahead of a new request; all of it where it was counted under another rule."""
    if position.waiting_basis != rule.basis:
        return sum(quantity for _, quantity in position.waiting)
    return sum(quantity for each, quantity in position.waiting if each <= lead)


def waiting_steps(waiting: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
    """Totals by lead, ascending, at most `WAITING_STEPS_MAX`: several leads together count as the first of them.

    So a request is never let before anybody who waits ahead of it; it may have to let some behind it go first, until
    its own turn comes in the same run.
    """
    ordered = sorted(waiting.items())
    together = -(-len(ordered) // WAITING_STEPS_MAX)
    if together <= 1:
        return tuple(ordered)
    groups = [ordered[start : start + together] for start in range(0, len(ordered), together)]
    return tuple((group[0][0], sum(quantity for _, quantity in group)) for group in groups)


def add_waiting(waiting: dict[int, int], lead: int, quantity: int) -> None:
    """Count a rest that begins to wait."""
    waiting[lead] = waiting.get(lead, 0) + quantity


def take_waiting(waiting: dict[int, int], lead: int, quantity: int) -> None:
    """Count a rest that waits no more; it may have been counted together with others, under a lead before its own."""
    for step in sorted((each for each in waiting if each <= lead), reverse=True):
        part = min(quantity, waiting[step])
        waiting[step] -= part
        quantity -= part
        if not waiting[step]:
            del waiting[step]
        if not quantity:
            return


def further_of(rule: ServiceRule, ranked: Ranked, moment: datetime) -> str:
    """The rest of a key: the other attributes and the time of the order (UTC), as text that sorts as they do."""
    rest = rule.criteria[1:] if rule.kind == "sequence" else ()
    values = "".join(_encoded(_further(criterion, ranked, moment)) for criterion in rest)
    return values + moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _further(criterion: Criterion, ranked: Ranked, moment: datetime) -> int:
    """The value of another attribute of a sequence, ascending."""
    if criterion.attribute == "age":
        value = int(moment.timestamp())
    elif criterion.attribute == "requested_date":
        value = ranked.wanted
    else:
        value = ascending(criterion, points_of(criterion, ranked))
    return -value if criterion.reverse else value


def _encoded(value: int) -> str:
    return f"{within(value) + _BIAS:016x}"


def _leading(criterion: Criterion, ranked: Ranked) -> int:
    """The value of the first attribute of a sequence, ascending."""
    if criterion.attribute == "age":
        value = ranked.ordered_day
    elif criterion.attribute == "requested_date":
        value = ranked.ordered_day + _until_wanted(ranked)
    else:
        value = ascending(criterion, points_of(criterion, ranked))
    return -value if criterion.reverse else value


def ascending(criterion: Criterion, points: int) -> int:
    """More worth is served first; of all else the lower number."""
    return -points if criterion.attribute == "order_value" else points


def points_of(criterion: Criterion, ranked: Ranked) -> int:
    """The value of an attribute as a score weighs it; days wanted count from the order's own day."""
    numbers = {
        "tier_rank": ranked.tier_rank,
        "requested_date": _until_wanted(ranked),
        "order_value": min(criterion.at_most, ranked.order_value),
        "age": 0,  # what it adds is the ageing
    }
    if criterion.attribute in numbers:
        return numbers[criterion.attribute]
    if criterion.attribute == "order_attribute":
        return next((value for name, value in ranked.attributes if name == criterion.name), criterion.otherwise)
    names = {
        "customer": ranked.customer,
        "channel": ranked.channel,
        "zone": ranked.zone,
        "item_criticality": ranked.item_criticality,
    }
    return _looked_up(criterion, names[criterion.attribute])


def _looked_up(criterion: Criterion, name: str | None) -> int:
    return next((value for known, value in criterion.values if known == name), criterion.otherwise)


def _until_wanted(ranked: Ranked) -> int:
    return max(0, min(WANTED_DAYS_MAX, ranked.wanted - ranked.ordered_day))


def within(value: int) -> int:
    """A value, at most `VALUE_MAX` from 0."""
    return max(-VALUE_MAX, min(VALUE_MAX, value))
