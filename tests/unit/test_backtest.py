"""The figures of a back-test and its report."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.chassis.envelope import to_record
from services.chassis.event_log.port import Record, TopicSpec
from services.contracts import topics
from services.contracts.catalogue import ORDER_RECORDED
from tests.support.memory_log import MemoryEventLog, MemoryStore
from tests.support.reclassifier_service import delivery
from tests.support.reclassifier_service import record as recorded_order
from tiercel.backtest.figures import Move, Tried, members, reversals, shortest_stay_days
from tiercel.backtest.one_order import in_one_order
from tiercel.backtest.recorded import history_of, recorded_history
from tiercel.backtest.report import page
from tiercel.backtest.run import RULE_SET_BYTES_MAX, Trial, backtest
from tiercel.demo.history import History, HistoryLine, HistoryOrder, HistoryReturn
from tiercel.demo.reading import UnusableHistoryError, read_history
from tiercel.failures import BacktestRefused
from tiercel.recorded_orders import Crosswalk, RecordedOrder, take

BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)


def _move(days: int, customer: str, before: str, after: str, reason: str = "orders_90d 5 (at least 5)") -> Move:
    return Move((BEGIN + timedelta(days=days)).isoformat(), customer, before, after, reason)


def _history() -> History:
    line = HistoryLine("1", "TEA", 3, Decimal("2.50"))
    orders = [
        HistoryOrder(f"O-{number}", customer, BEGIN + timedelta(days=number), "GB", (line,))
        for number, customer in enumerate(("a", "b", "a", "c"))
    ]
    return History("made up", "GBP", orders, {"c": "silver"})


def test_a_reversal_is_a_change_back_to_the_tier_before() -> None:
    there_and_back = [_move(0, "a", "bronze", "silver"), _move(20, "a", "silver", "bronze")]
    upward = [_move(1, "b", "bronze", "silver"), _move(25, "b", "silver", "gold")]
    assert reversals([*there_and_back, *upward]) == 1
    assert reversals([*there_and_back, _move(40, "a", "bronze", "silver")]) == 2
    assert reversals(upward) == 0


def test_the_shortest_stay_is_between_two_changes_of_one_customer() -> None:
    moves = [_move(0, "a", "x", "y"), _move(3, "b", "x", "y"), _move(20, "a", "y", "x"), _move(40, "b", "y", "x")]
    assert shortest_stay_days(moves) == 20
    assert shortest_stay_days(moves[:2]) is None


def test_every_customer_is_in_one_tier_at_the_end_of_each_day() -> None:
    found = members(_history(), [_move(2, "b", "bronze", "gold")], ["gold", "silver", "bronze"], "bronze")
    assert found[date(2026, 1, 6).isoformat()] == {"gold": 0, "silver": 1, "bronze": 2}
    assert found[date(2026, 1, 7).isoformat()] == {"gold": 1, "silver": 1, "bronze": 1}
    assert {sum(of_day.values()) for of_day in found.values()} == {3}
    assert len(found) == 4


def test_the_report_runs_nothing_that_a_history_or_a_rule_set_says() -> None:
    evil = "<script>alert(1)</script>"
    moves = (_move(0, evil, "bronze", "gold", evil),)
    history = _history()
    tried = Tried(evil, moves, (), members(history, moves, ["gold", "bronze"], "bronze"))
    facts = {"source": evil, "orders": 4, "customers": 3, "first_day": "2026-01-05", "last_day": "2026-01-08"}
    document = {"history": facts | {"supply_percent": 90, "landed_percent": 60}, "approval": ""}
    written = page(document, [tried], digest="0")
    assert "<script" not in written
    assert written.count("&lt;script&gt;") >= 3
    assert page(document, [tried], digest="0") == written


def test_of_an_order_counts_its_highest_record_and_of_a_cancelled_one_what_had_shipped() -> None:
    line = {"line": "1", "sku": "TEA", "unit_price": "2.5"}

    def record(order: str, sequence: int, change: str, quantity: int, shipped: int = 0) -> dict[str, Any]:
        return {
            "order": {"source": "shop", "order_id": order, "version": 1},
            "change": change,
            "sequence": sequence,
            "customer_id": None,
            "customer": {"system": "shop", "id": "c"},
            "zone": "GB",
            "ordered_at": BEGIN.isoformat(),
            "currency": "GBP",
            "lines": [line | {"quantity": quantity, "shipped_quantity": shipped}],
        }

    records = [
        record("amended", 2, "amended", 7),
        record("amended", 1, "accepted", 5),
        record("cancelled", 2, "cancelled", 5, 2),
        record("cancelled", 3, "delivered", 5, 2),
        record("gone", 1, "cancelled", 4),
    ]
    for told in (records, records[::-1], records * 2):
        known: dict[tuple[str, str], RecordedOrder] = {}
        for number, each in enumerate(told):
            take(known, str(number), each)
        history = history_of(known.values(), Crosswalk([]))
        assert [[line.quantity for line in order.lines] for order in history.orders] == [[7], [2]]
        assert {order.customer_id for order in history.orders} == {"shop/c"}


def test_what_came_back_of_a_recorded_order_comes_back_in_its_history_once() -> None:
    def record(sequence: int, change: str, returned: int, days: int, shipped: int = 6) -> dict[str, Any]:
        lines = [{"line": "1", "sku": "TEA", "quantity": 6, "shipped_quantity": shipped, "returned_quantity": returned}]
        return {
            "order": {"source": "shop", "order_id": "A", "version": 1},
            "change": change,
            "sequence": sequence,
            "customer_id": "c",
            "customer": {"system": "shop", "id": "c"},
            "zone": "GB",
            "ordered_at": BEGIN.isoformat(),
            "occurred_at": (BEGIN + timedelta(days=days)).isoformat(),
            "currency": "GBP",
            "lines": lines,
        }

    records = [record(1, "accepted", 0, 0), record(3, "returned", 2, 5), record(4, "returned", 5, 9)]
    for shuffled in (records, [*reversed(records), *records]):
        known: dict[tuple[str, str], RecordedOrder] = {}
        for each in shuffled:
            take(known, f"{each['sequence']}", each)
        history = history_of(known.values(), Crosswalk([]))
        (order,) = history.orders
        found = [(back.order_id, back.line, back.quantity, back.returned_at) for back in history.returns]
        at = [BEGIN + timedelta(days=5), BEGIN + timedelta(days=9)]
        assert found == [(order.order_id, "1", 2, at[0]), (order.order_id, "1", 3, at[1])]


def test_orders_under_two_ids_of_a_merged_customer_are_of_one() -> None:
    def record(order: str, customer_id: str | None, named: str) -> dict[str, Any]:
        return {
            "order": {"source": "shop", "order_id": order, "version": 1},
            "change": "accepted",
            "sequence": 1,
            "customer_id": customer_id,
            "customer": {"system": "shop", "id": named},
            "zone": "GB",
            "ordered_at": BEGIN.isoformat(),
            "currency": "GBP",
            "lines": [{"line": "1", "sku": "TEA", "quantity": 1, "shipped_quantity": 0}],
        }

    known: dict[tuple[str, str], RecordedOrder] = {}
    for number, each in enumerate((record("1", "a", "x"), record("2", "b", "y"), record("3", None, "z"))):
        take(known, str(number), each)
    states = [
        {"customer_id": "a", "sequence": 2, "status": "merged", "merged_into": "b", "identifiers": []},
        {"customer_id": "b", "sequence": 3, "status": "active", "identifiers": [{"system": "shop", "id": "z"}]},
    ]
    assert {order.customer_id for order in history_of(known.values(), Crosswalk(states)).orders} == {"b"}
    assert len({order.customer_id for order in history_of(known.values(), Crosswalk([])).orders}) == 3


ROWS = [
    "A,TEA,3,2026-01-05 10:00,2.50,C-1,GB,silver,",
    "A,CUP,1,2026-01-05 10:01,4.00,C-1,DE,gold,",
    "A,TEA,2,2026-01-05 10:02,2.40,C-1,DE,gold,",
    "B,TEA,1,2026-01-06 09:00,2.50,C-2,FR,,",
    "B,TEA,4,2026-01-06 09:00,2.50,C-2,FR,bronze,",
    "R,TEA,-4,2026-01-09 09:00,2.50,C-1,GB,,true",
    "R,TEA,-1,2026-01-09 09:00,2.50,C-2,FR,,true",
    "S,TEA,-2,2026-01-09 09:00,2.50,C-2,FR,,true",
]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_rows_in_a_file_makes_no_other_history(tmp_path: Path, seed: int) -> None:
    def read(rows: list[str]) -> History:
        file = tmp_path / "orders.csv"
        header = "order_id,sku,quantity,ordered_at,unit_price,customer_id,zone,tier,cancelled"
        file.write_text("\n".join((header, *rows)) + "\n")
        return in_one_order(read_history(file, {}, tmp_path / "aside.csv"))

    whole, mixed = read(ROWS), read(Random(seed).sample(ROWS, len(ROWS)))
    assert (mixed.orders, mixed.returns, mixed.tiers) == (whole.orders, whole.returns, whole.tiers)
    assert (whole.units, sum(back.quantity for back in whole.returns)) == (11, 7)
    assert whole.tiers == {"C-1": "silver", "C-2": "bronze"}
    assert [order.zone for order in whole.orders] == ["GB", "FR"]


def test_what_came_back_is_of_the_lines_that_it_was_of() -> None:
    lines = (HistoryLine("1", "TEA", 3), HistoryLine("2", "CUP", 2), HistoryLine("3", "TEA", 1))
    order = HistoryOrder("O", "a", BEGIN, "GB", lines)
    at = BEGIN + timedelta(days=3)
    returns = [
        HistoryReturn("r1", "O", "3", 1, at),
        HistoryReturn("r2", "O", "1", 2, at),
        HistoryReturn("r3", "O", "2", 1, at),
    ]
    found = in_one_order(History("made up", "GBP", [order], returns=returns))
    skus = {line.line: (line.sku, line.quantity) for line in found.orders[0].lines}
    assert skus == {"1": ("CUP", 2), "2": ("TEA", 1), "3": ("TEA", 3)}
    assert [(back.line, back.quantity) for back in found.returns] == [("1", 1), ("2", 1), ("3", 2)]


RULES = {
    "rungs": [
        {
            "tier": "gold",
            "promote": {"feature": "orders", "window_days": 90, "at_least": 3},
            "demote": {"feature": "orders", "window_days": 90, "below": 1},
        }
    ],
    "floor": "bronze",
}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[" * 100_000 + "]" * 100_000, "nested more than 64 levels deep"),
        ('{"floor": "silver", ' + json.dumps(RULES)[1:], "the same key twice"),
        (json.dumps(RULES | {"proposal_ttl_days": float("nan")}), "NaN"),
        (json.dumps(RULES).replace('"at_least": 3', '"at_least": ' + "9" * 5_000), "is no rule set"),
        (" " * RULE_SET_BYTES_MAX + json.dumps(RULES), "larger than 1,048,576 bytes"),
    ],
)
def test_a_rule_set_that_can_be_read_in_two_ways_or_not_to_its_end_is_refused(
    tmp_path: Path, written: str, told: str
) -> None:
    file = tmp_path / "rules.json"
    file.write_text(written)
    with pytest.raises(BacktestRefused, match=told):
        backtest(Trial([file], _history(), tmp_path / "data", tmp_path / "out"))


def test_a_history_with_a_mistyped_year_is_refused_before_its_days_are_replayed(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(RULES))
    history = _history()
    first = history.orders[0]
    early = HistoryOrder("O-0", "a", datetime(1900, 1, 1, tzinfo=UTC), first.zone, first.lines)
    history.orders.insert(0, early)
    with pytest.raises(BacktestRefused, match="from 1900-01-01 to 2026-01-08"):
        backtest(Trial([file], history, tmp_path / "data", tmp_path / "out"))


class _Balanced(HTMLParser):
    """Knows which elements are open, and what was asked of elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.asked += [name for name, _ in attrs if name in {"src", "href"} or name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_well_formed_has_its_plots_and_asks_nothing_of_elsewhere() -> None:
    evil = "\"'><img src=x onerror=alert(1)>"
    moves = (_move(0, evil, "bronze", "gold", evil), _move(3, "b", "bronze", "gold"))
    history = _history()
    row = {"tier": "gold", "orders": 1, "units": 3, "fill_rate": 1.0, "on_time_rate": 0.5, "revenue_minor": 750}
    row |= {"landed_cost_minor": 450, "cost_to_serve_minor": 400, "margin_minor": -100}
    tried = Tried(evil, moves, (row,), members(history, moves, ["gold", "bronze"], "bronze"))
    facts = {"source": evil, "orders": 4, "customers": 3, "first_day": "2026-01-05", "last_day": "2026-01-08"}
    document = {"history": facts | {"supply_percent": 90, "landed_percent": 60}, "approval": ""}
    found = _Balanced()
    found.feed(page(document, [tried], digest="0"))
    found.close()
    assert (found.open, found.asked) == ([], [])
    assert (found.seen.count("svg"), found.seen.count("img"), found.seen.count("polyline")) == (2, 0, 2)


async def test_what_is_no_record_of_an_order_is_left_out_and_counted(capfd: pytest.CaptureFixture[str]) -> None:
    log = MemoryEventLog(MemoryStore())
    topic = topics.ORDERS_RECORDED
    await log.ensure_topics([TopicSpec(topic.name, 3), TopicSpec(topics.SEGMENTS_CURRENT.name, 3)])
    producer = await log.producer("test")
    good = delivery(ORDER_RECORDED, recorded_order("A", ordered_at=BEGIN.isoformat()), name="good").event
    bad = [
        delivery(ORDER_RECORDED, b"{", name="no JSON").event,
        delivery(ORDER_RECORDED, b"[]", name="no record").event,
        delivery(ORDER_RECORDED, recorded_order("B") | {"lines": [{"line": "1"}]}, name="half a line").event,
    ]
    other = replace(good, id="other", type="order.sung.v1", data=b"la")
    await producer.publish([to_record(each) for each in (*bad, good, other)], deadline_seconds=1)
    await producer.publish([Record(topic.name, b"x", b"no event", ())], deadline_seconds=1)
    (order,) = (await recorded_history(log)).orders
    assert order.ordered_at == BEGIN
    assert "4 records of orders.recorded.v1 cannot be read" in capfd.readouterr().err


async def test_an_empty_log_is_refused_in_a_sentence() -> None:
    log = MemoryEventLog(MemoryStore())
    await log.ensure_topics([TopicSpec(topics.ORDERS_RECORDED.name, 3), TopicSpec(topics.SEGMENTS_CURRENT.name, 3)])
    with pytest.raises(UnusableHistoryError, match="holds no order that can be replayed"):
        await recorded_history(log)
