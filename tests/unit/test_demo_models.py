"""The made-up history, the modelled supply, the warehouse and the count of what came of a replay."""

from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from tiercel.demo.generated import generate
from tiercel.demo.history import History
from tiercel.demo.stock_model import LEAD_DAYS, Delivery, Opening, plan_supply
from tiercel.demo.summary import count, first_answer, standing
from tiercel.demo.warehouse import Warehouse

MONDAY = date(2026, 1, 5)


def _promise(
    order_id: str, ship: date, quantity: int, *, backordered: int = 0, state: str = "promised"
) -> dict[str, Any]:
    arrival = ship + timedelta(days=2)
    part = {"location": "DC", "service": "parcel", "quantity": quantity, "cost_minor": 150}
    part |= {"ship_date": ship.isoformat(), "arrival_date": arrival.isoformat()}
    line = {"line": "1", "sku": "TEA", "quantity": quantity + backordered, "promised": quantity}
    line |= {"backordered": backordered, "requested_arrival": (MONDAY + timedelta(days=3)).isoformat()}
    line |= {"schedule": [part] if quantity else []}
    return {
        "promise_id": f"P-{order_id}",
        "revision": 1,
        "order": {"source": "shop", "order_id": order_id, "version": 1},
        "state": state,
        "served_as": {"tier": "gold", "priority_rank": 10},
        "lines": [line],
        "cost_minor": 150 if quantity else 0,
    }


def _stocked(quantity: int) -> Warehouse:
    warehouse = Warehouse()
    warehouse.open_stock((Opening("TEA", "DC", quantity),), MONDAY)
    return warehouse


def test_the_same_seed_makes_the_same_history_and_another_seed_another() -> None:
    first, again, other = (generate(seed=seed, days=10, orders=60) for seed in (1, 1, 2))
    assert first.orders == again.orders
    assert first.orders != other.orders
    assert first.orders == sorted(first.orders, key=lambda order: (order.ordered_at, order.order_id))


def test_supply_after_a_day_does_not_depend_on_orders_after_it() -> None:
    whole = generate(days=50, orders=600)
    cut = whole.orders[0].ordered_at.date() + timedelta(days=30)
    known = History("cut", "GBP", [order for order in whole.orders if order.ordered_at.date() < cut])
    plans = [plan_supply(history, supply_share=Fraction(9, 10)) for history in (whole, known)]
    kept = {order_line.sku for order in known.orders for order_line in order.lines}
    ahead = [
        [
            delivery
            for delivery in plan.deliveries
            if delivery.announced < cut - timedelta(days=1) and delivery.sku in kept
        ]
        for plan in plans
    ]
    totals = [sorted((one.announced, one.sku) for one in deliveries) for deliveries in ahead]
    assert set(totals[1]) <= set(totals[0])
    assert {one.announced for one in ahead[0]} == {one.announced for one in ahead[1]}


def test_deliveries_are_announced_before_they_are_due_and_never_come_early() -> None:
    plan = plan_supply(generate(), supply_share=Fraction(9, 10))
    assert plan.deliveries
    for delivery in plan.deliveries:
        assert delivery.announced + timedelta(days=LEAD_DAYS) == delivery.due <= delivery.arrives
    assert any(delivery.arrives > delivery.due for delivery in plan.deliveries)


def test_the_warehouse_ships_what_is_due_as_far_as_it_has_it() -> None:
    warehouse = _stocked(5)
    warehouse.learn(_promise("A", MONDAY, 4))
    warehouse.learn(_promise("B", MONDAY, 4))
    assert [(one["order"]["order_id"], one["quantity"]) for one in warehouse.ship(MONDAY)] == [("A", 4), ("B", 1)]
    warehouse.receive([Delivery("PO-1", "TEA", "DC", 3, MONDAY, MONDAY, MONDAY)], MONDAY)
    assert [(one["order"]["order_id"], one["quantity"]) for one in warehouse.ship(MONDAY + timedelta(days=1))] == [
        ("B", 3)
    ]
    assert warehouse.stock["TEA", "DC"] == 0
    assert [one["quantity"] for one in warehouse.deliver(MONDAY + timedelta(days=2))] == [4, 1]


def test_sequences_of_movements_and_shipments_have_no_gaps() -> None:
    warehouse = _stocked(5)
    warehouse.learn(_promise("A", MONDAY, 2))
    sent = [*warehouse.ship(MONDAY)]
    sent += warehouse.receive([Delivery("PO-1", "TEA", "DC", 3, MONDAY, MONDAY, MONDAY)], MONDAY)
    assert [one["sequence"] for one in sent] == [2, 3]


def test_a_changed_promise_does_not_ship_again_what_has_left() -> None:
    warehouse = _stocked(9)
    warehouse.learn(_promise("A", MONDAY, 2, backordered=3))
    assert warehouse.backlog_lines == 1
    warehouse.ship(MONDAY)
    warehouse.learn(_promise("A", MONDAY, 5))
    assert warehouse.backlog_lines == 0
    assert [one["quantity"] for one in warehouse.ship(MONDAY)] == [3]


def test_a_cancelled_promise_is_not_shipped() -> None:
    warehouse = _stocked(9)
    warehouse.learn(_promise("A", MONDAY, 2))
    warehouse.learn(_promise("A", MONDAY, 2, state="cancelled"))
    assert warehouse.ship(MONDAY) == []


def test_units_count_as_shipped_in_time_when_they_leave_by_the_promised_date() -> None:
    warehouse = _stocked(9)
    warehouse.learn(_promise("A", MONDAY, 2))
    warehouse.learn(_promise("B", MONDAY, 3))
    warehouse.learn(_promise("C", MONDAY - timedelta(days=1), 4))
    warehouse.ship(MONDAY)
    assert dict(warehouse.shipped_in_time) == {"A": 2, "B": 3}


def test_a_closed_promise_is_not_shipped_again() -> None:
    warehouse = _stocked(9)
    warehouse.learn(_promise("A", MONDAY, 2))
    warehouse.ship(MONDAY)
    warehouse.learn(_promise("A", MONDAY, 2, state="closed"))
    assert warehouse.ship(MONDAY + timedelta(days=1)) == []


def test_figures_are_counted_by_the_tier_of_the_first_answer() -> None:
    first = {"A": _promise("A", MONDAY, 4), "B": _promise("B", MONDAY, 0, backordered=6)}
    newest = {"A": first["A"], "B": _promise("B", MONDAY + timedelta(days=3), 6)}
    counted = count(
        {order_id: first_answer(promise) for order_id, promise in first.items()},
        {order_id: standing(promise) for order_id, promise in newest.items()},
        {"A": 4},
    )
    assert (counted.lines, counted.units, counted.promised_lines, counted.backordered_lines) == (2, 10, 1, 1)
    assert counted.by_tier == [
        {
            "tier": "gold",
            "orders": 2,
            "lines": 2,
            "units": 10,
            "fill_rate": 0.4,
            "on_time_rate": 0.5,
            "mean_days_late": 2.0,
            "cost_to_serve": 3.0,
        }
    ]
