"""Availability over HTTP."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from services.atp.application.engine import Engine
from services.atp.application.read_availability import ReadAvailability, TierUnknown, availability
from services.atp.entrypoints.callers import origin_of
from services.atp.entrypoints.problem_codes import ITEM_UNKNOWN, TIER_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Code, Identifier, Payload

Reader = Annotated[Principal, Depends(require("atp.read"))]


class AvailableDay(Payload):
    """The picture from a day until the next row's; null where supply is assumed without limit, or no tier was named."""

    first_day: date
    supply: int
    committed: int
    available: int
    atp: int | None
    confirmable: int | None = None


class LocationAvailability(Payload):
    """An item at a location, ascending by day."""

    location: str
    on_hand: int
    buffer: int
    version: int
    supply_assumed_from: date | None
    days: tuple[AvailableDay, ...]


class ItemAvailability(Payload):
    """An item, by location."""

    sku: str
    active: bool
    as_of: datetime
    tier: str | None
    locations: tuple[LocationAvailability, ...]


def availability_routes(engine: Engine) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["availability"])

    @router.get(
        "/v1/availability",
        response_model=ItemAvailability,
        responses=problem_responses(VALIDATION_FAILED, ITEM_UNKNOWN, TIER_UNKNOWN),
    )
    async def get_availability(
        request: Request,
        _: Reader,
        sku: Annotated[Identifier, Query()],
        location: Annotated[Code | None, Query()] = None,
        tier: Annotated[Code | None, Query()] = None,
    ) -> dict[str, Any]:
        """Supply, commitments and what is left of an item day by day, and what a tier may take of it."""
        command = ReadAvailability(sku, location, tier, origin_of(request))
        try:
            found = await engine.inquire(command, lambda batch: availability(batch, command))
        except TierUnknown:
            raise Problem(TIER_UNKNOWN) from None
        if found is None:
            raise Problem(ITEM_UNKNOWN)
        document: dict[str, Any] = found
        return document

    return router
