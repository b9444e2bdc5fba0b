"""Pin a promise, or some of its lines: what they have stays as it is until a day, whatever else is planned.

Pinned parts are not planned anew by an amendment or an expedite, not transferred, not reassigned and not withdrawn. The
source may still want less or cancel: a pin holds the plan, not the customer. What waits goes on waiting, and may gain.
"""

from dataclasses import dataclass

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.changing import Admitted, Fault
from services.atp.application.commands import Answered, Origin, Outcome, Remembered
from services.atp.application.content import OrderKey
from services.atp.application.due import store_due
from services.atp.application.planner_actions import (
    admit_plan,
    note,
    overridden,
    refuse_plan,
    settle_overrides,
    store_actions,
)
from services.atp.application.planner_records import Planner
from services.atp.application.ports import Session


@dataclass(frozen=True, slots=True)
class PinPromise:
    """Pin these lines (none named: all) through a day; `pinned` False takes their pins away."""

    key: OrderKey
    revision: int
    only: tuple[str, ...]
    planner: Planner
    origin: Origin
    remembered: Remembered | None = None
    lines: int = 1
    pinned: bool = True


class Pinning(Handler[PinPromise]):
    """Decides `PinPromise`."""

    def needs(self, command: PinPromise, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def decide(self, batch: Batch, command: PinPromise) -> Outcome:
        """The document of the promise stays as it is."""
        admitted = admit_plan(batch, command)
        if not isinstance(admitted, Admitted):
            return admitted
        order, promise = admitted.order, admitted.promise
        known = [line.line for line in promise.content.lines]
        lines = command.only or tuple(known)
        if any(line not in known for line in lines):
            return refuse_plan(admitted, Fault("no_such_line", "a line that is named is not in the order"))
        overrides = overridden(batch, order, promise)
        for line in lines:
            overrides.pins.pop(line, None)
            if command.pinned and command.planner.through is not None:
                overrides.pins[line] = command.planner.through
        settle_overrides(batch, order, promise)
        note(batch, "pin" if command.pinned else "unpin", command.planner, promise, {"lines": list(lines)})
        return Answered(promise.promise_id, promise.document, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """The act, and when it ends."""
        await store_actions(session, batch)
        await store_due(session, batch)
