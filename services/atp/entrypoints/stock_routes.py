"""What there is of an item over HTTP, as its sources told it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path

from services.atp.application.read_stock import StockReader
from services.atp.entrypoints.problem_codes import ITEM_UNKNOWN
from services.chassis.auth import Principal, require
from services.chassis.problems import Problem, problem_responses
from services.contracts.payload import Code, Day, Identifier, Payload, Quantity, QuantityOrZero
from services.contracts.supply import StockStatus

Reader = Annotated[Principal, Depends(require("atp.read"))]


class ReceiptDue(Payload):
    """A scheduled receipt with something still to come; `due` is the day on which it is stock."""

    source: Code
    reference: Identifier
    due: Day
    open: Quantity
    received: int
    certainty: Literal["confirmed", "planned"]
    past_due: bool
    too_late_to_count: bool


class AssumedReceipt(Payload):
    """Supply that is assumed for promises beyond the checking horizon; real receipts have `replaced` the rest of it."""

    due: Day
    quantity: QuantityOrZero
    replaced: QuantityOrZero


class TransferOpen(Payload):
    """A transfer with something still to ship or to arrive."""

    source: Code
    reference: Identifier
    from_location: Code
    to_location: Code
    state: Literal["open", "cancelled", "closed"]
    quantity: Quantity
    shipped: int
    received: int
    ship_date: Day
    due: Day


class ChannelBuffer(Payload):
    """What is never offered to a channel, besides the buffer."""

    channel: Code
    buffer: Quantity


class StockAtLocation(Payload):
    """An item at a location. Only `available` stock is on hand for promises; `buffer` of it is never offered."""

    location: Code
    statuses: dict[StockStatus, int]
    buffer: int
    channel_buffers: tuple[ChannelBuffer, ...]
    receipts: tuple[ReceiptDue, ...]
    assumed_receipts: tuple[AssumedReceipt, ...]
    transfers: tuple[TransferOpen, ...]


class Stock(Payload):
    """An item at all locations that ever had it."""

    sku: Identifier
    locations: tuple[StockAtLocation, ...]


def stock_routes(reader: StockReader) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["supply"])

    @router.get("/v1/stock/{sku:path}", responses=problem_responses(ITEM_UNKNOWN))
    async def get_stock(_: Reader, sku: Annotated[Identifier, Path()]) -> Stock:
        """What there is by status, and what is on its way."""
        locations = await reader.stock(sku)
        if not locations:
            raise Problem(ITEM_UNKNOWN)
        return Stock.model_validate({"sku": sku, "locations": locations})

    return router
