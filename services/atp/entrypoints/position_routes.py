"""Positions as they stand, over HTTP."""

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query

from services.atp.application.read_positions import Hindrance, PositionReader, StandingPosition
from services.atp.domain.model import PositionKey
from services.atp.entrypoints.cursors import CURSOR_MAX_CHARS, decode_cursor, encode_cursor
from services.chassis.auth import Principal, require
from services.chassis.problems import BAD_REQUEST, Problem, problem_responses
from services.contracts.payload import Code, Identifier, Payload

PAGE_MAX: Final = 1_000  # positions of one page; some 200 kB
Reader = Annotated[Principal, Depends(require("atp.read"))]


class StandingAt(Payload):
    """A position as it stands, in base units.

    `committed` is held or promised and not shipped, and what transfers have still to ship; `receipts_confirmed` and
    `receipts_planned` are still to come. `lowest` is the least availability from today up to the checking horizon, on
    `lowest_on` first; what it is below 0 is the `deficit`. `hindrances`: `item_unknown` or `location_unknown` (not in
    the master data), `not_counted` (something is committed, and no source has told any stock), `review_pending` (who
    goes short is not dealt out yet).
    """

    sku: Identifier
    location: Code
    on_hand: int
    buffer: int
    committed: int
    receipts_confirmed: int
    receipts_planned: int
    lowest: int | None
    lowest_on: date | None
    deficit: int
    hindrances: tuple[Hindrance, ...]


class PositionPage(Payload):
    """Positions by SKU and location."""

    items: tuple[StandingAt, ...]
    next_cursor: str | None


def position_routes(reader: PositionReader) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["supply"])

    @router.get("/v1/positions", response_model=PositionPage, responses=problem_responses(BAD_REQUEST))
    async def get_positions(
        _: Reader,
        sku: Annotated[Identifier | None, Query()] = None,
        cursor: Annotated[str | None, Query(max_length=CURSOR_MAX_CHARS)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> dict[str, Any]:
        """How positions stand: stock, open commitments, receipts, the lowest availability, and what is in the way."""
        place = decode_cursor(cursor, len(PositionKey._fields))
        if place is not None and not all(isinstance(each, str) for each in place):
            raise Problem(BAD_REQUEST, "cursor: not one that this list gave")
        found = await reader.positions(sku, None if place is None else PositionKey(*place), limit + 1)
        more = encode_cursor(*found[limit - 1].key) if len(found) > limit else None
        return {"items": [_shown(each) for each in found[:limit]], "next_cursor": more}

    return router


def _shown(position: StandingPosition) -> dict[str, Any]:
    stands = position.standing
    return {
        "sku": position.key.item_id,
        "location": position.key.location_id,
        "on_hand": stands.on_hand,
        "buffer": stands.buffer,
        "committed": stands.committed,
        "receipts_confirmed": stands.confirmed,
        "receipts_planned": stands.planned,
        "lowest": stands.lowest,
        "lowest_on": None if stands.lowest_on is None else date.fromordinal(stands.lowest_on),
        "deficit": stands.deficit,
        "hindrances": position.hindrances,
    }
