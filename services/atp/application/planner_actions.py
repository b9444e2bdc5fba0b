"""What planners do, each with who, when, why and until when: kept for audit in the transaction of its effect.

A planner acts on a revision of a promise that he has seen: if it has another one by now, nothing is done. So the same
act sent twice is done once, and nobody acts on what he does not know.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, Protocol

from services.atp.application.batch import Batch
from services.atp.application.changing import Admitted, Fault
from services.atp.application.commands import NotPossible, Outcome, UnknownOrder, WrongState
from services.atp.application.content import OrderKey
from services.atp.application.due import plan_due
from services.atp.application.orders import OrderCopy, Overrides, PromiseCopy
from services.atp.application.planner_records import Planner, PlannerAction
from services.atp.application.ports import Session
from services.atp.domain.model import Day, PositionKey
from services.atp.domain.promise_state import next_state, state_at
from services.chassis.audit.chain import AuditEntry
from services.chassis.ids import new_id

KEPT: Final = "planner_actions"
OVERRIDES: Final = "overrides"  # the kind of the due row at which something of a promise ends; the key is the order's


class PlannerCommand(Protocol):
    """An act on a promise, on a revision that the planner has seen."""

    @property
    def key(self) -> OrderKey:
        """The order."""
        ...

    @property
    def revision(self) -> int:
        """The revision that he has seen."""
        ...

    @property
    def planner(self) -> Planner:
        """Who and why."""
        ...


def admit_plan(batch: Batch, command: PlannerCommand) -> Admitted | Outcome:
    """Whether an act is done; else what it is answered."""
    order = batch.orders.get(command.key)
    promise = None if order is None else order.promise
    if order is None or promise is None:
        return UnknownOrder()
    state = state_at(promise.state, promise.held_until, batch.now)
    if promise.revision != command.revision:
        detail = f"the promise is at revision {promise.revision}, not {command.revision}"
        return NotPossible(promise.promise_id, "revision_changed", detail)
    if next_state(state, "plan") is None:
        return WrongState(promise.promise_id, state)
    return Admitted(order, promise, state)


def refuse_plan(admitted: Admitted, fault: Fault) -> NotPossible:
    """Say why an act cannot be."""
    return NotPossible(admitted.promise.promise_id, *fault)


def note(
    batch: Batch, kind: str, planner: Planner, subject: PromiseCopy | PositionKey, details: dict[str, Any]
) -> None:
    """Keep an act, in a list of its own and in the audit trail."""
    promise_id = subject.promise_id if isinstance(subject, PromiseCopy) else None
    position = None if isinstance(subject, PromiseCopy) else subject
    actions: list[PlannerAction] = batch.kept.setdefault(KEPT, [])
    actions.append(PlannerAction(new_id(), kind, planner, batch.now, promise_id, position, details))
    subject_name = str(promise_id) if position is None else f"{position.item_id}@{position.location_id}"
    detail = {"reason": planner.reason, "through_day": planner.through, **details}
    batch.audited.append(AuditEntry(planner.actor, f"planner.{kind}", subject_name, detail))
    batch.count("planner_action")


async def store_actions(session: Session, batch: Batch) -> None:
    """Write the acts of the batch; once, whichever handler calls first."""
    actions: list[PlannerAction] = batch.kept.pop(KEPT, [])
    if actions:
        await session.planners.store(actions)


def overridden(batch: Batch, order: OrderCopy, promise: PromiseCopy) -> Overrides:
    """The promise's overrides, to be changed; call `settle_overrides` afterwards."""
    if promise.overrides is None:
        promise.overrides = Overrides()
    promise.changed = order.changed = True
    batch.touched[order.key] = order
    return promise.overrides


def settle_overrides(batch: Batch, order: OrderCopy, promise: PromiseCopy) -> None:
    """Forget what is over, and look again when the next of the rest ends."""
    overrides, today = promise.overrides, batch.book.today
    if overrides is None:
        return
    overrides.pins = {line: day for line, day in sorted(overrides.pins.items()) if day >= today}
    overrides.withdrawn = {line: day for line, day in sorted(overrides.withdrawn.items()) if day >= today}
    if overrides.expedited is not None and overrides.expedited < today:
        overrides.expedited = None
    ends = [*overrides.pins.values(), *overrides.withdrawn.values()]
    if overrides.expedited is not None:
        ends.append(overrides.expedited)
    plan_due(batch, OVERRIDES, tuple(order.key), day_after(min(ends)) if ends else None)
    if not ends:
        promise.overrides = None


def day_after(day: Day) -> datetime:
    """The first moment after a day, in UTC."""
    return datetime.combine(datetime.fromordinal(day) + timedelta(days=1), time(), tzinfo=UTC)
