"""The life of a promise.

                 decided: something promised or backordered
    (new) ----------------------------------------------------> PROMISED --confirm--> CONFIRMED
      |                                                         ^  |                     |
      |-- decided as a hold --> HELD --confirm------------------|--|-------------------> |
      |                         ^ |                             |  |                     |
      |             revive_held | | expire                      |  |                     |
      |                         | v                      revive |  |--- all_shipped -----|--> CLOSED
      |                       EXPIRED --------------------------|  |                     |
      |                         |                               |  |                     |
      |-- held by validation ---|-> AWAITING_RELEASE -----------|  |                     |
      |                         |     |   released, decided then|  |                     |
      |-- every line refused ---|-----|---> REFUSED --amend-----'  |                     |
      |                         |     |       |                    |                     |
      '-- cancelled before -----|-----|-------'----- cancel -------|------- cancel ------'
          it was known          v     v                            v
                             CANCELLED <---------------------------'

An order that is taken over from another system begins as PROMISED, or as CONFIRMED if its promise was accepted there.

Open are HELD, PROMISED and CONFIRMED. What changes an open promise leaves its state as it is: `amend`, `release` (of a
part), `transfer`, `plan` (a planner's pin, expedite, reassign or release). Three changes end it: `release_all` (nothing
is left of it) leads to CANCELLED, `refuse` (amended so that every line is refused) to REFUSED, and `all_shipped` to
CLOSED. Goods that have shipped are delivered and come back in whatever state their promise is by then.

AWAITING_RELEASE takes no stock; whoever may release it lets it be decided as a new order is. A REFUSED order and one
that waits for release can be amended, and are decided then: to PROMISED, REFUSED (`refuse`) or AWAITING_RELEASE
(`hold_back`).

Confirm of a confirmed, cancel of a cancelled and expire of an expired promise are repeats: the state stays. CANCELLED
and CLOSED are final. EXPIRED can be revived or cancelled. Goods may ship before the confirmation comes. A cancel after
some of the goods have shipped gives back the rest; when all have shipped, there is nothing to cancel.

A hold whose time is over is EXPIRED for every command from that moment on (`state_at`), and counts as taken until the
transaction that gives its quantity back.
"""

from datetime import datetime
from typing import Final, Literal

from services.atp.domain.model import OrderDecision
from services.atp.domain.validation import HELD

State = Literal["held", "promised", "confirmed", "expired", "cancelled", "refused", "closed", "awaiting_release"]
Event = Literal[
    "confirm",
    "cancel",
    "expire",
    "revive",
    "revive_held",
    "amend",
    "refuse",
    "hold_back",
    "release",
    "release_all",
    "transfer",
    "plan",
    "all_shipped",
    "deliver",
    "take_back",
]
OPEN: Final[tuple[State, ...]] = ("held", "promised", "confirmed")
SHIPPABLE: Final[tuple[State, ...]] = ("held", "promised", "confirmed", "expired", "cancelled", "closed")

_NEXT: Final[dict[tuple[State, Event], State]] = {
    **{(state, "confirm"): "confirmed" for state in OPEN},
    **{(state, "cancel"): "cancelled" for state in OPEN},
    **{(state, "amend"): state for state in OPEN},
    **{(state, "refuse"): "refused" for state in OPEN},
    **{(state, "release"): state for state in OPEN},
    **{(state, "release_all"): "cancelled" for state in OPEN},
    **{(state, "transfer"): state for state in OPEN},
    **{(state, "plan"): state for state in OPEN},
    **{(state, "all_shipped"): "closed" for state in OPEN},
    **{(state, "deliver"): state for state in SHIPPABLE},
    **{(state, "take_back"): state for state in SHIPPABLE},
    ("held", "expire"): "expired",
    ("expired", "expire"): "expired",
    ("expired", "revive"): "promised",
    ("expired", "revive_held"): "held",
    ("expired", "cancel"): "cancelled",
    ("refused", "amend"): "promised",
    ("refused", "refuse"): "refused",
    ("refused", "hold_back"): "awaiting_release",
    ("refused", "cancel"): "cancelled",
    ("awaiting_release", "amend"): "promised",
    ("awaiting_release", "refuse"): "refused",
    ("awaiting_release", "hold_back"): "awaiting_release",
    ("awaiting_release", "cancel"): "cancelled",
    ("cancelled", "cancel"): "cancelled",
    ("closed", "all_shipped"): "closed",
}


def first_state(decision: OrderDecision, *, held: bool = False) -> State:
    """The state that the decision of an order leads to; a hold that got nothing is a refusal."""
    if any(line.outcome == HELD for line in decision.lines):
        return "awaiting_release"
    if held:
        return "held" if any(line.planned for line in decision.lines) else "refused"
    return "promised" if any(line.planned or line.backordered for line in decision.lines) else "refused"


def next_state(state: State, event: Event) -> State | None:
    """The state after an event; None if the event is not possible in this state."""
    return _NEXT.get((state, event))


def state_at(state: State, held_until: datetime | None, now: datetime) -> State:
    """The state that counts for a command: a hold whose time is over is expired, swept or not."""
    if state == "held" and held_until is not None and held_until <= now:
        return "expired"
    return state
