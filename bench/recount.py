"""The measures counted again, from events alone: what `promises.v1` and `fulfilments.v1` say, and the cost inputs.

It shares no code with the services: it keeps lists, looks through them from the start, and knows nothing of ledgers,
totals or differences. docs/measures.md defines what is counted; days are in UTC.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

Event = Mapping[str, Any]
SERVED = {
    "no_source",
    "ship_complete_unmet",
    "below_minimum",
    "backordered",
    "partly_promised",
    "promised_late",
    "promised",
}
OURS = {"supply_arrived", "supply_changed", "stock_freed", "tier_changed", "allocation_changed", "routing_changed"}
OURS |= {"preempted", "backorder_came", "reprocessed"}
UNASKED = OURS | {"reassigned", "withdrawn", "execution", "expedited", "stop_lifted", "horizon_reached"}


@dataclass
class Part:
    """A schedule line, and how much of it has shipped."""

    line: str
    location: str
    ship: str
    quantity: int
    cost: int
    shipped: int = 0


@dataclass
class Order:
    """An order as its events told it."""

    first: Event
    last: Event
    parts: list[Part]
    shipped: list[Event] = field(default_factory=list)
    delivered: list[Event] = field(default_factory=list)
    discrepancies: list[Event] = field(default_factory=list)
    activities: list[Event] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # day of each line that was worsened
    changes: list[tuple[str, str, dict[str, int]]] = field(default_factory=list)  # month, cause, what became of it


@dataclass
class Rates:
    """Costs by name: (from day, amount), of activities and of items."""

    activities: dict[str, list[tuple[str, Decimal]]] = field(default_factory=dict)
    items: dict[str, list[tuple[str, Decimal]]] = field(default_factory=dict)


def recount(promises: Sequence[Event], fulfilments: Sequence[tuple[str, Event]]) -> list[Order]:
    """All orders with what became of them; events in the order in which they were applied, repetitions among them.

    A change of a promise has its moment as `at` beside its payload, as the envelope says. So may a fulfilment have: it
    was applied before what was answered or changed at that moment or later. One without was applied after all of that.
    """
    orders: dict[tuple[str, str], Order] = {}
    seen: set[tuple[Any, ...]] = set()
    told = deque(each for each in fulfilments if "at" in each[1])
    for event in promises:
        while told and "at" in event and _moment(told[0][1]["at"]) <= _moment(event["at"]):
            _done(orders, seen, *told.popleft())
        _answer(orders, event)
    for kind, event in (*told, *(each for each in fulfilments if "at" not in each[1])):
        _done(orders, seen, kind, event)
    return list(orders.values())


def _done(orders: dict[tuple[str, str], Order], seen: set[tuple[Any, ...]], kind: str, event: Event) -> None:
    """What the warehouse did, once."""
    key = (event["order"]["source"], event["order"]["order_id"])
    name = (kind, *key, event.get("sku"), event.get("location"), event["source"], event["reference"])
    if name in seen or key not in orders:
        return
    seen.add(name)
    order = orders[key]
    if kind == "shipped":
        _ship(order, event)
    elif kind == "delivered":
        gone = sum(part.shipped for part in order.parts if part.line == event["line"])
        come = sum(one["quantity"] for one in order.delivered if one["line"] == event["line"])
        if come + event["quantity"] <= gone:
            order.delivered.append(event)
    elif kind == "discrepancy":
        order.discrepancies.append(event)
    else:
        order.activities.append(event)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def months(orders: Iterable[Order], rates: Rates, today: date) -> dict[str, dict[str, dict[str, Any]]]:
    """By month and tier: `counts`, `overrides`, `quantities`, and `costs` as {component: [actual, rate, missing]}."""
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    costs: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0), Decimal(0)])
    quantities: dict[tuple[str, str, str], int] = defaultdict(int)
    changes: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for order in orders:
        tier = order.first["served_as"]["tier"]
        _count_answer(order, tier, counts)
        lines = demand_of(order)
        for line in lines:
            _count_line(order, line, tier, counts, today)
        _count_whole(order, lines, tier, counts, today)
        _charge(order, tier, costs, quantities, rates)
        for month, cause, change in order.changes:
            for name, amount in change.items():
                changes[month, tier, cause][name] += amount
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for (month, tier, name), count in counts.items():
        _of(found, month, tier)["counts"][name] = count
    for (month, tier, name), (actual, rate, missing) in costs.items():
        _of(found, month, tier)["costs"][name] = [_whole(actual), _whole(rate), int(missing)]
    for (month, tier, name), quantity in quantities.items():
        _of(found, month, tier)["quantities"][name] = quantity
    for (month, tier, cause), change in changes.items():
        if any(change.values()):
            _of(found, month, tier)["changes"][cause] = dict(change)
    return dict(found)


def _of(found: dict[str, dict[str, dict[str, Any]]], month: str, tier: str) -> dict[str, Any]:
    return found[month].setdefault(tier, {"counts": {}, "costs": {}, "quantities": {}, "changes": {}})


def _whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_EVEN))


def _answer(orders: dict[tuple[str, str], Order], event: Event) -> None:
    """An answer, or a change of one."""
    now = event.get("new") or event["promise"]
    key = (now["order"]["source"], now["order"]["order_id"])
    if "promise" in event:
        orders[key] = Order(now, now, _parts(now))
        return
    order = orders[key]
    if event["cause"] in UNASKED:
        order.changes.append((event["at"][:7], event["cause"], _change(event["old"], now)))
    if event["cause"] in OURS:
        day = event["at"][:10]
        order.lost += [day for old in event["old"]["lines"] if _is_worse(old, now)]
        known = len(order.parts)
        old_parts = _parts(event["old"])
        order.parts += [part for part in _parts(now) if part not in old_parts] if known else _parts(now)
    order.last = now


def _parts(promise: Event) -> list[Part]:
    return [
        Part(line["line"], one["location"], one["ship_date"], one["quantity"], one["cost_minor"])
        for line in promise["lines"]
        for one in line["schedule"]
    ]


def _change(old: Event, new: Event) -> dict[str, int]:
    """How many lines a change made worse, how many better, and what it added."""
    worse = [line["line"] for line in old["lines"] if _is_worse(line, new)]
    better = [line["line"] for line in new["lines"] if _is_worse(line, old) and line["line"] not in worse]
    return {
        "improved": len(better),
        "worsened": len(worse),
        "cost_minor": new["cost_minor"] - old["cost_minor"],
        "late_unit_days": _late(new) - _late(old),
        "open_units": sum(line["backordered"] for line in new["lines"])
        - sum(line["backordered"] for line in old["lines"]),
    }


def _late(promise: Event) -> int:
    days = 0
    for line in promise["lines"]:
        for one in line["schedule"]:
            late = date.fromisoformat(one["arrival_date"]) - date.fromisoformat(line["requested_arrival"])
            days += one["quantity"] * max(0, late.days)
    return days


def _is_worse(old: Event, promise: Event) -> bool:
    (new,) = [line for line in promise["lines"] if line["line"] == old["line"]]
    for one in old["schedule"]:
        before = sum(each["quantity"] for each in old["schedule"] if each["arrival_date"] <= one["arrival_date"])
        after = sum(each["quantity"] for each in new["schedule"] if each["arrival_date"] <= one["arrival_date"])
        if after < before:
            return True
    return False


def _ship(order: Order, event: Event) -> None:
    order.shipped.append(event)
    left = event["quantity"]
    mine = [part for part in order.parts if part.line == event["line"]]
    for part in sorted(mine, key=lambda one: (one.location != event["location"], one.ship)):
        taken = min(left, part.quantity - part.shipped)
        part.shipped += taken
        left -= taken


def _day(event: Event) -> str:
    moment = datetime.fromisoformat(event["occurred_at"])
    return moment.astimezone(UTC).date().isoformat()


def _count_answer(order: Order, tier: str, counts: dict[tuple[str, str, str], int]) -> None:
    month = order.first["decided_at"][:7]
    lines = [line for line in order.first["lines"] if line["outcome"] in SERVED]
    refused = [line for line in order.first["lines"] if line["outcome"] not in SERVED | {"cancelled"}]
    counts[month, tier, "lines_refused"] += len(refused)
    if lines:
        counts[month, tier, "orders_answered"] += 1
    for line in lines:
        wanted = line["requested_arrival"]
        early = sum(one["quantity"] for one in line["schedule"] if one["arrival_date"] <= wanted)
        counts[month, tier, "lines_answered"] += 1
        counts[month, tier, "units_ordered"] += line["quantity"]
        counts[month, tier, "units_promised"] += sum(one["quantity"] for one in line["schedule"])
        counts[month, tier, "units_promised_on_time"] += early
        counts[month, tier, "lines_promised_on_time_in_full"] += early == line["quantity"]
    for day in order.lost:
        counts[day[:7], tier, "lines_preempted"] += 1


@dataclass
class Demand:
    """A line that was to be served: how much, and by when."""

    line: str
    quantity: int
    due: str
    ship_by: str
    wanted: str


def demand_of(order: Order) -> list[Demand]:
    """The lines of an order that were to be served."""
    found = []
    for line in order.first["lines"]:
        if line["outcome"] not in SERVED:
            continue
        quantity = line["quantity"]
        if order.last["state"] == "cancelled":
            quantity = min(quantity, sum(one["quantity"] for one in order.shipped if one["line"] == line["line"]))
        wanted = line["requested_arrival"]
        due = max([one["arrival_date"] for one in line["schedule"]] or [wanted])
        ship_by = max([one["ship_date"] for one in line["schedule"]] or [wanted])
        if quantity:
            found.append(Demand(line["line"], quantity, due, ship_by, wanted))
    return found


def completed_on(order: Order, line: Demand) -> str | None:
    """The day on which the last of a line came; None while something is out."""
    come = 0
    for one in sorted(order.delivered, key=_day):
        if one["line"] == line.line:
            come += one["quantity"]
            if come >= line.quantity:
                return _day(one)
    return None


def _count_line(order: Order, line: Demand, tier: str, counts: dict[tuple[str, str, str], int], today: date) -> None:
    if line.due >= today.isoformat():
        return
    month = line.due[:7]
    shipped = [one for one in order.shipped if one["line"] == line.line]
    come = sum(one["quantity"] for one in order.delivered if one["line"] == line.line)
    in_time = sum(one["quantity"] for one in shipped if _day(one) <= line.ship_by)
    counts[month, tier, "lines_due"] += 1
    counts[month, tier, "units_due"] += line.quantity
    counts[month, tier, "units_shipped_in_time"] += min(line.quantity, in_time)
    counts[month, tier, "units_delivered"] += min(line.quantity, come)
    complete = completed_on(order, line)
    if complete is None:
        return
    counts[month, tier, "lines_delivered"] += 1
    counts[month, tier, "lines_on_time_in_full"] += complete <= line.due
    counts[month, tier, "lines_delivered_as_requested"] += complete <= line.wanted
    counts[month, tier, "lines_late"] += complete > line.due
    late = (date.fromisoformat(complete) - date.fromisoformat(line.due)).days
    counts[month, tier, "days_late"] += max(0, late)


def _count_whole(
    order: Order, lines: list[Demand], tier: str, counts: dict[tuple[str, str, str], int], today: date
) -> None:
    if not lines or any(completed_on(order, line) is None for line in lines):
        return
    due = max(line.due for line in lines)
    if due >= today.isoformat():
        return
    right = not order.discrepancies
    for line in lines:
        right = right and line.quantity == sum(one["quantity"] for one in order.shipped if one["line"] == line.line)
    counts[due[:7], tier, "orders_delivered"] += 1
    counts[due[:7], tier, "orders_accurate"] += right


def _charge(
    order: Order,
    tier: str,
    costs: dict[tuple[str, str, str], list[Decimal]],
    quantities: dict[tuple[str, str, str], int],
    rates: Rates,
) -> None:
    for day, name, count in _activities(order):
        rate = _rate(rates.activities.get(name, []), day)
        quantities[day[:7], tier, name] += count
        costs[day[:7], tier, name][1] += (rate or 0) * count
        costs[day[:7], tier, name][2] += count if rate is None else 0
    for one in order.activities:
        if one.get("actual_cost_minor") is not None:
            costs[_day(one)[:7], tier, one["activity"]][0] += one["actual_cost_minor"]
    for one in order.shipped:
        day = _day(one)
        rate = _rate(rates.items.get(one["sku"], []), day)
        quantities[day[:7], tier, "goods"] += one["quantity"]
        costs[day[:7], tier, "goods"][1] += (rate or 0) * one["quantity"]
        costs[day[:7], tier, "goods"][2] += one["quantity"] if rate is None else 0
        costs[day[:7], tier, "freight"][0] += one.get("actual_cost_minor") or 0
    for line in {one["line"] for one in order.shipped}:
        untold = [one for one in order.shipped if one["line"] == line and one.get("actual_cost_minor") is None]
        if not untold:
            continue
        parts = [part for part in order.parts if part.line == line]
        planned = sum(part.cost * part.shipped // part.quantity for part in parts)
        covered = sum(part.shipped for part in parts)
        charged = min(covered, sum(one["quantity"] for one in untold))
        last = max(_day(one) for one in untold)[:7]
        costs[last, tier, "freight"][1] += planned * charged // covered if covered else 0
        costs[last, tier, "freight"][2] += sum(one["quantity"] for one in untold) - charged


def _activities(order: Order) -> list[tuple[str, str, int]]:
    """(day, activity, how many) to be charged at a rate."""
    answered = order.first["decided_at"][:10]
    demand = sum(line["outcome"] in SERVED for line in order.first["lines"])
    counted = [(answered, "order", 1), (answered, "line", demand)] if demand else []
    counted += [(_day(one), "pick", 1) for one in sorted(order.shipped, key=_day)]
    counted += [(day, "delivery", 1) for day in sorted({_day(one) for one in order.delivered})]
    paid: dict[str, int] = defaultdict(int)
    for one in order.activities:
        if one.get("actual_cost_minor") is not None:
            paid[one["activity"]] += one["quantity"]
        elif one["activity"] in {"pallet", "contact"}:
            counted.append((_day(one), one["activity"], one["quantity"]))
    found = []
    for day, name, count in counted:
        instead = 0 if name in {"pallet", "contact"} else min(count, paid[name])
        paid[name] -= instead
        if count > instead:
            found.append((day, name, count - instead))
    return found


def _rate(entries: list[tuple[str, Decimal]], day: str) -> Decimal | None:
    rate = None
    for start, amount in sorted(entries):
        if start <= day:
            rate = amount
    return rate
