"""What planners set over HTTP: items, locations, lanes, protections and quotas."""

from datetime import date
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import available_timezones

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator, Field, model_validator

from services.atp.application.planning import (
    DocumentHead,
    LaneRow,
    LocationRow,
    PeriodsOverlap,
    Planning,
    ProtectionRow,
    QuotaRow,
)
from services.atp.entrypoints.problem_codes import DOCUMENT_UNKNOWN, ITEM_UNKNOWN, LOCATION_UNKNOWN, PERIODS_OVERLAP
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses, validation_problem
from services.contracts.items import CatalogItem
from services.contracts.payload import Code, Identifier, MinorUnits, Moment, Payload, QuantityOrZero

ENTRIES_MAX: Final = 1_000  # entries of one request or document
PAGE_MAX: Final = 1_000  # items of one page
DAYS_MAX: Final = 365  # transit or processing longer than a year is a mistake
RANK_MAX: Final = 1_000_000
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
Days = Annotated[int, Field(strict=True, ge=0, le=DAYS_MAX)]


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone")
    return name


class Location(Payload):
    """A place that ships. Goods due at its dock can be promised from `dock_to_stock_days` later.

    The days count for receipts and transfers that are said, or said again, from then on.
    """

    kind: Literal["dc"] = "dc"
    time_zone: Annotated[str, Field(max_length=64), AfterValidator(_known_zone)] = "UTC"
    processing_days: Days = 0
    dock_to_stock_days: Days = 0
    active: bool = True


class Lane(Payload):
    """A location with a carrier service to a zone ("*": zones without lanes of their own)."""

    zone: Code
    location: Code
    service: Code
    carrier_class: Code
    rank: Annotated[int, Field(strict=True, ge=1, le=RANK_MAX)] = 1
    transit_days: Days
    cost_shipment_minor: MinorUnits = 0
    cost_unit_minor: MinorUnits = 0
    active: bool = True


class Lanes(Payload):
    """A bulk of lanes."""

    items: Annotated[tuple[Lane, ...], Field(min_length=1, max_length=ENTRIES_MAX)]


class Items(Payload):
    """A bulk of items."""

    items: Annotated[tuple[CatalogItem, ...], Field(min_length=1, max_length=ENTRIES_MAX)]


class Period(Payload):
    """Days from first to last, both inclusive; a year at most."""

    start: date
    end: date

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if not 0 <= (self.end - self.start).days < DAYS_MAX + 1:
            raise ValueError("a period ends on or after its start, within a year")
        return self


class ProtectionLine(Period):
    """A minimum kept for a tier at a position; it lapses `lapse_days` before its end (default: a quarter of it)."""

    sku: Identifier
    location: Code
    tier: Code
    protected_qty: QuantityOrZero
    mode: Literal["prioritised", "core"] = "prioritised"
    lapse_days: Days | None = None
    carry_stock: bool = False


class QuotaLine(Period):
    """A maximum for the orders that match; what is not named matches everything."""

    quantity: QuantityOrZero
    tier: Code | None = None
    sku: Identifier | None = None
    zone: Code | None = None
    channel: Code | None = None


class ProtectionDocument(Payload):
    """Protections that change together. Without `effective_from` they are in effect at once."""

    effective_from: Moment | None = None
    lines: Annotated[tuple[ProtectionLine, ...], Field(max_length=ENTRIES_MAX)]


class QuotaDocument(Payload):
    """Quotas that change together. Without `effective_from` they are in effect at once."""

    effective_from: Moment | None = None
    lines: Annotated[tuple[QuotaLine, ...], Field(max_length=ENTRIES_MAX)]


def configuration_routes(planning: Planning) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["configuration"])
    _add_items(router, planning)
    _add_network(router, planning)
    _add_protections(router, planning)
    _add_quotas(router, planning)
    return router


def _add_items(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/items/{sku}", responses=problem_responses(VALIDATION_FAILED))
    async def put_item(_: Planner, sku: Annotated[Identifier, Path()], body: CatalogItem) -> dict[str, Any]:
        """Define an item; a version that is not higher than the stored one changes nothing."""
        if body.sku != sku:
            raise validation_problem([{"loc": ("body", "sku"), "msg": "is not the item of the path", "type": "value"}])
        return {"stored": await planning.store_items([body])}

    @router.post("/v1/items", responses=problem_responses(VALIDATION_FAILED))
    async def post_items(_: Planner, body: Items) -> dict[str, Any]:
        """Define items in bulk; `stored` counts those whose version was higher."""
        return {"stored": await planning.store_items(body.items)}

    @router.get("/v1/items", responses=problem_responses(VALIDATION_FAILED))
    async def get_items(
        _: Reader,
        after: Annotated[str, Query(max_length=128)] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        """Items by id; `next` is what to give as `after` for the following page."""
        items = await planning.items(after, limit)
        return {"items": items, "next": items[-1]["sku"] if len(items) == limit else None}

    @router.get("/v1/items/{sku}", responses=problem_responses(ITEM_UNKNOWN))
    async def get_item(_: Reader, sku: Annotated[Identifier, Path()]) -> dict[str, Any]:
        """One item."""
        item = await planning.item(sku)
        if item is None:
            raise Problem(ITEM_UNKNOWN)
        return item


def _add_network(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/locations/{location}", responses=problem_responses(VALIDATION_FAILED))
    async def put_location(_: Planner, location: Annotated[Code, Path()], body: Location) -> dict[str, Any]:
        """Define a location."""
        values = (body.active, body.processing_days, body.time_zone, body.dock_to_stock_days)
        await planning.store_location(LocationRow(location, *values))
        return {"location": location}

    @router.get("/v1/locations")
    async def get_locations(_: Reader) -> dict[str, Any]:
        """All locations."""
        return {"items": await planning.locations()}

    @router.put("/v1/lanes", responses=problem_responses(VALIDATION_FAILED, LOCATION_UNKNOWN))
    async def put_lanes(_: Planner, body: Lanes) -> dict[str, Any]:
        """Define lanes; all or none."""
        rows = [LaneRow(**lane.model_dump()) for lane in body.items]
        missing = await planning.store_lanes(rows)
        if missing:
            raise Problem(LOCATION_UNKNOWN, locations=missing)
        return {"stored": len(rows)}

    @router.get("/v1/lanes")
    async def get_lanes(_: Reader) -> dict[str, Any]:
        """All lanes."""
        return {"items": await planning.lanes()}


def _add_protections(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/protections/{document_id}", responses=problem_responses(VALIDATION_FAILED, PERIODS_OVERLAP))
    async def put_protections(
        principal: Planner, document_id: Annotated[Code, Path()], body: ProtectionDocument
    ) -> dict[str, Any]:
        """Write the next version of a protection document; it replaces the former one from its effective date on."""
        rows = [_protection_row(line) for line in body.lines]
        try:
            version = await planning.store_protections(_head(principal, document_id, body), rows)
        except PeriodsOverlap:
            raise Problem(PERIODS_OVERLAP) from None
        return {"document_id": document_id, "version": version}

    @router.get("/v1/protections/{document_id}", responses=problem_responses(DOCUMENT_UNKNOWN))
    async def get_protections(_: Reader, document_id: Annotated[Code, Path()]) -> dict[str, Any]:
        """The newest version, with what each line has given so far."""
        return _known(await planning.document(document_id, "protection"))


def _add_quotas(router: APIRouter, planning: Planning) -> None:
    @router.put("/v1/quotas/{document_id}", responses=problem_responses(VALIDATION_FAILED))
    async def put_quotas(
        principal: Planner, document_id: Annotated[Code, Path()], body: QuotaDocument
    ) -> dict[str, Any]:
        """Write the next version of a quota document; it replaces the former one from its effective date on."""
        rows = [
            QuotaRow(
                line.start.toordinal(),
                line.end.toordinal(),
                line.quantity,
                line.tier,
                line.sku,
                line.zone,
                line.channel,
            )
            for line in body.lines
        ]

        version = await planning.store_quotas(_head(principal, document_id, body), rows)
        return {"document_id": document_id, "version": version}

    @router.get("/v1/quotas/{document_id}", responses=problem_responses(DOCUMENT_UNKNOWN))
    async def get_quotas(_: Reader, document_id: Annotated[Code, Path()]) -> dict[str, Any]:
        """The newest version, with what each line has given so far."""
        return _known(await planning.document(document_id, "quota"))


def _head(principal: Principal, document_id: str, body: ProtectionDocument | QuotaDocument) -> DocumentHead:
    lines = [line.model_dump(mode="json") for line in body.lines]
    return DocumentHead(document_id, body.effective_from, principal.subject, orjson.dumps({"lines": lines}))


def _protection_row(line: ProtectionLine) -> ProtectionRow:
    days = (line.end - line.start).days + 1
    return ProtectionRow(
        line.sku,
        line.location,
        line.tier,
        line.start.toordinal(),
        line.end.toordinal(),
        line.protected_qty,
        line.mode,
        days // 4 if line.lapse_days is None else line.lapse_days,
        line.carry_stock,
    )


def _known(document: dict[str, Any] | None) -> dict[str, Any]:
    if document is None:
        raise Problem(DOCUMENT_UNKNOWN)
    return document
