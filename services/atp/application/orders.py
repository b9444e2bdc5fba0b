"""The working copy of an order in a batch: what is stored of it, and what this batch changes.

The life of a promise is drawn in `services.atp.domain.promise_state`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.atp.application.content import Content, OrderKey
from services.atp.domain.model import Planned
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.promise_state import State


@dataclass(frozen=True, slots=True)
class Backorder:
    """The open rest of a line."""

    key: ServiceKey
    item_id: str
    quantity: int


@dataclass(slots=True)
class Part:
    """A promised quantity of a line and what became of it. `open` is held or committed and not yet shipped.

    `tier` is the one that it was decided by, `decision_id` and `decision_index` the decision that took it.
    """

    line: str
    number: int
    planned: Planned
    tier: str
    decision_id: UUID
    decision_index: int
    open: int
    shipped: int = 0
    delivered: int = 0
    changed: bool = False


class Replaced(NamedTuple):
    """A revision that this batch replaced, and why."""

    revision: int
    cause: str
    document: bytes


@dataclass(slots=True)
class PromiseCopy:
    """A promise as stored, with the changes of this batch applied. `stored_backorders` is as it was loaded.

    `encoded` are the canonical bytes of `content`.
    """

    promise_id: UUID
    revision: int
    record_sequence: int
    state: State
    customer_id: str | None
    ordered_at: datetime
    decision_id: UUID
    decision_index: int
    content: Content
    encoded: bytes
    document: bytes
    parts: list[Part] = field(default_factory=list)
    backorders: dict[str, Backorder] = field(default_factory=dict)
    stored_backorders: dict[str, Backorder] = field(default_factory=dict)
    replaced: list[Replaced] = field(default_factory=list)
    new: bool = False
    changed: bool = False


@dataclass(slots=True)
class OrderCopy:
    """An order's identity and, if it was answered, its promise. Without one, it was cancelled before it came."""

    key: OrderKey
    version: int
    fingerprint: bytes | None
    promise: PromiseCopy | None
    new: bool = False
    changed: bool = False


class Unapplied(NamedTuple):
    """A command that was recorded and not applied."""

    key: OrderKey
    version: int
    kind: str
    reason: str
    stored_version: int
