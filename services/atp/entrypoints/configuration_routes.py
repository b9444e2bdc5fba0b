"""What planners set over HTTP: items, protections and quotas."""

from datetime import date
from typing import Annotated, Any, Final, Literal, Self

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field, model_validator

from services.atp.application.planning import (
    DocumentHead,
    PeriodsOverlap,
    Planning,
    ProtectionRow,
    QuotaRow,
)
from services.atp.entrypoints.problem_codes import DOCUMENT_UNKNOWN, ITEM_UNKNOWN, PERIODS_OVERLAP
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses, validation_problem
from services.contracts.items import CatalogItem
from services.contracts.payload import Code, Identifier, Moment, Payload, QuantityOrZero

ENTRIES_MAX: Final = 1_000  # entries of one request or document
PAGE_MAX: Final = 1_000  # items of one page
DAYS_MAX: Final = 365  # transit or processing longer than a year is a mistake
RANK_MAX: Final = 1_000_000
Planner = Annotated[Principal, Depends(require("atp.configure"))]
Reader = Annotated[Principal, Depends(require("atp.read"))]
Days = Annotated[int, Field(strict=True, ge=0, le=DAYS_MAX)]


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
