"""What one order adds to the measures, case by case as docs/measures.md defines them."""

from dataclasses import replace
from decimal import Decimal

import pytest

from services.atp.domain.breach_cause import CAUSES, DueReceipt, cause_of, main_cause, tally
from services.atp.domain.service_figures import Cost, Ratio, added, cost_to_serve, costs, difference, ratios, rounded
from services.atp.domain.service_measures import (
    AmountKey,
    AnsweredLine,
    Done,
    OrderRecord,
    Reported,
    Revision,
    Scheduled,
    Taken,
    base_of,
    measure,
    measured_lines,
    missed_days,
    worsened,
)

ANSWERED, SHIPS, DUE = 100, 103, 105
LINE = AnsweredLine("1", "TEA", 10, "promised", 10, 0, DUE, (Scheduled(10, SHIPS, DUE),))
ANSWER = Revision("", ANSWERED, "gold", "assigned", "promised", (LINE,))
PART = Taken("1", "TEA", "DC", 10, 0, SHIPS, 500)


def shipped(quantity: int, day: int = SHIPS, cost: int | None = None) -> Done:
    return Done("shipped", "1", quantity, day, cost)


def delivered(quantity: int, day: int = DUE) -> Done:
    return Done("delivered", "1", quantity, day)


def order(*done: Done, reported: tuple[Reported, ...] = (), revisions: tuple[Revision, ...] = (ANSWER,)) -> OrderRecord:
    gone = min(10, sum(each.quantity for each in done if each.kind == "shipped"))
    return OrderRecord(revisions, (replace(PART, shipped=gone),), done, reported)


def amount(record: OrderRecord, name: str, detail: str = "") -> int:
    return sum(value for key, value in measure(record).items() if (key.measure, key.detail) == (name, detail))


def revised(cause: str, *lines: AnsweredLine, day: int = 101, state: str = "promised") -> Revision:
    return replace(ANSWER, cause=cause, day=day, state=state, lines=lines)


def test_an_answer_counts_on_its_day_and_a_delivery_on_the_due_day() -> None:
    found = measure(order(shipped(10), delivered(10)))
    assert found[AmountKey(ANSWERED, "lines_answered")] == 1
    assert found[AmountKey(DUE, "lines_due")] == 1
    assert found[AmountKey(DUE, "lines_on_time_in_full")] == 1
    assert AmountKey(DUE, "days_late") not in found


@pytest.mark.parametrize(
    ("done", "on_time", "complete", "days_late"),
    [
        ((shipped(10), delivered(10)), 1, 1, 0),
        ((shipped(10), delivered(10, DUE - 3)), 1, 1, 0),
        ((shipped(10), delivered(10, DUE + 1)), 0, 1, 1),
        ((shipped(10), delivered(9)), 0, 0, 0),
        ((shipped(10), delivered(9), delivered(1, DUE + 4)), 0, 1, 4),
        ((shipped(10), delivered(5, DUE), delivered(5, DUE - 1)), 1, 1, 0),
        ((), 0, 0, 0),
    ],
)
def test_a_line_is_on_time_in_full_when_all_of_it_came_by_the_due_day(
    done: tuple[Done, ...], on_time: int, complete: int, days_late: int
) -> None:
    record = order(*done)
    assert amount(record, "lines_on_time_in_full") == on_time
    assert amount(record, "lines_delivered") == complete
    assert amount(record, "days_late") == days_late


def test_the_fill_rate_counts_what_was_shipped_by_the_promised_ship_date_and_no_more_than_ordered() -> None:
    assert amount(order(shipped(6), shipped(4, SHIPS + 1)), "units_shipped_in_time") == 6
    assert amount(order(shipped(12)), "units_shipped_in_time") == 10


def test_a_line_that_was_promised_nothing_is_due_when_it_was_wanted() -> None:
    line = replace(LINE, outcome="backordered", promised=0, backordered=10, schedule=())
    (found,) = measured_lines(order(revisions=(replace(ANSWER, lines=(line,)),)))
    assert (found.due_day, found.ship_by_day) == (DUE, DUE)


def test_what_may_not_be_promised_is_refused_and_no_demand() -> None:
    record = order(revisions=(replace(ANSWER, lines=(replace(LINE, outcome="unknown_item", schedule=()),)),))
    assert measure(record) == {AmountKey(ANSWERED, "lines_refused"): 1}


def test_a_withdrawn_order_owes_only_what_had_shipped() -> None:
    cancelled = revised("cancelled", replace(LINE, outcome="cancelled", promised=0), state="cancelled")
    assert amount(order(revisions=(ANSWER, cancelled)), "lines_due") == 0
    assert amount(order(shipped(4), revisions=(ANSWER, cancelled)), "units_due") == 4


def test_after_a_part_was_given_back_the_rest_is_due() -> None:
    released = revised("released", replace(LINE, promised=7))
    assert amount(order(revisions=(ANSWER, released)), "units_due") == 7


def test_a_hold_is_no_demand_until_it_is_confirmed() -> None:
    held = replace(ANSWER, state="held")
    assert measure(order(revisions=(held,))) == {}
    assert amount(order(revisions=(held, revised("confirmed", LINE, state="confirmed"))), "lines_due") == 1


def test_an_amended_order_is_measured_against_its_new_answer() -> None:
    later = replace(LINE, requested_day=DUE + 9, schedule=(Scheduled(10, SHIPS + 9, DUE + 9),))
    amended = replace(revised("amended", later), tier="silver")
    record = order(revisions=(ANSWER, amended))
    assert base_of(record).tier == "silver"
    assert AmountKey(DUE + 9, "lines_due") in measure(record)
    assert amount(record, "lines_preempted") == 0


def test_a_worse_promise_that_nobody_asked_for_is_a_preemption() -> None:
    later = replace(LINE, schedule=(Scheduled(10, SHIPS, DUE + 1),))
    assert amount(order(revisions=(ANSWER, revised("allocation_changed", later))), "lines_preempted") == 1
    assert amount(order(revisions=(ANSWER, revised("amended", later))), "lines_preempted") == 0
    assert not worsened(LINE.schedule, (Scheduled(4, SHIPS, DUE - 1), Scheduled(6, SHIPS, DUE)))
    assert worsened(LINE.schedule, (Scheduled(9, SHIPS, DUE),))


@pytest.mark.parametrize(
    ("done", "reported", "accurate"),
    [
        ((shipped(10), delivered(10)), (), 1),
        ((shipped(11), delivered(10)), (), 0),
        ((shipped(10), delivered(10)), (Reported("discrepancy", "damaged", 1, DUE, "1"),), 0),
    ],
)
def test_an_order_is_accurate_when_it_came_as_ordered(
    done: tuple[Done, ...], reported: tuple[Reported, ...], accurate: int
) -> None:
    record = order(*done, reported=reported)
    assert amount(record, "orders_delivered") == 1
    assert amount(record, "orders_accurate") == accurate


def test_freight_is_actual_where_it_was_told_and_the_lanes_for_the_rest() -> None:
    record = order(shipped(6, cost=420), shipped(4))
    assert amount(record, "cost_actual", "freight") == 420
    assert amount(record, "cost_rate", "freight") == 200
    assert amount(record, "cost_missing", "freight") == 0
    assert amount(order(shipped(10), shipped(3)), "cost_missing", "freight") == 3


def test_a_reported_activity_with_its_cost_takes_the_place_of_a_counted_one() -> None:
    paid = Reported("activity", "pick", 1, SHIPS, actual_cost_minor=77)
    record = order(shipped(6), shipped(4), reported=(paid,))
    assert amount(record, "activity", "pick") == 1
    assert amount(record, "cost_actual", "pick") == 77
    contact = Reported("activity", "contact", 2, SHIPS)
    assert amount(order(reported=(contact,)), "activity", "contact") == 2


def test_overrides_are_counted_by_kind() -> None:
    record = order(revisions=(replace(ANSWER, basis="caller_override"), revised("expedited", LINE)))
    assert (amount(record, "overrides", "tier"), amount(record, "overrides", "expedited")) == (1, 1)


def test_lines_that_missed_are_found_by_their_due_days() -> None:
    assert missed_days(measured_lines(order(shipped(10), delivered(10)))) is None
    assert missed_days(measured_lines(order(shipped(10), delivered(9)))) == (DUE, DUE)


LATE = DueReceipt("TEA", "DC", SHIPS, 50, ((SHIPS + 2, 50),))
SHORT = replace(LINE, schedule=(Scheduled(10, SHIPS, DUE + 5),), outcome="promised_late")


@pytest.mark.parametrize(
    ("record", "receipts", "cause"),
    [
        (order(), (), "execution"),
        (order(), (replace(LATE, came=((SHIPS, 50),)),), "execution"),
        (order(), (LATE,), "late_supply"),
        (order(), (replace(LATE, came=()),), "late_supply"),
        (order(), (replace(LATE, location_id="OTHER"),), "execution"),
        (order(), (replace(LATE, due_day=ANSWERED),), "execution"),
        (order(revisions=(replace(ANSWER, lines=(SHORT,)),)), (), "demand_above_plan"),
        (
            order(revisions=(replace(ANSWER, lines=(SHORT,)),)),
            (replace(LATE, due_day=ANSWERED - 1, came=()),),
            "late_supply",
        ),
        (order(revisions=(replace(ANSWER, lines=(replace(SHORT, why=("supply", "protection")),)),)), (), "allocation"),
        (order(revisions=(ANSWER, revised("allocation_changed", SHORT))), (), "allocation"),
        (order(revisions=(ANSWER, revised("supply_changed", SHORT))), (), "late_supply"),
        (order(revisions=(ANSWER, revised("execution", SHORT))), (LATE,), "execution"),
    ],
)
def test_the_cause_of_a_miss_follows_the_stated_rules(
    record: OrderRecord, receipts: tuple[DueReceipt, ...], cause: str
) -> None:
    assert cause_of(record, "1", receipts) == cause


def test_the_main_cause_has_most_of_what_was_missed() -> None:
    missed = tally([("late_supply", 3), ("allocation", 2), ("late_supply", 1), ("execution", 4)])
    assert missed == {"execution": 4, "late_supply": 4, "allocation": 2}
    assert main_cause(missed) == "execution"
    assert main_cause({}) is None
    assert CAUSES == ("execution", "late_supply", "allocation", "demand_above_plan")


def test_a_target_is_met_only_when_it_is_met() -> None:
    assert Ratio(9_799_999, 10_000_000).basis_points == 9_799
    assert Ratio(0, 0).basis_points is None


def test_without_any_delivery_told_what_depends_on_deliveries_is_unknown() -> None:
    figures = {"lines_due": Decimal(3), "units_due": Decimal(9), "units_shipped_in_time": Decimal(9)}
    found = ratios(figures)
    assert (found["fill_rate"].basis_points, found["on_time_in_full"].basis_points) == (10_000, None)
    assert ratios({**figures, "units_delivered": Decimal(1)})["on_time_in_full"].basis_points == 0


def test_costs_say_what_is_actual_what_is_a_rate_and_what_is_missing() -> None:
    figures = {
        "cost_actual/freight": Decimal(420),
        "cost_rate/pick": Decimal("6.5"),
        "cost_missing/pick": Decimal(2),
        "cost_rate/goods": Decimal(9_000),
    }
    found = costs(figures)
    assert found == [
        Cost("freight", Decimal(420), Decimal(0), 0),
        Cost("goods", Decimal(0), Decimal(9_000), 0),
        Cost("pick", Decimal(0), Decimal("6.5"), 2),
    ]
    assert cost_to_serve(found) == Decimal("426.5")
    assert [rounded(Decimal(each)) for each in ("6.5", "7.5", "-0.4")] == [6, 8, 0]


def test_a_difference_added_gives_what_is_now() -> None:
    before, now = {"a": Decimal(1), "b": Decimal(2)}, {"b": Decimal(5), "c": Decimal(1)}
    assert added(before, difference(now, before)) == now
    assert difference(now, now) == {}
