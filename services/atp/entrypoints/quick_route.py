"""`POST /v1/availability:quick`: a plain route without the framework's request machinery, because it is hot."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final, Self

import orjson
from fastapi import FastAPI, Request, Response
from pydantic import Field, model_validator

from services.atp.application.content import CustomerKey
from services.atp.application.documents import OPTIONS
from services.atp.application.quick_availability import Pair, Question, QuickReads
from services.atp.application.read_availability import TierUnknown
from services.atp.entrypoints.answers import respond
from services.atp.entrypoints.problem_codes import CHANNEL_FORBIDDEN, TIER_UNKNOWN
from services.chassis.auth.routes import principal_of
from services.chassis.http import add_hot_route
from services.chassis.problems import BODY_TOO_LARGE, MALFORMED_JSON, VALIDATION_FAILED, Problem, problem_responses
from services.chassis.strict_json import read_json_body
from services.contracts.orders import CustomerRef
from services.contracts.payload import Code, Identifier, Payload, Quantity, broken_rule
from services.contracts.promises import LineOutcome

PATH: Final = "/v1/availability:quick"
PAIRS_MAX: Final = 200  # what a page shows; more are several requests


class QuickPair(Payload):
    """An item and where it would go; without a quantity it is one pack."""

    sku: Identifier
    zone: Code = "*"
    quantity: Quantity | None = None


class QuickRequest(Payload):
    """What is asked, for a customer or for a tier; for neither, the default tier."""

    items: Annotated[tuple[QuickPair, ...], Field(min_length=1, max_length=PAIRS_MAX)]
    customer: CustomerRef | None = None
    tier: Code | None = None
    channel: Code = "default"

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.customer is not None and self.tier is not None:
            raise broken_rule("a customer or a tier, not both: the customer's tier is looked up")
        return self


class QuickItem(Payload):
    """What an order for the quantity would be told now.

    `outcome` is `promised` where the whole quantity can be had on some day, else what an inquiry without dates says.
    `restock_date` is the first day on which it can be taken, null if that is today or not known. An order that must
    arrive by `earliest_arrival` is promised whole, one that must arrive a day earlier is not.
    """

    sku: Identifier
    zone: Code
    quantity: Quantity
    outcome: LineOutcome
    in_stock: bool
    restock_date: date | None
    earliest_arrival: date | None


class QuickAnswer(Payload):
    """Answers in the order of the request, all as of one moment."""

    as_of: datetime
    tier: Code
    items: tuple[QuickItem, ...]


OPERATION: Final[Mapping[str, Any]] = {
    "tags": ["availability"],
    "operationId": "quick_availability",
    "summary": "In stock, restock date and earliest arrival for up to 200 pairs of SKU and zone",
    "description": "Reads one snapshot without a lock; callers who wait at the same time share it. Nothing is held.",
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/QuickRequest"}}},
    },
    "responses": {
        "200": {
            "description": "As of the moment that it says",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/QuickAnswer"}}},
        },
        **{
            str(status): response
            for status, response in problem_responses(
                MALFORMED_JSON, CHANNEL_FORBIDDEN, BODY_TOO_LARGE, VALIDATION_FAILED, TIER_UNKNOWN
            ).items()
        },
    },
}


def add_quick_route(app: FastAPI, reads: QuickReads) -> None:
    """Add the route."""

    async def look(request: Request) -> Response:
        asked = await read_json_body(request, QuickRequest)
        principal = principal_of(request)
        if not (principal.sees_channel(asked.channel) and principal.sees_account_group(None)):
            raise Problem(CHANNEL_FORBIDDEN)
        customer = None if asked.customer is None else CustomerKey(asked.customer.system, asked.customer.id)
        pairs = [Pair(each.sku, each.zone, each.quantity) for each in asked.items]
        try:
            answer = await reads.ask(Question(pairs, asked.channel, customer, asked.tier))
        except TierUnknown:
            raise Problem(TIER_UNKNOWN) from None
        return respond((200, orjson.dumps(answer, option=OPTIONS)))

    add_hot_route(app, PATH, look, scope="atp.read", operation=OPERATION, models=(QuickRequest, QuickAnswer))
