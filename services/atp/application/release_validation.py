"""Release an order that validation holds: somebody waives the checks that hold it, and it is decided as new.

    awaiting release ── released ─▶ validated again: what refuses still refuses, what holds is waived
                                      ├─ something promised or backordered ─▶ promised, and recorded as accepted
                                      └─ every line refused                ─▶ refused

The tier, the stock and the rules are those of the moment of the release. Who released, why, and which checks that
waived is kept beside the promise, for ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.atp.application.batch import Batch, Handler, Needs, need_content
from services.atp.application.commands import Answered, Origin, Outcome, Remembered, UnknownOrder, WrongState
from services.atp.application.content import OrderKey
from services.atp.application.documents import Document, load, served_as
from services.atp.application.due import plan_due, store_due
from services.atp.application.orders import OrderCopy, PromiseCopy
from services.atp.application.place_order import HOLD, promised_lines, request_of, take_decision
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.validation_records import Release
from services.atp.domain.promise_state import first_state
from services.atp.domain.validation import violations
from services.chassis.audit.chain import AuditEntry

KEPT: Final = "release_validation"  # where the handler keeps what it stores


@dataclass(frozen=True, slots=True)
class ReleaseValidation:
    """Waive what holds an order; `author` does, for a `reason`."""

    key: OrderKey
    author: str
    reason: str
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1


class ReleasingValidation(Handler[ReleaseValidation]):
    """Decides `ReleaseValidation`."""

    def needs(self, command: ReleaseValidation, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: ReleaseValidation, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """What a new order would need."""
        order = orders.get(command.key)
        if order is None or order.promise is None:
            return
        need_content(order.promise.content, needs)
        needs.substitutes = True

    def decide(self, batch: Batch, command: ReleaseValidation) -> Outcome:
        """See the module; an order that is not held is left as it is."""
        order = batch.orders.get(command.key)
        if order is None or order.promise is None:
            return UnknownOrder()
        promise = order.promise
        if promise.state != "awaiting_release":
            return WrongState(promise.promise_id, promise.state)
        return self._release(batch, command, order, promise)

    def _release(self, batch: Batch, command: ReleaseValidation, order: OrderCopy, promise: PromiseCopy) -> Answered:
        served = batch.served(promise.content, promise.ordered_at)
        request = request_of(order.key, promise.content, served, promise.ordered_at, released=True)
        waived = [each.binding.reference for each in violations(batch.book, request) if each.effect == "hold"]
        decision = batch.workbook.decide(request)
        promise.state = first_state(decision, held=promise.held_until is not None)
        promise.decision_id, promise.decision_index = batch.decision_id, batch.workbook.decisions - 1
        document = load(promise.document)
        lines = promised_lines(batch, decision, served.tier)
        if promise.held_until is not None:
            _hold_anew(batch, order, promise, document, lines)
        take_decision(batch, promise, request, decision)
        document["served_as"] = {**served_as(served), "tier_at_order": document["served_as"]["tier_at_order"]}
        document["decided_at"] = batch.now
        document["lines"] = lines
        document["cost_minor"] = decision.cost_minor
        new = revise(
            batch,
            order,
            document,
            cause="validation_released",
            change="accepted",
            origin=command.origin,
            reason=command.reason,
        )
        batch.count("validation_released")
        detail = {"reason": command.reason, "waived": waived}
        batch.audited.append(AuditEntry(command.author, "order.released", str(promise.promise_id), detail))
        batch.kept.setdefault(KEPT, []).append(
            Release(
                promise.promise_id,
                promise.decision_id,
                command.author,
                command.reason,
                batch.now,
                tuple(dict.fromkeys(waived)),
            )
        )
        return Answered(promise.promise_id, new, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """Who released what, and why; and when holds end."""
        await store_due(session, batch)
        await session.store_releases(batch.kept.get(KEPT, ()))


def _hold_anew(
    batch: Batch, order: OrderCopy, promise: PromiseCopy, document: Document, lines: Sequence[Document]
) -> None:
    """A hold lasts from its release on for as long as it was to last; one that got nothing is refused and none."""
    assert promise.held_until is not None  # noqa: S101 - the caller looked
    if promise.state == "held":
        lasting = promise.held_until - datetime.fromisoformat(document["decided_at"])
        promise.held_until = document["held_until"] = batch.now + lasting
        plan_due(batch, HOLD, tuple(order.key), promise.held_until)
        return
    promise.held_until = None
    document.pop("held_until", None)
    for line in lines:
        line["backordered"] = 0
