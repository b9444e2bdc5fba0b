"""Release a part of a promise: its source gives back quantity that it was promised, and orders so much less.

What comes off a line is what would arrive last, at the named location if one is named; what waits goes on waiting. More
than the line holds there is refused whole. A line of which nothing is left is shown as cancelled; when nothing is left
of the whole promise, it is cancelled, or closed if some of it has shipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.atp.application.batch import Batch, Handler, Needs
from services.atp.application.changing import Admitted, Fault, admit, applied, refuse
from services.atp.application.commands import Answered, Origin, Outcome, Remembered
from services.atp.application.content import ContentLine, OrderKey, encode, fingerprint_of
from services.atp.application.documents import Document, load, total_cost
from services.atp.application.due import store_due
from services.atp.application.giving_back import need_open_parts, show_parts, take_off_parts
from services.atp.application.holds import plan_hold_end
from services.atp.application.orders import OrderCopy, Part, PromiseCopy
from services.atp.application.ports import Session
from services.atp.application.revision import revise
from services.atp.application.rewriting import line_outcome
from services.atp.domain.promise_state import Event, next_state


@dataclass(frozen=True, slots=True)
class ReleasedLine:
    """A quantity of a line; None: wherever it is promised from."""

    line: str
    quantity: int
    location_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReleasePart:
    """Quantities that the source gives back."""

    key: OrderKey
    version: int
    released: tuple[ReleasedLine, ...]
    fingerprint: bytes
    origin: Origin
    remembered: Remembered | None = None
    reason: str = ""

    @property
    def lines(self) -> int:
        """Its lines."""
        return len(self.released)


class Releasing(Handler[ReleasePart]):
    """Decides `ReleasePart`."""

    def needs(self, command: ReleasePart, needs: Needs) -> None:
        """The identity with its promise."""
        needs.orders[command.key] = None

    def needs_of_orders(self, command: ReleasePart, orders: Mapping[OrderKey, OrderCopy], needs: Needs) -> None:
        """The positions that it frees."""
        order = orders.get(command.key)
        if order is not None and order.promise is not None:
            need_open_parts(order.promise, needs)

    def decide(self, batch: Batch, command: ReleasePart) -> Outcome:
        """See the module."""
        admitted = admit(batch, command, "release", "release")
        if not isinstance(admitted, Admitted):
            return admitted
        order, promise = admitted.order, admitted.promise
        for wanted in command.released:
            held = sum(part.open for part in parts_at(promise, wanted.line, wanted.location_id))
            if held < wanted.quantity:
                fault = Fault("not_held", f"line {wanted.line} holds {held}, less than {wanted.quantity}")
                return refuse(batch, command, admitted, "release", fault)
        document = load(promise.document)
        for wanted in command.released:
            for key in take_off_parts(batch, parts_at(promise, wanted.line, wanted.location_id), wanted.quantity):
                batch.free(key, "stock_freed")
            show_less(document, promise, wanted)
        document["cost_minor"] = total_cost(document["lines"])
        promise.state = next_state(admitted.state, end_of(promise, document)) or promise.state
        if promise.state != "held" and admitted.state == "held":
            plan_hold_end(batch, command.key, None)
        order_less(order, promise, command.released)
        applied(admitted, command)
        change = "cancelled" if promise.state == "cancelled" else "amended"
        origin, reason = command.origin, command.reason
        new = revise(batch, order, document, cause="released", change=change, origin=origin, reason=reason)
        return Answered(promise.promise_id, new, first=True)

    async def store(self, session: Session, batch: Batch) -> None:
        """The end of a hold is not awaited any more."""
        await store_due(session, batch)


def parts_at(promise: PromiseCopy, line: str, location_id: str | None) -> list[Part]:
    """The open parts of a line (at a location), the last to arrive first."""
    parts = [
        part
        for part in promise.parts
        if part.line == line and part.open and location_id in (None, part.planned.key.location_id)
    ]
    return sorted(parts, key=lambda part: (-part.planned.arrival_day, -part.number))


def show_less(document: Document, promise: PromiseCopy, released: ReleasedLine) -> None:
    """Let a line of the document show that less is wanted and promised."""
    line: Document = next(each for each in document["lines"] if each["line"] == released.line)
    show_parts(line, promise)
    if not (line["promised"] or line["backordered"]):
        line["outcome"], line["why"] = "cancelled", []
        return
    line["quantity"] -= released.quantity
    line["outcome"] = line_outcome(line, "backordered")
    if line["outcome"] == "promised":
        line["why"] = []


def end_of(promise: PromiseCopy, document: Document) -> Event:
    """What a release is for the whole promise."""
    if any(part.open for part in promise.parts) or any(line["backordered"] for line in document["lines"]):
        return "release"
    return "all_shipped" if any(part.shipped for part in promise.parts) else "release_all"


def order_less(order: OrderCopy, promise: PromiseCopy, released: Sequence[ReleasedLine]) -> None:
    """The order as it is wanted now; a line of which nothing is left stays as it was asked for."""
    less: dict[str, int] = {}
    for each in released:
        less[each.line] = less.get(each.line, 0) + each.quantity

    def lower(line: ContentLine) -> ContentLine:
        quantity = line.quantity - less.get(line.line, 0)
        return replace(line, quantity=quantity) if quantity > 0 else line

    promise.content = replace(promise.content, lines=tuple(lower(line) for line in promise.content.lines))
    promise.encoded = encode(promise.content)
    order.fingerprint = fingerprint_of(promise.encoded)
