"""What all changes of a promise by its source have in common: when one is applied, and when it is a repeat.

A change carries a version of the order that is higher than the stored one, and becomes the stored one. The same change
again, under the same version, is a repeat and answers the promise as it is; another change under the stored version is
refused, as another content is. What is refused is recorded and not applied; the order keeps its version, so that its
source can send something else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from services.atp.application.batch import Batch
from services.atp.application.commands import (
    Answered,
    NotPossible,
    OlderVersion,
    OtherContent,
    Outcome,
    UnknownOrder,
    WrongState,
)
from services.atp.application.content import OrderKey
from services.atp.application.documents import Document, constraint
from services.atp.application.orders import OrderCopy, PromiseCopy, Unapplied
from services.atp.domain.model import LineDecision
from services.atp.domain.promise_state import Event, State, next_state, state_at

CONSTRAINTS_MAX: Final = 50  # named in one refusal, as the errors of one problem document


class Change(Protocol):
    """A change of a promise: `fingerprint` tells two changes apart."""

    @property
    def key(self) -> OrderKey:
        """The order."""
        ...

    @property
    def version(self) -> int:
        """The order's version at its source."""
        ...

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that differ when the change differs."""
        ...


class Fault(NamedTuple):
    """Why a change cannot be: one of a closed set per kind, and a sentence of ids and quantities."""

    why: str
    detail: str
    constraints: tuple[Document, ...] = ()


def binding_constraints(lines: Iterable[LineDecision]) -> tuple[Document, ...]:
    """What bound lines that could not be as they were asked for, each with the smallest change that would help."""
    found = [{"line": line.line, **constraint(binding)} for line in lines for binding in line.why]
    return tuple(found[:CONSTRAINTS_MAX])


@dataclass(frozen=True, slots=True)
class Admitted:
    """A change that is to be applied; `state` is the one that counts now."""

    order: OrderCopy
    promise: PromiseCopy
    state: State


def admit(batch: Batch, command: Change, kind: str, event: Event) -> Admitted | Outcome:
    """Whether a change is applied; else what it is answered."""
    order = batch.orders.get(command.key)
    if order is None:
        return UnknownOrder()
    promise = order.promise
    if promise is not None and command.version == order.version and promise.last_command == command.fingerprint:
        return Answered(promise.promise_id, promise.document, first=False)
    state: State = "cancelled" if promise is None else state_at(promise.state, promise.held_until, batch.now)
    reason = _unapplied(command, order, state, event)
    if reason is None and promise is not None:
        return Admitted(order, promise, state)
    batch.unapplied.append(Unapplied(command.key, command.version, kind, reason or "wrong_state", order.version))
    promise_id = None if promise is None else promise.promise_id
    match reason:
        case "older_version":
            return OlderVersion(order.version)
        case "other_content":
            return OtherContent(promise_id, order.version)
        case _:
            return WrongState(promise_id, state)


def _unapplied(command: Change, order: OrderCopy, state: State, event: Event) -> str | None:
    """Why a change is not applied."""
    if command.version < order.version:
        return "older_version"
    if order.promise is not None and command.version == order.version:
        return "other_content"
    return "wrong_state" if next_state(state, event) is None else None


def refuse(batch: Batch, command: Change, admitted: Admitted, kind: str, fault: Fault) -> NotPossible:
    """Record a change that cannot be, and say why."""
    batch.unapplied.append(Unapplied(command.key, command.version, kind, "not_possible", admitted.order.version))
    return NotPossible(admitted.promise.promise_id, *fault)


def applied(admitted: Admitted, command: Change) -> None:
    """Note that the order has the change's version now."""
    admitted.order.version = command.version
    admitted.promise.last_command = command.fingerprint
