"""The network over HTTP: locations, lanes, carrier services, calendars and zones."""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from services.atp.application.network import Network
from services.atp.application.resolving import EVERYWHERE
from services.atp.entrypoints.problem_codes import CALENDAR_UNKNOWN, HOLIDAYS_UNKNOWN, LOCATION_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses
from services.contracts.network import (
    CatalogCalendar,
    CatalogLane,
    CatalogLocation,
    CatalogService,
    CatalogZone,
    LocationTerms,
    NetworkEntry,
)
from services.contracts.payload import Code, Country, Payload, Postcode

ENTRIES_MAX: Final = 1_000  # entries of one request
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
Entry = TypeVar("Entry", bound=Payload)


class Bulk(Payload, Generic[Entry]):
    """A bulk of entries, stored all or none."""

    items: Annotated[tuple[Entry, ...], Field(min_length=1, max_length=ENTRIES_MAX)]


def network_routes(network: Network) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["configuration"])
    _add_locations(router, network)
    _add_lanes(router, network)
    _add_services(router, network)
    _add_calendars(router, network)
    _add_zones(router, network)
    return router


def _add_locations(router: APIRouter, network: Network) -> None:
    @router.put("/v1/locations/{location}", responses=problem_responses(VALIDATION_FAILED, CALENDAR_UNKNOWN))
    async def put_location(planner: Planner, location: Annotated[Code, Path()], body: LocationTerms) -> dict[str, Any]:
        """Define a location."""
        await _store(network, [CatalogLocation(location=location, **body.model_dump())], planner.subject)
        return {"location": location}

    @router.get("/v1/locations")
    async def get_locations(_: Reader) -> dict[str, Any]:
        """All locations."""
        return {"items": await network.read("location")}


def _add_lanes(router: APIRouter, network: Network) -> None:
    @router.put("/v1/lanes", responses=problem_responses(VALIDATION_FAILED, LOCATION_UNKNOWN))
    async def put_lanes(planner: Planner, body: Bulk[CatalogLane]) -> dict[str, Any]:
        """Define lanes."""
        return await _store(network, body.items, planner.subject)

    @router.get("/v1/lanes")
    async def get_lanes(_: Reader) -> dict[str, Any]:
        """All lanes, by zone and rank."""
        return {"items": await network.read("lane")}


def _add_services(router: APIRouter, network: Network) -> None:
    @router.put("/v1/services", responses=problem_responses(VALIDATION_FAILED, CALENDAR_UNKNOWN))
    async def put_services(planner: Planner, body: Bulk[CatalogService]) -> dict[str, Any]:
        """Define when carrier services pick up."""
        return await _store(network, body.items, planner.subject)

    @router.get("/v1/services")
    async def get_services(_: Reader) -> dict[str, Any]:
        """All carrier services of which something is said."""
        return {"items": await network.read("service")}


def _add_calendars(router: APIRouter, network: Network) -> None:
    @router.put("/v1/calendars", responses=problem_responses(VALIDATION_FAILED, HOLIDAYS_UNKNOWN))
    async def put_calendars(planner: Planner, body: Bulk[CatalogCalendar]) -> dict[str, Any]:
        """Define calendars of working or pick-up days."""
        return await _store(network, body.items, planner.subject)

    @router.post("/v1/calendars:expand-holidays")
    async def expand_holidays(planner: Planner) -> dict[str, Any]:
        """Work the public holidays of calendars out again, where years have passed or the library has a new version.

        This happens by itself within a day as well. The answer names the calendars whose days were worked out.
        """
        return {"calendars": await network.expand_holidays(planner.subject)}

    @router.get("/v1/calendars")
    async def get_calendars(_: Reader) -> dict[str, Any]:
        """All calendars."""
        return {"items": await network.read("calendar")}


def _add_zones(router: APIRouter, network: Network) -> None:
    @router.put("/v1/zones", responses=problem_responses(VALIDATION_FAILED))
    async def put_zones(planner: Planner, body: Bulk[CatalogZone]) -> dict[str, Any]:
        """Define which zone countries and postcodes are in."""
        return await _store(network, body.items, planner.subject)

    @router.get("/v1/zones")
    async def get_zones(_: Reader) -> dict[str, Any]:
        """All rules, by country and postcode."""
        return {"items": await network.read("zone")}

    @router.get("/v1/zones:resolve", responses=problem_responses(VALIDATION_FAILED))
    async def resolve_zone(
        _: Reader, country: Annotated[Country, Query()], postcode: Annotated[Postcode | None, Query()] = None
    ) -> dict[str, Any]:
        """The zone of a destination, the rule that decides and why; `others` match too and would come after it.

        Without a rule the zone is "*", which is that of lanes that lead everywhere.
        """
        nothing: dict[str, Any] = {
            "zone": EVERYWHERE,
            "rule": None,
            "why": "No rule matches the destination.",
            "others": [],
        }
        return await network.resolve(country, postcode) or nothing


async def _store(network: Network, entries: Sequence[NetworkEntry], author: str) -> dict[str, Any]:
    stored, unknown = await network.store(entries, checked=True, author=author)
    if locations := [each.name for each in unknown if each.kind == "location"]:
        raise Problem(LOCATION_UNKNOWN, locations=locations)
    if calendars := [each.name for each in unknown if each.kind == "calendar"]:
        raise Problem(CALENDAR_UNKNOWN, calendars=calendars)
    if holidays := [each.name for each in unknown if each.kind == "holidays"]:
        raise Problem(HOLIDAYS_UNKNOWN, holidays=holidays)
    return {"stored": stored}
