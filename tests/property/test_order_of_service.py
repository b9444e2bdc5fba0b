"""The stored key of the order of service: as comparing lines that have aged, and nobody starves beyond its bound.

The oracle compares pairs of lines at a moment, by fractions, from what the rule says; it stores nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cmp_to_key
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.leads import WAITING_STEPS_MAX, add_waiting, take_waiting, waiting_ahead, waiting_steps
from services.atp.domain.model import Position, PositionKey, Request, RequestLine, Tier
from services.atp.domain.order_of_service import ServiceKey, overtaken_days, service_key
from services.atp.domain.service_rule import Criterion, ServiceRule

START = datetime(2026, 1, 1, tzinfo=UTC)
RANKS = (1, 2, 5, 9)
NAMES = ("web", "shop", "phone")
CRITICALITIES = ("vital", "essential", None)
Line = tuple[Request, RequestLine, datetime, str | None]


@st.composite
def criteria(draw: st.DrawFn, attributes: Sequence[str]) -> tuple[Criterion, ...]:
    chosen = draw(st.lists(st.sampled_from(attributes), min_size=1, max_size=4, unique=True))
    return tuple(
        Criterion(
            name,
            weight=draw(st.integers(-5, 5)),
            reverse=draw(st.booleans()),
            values=tuple((each, draw(st.integers(-9, 9))) for each in NAMES[: draw(st.integers(0, 3))])
            if name in {"channel", "zone"}
            else (),
            otherwise=draw(st.integers(-9, 9)) if name in {"channel", "zone"} else 0,
            at_most=draw(st.integers(1, 40)),
        )
        for name in chosen
    )


@st.composite
def rules(draw: st.DrawFn) -> ServiceRule:
    """A sequence or a score, aged or not."""
    names = ["tier_rank", "requested_date", "order_value", "channel", "zone"]
    points, days = draw(st.integers(0, 4)), draw(st.integers(1, 30))
    if draw(st.booleans()):
        return ServiceRule(1, "score", draw(criteria(names)), points, days)
    found = draw(criteria([*names, "age"]))
    return ServiceRule(1, "sequence", found, 0 if found[0].attribute == "age" else points, days)


@st.composite
def lines(draw: st.DrawFn) -> Line:
    """A line of an order with an id of its own."""
    at = START + timedelta(hours=draw(st.integers(0, 24 * 90)))
    wanted = draw(st.none() | st.integers(-5, 40))
    day = at.toordinal()
    line = RequestLine("1", "I1", 1, None if wanted is None else day + wanted)
    request = Request(
        "shop",
        f"o{draw(st.integers(0, 10**6)):07}",
        Tier("t", draw(st.sampled_from(RANKS)), 1, lead_time_days=5),
        draw(st.sampled_from(NAMES)),
        draw(st.sampled_from(NAMES)),
        day,
        ship_complete=False,
        lines=(line,),
        value=draw(st.integers(0, 60)),
    )
    return request, line, at, draw(st.sampled_from(CRITICALITIES))


def _value(rule: ServiceRule, criterion: Criterion, given_line: Line) -> Fraction:
    """What an attribute is, the lower the earlier served."""
    request, line, at, _ = given_line
    wanted = request.ordered_day + 5 if line.requested_arrival is None else line.requested_arrival
    first = criterion is rule.criteria[0]
    match criterion.attribute:
        case "tier_rank":
            value = Fraction(request.tier.priority_rank)
        case "requested_date":
            value = Fraction(max(wanted, request.ordered_day) if first else wanted)
        case "order_value":
            value = -Fraction(min(request.value or 0, criterion.at_most))
        case "age":
            value = Fraction(request.ordered_day if first else int(at.timestamp()))
        case _:
            name = request.channel if criterion.attribute == "channel" else request.zone
            value = Fraction(dict(criterion.values).get(name, criterion.otherwise))
    return -value if criterion.reverse else value


def _score(rule: ServiceRule, given_line: Line) -> Fraction:
    request, line, _, _ = given_line
    total = Fraction(0)
    for each in rule.criteria:
        plain = replace(each, reverse=False)
        value = _value(replace(rule, criteria=(plain,)), plain, given_line)
        if each.attribute == "requested_date":
            value -= request.ordered_day
        total += each.weight * (-value if each.attribute == "order_value" else value)
    assert line.line
    return total


def _before(rule: ServiceRule, moment: int, one: Line, other: Line) -> int:
    """Who of two is served first at a moment (days): less than 0 for the one."""
    rate = Fraction(rule.points, rule.days)

    def first(each: Line) -> Fraction:
        aged = rate * (moment - each[0].ordered_day)
        return -(_score(rule, each) + aged) if rule.kind == "score" else _value(rule, rule.criteria[0], each) - aged

    rest = rule.criteria[1:] if rule.kind == "sequence" else ()
    keys = [
        (first(each), *(_value(rule, criterion, each) for criterion in rest), each[2], each[0].order_id)
        for each in (one, other)
    ]
    return (keys[0] > keys[1]) - (keys[0] < keys[1])


@given(rules(), st.lists(lines(), min_size=2, max_size=8, unique_by=lambda each: each[0].order_id), st.integers(0, 900))
def test_the_stored_key_orders_as_comparing_at_any_moment_would(rule: ServiceRule, asked: list[Line], on: int) -> None:
    moment = START.toordinal() + on
    stored = sorted(asked, key=lambda each: service_key(each[0], each[1], each[2], rule, each[3]))

    def before(one: Line, other: Line) -> int:
        return _before(rule, moment, one, other)

    compared = sorted(asked, key=cmp_to_key(before))
    assert stored == compared


@given(rules(), lines(), lines(), st.integers(0, 10))
def test_nobody_is_overtaken_by_who_comes_later_than_the_bound(
    rule: ServiceRule, one: Line, other: Line, more: int
) -> None:
    bound = overtaken_days(rule, RANKS)
    if bound is None:
        return
    request, line, at, criticality = other
    later = one[2] + timedelta(days=bound + 1 + more)
    moved = None if line.requested_arrival is None else line.requested_arrival + (later - at).days
    line = replace(line, requested_arrival=moved)
    late = replace(request, ordered_day=later.toordinal(), lines=(line,))
    assert service_key(*one[:3], rule, one[3]) < service_key(late, line, later, rule, criticality)


@given(st.integers(1, 5), st.integers(1, 20), st.integers(1, 6), st.integers(0, 40), st.integers(1, 9))
def test_the_lowest_tier_is_served_once_supply_covers_what_came_until_the_bound(
    points: int, days: int, daily: int, started: int, wants: int
) -> None:
    """Every day gold orders as much as arrives, for ever: bronze gets its turn all the same."""
    rule = ServiceRule(1, "sequence", (Criterion("tier_rank"), Criterion("age")), points, days)
    bound = overtaken_days(rule, (1, 9))
    assert bound is not None
    gold, bronze = (Tier("gold", 1, 1), Tier("bronze", 9, 1))
    waiting: dict[ServiceKey, int] = {}
    own = None
    for day in range(started + bound + wants // daily + 3):
        at = START + timedelta(days=day)
        coming = [(gold, daily), *([(bronze, wants)] if day == started else [])]
        for tier, quantity in coming:
            line = RequestLine("1", "I1", quantity)
            request = Request(
                "s", f"{tier.tier}{day}", tier, "*", "web", at.toordinal(), ship_complete=False, lines=(line,)
            )
            key = service_key(request, line, at, rule)
            waiting[key] = quantity
            own = key if tier is bronze else own
        left = daily
        for key in sorted(waiting):
            part = min(left, waiting[key])
            waiting[key] -= part
            left -= part
        waiting = {key: quantity for key, quantity in waiting.items() if quantity}
    assert own is not None
    assert own not in waiting


@given(st.dictionaries(st.integers(-500, 500), st.integers(1, 9), max_size=300), st.integers(-600, 600))
def test_what_is_remembered_of_those_who_wait_lets_nobody_before_who_is_ahead(
    totals: dict[int, int], lead: int
) -> None:
    steps = waiting_steps(totals)
    assert len(steps) <= WAITING_STEPS_MAX
    assert all(before < after for (before, _), (after, _) in pairwise(steps))
    assert sum(quantity for _, quantity in steps) == sum(totals.values())
    position = Position(PositionKey("I1", "L1"), 1, 0, waiting=steps)
    exact = sum(quantity for each, quantity in totals.items() if each <= lead)
    ahead = waiting_ahead(position, ServiceRule(), lead)
    assert ahead == exact if len(totals) <= WAITING_STEPS_MAX else ahead >= exact
    assert waiting_ahead(position, ServiceRule(basis=7), lead) == sum(totals.values())


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 9)), max_size=30), st.data())
def test_what_stops_waiting_is_counted_off_also_where_several_places_are_one(
    rows: list[tuple[int, int]], data: st.DataObject
) -> None:
    waiting: dict[int, int] = {}
    for lead, quantity in rows:
        add_waiting(waiting, lead, quantity)
    waiting = dict(waiting_steps(waiting))
    gone = data.draw(st.lists(st.sampled_from(rows), unique=True)) if rows else []
    for lead, quantity in dict.fromkeys(gone):
        take_waiting(waiting, lead, quantity)
    left = sum(quantity for _, quantity in rows) - sum(quantity for _, quantity in dict.fromkeys(gone))
    assert sum(waiting.values()) == left
    assert all(quantity > 0 for quantity in waiting.values())
