"""Looks for oversold positions in the decision records, with arithmetic of its own.

*Oversold*: a decision, at the moment it was stored, made availability A(s) negative, or more negative, on some day.
For every recorded batch the audit takes the positions as they were read under lock, repeats the steps of the batch with
what the ledger says that each decision took, and compares A(s) before and after each decision. It shares no code with
the engine: neither the arithmetic nor the steps' effects. It also chains the records: what a batch left must be what
the next batch found at the position's next version. Ship days of capacities are looked at by `capacity_audit`.

    A(s) = on hand - buffer + receipts due by s - commitments with material availability day by s

Receipts count as the item's policy says (confirmed; planned where the item says so; past due ones for
`past_due_supply_days`). Days at or beyond the checking horizon are not looked at: supply is assumed there, and what the
horizon has reached is assumed no more; at locations with a lead time it stands, and counts as the receipt that it is.
To take over an order of another system is no decision: what it commits beyond supply is a deficit by cut-over, counted
apart.
"""

import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from services.atp.adapters.capacity_audit import Bookings, Leaves
from services.chassis.database import Connection, Database

RECORDS_AT_ONCE: Final = 200  # records held in memory, some 100 kB each when unpacked
REPORTED_MAX: Final = 100
_RECORDS: Final = """
SELECT decision_id, input FROM decision_batch WHERE decision_id > $1 ORDER BY decision_id LIMIT $2
"""
_TAKEN: Final = """
SELECT decision_id, decision_index, item_id, location_id, available_day, quantity, assumed, service, ship_day
FROM commitment
WHERE decision_id = ANY($1::uuid[])
"""
_FIRST: Final = UUID(int=0)
Place = tuple[str, str]
NOTHING: Final[Mapping[Place, list[tuple[int, int]]]] = {}
GIVEN_UP: Final = 2  # the place of what contenders gave up in a recorded run


@dataclass(slots=True)
class OversellReport:
    """What the audit found."""

    batches: int = 0
    decisions: int = 0
    taken: int = 0
    oversold: dict[Place, str] = field(default_factory=dict)
    taken_over: int = 0
    cut_over_deficits: dict[Place, str] = field(default_factory=dict)
    broken_chains: dict[Place, str] = field(default_factory=dict)
    overbooked: dict[tuple[str, int], str] = field(default_factory=dict)  # by capacity and ship day

    def accuse(self, place: Place, finding: str, *, cut_over: bool = False) -> None:
        """Note the first finding of a position."""
        (self.cut_over_deficits if cut_over else self.oversold).setdefault(place, finding)


@dataclass(slots=True)
class _Stock:
    """A position in the audit's own terms."""

    version: int
    on_hand: int
    buffer: int
    receipts: list[tuple[int, int, int, int]]  # day, confirmed, planned, assumed
    committed: dict[int, int]

    def key(self) -> tuple[int, int, tuple[tuple[int, int, int, int], ...], tuple[tuple[int, int], ...]]:
        """What two pictures of one version must agree in."""
        kept = tuple(sorted((day, quantity) for day, quantity in self.committed.items() if quantity))
        return self.on_hand, self.buffer, tuple(sorted(self.receipts)), kept


class _Items(NamedTuple):
    """The items of a record, and the locations whose supply is assumed from a day on and stands."""

    items: Mapping[str, Mapping[str, Any]]
    assumed_from: Mapping[str, int]


async def audit(database: Database) -> OversellReport:
    """Go through all decision records, oldest first."""
    report = OversellReport()
    left: dict[Place, _Stock] = {}
    async for record, taken in _records(database):
        report.batches += 1
        _replay(record, taken, left, report)
    return report


async def _records(database: Database) -> AsyncIterator[tuple[dict[str, Any], dict[int, list[tuple[Any, ...]]]]]:
    after = _FIRST
    while True:

        async def work(connection: Connection, after: UUID = after) -> tuple[list[Any], list[Any]]:
            rows = await connection.fetch(_RECORDS, after, RECORDS_AT_ONCE)
            taken = await connection.fetch(_TAKEN, [row["decision_id"] for row in rows])
            return list(rows), list(taken)

        rows, taken = await database.read(work)
        if not rows:
            return
        by_decision: dict[UUID, dict[int, list[tuple[Any, ...]]]] = defaultdict(lambda: defaultdict(list))
        for row in taken:
            _, index, *entry = row
            by_decision[row["decision_id"]][index].append(tuple(entry))
        for row in rows:
            yield orjson.loads(zlib.decompress(row["input"])), by_decision.get(row["decision_id"], {})
        after = rows[-1]["decision_id"]


def _replay(
    record: Mapping[str, Any],
    taken: Mapping[int, Iterable[tuple[Any, ...]]],
    left: dict[Place, _Stock],
    report: OversellReport,
) -> None:
    today: int = record["today"]
    items = _Items({item["item_id"]: item for item in record["items"]}, dict(record.get("assumed_from", ())))
    stocks = {_place(position): _stock(position) for position in record["positions"]}
    found = {place: stock.key() for place, stock in stocks.items()}
    for place, stock in stocks.items():
        former = left.get(place)
        if former is not None and former.version == stock.version and former.key() != stock.key():
            report.broken_chains.setdefault(place, f"version {stock.version} is not what the batch before it left")
    bookings = Bookings(record)
    index = 0
    for kind, step in record["steps"]:
        if kind in ("decide", "serve", "redecide"):
            report.decisions += 1
            given_up = step[GIVEN_UP] if kind == "redecide" else ()
            before = {place: _availability(stocks[place], items, place, today) for place in map(_place, given_up)}
            for part in given_up:
                _give(stocks, part, part["quantity"])
                bookings.give_back(part)
            overbooked = bookings.take(_leaves(taken.get(index, ())))
            report.overbooked |= {key: found for key, found in overbooked.items() if key not in report.overbooked}
            _take(stocks, items, taken.get(index, ()), today, report, before=before)
            index += 1
        elif kind == "cut_over":
            report.taken_over += 1
            bookings.take(_leaves(taken.get(index, ())))
            _take(stocks, items, _without_shipped(taken.get(index, ()), step), today, report, cut_over=True)
            index += 1
        else:
            for part in step if kind == "release" else ():
                bookings.give_back(part)
            _apply(stocks, kind, step)
    for place, stock in stocks.items():
        if stock.key() != found.get(place):
            left[place] = replace(stock, version=stock.version + 1)


def _apply(stocks: dict[Place, _Stock], kind: str, step: Any) -> None:
    """A step that is no decision: supply, goods given back, goods that left."""
    match kind:
        case "put":
            stocks[_place(step)] = _stock(step)
        case "release":
            for part in step:
                _give(stocks, part, part["quantity"])
        case "ship":
            part, quantity, on_hand_change = step
            _give(stocks, part, quantity)
            stocks[_place(part)].on_hand += -quantity if on_hand_change is None else on_hand_change


def _take(
    stocks: dict[Place, _Stock],
    items: _Items,
    taken: Iterable[tuple[Any, ...]],
    today: int,
    report: OversellReport,
    *,
    cut_over: bool = False,
    before: Mapping[Place, list[tuple[int, int]]] = NOTHING,
) -> None:
    """Let one decision take its quantities; accuse it where A(s) ends up negative and lower than before.

    `before` is how it was where the same decision has given something back already.
    """
    touched: dict[Place, list[tuple[int, int]]] = dict(before)
    for item_id, location_id, day, quantity, assumed, *_ in taken:
        place = (item_id, location_id)
        stock = stocks.get(place)
        if stock is None:
            report.accuse(place, "a decision took from a position that it had not read")
            continue
        if place not in touched:
            touched[place] = _availability(stock, items, place, today)
        report.taken += 1
        stock.committed[day] = stock.committed.get(day, 0) + quantity
        if assumed:
            stock.receipts = _with_assumed(stock.receipts, day, quantity)
    for place, levels in touched.items():
        for day, level in _availability(stocks[place], items, place, today):
            was = max((entry for entry in levels if entry[0] <= day), default=levels[0])[1]
            if level < 0 and level < was:
                report.accuse(place, f"A on day {day} went from {was} to {level}", cut_over=cut_over)


def _leaves(taken: Iterable[tuple[Any, ...]]) -> list[Leaves]:
    return [Leaves(location, service, day, quantity) for _, location, _, quantity, _, service, day in taken]


def _without_shipped(taken: Iterable[tuple[Any, ...]], step: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
    """What an open order still commits: its quantities less what of them had shipped before it was taken over."""
    shipped: dict[tuple[str, str, int], int] = defaultdict(int)
    for line in step["given"]:
        for (item_id, location_id), _, _, left, available_day, *_ in line:
            shipped[item_id, location_id, available_day] += left
    for item_id, location_id, day, quantity, assumed, *_ in taken:
        gone = min(quantity, shipped[item_id, location_id, day])
        shipped[item_id, location_id, day] -= gone
        if quantity > gone:
            yield item_id, location_id, day, quantity - gone, assumed


def _availability(stock: _Stock, items: _Items, place: Place, today: int) -> list[tuple[int, int]]:
    """(day, A(day)) for every day on which A changes, from today to the day before the horizon."""
    item, start = items.items[place[0]], items.assumed_from.get(place[1])
    changes: dict[int, int] = defaultdict(int)
    changes[today] += (stock.on_hand if start is None else max(0, stock.on_hand)) - stock.buffer
    for day, confirmed, planned, assumed in stock.receipts:
        counted = confirmed + (planned if item["planned_receipts_count"] else 0)
        if day >= today or today - day <= item["past_due_supply_days"]:
            changes[max(day, today)] += counted
        if start is not None:
            changes[max(day, today)] += assumed
    for day, quantity in stock.committed.items():
        changes[max(day, today)] -= quantity
    horizon = item["checking_horizon_days"] if start is None else start - today
    found, level = [], 0
    for day in sorted(changes):
        level += changes[day]
        if horizon is None or day < today + horizon:
            found.append((day, level))
    return found or [(today, level)]


def _with_assumed(
    receipts: list[tuple[int, int, int, int]], day: int, quantity: int
) -> list[tuple[int, int, int, int]]:
    found = {entry[0]: entry for entry in receipts}
    _, confirmed, planned, assumed = found.get(day, (day, 0, 0, 0))
    found[day] = (day, confirmed, planned, assumed + quantity)
    return [entry for _, entry in sorted(found.items()) if any(entry[1:])]


def _give(stocks: dict[Place, _Stock], part: Mapping[str, Any], quantity: int) -> None:
    stock, day = stocks[_place(part)], part["available_day"]
    stock.committed[day] = stock.committed.get(day, 0) - quantity
    if part["assumed"]:
        stock.receipts = _with_assumed(stock.receipts, day, -quantity)


def _place(named: Mapping[str, Any]) -> Place:
    item_id, location_id = named["key"]
    return item_id, location_id


def _stock(position: Mapping[str, Any]) -> _Stock:
    return _Stock(
        version=position["version"],
        on_hand=position["on_hand"],
        buffer=position["buffer"],
        receipts=[
            (each["day"], each["confirmed"], each["planned"], each.get("assumed", 0)) for each in position["receipts"]
        ],
        committed=dict(position["commitments"]),
    )
