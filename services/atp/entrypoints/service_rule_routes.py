"""Who is served first, over HTTP: one rule, in versions with effective dates and an author."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

import orjson
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, model_validator

from services.atp.application.planning import VersionMoved
from services.atp.application.service_rules import RuleDraft, ServiceRules
from services.atp.domain.order_of_service import overtaken_days
from services.atp.domain.service_rule import SERVED_BY_TIER
from services.atp.entrypoints.allocation_routes import IfMatch, base_of
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, PRECONDITION_FAILED, VALIDATION_FAILED, Problem
from services.chassis.problems import problem_responses as problems
from services.contracts.payload import Code, Identifier, Moment, Payload, broken_rule

CRITERIA_MAX: Final = 8  # attributes of a rule: there are no more
NAMES_MAX: Final = 1_000  # of one attribute: every decision's record carries the rule
POINTS_MAX: Final = 1_000_000_000
WEIGHT_MAX: Final = 1_000_000
AGEING_DAYS_MAX: Final = 3_660
SET_ASIDE_DAYS_MAX: Final = 366  # a year: what is kept longer for an order that is not whole serves nobody
PAGE_MAX: Final = 100
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
Points = Annotated[int, Field(strict=True, ge=-POINTS_MAX, le=POINTS_MAX)]
NAMED: Final = frozenset({"channel", "customer", "zone", "item_criticality"})


class Criterion(Payload):
    """One attribute. `values` are points by name, for attributes that are names (a customer by the registry's id).

    In a sequence the lower number is first (the lower rank, the earlier day, the longer wait, the fewer points), of
    order values the higher; `reverse` turns it round. An order without the attribute `name` counts as `otherwise`. In a
    score, `weight` points count for each; the highest score is first, so that a rank usually has a negative weight.
    `requested_date` counts days from the order's own day.
    """

    attribute: Literal[
        "tier_rank",
        "requested_date",
        "order_value",
        "age",
        "channel",
        "customer",
        "zone",
        "item_criticality",
        "order_attribute",
    ]
    name: Annotated[Code | None, Field(description="which of the order's `attributes`")] = None
    weight: Annotated[int, Field(strict=True, ge=-WEIGHT_MAX, le=WEIGHT_MAX)] = 1
    reverse: bool = False
    values: Annotated[dict[Identifier, Points], Field(default_factory=dict, max_length=NAMES_MAX)]
    otherwise: Points = 0
    at_most: Annotated[
        int, Field(strict=True, ge=1, le=POINTS_MAX, description="of an order's value, in whole units of the currency")
    ] = 1_000_000

    @model_validator(mode="after")
    def _fits(self) -> Self:
        own = self.attribute == "order_attribute"
        if (self.attribute not in NAMED and self.values) or (
            self.otherwise and not own and self.attribute not in NAMED
        ):
            raise broken_rule("points by name go with attributes that are names")
        if own != (self.name is not None):
            raise broken_rule("a name goes with the attribute of an order, and with nothing else")
        return self


class Ageing(Payload):
    """By how many points everybody who waits comes nearer, in how many days."""

    points: Annotated[int, Field(strict=True, ge=1, le=WEIGHT_MAX)] = 1
    days: Annotated[int, Field(strict=True, ge=1, le=AGEING_DAYS_MAX)] = 1


class SetAsideBody(Payload):
    """Stock is set aside, as it comes, for orders that ship complete and lines with a minimum that wait for long.

    From `after_days` after the day of the order on (`tiers` say otherwise for some; null: only for those) on
    `lasts_days` days, it is kept from those behind in the order of service, as far as the order needs it, until all is
    there. Those before it still take. After that the order waits as before.
    """

    after_days: Annotated[int | None, Field(strict=True, ge=1, le=AGEING_DAYS_MAX)] = None
    lasts_days: Annotated[int, Field(strict=True, ge=1, le=SET_ASIDE_DAYS_MAX)]
    tiers: Annotated[
        dict[Code, Annotated[int, Field(strict=True, ge=1, le=AGEING_DAYS_MAX)]],
        Field(default_factory=dict, max_length=NAMES_MAX),
    ]

    @model_validator(mode="after")
    def _for_somebody(self) -> Self:
        if self.after_days is None and not self.tiers:
            raise broken_rule("it is for all tiers, or for those that are named")
        return self


class RuleBody(Payload):
    """Who is served first. Without ageing, and by tier before all else, the lowest tier may wait for ever."""

    kind: Literal["sequence", "score"] = "sequence"
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1, max_length=CRITERIA_MAX)]
    ageing: Ageing | None = None
    set_aside: SetAsideBody | None = None
    effective_from: Moment | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        names = [f"{each.attribute} {each.name or ''}".strip() for each in self.criteria]
        if len(dict.fromkeys(names)) < len(names):
            raise broken_rule("each attribute is named once")
        if "age" in names and (self.kind == "score" or (self.ageing is not None and names[0] == "age")):
            raise broken_rule("the age of a score, and of a sequence that begins with it, is its ageing")
        if self.kind == "score" and any(each.reverse for each in self.criteria):
            raise broken_rule("a weight below 0 turns a score round")
        return self

    def stored(self) -> bytes:
        """The document as it is kept."""
        return orjson.dumps(self.model_dump(mode="json", exclude={"effective_from"}))


class RuleDocument(Payload):
    """The rule in effect; version 0 is that of before any was made.

    `overtaken_days`: an order that comes more than so many days after another is never served before it; null: there
    is no such bound.
    """

    version: int
    kind: Literal["sequence", "score"]
    criteria: tuple[Criterion, ...]
    ageing: Ageing | None
    set_aside: SetAsideBody | None
    effective_from: datetime | None
    effective_to: datetime | None
    author: str | None
    recorded_at: datetime | None
    overtaken_days: int | None


class RuleVersion(Payload):
    """A version as it was written."""

    version: int
    kind: Literal["sequence", "score"]
    criteria: tuple[Criterion, ...]
    ageing: Ageing | None
    set_aside: SetAsideBody | None
    effective_from: datetime
    effective_to: datetime | None
    author: str
    recorded_at: datetime


class RuleVersions(Payload):
    """Versions, the newest first; `next` is the version before which the next page goes on."""

    items: tuple[RuleVersion, ...]
    next: int | None


class WrittenRule(Payload):
    """The version that was written."""

    version: int


def service_rule_routes(rules: ServiceRules) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["order of service"])

    @router.put(
        "/v1/service-rule",
        response_model=WrittenRule,
        responses=problems(VALIDATION_FAILED, BAD_REQUEST, PRECONDITION_FAILED),
    )
    async def put_rule(
        principal: Planner, body: RuleBody, response: Response, if_match: IfMatch = None
    ) -> dict[str, Any]:
        """Set who is served first, from a time on; those who wait get their new places and are asked anew."""
        draft = RuleDraft(body.stored(), body.effective_from, principal.subject, base_of(if_match))
        try:
            version = await rules.store(draft)
        except VersionMoved as error:
            detail = "the rule has another version by now"
            raise Problem(PRECONDITION_FAILED, detail, current_version=error.current) from None
        response.headers["etag"] = f'"{version}"'
        return {"version": version}

    @router.get("/v1/service-rule", response_model=RuleDocument, responses=problems(VALIDATION_FAILED))
    async def get_rule(
        _: Reader, response: Response, at: Annotated[Moment | None, Query(description="default: now")] = None
    ) -> dict[str, Any]:
        """The rule in effect, and how long somebody who waits may be overtaken under it."""
        rule, written, ranks = await rules.in_effect(at)
        response.headers["etag"] = f'"{rule.version}"'
        return {**(written or BEFORE_ANY), "overtaken_days": overtaken_days(rule, ranks)}

    @router.get("/v1/service-rule/versions", response_model=RuleVersions, responses=problems(VALIDATION_FAILED))
    async def get_versions(
        _: Reader,
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> dict[str, Any]:
        """All versions of the rule, the newest first."""
        found = await rules.versions(before, limit)
        return {"items": found, "next": found[-1]["version"] if len(found) == limit else None}

    return router


BEFORE_ANY: Final[dict[str, Any]] = {
    "version": 0,
    "kind": SERVED_BY_TIER.kind,
    "criteria": [{"attribute": each.attribute} for each in SERVED_BY_TIER.criteria],
    "ageing": None,
    "set_aside": None,
    "effective_from": None,
    "effective_to": None,
    "author": None,
    "recorded_at": None,
}
