"""How tiers were served: months with their figures, breaches, and the keeping of both.

What is measured and how is in `services.atp.domain.service_measures`; definitions are in docs/measures.md.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

from services.atp.application.ports import Unavailable
from services.atp.domain.model import Day
from services.atp.domain.service_figures import Figures, churn, cost_to_serve, costs, count, ratios, rounded
from services.contracts.costs import exact

REST_FACTOR: Final = (
    9  # a pass is followed by a rest of so many times its length: measures take a tenth of a processor at most
)
FiguresByTier = Mapping[str, Mapping[str, Decimal]]
COUNTS: Final = (
    "orders_answered",
    "lines_answered",
    "lines_refused",
    "units_ordered",
    "units_promised",
    "units_promised_on_time",
    "lines_promised_on_time_in_full",
    "lines_due",
    "units_due",
    "units_shipped_in_time",
    "units_delivered",
    "lines_delivered",
    "lines_on_time_in_full",
    "lines_delivered_as_requested",
    "lines_late",
    "days_late",
    "orders_delivered",
    "orders_accurate",
    "lines_preempted",
)


@dataclass(frozen=True, slots=True)
class Change:
    """A listed correction of a closed month: what was added to the figures of tiers, and why."""

    number: int
    recorded_at: datetime
    cause: str
    reference: Sequence[str]
    figures: FiguresByTier


@dataclass(frozen=True, slots=True)
class MonthOfService:
    """The figures of a month; `closed_figures` are those of its closing. `behind`: changes wait to be measured."""

    month: Day
    today: Day
    behind: bool
    figures: FiguresByTier
    closed_at: datetime | None = None
    closed_by: str | None = None
    closed_figures: FiguresByTier | None = None
    penalties: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # by tier: a unit a day late, one that waits
    corrections: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """Units of protections, quotas or hierarchies of a tier by state, of the periods that contain today.

    Kinds and states: protection: protected, used, left, lapsed, uncovered (of periods to come too); quota: limit, used,
    left; hierarchy: limit, used, left, borrowed (of what is open). The tier "*" is that of what is for all.
    """

    tier: str
    kind: str
    units: Mapping[str, int]


class CapacityUse(NamedTuple):
    """A capacity's units today by state (units, booked, kept, free); overbooked: on all days from today on."""

    capacity_id: str
    units: Mapping[str, int]


class ServiceLevels(Protocol):
    """Reads and keeps the measures."""

    async def month(self, month: Day | None) -> MonthOfService:
        """A month; None: the current one, by business time."""
        ...

    async def close(self, month: Day, author: str) -> bool | None:
        """Close a month after measuring all that changed; False if it was closed, None if it is not over."""
        ...

    async def breaches(self, month: Day | None, tier: str | None, limit: int) -> list[dict[str, Any]]:
        """Breaches as they stand."""
        ...

    async def order_costs(self, promise_id: UUID) -> Figures | None:
        """The cost figures of one order; None if there is no such promise."""
        ...

    async def running(self) -> list[Running]:
        """Protections, quotas and hierarchies that run today."""
        ...

    async def capacities(self) -> list[CapacityUse]:
        """What is booked of capacities."""
        ...

    async def keep(self) -> bool:
        """Measure what changed, close months that are due, judge targets; False if another process is at it."""
        ...


async def keep_measures(
    levels: ServiceLevels,
    show: Callable[[MonthOfService, Sequence[Running], Sequence[CapacityUse]], None],
    stop: asyncio.Event,
    *,
    interval_seconds: float,
) -> None:
    """The periodic task: keep the measures and show the current month, until `stop` is set.

    Under load a pass takes long and the rest after it grows, so that measuring never holds up promising: an order that
    changes several times meanwhile is measured once.
    """
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        started = clock()
        with suppress(Unavailable):  # then it is done the next time; readiness says what is wrong
            await levels.keep()
            show(await levels.month(None), await levels.running(), await levels.capacities())
        with suppress(TimeoutError):
            async with asyncio.timeout(max(interval_seconds, (clock() - started) * REST_FACTOR)):
                await stop.wait()


def tier_document(tier: str, figures: Figures, penalties: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """The figures of one tier, for people and programs. `penalties` are those of its policy now."""
    found = costs(figures)
    return {
        "tier": tier,
        "counts": {name: count(figures, name) for name in COUNTS},
        "ratios": {
            name: {"achieved": ratio.achieved, "total": ratio.total, "basis_points": ratio.basis_points}
            for name, ratio in ratios(figures).items()
        },
        "overrides": _by_detail(figures, "overrides"),
        "changes": {
            cause: {**asdict(each), "penalty_minor": each.penalty_minor(*penalties)}
            for cause, each in churn(figures).items()
        },
        "protection": _by_detail(figures, "protection"),
        "quota": _by_detail(figures, "quota"),
        "activities": _by_detail(figures, "quantity"),
        "cost_to_serve_minor": rounded(cost_to_serve(found)),
        "costs": costs_document(figures),
    }


def costs_document(figures: Figures) -> list[dict[str, Any]]:
    """Each component with what is actual, what is a rate and of how many nothing is known."""
    return [
        {
            "component": each.component,
            "actual_minor": rounded(each.actual_minor),
            "rate_minor": rounded(each.rate_minor),
            "missing": each.missing,
            "complete": not each.missing,
        }
        for each in costs(figures)
    ]


def figures_document(figures: FiguresByTier) -> dict[str, dict[str, str | None]]:
    """Amounts by tier and name, exact."""
    return {tier: {name: exact(amount) for name, amount in own.items()} for tier, own in figures.items()}


def _by_detail(figures: Figures, measure: str) -> dict[str, int]:
    start = f"{measure}/"
    return {name.removeprefix(start): int(amount) for name, amount in figures.items() if name.startswith(start)}
