"""What a customer's orders look like over windows of days that end today.

A window of W days holds the days after today - W up to and including today. `unpriced_lines` says how far a value is
only a lower bound. Days to come (a source whose clock is ahead, costs of a location east of UTC) count when they come.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from services.reclassifier.domain.costs import Costs
from services.reclassifier.domain.orders import Activity, Day, Outcomes
from services.reclassifier.domain.rhythm import OrderDay, Rhythm, rhythm_of


class Detail(StrEnum):
    """What is computed only where somebody looks at it."""

    OUTCOMES = "outcomes"
    RHYTHM = "rhythm"
    COSTS = "costs"


EVERY_DETAIL = tuple(Detail)


@dataclass(frozen=True, slots=True)
class Window:
    """Sums over one window; `first_day` is its oldest day with any activity, the next one to fall out.

    `outcomes`, `rhythm` and `costs` are None where they were not asked for, or nothing was told; `first_cost_day` is
    the oldest day with a cost.
    """

    days: int
    orders: int = 0
    units: int = 0
    value_micros: int = 0
    unpriced_lines: int = 0
    first_day: Day | None = None
    outcomes: Outcomes | None = None
    rhythm: Rhythm | None = None
    costs: Costs | None = None
    first_cost_day: Day | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """Everything that a rule may look at, as of one day. `next_day` is the earliest day to come with anything in it."""

    today: Day
    windows: Mapping[int, Window]
    last_order_day: Day | None = None
    next_day: Day | None = None

    @property
    def recency_days(self) -> int | None:
        """Days since the last order; None without one."""
        return None if self.last_order_day is None else self.today - self.last_order_day


def features_of(
    days: Mapping[Day, Activity],
    today: Day,
    windows: Iterable[int],
    *,
    outcomes: Mapping[Day, Outcomes] | None = None,
    costs: Mapping[Day, Costs] | None = None,
    detail: Iterable[Detail] = (),
) -> Features:
    """The features from a customer's days. The database computes the same in bulk; this is the definition."""
    active = {day: activity for day, activity in days.items() if any(activity)}
    to_come = [day for day in active if day > today]
    ordered = [day for day, activity in active.items() if activity.orders > 0 and day <= today]
    asked = tuple(detail)
    found = {length: _window(active, today, length) for length in windows}
    if Detail.OUTCOMES in asked:
        found = {length: replace(one, outcomes=_sum(outcomes or {}, today, length)) for length, one in found.items()}
    if Detail.RHYTHM in asked:
        rows = [OrderDay(day, active[day].units, active[day].value_micros) for day in sorted(active)]
        found = {length: replace(one, rhythm=rhythm_of(rows, today, length)) for length, one in found.items()}
    if Detail.COSTS in asked:
        found = {length: _with_costs(one, costs or {}, outcomes or {}, today) for length, one in found.items()}
        to_come += [day for day, one in (costs or {}).items() if day > today and one.days > 0]
    return Features(
        today,
        found,
        last_order_day=max(ordered, default=None),
        next_day=min(to_come, default=None),
    )


def _window(active: Mapping[Day, Activity], today: Day, length: int) -> Window:
    inside = [day for day in active if today - length < day <= today]
    total = Activity()
    for day in inside:
        total = total.plus(active[day])
    return Window(
        length, total.orders, total.units, total.value_micros, total.unpriced_lines, min(inside, default=None)
    )


def _sum(outcomes: Mapping[Day, Outcomes], today: Day, length: int) -> Outcomes:
    total = Outcomes()
    for day, one in outcomes.items():
        if today - length < day <= today:
            total = total.plus(one)
    return total


def _with_costs(window: Window, costs: Mapping[Day, Costs], outcomes: Mapping[Day, Outcomes], today: Day) -> Window:
    """A margin is after returns: where a cost is known, so is what came back."""
    inside = [day for day, one in costs.items() if today - window.days < day <= today and one.days > 0]
    total = Costs()
    for day in inside:
        total = total.plus(costs[day])
    if not inside:
        return window
    came_back = _sum(outcomes, today, window.days)
    return replace(window, outcomes=came_back, costs=total, first_cost_day=min(inside))
