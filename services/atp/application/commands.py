"""What the engine is asked to do, and what comes of it.

An outcome is a value, also when it is a refusal; exceptions are for operating failures. Each kind of command has one
handler (see `batch.Handler`); the promise path's commands are here, others live beside their handlers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from services.atp.application.content import Content, OrderKey


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a command came from: goes into its events. `event_id` is set for commands from the event log."""

    correlation_id: str
    causation_id: str
    traceparent: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Remembered:
    """A request under an idempotency key. `render` says how an outcome is answered: (HTTP status, body)."""

    caller: str
    key: str
    fingerprint: bytes
    render: Callable[["Outcome"], tuple[int, bytes]]


class Command(Protocol):
    """Anything that the engine can decide."""

    @property
    def lines(self) -> int:
        """How much work it is, in order lines: what queues and batches are bounded by."""
        ...

    @property
    def origin(self) -> Origin:
        """Where it came from."""
        ...

    @property
    def remembered(self) -> Remembered | None:
        """The idempotency key that it came with."""
        ...


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Promise an order, or hold it for a time: then it is promised only when it is confirmed."""

    key: OrderKey
    version: int
    content: Content
    encoded: bytes
    fingerprint: bytes
    origin: Origin
    remembered: Remembered | None = None
    hold_seconds: int | None = None

    @property
    def lines(self) -> int:
        """Its order lines."""
        return len(self.content.lines)


@dataclass(frozen=True, slots=True)
class ConfirmOrder:
    """The source accepts the promise."""

    key: OrderKey
    version: int
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """The source withdraws the order."""

    key: OrderKey
    version: int
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ServeBackorders:
    """Offer freed quantity of items to their backorders, in order of service over all, at most `portion` of them.

    `lines` is how many there seem to be, for the bounds of queues and batches.
    """

    items: tuple[str, ...]
    origin: Origin
    portion: int
    lines: int
    remembered: Remembered | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The order's promise, the very bytes that are stored. `first` says that this command made or changed it."""

    promise_id: UUID
    document: bytes
    first: bool


@dataclass(frozen=True, slots=True)
class OtherContent:
    """The order exists with other content."""

    promise_id: UUID | None
    stored_version: int


@dataclass(frozen=True, slots=True)
class OlderVersion:
    """A later version of the order is stored; this one was recorded and not applied."""

    stored_version: int


@dataclass(frozen=True, slots=True)
class WrongState:
    """The promise's state does not allow the command; it was recorded and not applied."""

    promise_id: UUID | None
    state: str


@dataclass(frozen=True, slots=True)
class NotPossible:
    """It cannot be done as things are; the promise stays as it was. `why` is one of a closed set, `detail` a sentence.

    In `detail` are ids and quantities, never a name. `constraints` are what bound, as in a promise, each with its line.
    """

    promise_id: UUID | None
    why: str
    detail: str
    constraints: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownOrder:
    """There is no such order. An event that is answered so is refused: the inbox forgets it."""


@dataclass(frozen=True, slots=True)
class CancellationKept:
    """The order did not come yet; when it comes, it is answered `cancelled`."""


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The idempotency key was used with another request."""


@dataclass(frozen=True, slots=True)
class AnsweredBefore:
    """What was answered to this idempotency key, the very bytes."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """The event was applied already."""


@dataclass(frozen=True, slots=True)
class BackordersServed:
    """A portion of a re-decision: lines looked at, lines that gained, and whether the items' marks are cleared.

    `reranked`: a rule or tiers had changed, so that the order of service was set right and nothing else done yet.
    `seconds` are those that deciding took.
    """

    considered: int
    gained: int
    finished: bool
    reranked: bool = False
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Applied:
    """Done, or recorded: for commands that have no document to answer; `note` is one of a closed set per command."""

    note: str = ""


Outcome = (
    Answered
    | OtherContent
    | OlderVersion
    | WrongState
    | NotPossible
    | UnknownOrder
    | CancellationKept
    | KeyReused
    | AnsweredBefore
    | SeenBefore
    | BackordersServed
    | Applied
)
