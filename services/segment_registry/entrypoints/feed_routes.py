"""Who is in which tier, for systems that read no event log: pages of what changed since a place."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.chassis.auth import Principal, require, see_everything
from services.chassis.problems import VALIDATION_FAILED, Problem, problem_responses
from services.contracts.payload import Code, Identifier, Payload
from services.segment_registry.application.ports import FeedPlace, RegistryReader
from services.segment_registry.application.read_customers import PAGE_MAX, CustomerView, page_of_changed
from services.segment_registry.domain.tier_cards import TierCard
from services.segment_registry.entrypoints.desk import Desk, answer, response
from services.segment_registry.entrypoints.documents import CustomerDocument, customer_value

Reader = Annotated[Principal, Depends(require("registry.read"))]
_CURSOR: Final = re.compile(r"([0-9]{1,18})\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_CURSOR_MAX_CHARS: Final = 60


class ChangedCustomer(CustomerDocument):
    """A customer; `tier_code` is what the system that was named calls its tier (null: nothing)."""

    tier_code: Identifier | None = None


class ChangedPage(Payload):
    """Customers in the order of their last change, each whole and once.

    Go on with `next_cursor`, now if there is `more`, later if not. It is null where nothing ever changed.
    """

    items: tuple[ChangedCustomer, ...]
    next_cursor: str | None
    more: bool


Changed = tuple[list[CustomerView], FeedPlace | None, bool]


def feed_routes(desk: Desk) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["assignments"])

    @router.get(
        "/v1/assignments",
        response_model=ChangedPage,
        summary="What changed since a place: customers with their tier, assignments in force and planned",
        description="Without `after` it begins with the first customer. A customer that changes again comes again, at"
        " its newest state only; nothing that was committed is missed. A tier that begins or ends by date changes"
        " no earlier than it does: keep `effective_from` and `effective_to`, or come back. One of `basis` `unassigned`"
        " is in whatever tier is the default (`GET /v1/tiers`): it does not come again when that is another one.",
        responses=problem_responses(VALIDATION_FAILED),
    )
    async def get_changed(
        principal: Reader,
        after: Annotated[str | None, Query(max_length=_CURSOR_MAX_CHARS)] = None,
        codes_for: Annotated[Code | None, Query(description="the system by whose codes tiers are named too")] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> Response:
        see_everything(principal)
        place = None if after is None else _place(after)

        async def look(reader: RegistryReader) -> tuple[Changed, dict[str, TierCard]]:
            return await page_of_changed(reader, place, limit), await reader.tier_cards() if codes_for else {}

        (views, last, more), cards = await desk.transactions.read(look)
        codes = {tier: card.codes.get(codes_for or "") for tier, card in cards.items()}
        document: dict[str, Any] = {
            "items": [customer_value(view) | {"tier_code": codes.get(view.served.tier)} for view in views],
            "next_cursor": None if last is None else f"{last.position}.{last.customer_id}",
            "more": more,
        }
        return response(answer(document))

    return router


def _place(cursor: str) -> FeedPlace:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise Problem(VALIDATION_FAILED, "after is a next_cursor of an earlier answer")
    return FeedPlace(int(match[1]), match[2])
