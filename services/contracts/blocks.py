"""Blocks of customers, on `catalog.v1` and over HTTP: orders are refused, or held until somebody releases them."""

from typing import Annotated, Literal

from pydantic import Field

from services.contracts.orders import CustomerRef
from services.contracts.payload import Moment, Note, Payload, Version

Reason = Annotated[Note, Field(min_length=1)]


class CustomerBlock(Payload):
    """`catalog.customer_block.v1`: a block of a customer as somebody's books have it, at its highest version.

    `none` lifts it. A block ends by itself at `effective_to` (exclusive; null: it does not). It concerns the orders of
    the customer under all its identifiers that the registry knows.
    """

    customer: CustomerRef
    kind: Literal["credit", "compliance"]
    version: Version
    effect: Literal["refuse", "hold", "none"]
    effective_to: Moment | None = None
    reason: Reason
