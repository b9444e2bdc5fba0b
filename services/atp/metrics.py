"""What the ATP measures. Tiers are few and named by the registry; past `TIERS_MAX` of them the rest share a series."""

from collections import Counter as Tally
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.atp.application.queues import Lane
from services.atp.application.runs import RunsStanding
from services.atp.application.service_levels import CapacityUse, MonthOfService, Running
from services.atp.domain.service_figures import GOODS, added, churn, costs, count, ratios
from services.atp.domain.validation_rules import CHECKS
from services.chassis.metrics import OTHER, Durations, counter, gauge
from services.contracts.promises import LineOutcome

TIERS_MAX: Final = 50
CAPACITIES_MAX: Final = 100  # locations and services that are shown by name
SERVICE_EVENTS: Final = ("lines_due", "lines_late", "days_late", "lines_preempted", "orders_delivered")
EVENTS: Final = (
    "unknown_customer",
    "micro_segment",
    "unknown_tier",
    "unreadable_segment",
    "count_correction",
    "order_taken_over",
    "promise_at_risk",
    "promise_covered_again",
    "promise_preempted",
    "promise_unmet",
    "promise_met",
    "set_aside_begun",
    "set_aside_served",
    "set_aside_ended",
    "shipment_unknown_order",
    "shipment_beyond_promise",
    "short_pick_unknown_order",
    "short_pick_beyond_promise",
    "return_unknown_order",
    "return_beyond_shipment",
    "delivery_unknown_order",
    "delivery_beyond_shipment",
    "hold_expired",
    "planner_action",
    "validation_released",
    "report_unknown_order",
    "report_unknown_line",
    "run_finished",
    "run_asked",
    "run_improved",
    "run_worsened",
    "run_unmet",
)


class ServiceMetrics:
    """How tiers are served in the current month; past `TIERS_MAX` tiers the rest share a series."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ratio = Gauge(
            "tiercel_service_ratio",
            "Share of the current month so far, by the tier in force when promised; docs/measures.md defines each.",
            ("tier", "measure"),
            registry=registry,
        )
        self._events = Gauge(
            "tiercel_service_events",
            "Counts of the current month so far: lines that were due, late or preempted, days late, overrides.",
            ("tier", "event"),
            registry=registry,
        )
        self._cost = Gauge(
            "tiercel_service_cost_minor",
            "What serving cost in the current month so far, in minor units, by what is known of it.",
            ("tier", "basis"),
            registry=registry,
        )
        self._changes = Gauge(
            "tiercel_promise_changes",
            "Lines that changes which no customer asked for improved or worsened in the current month so far.",
            ("tier", "cause", "way"),
            registry=registry,
        )
        self._changes_cost = Gauge(
            "tiercel_promise_changes_cost_minor",
            "What these changes cost more (negative: less) in minor units: shipping, and penalties of the tier.",
            ("tier", "cause", "kind"),
            registry=registry,
        )
        self._missing = Gauge(
            "tiercel_service_cost_missing",
            "Activities and units of the current month whose cost nobody told and no rate covers.",
            ("tier",),
            registry=registry,
        )
        self._limits = Gauge(
            "tiercel_allocation_units",
            "Units of allocations whose period contains today: protection (protected, used, left, lapsed, uncovered;"
            " the last of periods to come too), quota (limit, used, left), hierarchy (limit, used, left, borrowed).",
            ("tier", "kind", "state"),
            registry=registry,
        )

        self._capacities = Gauge(
            "tiercel_capacity_units",
            "Units of a location's bookable capacity (or of one service of it) today: units, booked, kept, free;"
            " overbooked: what is booked beyond it on any day from today on.",
            ("capacity", "state"),
            registry=registry,
        )

    def show(self, month: MonthOfService, running: Sequence[Running], capacities: Sequence[CapacityUse]) -> None:
        """Replace what is shown."""
        own = (self._ratio, self._events, self._cost, self._missing, self._limits, self._capacities)
        for each in (*own, self._changes, self._changes_cost):
            each.clear()
        self._show_changes(month)
        for tier, figures in _folded(month.figures).items():
            for measure, ratio in ratios(figures).items():
                if ratio.total:
                    self._ratio.labels(tier, measure).set(ratio.achieved / ratio.total)
            for event in SERVICE_EVENTS:
                self._events.labels(tier, event).set(count(figures, event))
            overrides = sum(amount for name, amount in figures.items() if name.startswith("overrides/"))
            self._events.labels(tier, "overrides").set(float(overrides))
            found = [each for each in costs(figures) if each.component != GOODS]
            self._cost.labels(tier, "actual").set(float(sum(each.actual_minor for each in found)))
            self._cost.labels(tier, "rate").set(float(sum(each.rate_minor for each in found)))
            self._missing.labels(tier).set(sum(each.missing for each in found))
        for (tier, kind, state), units in _units(running).items():
            self._limits.labels(tier, kind, state).set(units)
        for (capacity, state), units in _capacity_units(capacities).items():
            self._capacities.labels(capacity, state).set(units)

    def _show_changes(self, month: MonthOfService) -> None:
        for tier, figures in _folded(month.figures).items():
            for cause, changes in churn(figures).items():
                self._changes.labels(tier, cause, "improved").set(changes.improved)
                self._changes.labels(tier, cause, "worsened").set(changes.worsened)
                self._changes_cost.labels(tier, cause, "shipping").set(changes.cost_minor)
                penalty = changes.penalty_minor(*month.penalties.get(tier, (0, 0)))
                self._changes_cost.labels(tier, cause, "penalty").set(penalty)


def _units(running: Sequence[Running]) -> dict[tuple[str, str, str], int]:
    """Units by tier, kind and state; past `TIERS_MAX` tiers the rest share a series."""
    tiers = sorted({each.tier: None for each in running})[:TIERS_MAX]
    named = dict.fromkeys(tiers)
    found: dict[tuple[str, str, str], int] = {}
    for each in running:
        tier = each.tier if each.tier in named else OTHER
        for state, units in each.units.items():
            found[tier, each.kind, state] = found.get((tier, each.kind, state), 0) + units
    return found


def _capacity_units(capacities: Sequence[CapacityUse]) -> dict[tuple[str, str], int]:
    """Units by capacity and state; past `CAPACITIES_MAX` the rest share a series."""
    found: dict[tuple[str, str], int] = {}
    for number, each in enumerate(capacities):
        name = each.capacity_id if number < CAPACITIES_MAX else OTHER
        for state, units in each.units.items():
            found[name, state] = found.get((name, state), 0) + units
    return found


def _folded(figures: Mapping[str, Mapping[str, Decimal]]) -> dict[str, Mapping[str, Decimal]]:
    shown: dict[str, Mapping[str, Decimal]] = {}
    for number, tier in enumerate(sorted(figures)):
        name = tier if number < TIERS_MAX else OTHER
        shown[name] = added(shown.get(name, {}), figures[tier])
    return shown


class AtpMetrics:
    """The ATP's own metrics; also what the engine tells about itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._promises = Counter(
            "tiercel_promises_total", "Order lines answered for the first time.", ("tier", "outcome"), registry=registry
        )
        self._seconds = Durations(
            registry,
            "tiercel_promise_seconds",
            "From queue entry to committed answer, commands of requests and of the event log.",
        ).at()
        self._queued = gauge(
            registry, "tiercel_engine_queue_lines", "Order lines that wait to be decided.", {"lane": tuple(Lane)}
        )
        self._batches = counter(
            registry, "tiercel_engine_batches_total", "Transactions of the engine.", {"lane": tuple(Lane)}
        )
        self._counted = counter(
            registry,
            "tiercel_decision_notes_total",
            "What was noted in decisions: customers that nobody knows, assignments to unknown tiers, and the like.",
            {"note": EVENTS},
        )
        self._failed = counter(
            registry,
            "tiercel_validation_failures_total",
            "Orders that failed a check before stock was taken, refused or held, by check.",
            {"check": CHECKS},
        )
        self.projection_age = Gauge(
            "tiercel_tier_projection_age_seconds",
            "Age of the last heartbeat read from segments.current.v1.",
            registry=registry,
        )
        self.ledger_drift = Gauge(
            "tiercel_ledger_drift_positions",
            "Positions whose aggregates differ from the ledger at the last check.",
            registry=registry,
        )
        self._runs_late = gauge(
            registry,
            "tiercel_run_late_seconds",
            "Of runs by variants: how late a moment of a schedule is, and for how long a running one came no further.",
            {"what": ("slot", "portion")},
        )
        self._runs = gauge(
            registry,
            "tiercel_runs_state",
            "Runs by variants that go on, and variants whose last run failed.",
            {"state": ("running", "failed")},
        )
        self.service = ServiceMetrics(registry)
        self._tiers: dict[str, str] = {}

    def queued(self, lane: str, lines: int) -> None:
        """Lines that wait in a lane now."""
        self._queued.at(lane).set(lines)

    def answered(self, lane: str, seconds: Iterable[float]) -> None:
        """Commands answered; re-decision answers nobody and is only counted."""
        self._batches.at(lane).inc()
        if lane != Lane.REDECIDE:
            for each in seconds:
                self._seconds.observe(each)

    def promised(self, outcomes: Iterable[tuple[str, str]]) -> None:
        """Lines answered for the first time, as (tier, outcome)."""
        for (tier, outcome), lines in Tally(outcomes).items():
            self._promises.labels(self._tier(tier), outcome).inc(lines)

    def counted(self, what: str, count: int = 1) -> None:
        """Something noted in decisions; a check of validation that failed has a counter of its own."""
        noted = self._failed if what in CHECKS else self._counted
        noted.at(what).inc(count)

    def show_runs(self, standing: RunsStanding) -> None:
        """How runs by variants stand now."""
        self._runs_late.at("slot").set(standing.slot_late_seconds)
        self._runs_late.at("portion").set(standing.still_seconds)
        self._runs.at("running").set(standing.running)
        self._runs.at("failed").set(standing.failed)

    def _tier(self, tier: str) -> str:
        known = self._tiers.get(tier)
        if known is not None:
            return known
        if len(self._tiers) >= TIERS_MAX:
            return OTHER
        self._tiers[tier] = tier
        for outcome in LineOutcome:
            self._promises.labels(tier, outcome.value)
        return tier
