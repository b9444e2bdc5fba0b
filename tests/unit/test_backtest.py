"""The figures of a back-test and its report."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tiercel.backtest.figures import Move, Tried, members, reversals, shortest_stay_days
from tiercel.backtest.recorded import history_of
from tiercel.backtest.report import page
from tiercel.demo.history import History, HistoryLine, HistoryOrder
from tiercel.recorded_orders import RecordedOrder, take

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
        history = history_of(known.values())
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
        history = history_of(known.values())
        (order,) = history.orders
        found = [(back.order_id, back.line, back.quantity, back.returned_at) for back in history.returns]
        at = [BEGIN + timedelta(days=5), BEGIN + timedelta(days=9)]
        assert found == [(order.order_id, "1", 2, at[0]), (order.order_id, "1", 3, at[1])]
