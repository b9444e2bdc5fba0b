"""Items over HTTP."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field

from services.atp.application.planning import (
    Planning,
)
from services.atp.entrypoints.problem_codes import ITEM_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses, validation_problem
from services.contracts.items import CatalogItem
from services.contracts.payload import Identifier, Payload

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


def configuration_routes(planning: Planning) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["configuration"])
    _add_items(router, planning)
    return router


def _add_items(router: APIRouter, planning: Planning) -> None:
    # A SKU may have slashes in it, and is all of the rest of the path.
    @router.put("/v1/items/{sku:path}", responses=problem_responses(VALIDATION_FAILED))
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

    @router.get("/v1/items/{sku:path}", responses=problem_responses(ITEM_UNKNOWN))
    async def get_item(_: Reader, sku: Annotated[Identifier, Path()]) -> dict[str, Any]:
        """One item."""
        item = await planning.item(sku)
        if item is None:
            raise Problem(ITEM_UNKNOWN)
        return item
