"""What of a line's unpromised rest may wait, by its item's policy; the other is refused and named.

    open           all of it
    none           nothing
    until a day    all of it up to and on that day, nothing afterwards
    limited        as much as keeps all that waits of the item, over all orders, within the limit
    discontinued   nothing; what there is and what is due is sold, and no supply is assumed (`supply_picture.horizon`)

Whoever waits already keeps his place: a policy speaks of new rests only.
"""

from dataclasses import replace

from services.atp.domain.model import Binding, Book, Item, LineDecision, RequestLine
from services.atp.domain.units import because_of_pack


def may_wait(book: Book, item: Item, quantity: int) -> int:
    """How much of a new rest may wait."""
    rule = item.backorders
    match rule.policy:
        case "open":
            return quantity
        case "until":
            return quantity if rule.until is not None and book.today <= rule.until else 0
        case "limited":
            return min(quantity, max(0, (rule.limit or 0) - book.backlog.get(item.item_id, 0)))
        case "none" | "discontinued":
            return 0


def with_rest_settled(book: Book, item: Item, line: RequestLine, decision: LineDecision) -> LineDecision:
    """The decision for a new line with as much of its rest waiting as may; `line` is as it was asked, in base units."""
    promised = decision.quantity - decision.backordered
    waits = may_wait(book, item, decision.backordered)
    why = decision.why
    if decision.quantity < line.quantity:
        why = (*why, because_of_pack(line, item))
    if waits < decision.backordered:
        why = (*why, _because_of_policy(item, waits, decision.backordered - waits))
    if why is decision.why:
        return decision
    outcome = decision.outcome
    if promised:
        outcome = "partly_promised"
    elif not waits:
        outcome = "discontinued" if item.backorders.policy == "discontinued" else "not_backordered"
    return replace(decision, quantity=line.quantity, outcome=outcome, backordered=waits, why=why)


def all_may_wait(book: Book, lines: list[LineDecision]) -> bool:
    """Whether all lines of an order may wait whole, together."""
    asked: dict[str, int] = {}
    for line in lines:
        asked[line.item_id] = asked.get(line.item_id, 0) + line.quantity
    return all(
        item_id not in book.items or may_wait(book, book.items[item_id], quantity) == quantity
        for item_id, quantity in asked.items()
    )


def _because_of_policy(item: Item, waits: int, refused: int) -> Binding:
    units = f"{refused} unit{'' if refused == 1 else 's'}"
    help_ = f"a backorder policy that lets {units} more wait"
    if item.backorders.policy == "limited":
        help_ = f"a limit of backorders higher by {units}"
    return Binding("backorders", item.backorders.policy, waits, would_help=help_, needed=refused)
