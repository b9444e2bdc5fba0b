"""A rule set as people write it: a JSON document with a bounded tree of conditions (docs/reclassification.md).

    {"rungs": [{"tier": "gold", "promote": CONDITION, "demote": CONDITION, "mode": "propose"}, ...], "floor": "bronze",
     "minimum_dwell_days": 28, "grace_days": 14, "cool_down_days": 7, "downgrade": "one_step", "proposal_ttl_days": 7,
     "mode": "automatic", "automatic_jump_max": 1, "fuse": {"moves_max": 100, "within_hours": 24, "share_percent": "5"},
     "by_events": true, "calendar": {"every": "month", "on": 1, "at": "03:00", "zone": "Europe/London"},
     "scores": {"worth": [{"feature": "value", "window_days": 365, "zero_at": 0, "full_at": 5000, "weight": 70}, ...]},
     "new_customers": {"prior_value": "300", "window_days": 90, "weight": 3, "own_data_from_orders": 8}}

Conditions are in `condition_document`. Amounts are in the currency's major unit. Rungs are best first; the floor is the
tier of everybody else, also of customers that were never assigned.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import Field, StringConstraints, model_validator

from services.contracts.network import TimeZone
from services.contracts.payload import Code, Money, broken_rule
from services.reclassifier.application.condition_document import (
    PERCENT_MAX,
    AnyCondition,
    Document,
    Limit,
    Terms,
    WindowDays,
    check_limits,
    refuse_large,
)
from services.reclassifier.domain.leaves import ScorePart
from services.reclassifier.domain.measures import Measure, Prior, scale
from services.reclassifier.domain.orders import MICROS_PER_UNIT
from services.reclassifier.domain.rule_set import Calendar, Downgrade, Every, Fuse, Mode, RuleSet, Rung

RUNGS_MAX: Final = 20
SCORES_MAX: Final = 20
SCORE_PARTS_MAX: Final = 20
WEIGHT_MAX: Final = 1_000  # orders that a prior counts as, and points of a score's part
LAST_WEEKDAY: Final = 7
LAST_DAY_OF_EVERY_MONTH: Final = 28

Days = Annotated[int, Field(strict=True, ge=0, le=365)]


class RungDocument(Document):
    """A tier with what lifts a customer into it and what drops it out; `mode` null is the rule set's."""

    tier: Code
    promote: AnyCondition
    demote: AnyCondition
    mode: Mode | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_small(cls, value: object) -> object:
        if isinstance(value, Mapping):
            for name in ("promote", "demote"):
                refuse_large(value.get(name))
        return value


class NewCustomersDocument(Document):
    """What a customer is expected to bring in a window before its own orders say enough (`expected_value`)."""

    prior_value: Money
    window_days: WindowDays
    weight: Annotated[int, Field(strict=True, ge=1, le=WEIGHT_MAX, description="orders that the prior counts as")]
    own_data_from_orders: Annotated[int, Field(strict=True, ge=1, le=WEIGHT_MAX)]

    def to_domain(self) -> Prior:
        """The prior."""
        value = int(self.prior_value * MICROS_PER_UNIT)
        return Prior(value, self.window_days, self.weight, self.own_data_from_orders)


class ScorePartDocument(Document):
    """A feature that gives no points at `zero_at`, all of `weight` at `full_at`, and in proportion between."""

    feature: Measure
    window_days: WindowDays | None = None
    zero_at: Limit
    full_at: Limit
    weight: Annotated[int, Field(strict=True, ge=1, le=WEIGHT_MAX)]

    @model_validator(mode="after")
    def _rises_or_falls(self) -> Self:
        check_limits(self.feature, self.window_days, (self.zero_at, self.full_at))
        if self.zero_at == self.full_at:
            raise broken_rule("zero_at and full_at are the same")
        return self

    def to_domain(self, terms: Terms) -> ScorePart:
        """The part."""
        zero_at, full_at = (int(each * scale(self.feature)) for each in (self.zero_at, self.full_at))
        window_days = self.window_days or 0
        prior = terms.prior_of(self.feature, window_days)
        return ScorePart(self.feature, window_days, zero_at, full_at, self.weight, prior)


class CalendarDocument(Document):
    """When everybody is judged, and shares are cut. `on` is a weekday (1 is Monday) or a day of the month."""

    every: Every
    on: Annotated[int, Field(strict=True, ge=1, le=LAST_DAY_OF_EVERY_MONTH)] = 1
    at: Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "03:00"
    zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _is_a_weekday(self) -> Self:
        if self.every is Every.WEEK and self.on > LAST_WEEKDAY:
            raise broken_rule("a week has seven days")
        return self

    def to_domain(self) -> Calendar:
        """The calendar."""
        hour, minute = self.at.split(":")
        return Calendar(self.every, self.on, int(hour), int(minute), self.zone)


class FuseDocument(Document):
    """Automatic moves stop when more than the larger of `moves_max` and the share of all customers would be made."""

    moves_max: Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
    within_hours: Annotated[int, Field(strict=True, ge=1, le=24 * 31)] = 24
    share_percent: Annotated[Limit, Field(gt=0, le=PERCENT_MAX)] | None = None

    def to_domain(self) -> Fuse:
        """The fuse."""
        share = None if self.share_percent is None else int(self.share_percent * MICROS_PER_UNIT)
        return Fuse(self.moves_max, self.within_hours, share)


class RuleSetDocument(Document):
    """A rule set; its id and version come from where it is stored."""

    rungs: Annotated[tuple[RungDocument, ...], Field(min_length=1, max_length=RUNGS_MAX)]
    floor: Code
    minimum_dwell_days: Days = 28
    proposal_ttl_days: Annotated[int, Field(strict=True, ge=1, le=365)] = 7
    grace_days: Days = 0
    cool_down_days: Days = 0
    downgrade: Downgrade = Downgrade.TO_NUMBERS
    mode: Mode = Mode.AUTOMATIC
    automatic_jump_max: Annotated[int, Field(strict=True, ge=1, le=RUNGS_MAX)] | None = None
    fuse: FuseDocument | None = None
    by_events: bool = True
    calendar: CalendarDocument | None = None
    cut_stale_days: Annotated[int, Field(strict=True, ge=1, le=365)] | None = None
    scores: Annotated[
        dict[Code, Annotated[tuple[ScorePartDocument, ...], Field(min_length=1, max_length=SCORE_PARTS_MAX)]],
        Field(max_length=SCORES_MAX),
    ] = {}  # noqa: RUF012 - pydantic copies it
    new_customers: NewCustomersDocument | None = None

    @model_validator(mode="after")
    def _is_a_rule_set(self) -> Self:
        tiers = [*(rung.tier for rung in self.rungs), self.floor]
        if len(set(tiers)) != len(tiers):
            raise broken_rule("a tier is named twice")
        if not self.by_events and self.calendar is None:
            raise broken_rule("without events a rule set needs a calendar")
        rule_set = self.to_domain("checked", 1)
        if rule_set.tops and self.calendar is None:
            raise broken_rule("in_top_percent needs a calendar, at which the share is cut")
        return self

    def to_domain(self, rule_set_id: str, version: int) -> RuleSet:
        """The rule set as it is evaluated."""
        prior = None if self.new_customers is None else self.new_customers.to_domain()
        terms = Terms(prior, {})
        scores = {name: tuple(part.to_domain(terms) for part in parts) for name, parts in self.scores.items()}
        terms = Terms(prior, scores)
        return RuleSet(
            rule_set_id,
            version,
            tuple(
                Rung(rung.tier, rung.promote.to_domain(terms), rung.demote.to_domain(terms), rung.mode)
                for rung in self.rungs
            ),
            self.floor,
            self.minimum_dwell_days,
            self.proposal_ttl_days,
            prior=prior,
            mode=self.mode,
            automatic_jump_max=self.automatic_jump_max,
            downgrade=self.downgrade,
            grace_days=self.grace_days,
            cool_down_days=self.cool_down_days,
            by_events=self.by_events,
            calendar=None if self.calendar is None else self.calendar.to_domain(),
            cut_stale_days=self.cut_stale_days,
            fuse=None if self.fuse is None else self.fuse.to_domain(),
        )

    def to_json(self) -> dict[str, Any]:
        """The document in its one written form."""
        return self.model_dump(mode="json", exclude_none=True)


def content_hash(document: Mapping[str, Any]) -> str:
    """What an approval is bound to: the SHA-256 of the document, its members sorted, without blanks."""
    written = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(written.encode()).hexdigest()
