"""Cancellations of a history become returns of earlier orders, and come back once the customer has the goods."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_demo_reading import MAP, _file, _set_aside
from tiercel.demo.cancellations import Cancellation, match
from tiercel.demo.generated import generate
from tiercel.demo.history import HistoryLine, HistoryOrder, HistoryReturn
from tiercel.demo.reading import read_history
from tiercel.demo.returning import Returns

CANCELS = MAP | {"cancelled": "Cancelled"}
START = datetime(2026, 1, 5, tzinfo=UTC)
DAY = date(2026, 1, 8)


def _history_file(folder: Path, *rows: str) -> Path:
    file = folder / "orders.csv"
    file.write_text("Invoice,StockCode,Quantity,InvoiceDate,Price,Customer ID,Country,Cancelled\n" + "\n".join(rows))
    return file


def test_a_cancellation_takes_back_the_customers_newest_order_of_the_item_first(tmp_path: Path) -> None:
    file = _history_file(
        tmp_path,
        "C-9,TEA,-7,2026-01-08 10:00,9,C-1,,true",
        "A-1,TEA,5,2026-01-05 10:00,2,C-1,,false",
        "A-2,TEA,3,2026-01-06 10:00,2,C-1,,false",
        "A-3,TEA,9,2026-01-09 10:00,2,C-1,,false",
        "A-4,TEA,9,2026-01-06 10:00,2,C-2,,false",
        "A-5,CUP,9,2026-01-06 10:00,2,C-1,,false",
    )
    history = read_history(file, CANCELS, tmp_path / "aside.csv")
    assert [(each.order_id, each.line, each.quantity) for each in history.returns] == [("A-2", "1", 3), ("A-1", "1", 4)]
    assert {each.returned_at for each in history.returns} == {datetime(2026, 1, 8, 10, tzinfo=UTC)}
    assert history.set_aside_by_reason == {}
    assert history.units == 35


def test_what_a_cancellation_takes_back_of_no_order_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    file = _history_file(
        tmp_path,
        "A-1,TEA,5,2026-01-05 10:00,2,C-1,,false",
        "C-1,TEA,-6,2026-01-06 10:00,2,C-1,,true",
        "C-2,TEA,-1,2026-01-07 10:00,2,C-1,,true",
        "C-3,CUP,-1,2026-01-07 10:00,2,C-1,,true",
        "C-4,TEA,-1,2026-01-04 10:00,2,C-1,,true",
        "C-5,TEA,-1,2026-01-07 10:00,2,,,true",
        "A-2,TEA,3,2026-01-07 10:00,2,C-1,,true",
        "A-3,TEA,-3,2026-01-07 10:00,2,C-1,,false",
    )
    history = read_history(file, CANCELS, tmp_path / "aside.csv")
    assert [(each.order_id, each.quantity) for each in history.returns] == [("A-1", 5)]
    assert sorted(_set_aside(tmp_path / "aside.csv")) == [
        ("2", "cancellation_beyond_orders"),
        ("3", "cancellation_of_no_order"),
        ("4", "cancellation_of_no_order"),
        ("5", "cancellation_of_no_order"),
        ("6", "no_customer_id"),
        ("7", "cancellation"),
        ("8", "quantity_not_positive"),
    ]
    assert sum(history.set_aside_by_reason.values()) == 7


def test_a_history_without_a_column_for_cancellations_has_no_returns(tmp_path: Path) -> None:
    history = read_history(_file(tmp_path, "A-1,TEA,5,2026-01-05,2,C-1,"), MAP, tmp_path / "aside.csv")
    assert history.returns == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 6)), max_size=30))
def test_as_much_comes_back_as_was_ordered_before_and_no_more(events: list[tuple[bool, int, int]]) -> None:
    """Oracle: what a customer has of an item is one number, whichever lines a return is taken from."""
    orders, cancellations = [], []
    for number, (is_order, at, quantity) in enumerate(events):
        moment = START + timedelta(hours=at)
        if is_order:
            lines = (HistoryLine("1", "TEA", quantity),)
            orders.append(HistoryOrder(f"A-{number:02d}", "C", moment, "*", lines))
        else:
            cancellations.append(Cancellation(number, "C", "TEA", quantity, moment, ""))
    orders.sort(key=lambda order: (order.ordered_at, order.order_id))
    matched = match(orders, cancellations)
    has, expected = 0, 0
    timeline = [(order.ordered_at, 0, order.lines[0].quantity) for order in orders]
    timeline += [(each.cancelled_at, 1, each.quantity) for each in cancellations]
    for _, is_return, quantity in sorted(timeline):
        came = min(has, quantity) if is_return else -quantity
        has -= came
        expected += came if is_return else 0
    assert sum(each.quantity for each in matched.returns) == expected
    ordered = {order.order_id: order for order in orders}
    by_order: dict[str, int] = defaultdict(int)
    for each in matched.returns:
        by_order[each.order_id] += each.quantity
        assert ordered[each.order_id].ordered_at <= each.returned_at
    assert all(units <= ordered[order_id].lines[0].quantity for order_id, units in by_order.items())


def _order(order_id: str) -> dict[str, Any]:
    return {"source": "shop", "order_id": order_id, "version": 1}


def test_goods_come_back_after_they_were_delivered_and_in_as_many_parts() -> None:
    returns = Returns([HistoryReturn("RT-1", "A", "1", 5, START)])
    assert list(returns.take(DAY)) == []
    assert (returns.busy, returns.open_units) == (False, 5)
    returns.deliver(_order("A"), "1", "TEA", "DC", 3)
    returns.deliver(_order("B"), "1", "TEA", "DC", 9)
    assert returns.busy
    assert [(came.reference, came.location, came.quantity) for came in returns.take(DAY)] == [("RT-1-1", "DC", 3)]
    returns.deliver(_order("A"), "1", "TEA", "DC", 1)
    returns.deliver(_order("A"), "1", "TEA", "DC-2", 8)
    later = [(came.reference, came.location, came.quantity) for came in returns.take(DAY + timedelta(days=1))]
    assert later == [("RT-1-2", "DC", 1), ("RT-1-3", "DC-2", 1)]
    assert (returns.busy, returns.open) == (False, {})


def test_goods_come_back_on_the_morning_after_the_history_says_so() -> None:
    returns = Returns([HistoryReturn("RT-1", "A", "1", 2, START + timedelta(hours=10))])
    returns.deliver(_order("A"), "1", "TEA", "DC", 2)
    assert returns.busy
    assert list(returns.take(START.date())) == []
    assert [came.quantity for came in returns.take(START.date() + timedelta(days=1))] == [2]


def test_the_generated_history_returns_no_more_than_it_ordered() -> None:
    history = generate()
    ordered = {(order.order_id, line.line): line.quantity for order in history.orders for line in order.lines}
    assert history.returns
    assert all(0 < each.quantity <= ordered[each.order_id, each.line] for each in history.returns)
    assert history.returns == generate().returns
