"""Who is served first: a versioned rule gives each open line a stored key, ascending, that time never changes.

A rule compares lines by a sequence of attributes, or by a weighted score. Ageing is linear, at one rate for all: so
many points in so many days. What a line has waited raises everybody's place alike, so that at any time t the order of
`value - rate * (t - t0)` is the order of `value + rate * t0`, which is stored (`lead`): with `points` in `days`,

    lead = value * days + points * (the day of the order)

Days are whole ones. Who comes later than `overtaken_days` after a line is never served before it: this is the bound on
starvation. Without ageing, and with the tier before all else, a lowest tier may wait for ever.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from services.atp.domain.leads import WANTED_DAYS_MAX, further_of, lead_of, ranked_line
from services.atp.domain.model import Request, RequestLine
from services.atp.domain.promising import wanted_arrival
from services.atp.domain.service_rule import SERVED_BY_TIER, Criterion, ServiceRule

ATTRIBUTE_MAX: Final = 10**9  # of an order's own numbers, above and below 0, as the edge lets them in


class ServiceKey(NamedTuple):
    """The stored place of a line in the order of service, ascending; compares as a plain tuple.

    `further` are the other attributes and the time of the order, as text of fixed width that sorts as they do.
    """

    lead: int
    further: str
    source: str
    order_id: str
    line: str


def service_key(
    request: Request,
    line: RequestLine,
    ordered_at: datetime,
    rule: ServiceRule = SERVED_BY_TIER,
    criticality: str | None = None,
) -> ServiceKey:
    """The key of a line. `ordered_at` is aware; it is kept as UTC text of fixed width, which sorts as time does."""
    moment = ordered_at.astimezone(UTC)
    ranked = ranked_line(request, wanted_arrival(request, line), criticality)
    return ServiceKey(
        lead_of(rule, ranked),
        further_of(rule, ranked, moment),
        request.source,
        request.order_id,
        line.line,
    )


def overtaken_days(rule: ServiceRule, ranks: Iterable[int]) -> int | None:
    """Who comes more than so many days after a line is never served before it; None: there is no such bound.

    `ranks` are those of the tiers that there are.
    """
    spans = [_span(each, tuple(ranks)) for each in (rule.criteria if rule.kind == "score" else rule.criteria[:1])]
    weights = [abs(each.weight) for each in rule.criteria] if rule.kind == "score" else [1]
    first = rule.criteria[0].attribute
    if rule.kind == "sequence" and first == "age":
        return None if rule.criteria[0].reverse else 0
    slope = rule.points
    if rule.kind == "sequence" and first == "requested_date":
        slope += -rule.days if rule.criteria[0].reverse else rule.days
    if slope <= 0:
        return None
    span = sum(each * weight for each, weight in zip(spans, weights, strict=True))
    return -(-span * rule.days // slope)


def _span(criterion: Criterion, ranks: Sequence[int]) -> int:
    """How far apart two values of an attribute can be, in points."""
    match criterion.attribute:
        case "tier_rank":
            return max(ranks, default=0) - min(ranks, default=0)
        case "requested_date":
            return WANTED_DAYS_MAX
        case "order_value":
            return criterion.at_most
        case "age":
            return 0
        case "order_attribute":
            return 2 * ATTRIBUTE_MAX
        case _:
            values = [criterion.otherwise, *(value for _, value in criterion.values)]
            return max(values) - min(values)
