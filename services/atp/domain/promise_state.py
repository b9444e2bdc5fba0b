"""The life of a promise.

                 decided: something promised or backordered
    (new) -------------------------------------------> PROMISED --confirm--> CONFIRMED
      |                                                    |                     |
      |-- decided: every line refused --> REFUSED          |--- all shipped -----|--> CLOSED
      |                                      |             |                     |
      |-- held by validation --> AWAITING_RELEASE          |                     |
      |                             |   |                  |                     |
      |                             |   '-- release -------|--> PROMISED, REFUSED (decided then)
      |                             |                      |                     |
      |-- cancelled before it was known -----|-- cancel ---|------- cancel ------|
      |                                                    v
      '-----------------------------------------------> CANCELLED

Confirm of a confirmed and cancel of a cancelled promise are repeats: the state stays. CANCELLED and CLOSED are final,
and REFUSED can only be cancelled. Goods may ship before the confirmation comes. A cancel after some of the goods have
shipped gives back the rest; when all have shipped, there is nothing to cancel. AWAITING_RELEASE takes no stock; whoever
may release it lets it be decided as a new order is.
"""

from typing import Final, Literal

from services.atp.domain.model import OrderDecision
from services.atp.domain.validation import HELD

State = Literal["promised", "confirmed", "cancelled", "refused", "closed", "awaiting_release"]
Event = Literal["confirm", "cancel", "all_shipped"]

_NEXT: Final[dict[tuple[State, Event], State]] = {
    ("promised", "confirm"): "confirmed",
    ("promised", "cancel"): "cancelled",
    ("promised", "all_shipped"): "closed",
    ("confirmed", "confirm"): "confirmed",
    ("confirmed", "cancel"): "cancelled",
    ("confirmed", "all_shipped"): "closed",
    ("refused", "cancel"): "cancelled",
    ("awaiting_release", "cancel"): "cancelled",
    ("cancelled", "cancel"): "cancelled",
    ("closed", "all_shipped"): "closed",
}


def first_state(decision: OrderDecision) -> State:
    """The state that the decision of an order leads to."""
    if any(line.outcome == HELD for line in decision.lines):
        return "awaiting_release"
    return "promised" if any(line.planned or line.backordered for line in decision.lines) else "refused"


def next_state(state: State, event: Event) -> State | None:
    """The state after an event; None if the event is not possible in this state."""
    return _NEXT.get((state, event))
