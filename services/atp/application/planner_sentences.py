"""What a planner reads: sentences with numbers, days, places and the names of tiers and documents."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from services.contracts.promises import PromiseState

Document = Mapping[str, Any]
STATES: Final[Mapping[PromiseState, str]] = {
    PromiseState.HELD: "is held and given back at {held_until} unless it is confirmed before",
    PromiseState.PROMISED: "is promised and not confirmed yet",
    PromiseState.CONFIRMED: "is promised and confirmed",
    PromiseState.EXPIRED: "was a hold that ended at {held_until}; what it held is given back",
    PromiseState.CANCELLED: "is cancelled",
    PromiseState.REFUSED: "is refused: nothing is taken and nothing waits",
    PromiseState.CLOSED: "is closed: all that was promised has shipped",
    PromiseState.AWAITING_RELEASE: "is held by validation: nothing is taken until somebody releases it",
}
BASES: Final[Mapping[str, str]] = {
    "assigned": "assignment {sequence} of the customer",
    "unknown_customer": "the default, because the registry does not know the customer",
    "unassigned": "the default, because the customer has no assignment",
    "caller_override": "given by the caller",
}
# {reference}, {allowed}, {day} and {tier} are the constraint's, {own} is the tier that the order was served as.
REASONS: Final[Mapping[str, str]] = {
    "supply": "Supply at {reference} allowed {allowed}{by_day}",
    "protection": "Protection {reference} keeps stock for tier {tier} and allowed {allowed} to tier {own}{on_day}",
    "quota": "Quota {reference} allowed {allowed}{on_day}",
    "lane": "Lane {reference} allowed {allowed}{by_day}",
    "item": "Item {reference} cannot be promised",
    "ship_complete": "The order ships complete, and not all of its lines are whole",
    "minimum_quantity": "The minimum quantity of {reference} was not reached: {allowed} could be promised",
    "validation": "Validation of tier {own} failed the check {reference}{limit}",
    "unit": "The unit {reference} is not one of the item",
    "pack": "The pack of {reference} allowed {allowed}",
    "backorders": "The backorder policy {reference} let {allowed} wait",
    "stop": "A planner has stopped the item at {reference}, which allowed {allowed}{by_day}",
    "calendar": "The working and pick-up days of lane {reference} allowed {allowed}{by_day}",
    "buffer": "What is held back from the order's channel at {reference} allowed {allowed}{by_day}",
    "rule": "The item is promised by the rule {reference}, which allowed {allowed}{by_day}",
    "capacity": "Capacity {reference} allowed {allowed} to ship{on_day}",
    "sourcing_rule": "Sourcing rule {reference} leaves other places, which allowed {allowed}{by_day} to tier {own}",
    "fulfilment_mode": "Fulfilment mode {reference} leaves other ways, which allowed {allowed}{by_day} to tier {own}",
    "shipments": "The order may have {reference} shipments, which allowed {allowed}",
    "cut_off": "The day of lane {reference} had ended, which allowed {allowed}{by_day}",
    "preemption": "Orders of tier {reference} are served first and took what it may lose, which left {allowed}",
}
ROUTED_BY: Final[Mapping[str, str]] = {"sourcing_rule": "sourcing rule", "fulfilment_mode": "fulfilment mode"}
WAITING_AHEAD: Final = (
    "Freed stock is kept for backorders that rank ahead, which allowed {allowed} to tier {own}{on_day}"
)
SET_ASIDE: Final = (
    "Stock is set aside for orders that need all at once and have waited long, which allowed {allowed} to tier"
    " {own}{on_day}"
)
WITHDRAWN: Final = "A planner took it back{until}: what is open waits no more for so long"
BLOCKED: Final = "The customer has a {kind} block"
TAKEN_OVER: Final = (
    "It was taken over from another system with the dates that were promised there, beyond supply or not."
)
CHANGES: Final[Mapping[str, str]] = {
    "confirmed": "its source confirmed it",
    "cancelled": "its source cancelled it",
    "supply_arrived": "supply arrived and was offered to backorders",
    "supply_changed": "supply changed and was offered to backorders",
    "stock_freed": "stock was freed and offered to backorders",
    "tier_changed": "the customer's tier changed",
    "allocation_changed": "protections or quotas changed",
    "shipped": "goods were shipped",
    "delivered": "goods were delivered",
    "validation_released": "somebody released it from validation",
    "expired": "its hold ended",
    "amended": "its source amended it",
    "released": "its source released a part",
    "transferred": "its commitment moved to another source",
    "revived": "its expired hold was made anew",
    "expedited": "a planner expedited it",
    "reassigned": "a planner reassigned quantity",
    "withdrawn": "a planner withdrew quantity",
    "stop_lifted": "a stop ended and stock was offered to backorders",
    "returned": "goods came back",
    "execution": "the warehouse did not find the goods",
    "routing_changed": "places, ways to travel or rules for them changed",
    "horizon_reached": "what was assumed did not come, and it was planned from other supply",
    "backorder_came": "it took from those behind it whose strategy lets them fall",
    "preempted": "its strategy let it fall for orders that are served before it",
    "reprocessed": "a variant of backorder processing was run",
}


def of_order(document: Document) -> Iterator[str]:
    """The state, what the whole order got, and by which tier."""
    order, served, lines = document["order"], document["served_as"], document["lines"]
    asked, promised = _sum(lines, "quantity"), _sum(lines, "promised")
    state = STATES[PromiseState(document["state"])].format(held_until=document.get("held_until") or "its time")
    yield f"Order {order['order_id']} of {order['source']} (version {order['version']}) {state}."
    rest = f", {_sum(lines, 'backordered')} wait" if _sum(lines, "backordered") else ""
    shipped = f", {_sum(lines, 'shipped')} have shipped" if _sum(lines, "shipped") else ""
    yield f"Of {asked} units on {_count(len(lines), 'line')}, {promised} are promised{rest}{shipped}."
    basis = BASES[served["basis"]].format(sequence=served.get("assignment_sequence"))
    yield f"It was served as tier {served['tier']} (rank {served['priority_rank']}), {basis}."
    if segment := served.get("micro_segment"):
        yield f"Micro-segment {segment} is the most specific one of the tier that the order matches: its policy counts."
    if served["tier_at_order"] != served["tier"]:
        yield f"At the time of the order the customer was in tier {served['tier_at_order']}."
    if served.get("projection_stale"):
        yield "The registry had been silent for too long when the tier was looked up; it may be old."


def of_line(line: Document) -> Iterator[str]:
    """What a line got, from where and when."""
    wanted = f", wanted on {line['requested_arrival']}" if line.get("requested_arrival") else ""
    waiting = f"; {line['backordered']} wait" if line["backordered"] else ""
    got = f"{line['promised']} of {_units(line['quantity'])} promised"
    yield f"Line {line['line']}, item {line['sku']}: {got}{waiting}{wanted} ({line['outcome']})."
    for each in line.get("routed_by", ()):
        rule = f"{ROUTED_BY[each['kind']]} {each['rule']} (version {each['version']})"
        yield f"Which ways were open to it was decided by {rule}."
    for part in line["schedule"]:
        travel = f"ship from {part['location']} by {part['service']} on {part['ship_date']}"
        yield f"{_units(part['quantity'])} {travel} and arrive on {part['arrival_date']}."
        if routing := part.get("routing"):
            yield _of_routing(routing)
    for other in line.get("alternatives", ()):
        arrives = f"{_units(other['quantity'])} could arrive on {other['arrival_date']}"
        if other.get("rule"):
            arrives += f" and stand for {other['replaces']} by substitution {other['rule']}"
        yield f"Item {other['sku']} could be had instead: {arrives}."


def _of_routing(routing: Document) -> str:
    packed = f", packed as {routing['packaging']}" if routing["packaging"] else ""
    handled = f", handled as {', '.join(routing['handling'])}" if routing["handling"] else ""
    leaves = f"They travel by class {routing['carrier_class']} and must have left by {routing['ship_by']}"
    return f"{leaves}; they are picked with priority {routing['pick_priority']}{packed}{handled}."


def of_reason(constraint: Document, own_tier: str) -> str:
    """A constraint: what it is, what it allowed, and what would help."""
    kind, reference = constraint["kind"], constraint["reference"]
    allowed, day = constraint.get("allowed"), constraint.get("day")
    pattern = REASONS[kind]
    if kind == "validation" and reference.endswith("_block"):
        pattern = BLOCKED
    elif reference == "backorders_ahead":
        pattern = WAITING_AHEAD
    elif kind == "protection" and reference == "set_aside":
        pattern = SET_ASIDE
    elif kind == "protection" and reference == "withdrawn":
        pattern = WITHDRAWN
    told = pattern.format(
        reference=reference,
        allowed="nothing" if allowed in {0, None} else _units(allowed),
        by_day="" if day is None else f" by {day}",
        on_day="" if day is None else f" on {day}",
        until="" if day is None else f" until {day}",
        limit="" if allowed is None else f", which allows {allowed}",
        tier=constraint.get("tier"),
        own=own_tier,
        kind=reference.removesuffix("_block"),
    )
    help_ = constraint.get("would_help")
    return f"{told}. It would help: {help_}." if help_ else f"{told}."


def of_change(cause: str, old: Document, new: Document) -> str:
    """A revision: what brought it about, and what it changed."""
    before, after = _sum(old["lines"], "promised"), _sum(new["lines"], "promised")
    said = [CHANGES[cause]]
    if after != before:
        said.append(f"promised went from {before} to {after}")
    if old["state"] != new["state"]:
        said.append(f"the state from {old['state']} to {new['state']}")
    if (first := _last_arrival(old)) != (last := _last_arrival(new)) and first and last:
        said.append(f"the last arrival from {first} to {last}")
    return f"Revision {new['revision']}: {'; '.join(said)}."


def of_risk(risk: Document) -> str:
    """A part of a promise that supply does not cover."""
    covered = risk["covered_on"]
    until = f"it would be covered on {covered}" if covered else "no known supply covers it"
    place = f"{risk['quantity']} of {_units(risk['promised'])} at {risk['location']} for {risk['available_on']}"
    return f"At risk ({risk['cause']}): line {risk['line']}, {place} are not covered; {until}."


def _sum(lines: Sequence[Document], name: str) -> int:
    return sum(line[name] for line in lines)


def _last_arrival(document: Document) -> str:
    return max((part["arrival_date"] for line in document["lines"] for part in line["schedule"]), default="")


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _units(quantity: int) -> str:
    return _count(quantity, "unit")
