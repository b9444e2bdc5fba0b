"""The working copy of an order in a batch: what is stored of it, and what this batch changes.

The life of a promise is drawn in `services.atp.domain.promise_state`.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from services.atp.application.content import Content, OrderKey
from services.atp.domain.leads import OUTDATED
from services.atp.domain.model import Day, Planned
from services.atp.domain.order_of_service import ServiceKey
from services.atp.domain.promise_state import State


@dataclass(frozen=True, slots=True)
class Backorder:
    """The open rest of a line. `key` is by the rule of `basis`; by another one it is outdated, until it is set anew.

    `late`: not an open rest, but what is promised of the line later than it is wanted. `unmet`: the line must be whole
    on its date, and it was published that it is not. `set_aside`: stock of some position is set aside for its order.
    """

    key: ServiceKey
    item_id: str
    quantity: int
    requested_arrival: Day
    basis: int = 0
    late: bool = False
    unmet: bool = False
    set_aside: bool = False

    def lead(self, basis: int) -> int:
        """Under which lead it counts among those who wait, by the rule of `basis`."""
        return self.key.lead if self.basis == basis else OUTDATED


@dataclass(slots=True)
class Part:
    """A promised quantity of a line and what became of it. `open` is held or committed and not yet shipped.

    `tier` is the one that it was decided by, `decision_id` and `decision_index` the decision that took it. `stored` is
    one that was there before this batch. `routing` is what the warehouse and the carrier are told of it, as it was when
    it was taken (`services.atp.application.departures`).
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
    stored: bool = False
    routing: dict[str, Any] | None = None

    @property
    def live(self) -> Planned:
        """What is still promised or has shipped, with its postings and cost; `planned.quantity` is as it was taken."""
        quantity = self.open + self.shipped
        return self.planned if quantity == self.planned.quantity else replace(self.planned, quantity=quantity)


@dataclass(slots=True)
class Overrides:
    """What planners set on a promise, each with its last day.

    `pins`: lines whose parts stay as they are. `expedited`: its open rests are served before all others.
    `withdrawn`: lines whose open rest does not wait, because a planner took quantity off them.
    """

    pins: dict[str, Day] = field(default_factory=dict)
    expedited: Day | None = None
    withdrawn: dict[str, Day] = field(default_factory=dict)


class Replaced(NamedTuple):
    """A revision that this batch replaced, and why."""

    revision: int
    cause: str
    document: bytes


@dataclass(slots=True)
class PromiseCopy:
    """A promise as stored, with the changes of this batch applied. `stored_backorders` is as it was loaded.

    `encoded` are the canonical bytes of `content`. `held_until` is when its hold ends or ended, `last_command` the
    fingerprint of the command that made the stored version of the order. What is `stored_...` is as it was loaded.
    `cut_over` is that of the open order that it was taken over from; None: it was promised here.
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
    late: dict[str, Backorder] = field(default_factory=dict)
    stored_late: dict[str, Backorder] = field(default_factory=dict)
    stored_encoded: bytes | None = None
    stored_document: bytes | None = None
    replaced: list[Replaced] = field(default_factory=list)
    held_until: datetime | None = None
    last_command: bytes | None = None
    overrides: Overrides | None = None
    cut_over: bytes | None = None
    new: bool = False
    changed: bool = False
    on_time: bool = False  # what was planned of it in this batch arrives as it is wanted

    def pinned(self, today: Day) -> tuple[str, ...]:
        """The lines that a planner has pinned and that stay so today."""
        pins = {} if self.overrides is None else self.overrides.pins
        return tuple(line for line, through in sorted(pins.items()) if today <= through)

    def expedited(self, today: Day) -> bool:
        """Whether a planner lets its open rests be served before all others today."""
        through = None if self.overrides is None else self.overrides.expedited
        return through is not None and today <= through

    def withdrawn(self, today: Day) -> tuple[str, ...]:
        """The lines whose open rest does not wait today."""
        lines = {} if self.overrides is None else self.overrides.withdrawn
        return tuple(line for line, through in sorted(lines.items()) if today <= through)


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
