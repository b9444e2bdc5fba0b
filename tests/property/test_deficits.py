"""Deficits against an auditor that deals supply out unit by unit, day by day."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.deficits import Owed, may_lack, peg
from services.atp.domain.model import Item, Position, PositionKey, Receipts
from services.atp.domain.supply_picture import running_supply

TODAY = 740_000
SPAN = 12
KEY = PositionKey("I1", "L1")


@st.composite
def situations(draw: st.DrawFn) -> tuple[Position, Item, list[Owed[int]]]:
    """A position whose commitments are those given, in any relation to its supply."""
    due = sorted(draw(st.lists(st.integers(TODAY - 4, TODAY + SPAN), max_size=4, unique=True)))
    receipts = tuple(Receipts(day, draw(st.integers(0, 9)), draw(st.integers(0, 3))) for day in due)
    owed = [
        Owed(number, (draw(st.integers(1, 3)), number), draw(st.integers(TODAY - 2, TODAY + SPAN)), draw(_few))
        for number in range(draw(st.integers(0, 6)))
    ]
    by_day: dict[int, int] = {}
    for each in owed:
        by_day[each.day] = by_day.get(each.day, 0) + each.quantity
    position = Position(
        KEY, 1, draw(st.integers(-3, 20)), draw(st.integers(0, 2)), receipts, tuple(sorted(by_day.items()))
    )
    horizon = draw(st.one_of(st.none(), st.integers(0, SPAN + 2)))
    item = Item("I1", checking_horizon_days=horizon, past_due_supply_days=draw(st.integers(0, 5)))
    return position, replace(item, planned_receipts_count=draw(st.booleans())), owed


_few = st.integers(1, 7)


def _supply(position: Position, item: Item, days: range) -> dict[int, int]:
    supply = dict.fromkeys(days, position.on_hand - position.buffer)
    for receipts in position.receipts:
        if receipts.day >= TODAY - item.past_due_supply_days:
            units = receipts.confirmed + (receipts.planned if item.planned_receipts_count else 0)
            for day in days:
                supply[day] += units * (day >= receipts.day)
    return supply


def _oracle(position: Position, item: Item, owed: list[Owed[int]]) -> dict[int, tuple[int, int | None]]:
    """Units on days: each unit that is owed takes the first feasible place, tried one by one."""
    end = TODAY + (SPAN * 10 if item.checking_horizon_days is None else item.checking_horizon_days)
    days = range(TODAY, end)
    supply = _supply(position, item, days)
    found: dict[int, tuple[int, int | None]] = {}
    for each in sorted(owed, key=lambda one: one.place):
        on = max(each.day, TODAY)
        if on >= end:
            continue
        missing = each.quantity
        while missing and _take(supply, on, 1):
            missing -= 1
        if missing:
            cover = next((later for later in range(on + 1, end) if _take(supply, later, missing)), None)
            found[each.name] = (missing, end if cover is None and item.checking_horizon_days is not None else cover)
    return found


def _take(supply: dict[int, int], on: int, units: int) -> bool:
    days = [day for day in supply if day >= on]
    if not all(supply[day] >= units for day in days):
        return False
    for day in days:
        supply[day] -= units
    return True


@given(situations())
def test_deficits_are_those_of_dealing_out_unit_by_unit(situation: tuple[Position, Item, list[Owed[int]]]) -> None:
    position, item, owed = situation
    found = {each.name: (each.quantity, each.covered_on) for each in peg(position, item, TODAY, owed)}
    assert found == _oracle(position, item, owed)


@given(situations())
def test_somebody_goes_short_exactly_where_more_is_committed_than_there_is(
    situation: tuple[Position, Item, list[Owed[int]]],
) -> None:
    position, item, owed = situation
    curve = running_supply(position, item, TODAY)
    checked = [
        (day, level) for day, level in zip(curve.days, curve.available, strict=True) if day < (curve.horizon or 10**9)
    ]
    deficits = peg(position, item, TODAY, owed)
    on_day = {each.name: max(each.day, TODAY) for each in owed}
    owed_by = {day: sum(each.quantity for each in owed if max(each.day, TODAY) <= day) for day, _ in checked}
    for day, level in checked:
        short = sum(each.quantity for each in deficits if on_day[each.name] <= day)
        assert short >= min(-level, owed_by[day])
    if all(level >= 0 for _, level in checked):
        assert deficits == []
    elif deficits:
        assert may_lack(position, TODAY)


@given(situations(), st.integers(0, 5))
def test_nobody_is_touched_by_those_who_rank_behind(
    situation: tuple[Position, Item, list[Owed[int]]], number: int
) -> None:
    position, item, owed = situation
    ahead = sorted(owed, key=lambda one: one.place)[:number]
    alone = peg(position, item, TODAY, ahead)
    names = [each.name for each in ahead]
    assert alone == [each for each in peg(position, item, TODAY, list(reversed(owed))) if each.name in names]
