"""Shapes of answers that are not events: for the API description, and for tests that check the answers against it."""

from datetime import datetime
from typing import Any

from services.contracts.orders import CustomerRef, OrderRef
from services.contracts.payload import Code, Identifier, Moment, Payload, Quantity, Version
from services.contracts.promises import Promise, PromisedLine, ServedAs


class Inquiry(Payload):
    """What an order would be promised now: a promise without id and state."""

    order: OrderRef
    customer: CustomerRef
    customer_id: Identifier | None
    served_as: ServedAs
    decided_at: Moment
    ordered_at: Moment
    zone: Code
    channel: Code
    ship_complete: bool
    max_shipments: Quantity | None = None
    budget_spent: bool = False
    lines: tuple[PromisedLine, ...]
    cost_minor: int
    currency: Code


class Revision(Payload):
    """One revision; the current one was not replaced."""

    revision: Version
    replaced_at: Moment | None
    cause: str | None
    promise: Promise


class History(Payload):
    """All revisions, oldest first."""

    items: tuple[Revision, ...]


class Decision(Payload):
    """The record of a batch of decisions: `index` is this one's place; `digest` is the SHA-256 of `input`'s bytes."""

    decision_id: Identifier
    index: int
    decided_at: datetime
    engine_version: str
    digest: str
    input: dict[str, Any]


class BatchItem(Payload):
    """The answer to one order of a batch: what the same order alone would have been answered."""

    status: int
    promise: Promise | None = None
    problem: dict[str, Any] | None = None


class BatchAnswer(Payload):
    """The answers, in the order of the request."""

    items: tuple[BatchItem, ...]
