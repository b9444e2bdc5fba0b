from dataclasses import replace

from services.atp.domain.model import Item, Position, PositionKey, Receipts
from services.atp.domain.supply_picture import UNLIMITED, Assumed, atp, lookahead, running_supply, still_assumed

KEY = PositionKey("I1", "L1")
TODAY = 740_000


def test_projected_and_look_ahead_are_those_of_the_printed_case() -> None:
    """The case `oracle_atp` of the conformance cases: eight periods, one a day."""
    supply, demand = [6, 4, 2, 4, 8, 4, 4, 4], [6, 2, 3, 6, 6, 1, 2, 2]
    position = Position(
        KEY,
        1,
        0,
        receipts=tuple(Receipts(TODAY + day, quantity) for day, quantity in enumerate(supply)),
        commitments=tuple((TODAY + day, quantity) for day, quantity in enumerate(demand)),
    )
    curve = running_supply(position, Item("I1"), TODAY)
    assert curve.available == [0, 2, 1, -1, 1, 4, 6, 8]
    changes = {TODAY + day: have - owed for day, (have, owed) in enumerate(zip(supply, demand, strict=True))}
    assert lookahead(changes, Item("I1"), TODAY).quantities == [-1, -1, -1, -1, 1, 4, 6, 8]
    assert [atp(position, Item("I1"), TODAY, TODAY + day) for day in range(8)] == [0, 0, 0, 0, 1, 4, 6, 8]


def test_the_buffer_is_never_offered() -> None:
    assert atp(Position(KEY, 1, on_hand=10, buffer=4), Item("I1"), TODAY, TODAY) == 6


def test_a_receipt_past_due_counts_as_todays_and_then_no_more() -> None:
    position = Position(KEY, 1, 0, receipts=(Receipts(TODAY - 3, 5),))
    assert atp(position, Item("I1", past_due_supply_days=3), TODAY, TODAY) == 5
    assert atp(position, Item("I1", past_due_supply_days=2), TODAY, TODAY) == 0


def test_a_commitment_past_due_counts_until_it_is_shipped() -> None:
    position = Position(KEY, 1, on_hand=10, commitments=((TODAY - 300, 4),))
    assert atp(position, Item("I1"), TODAY, TODAY) == 6


def test_planned_receipts_count_where_the_item_says_so() -> None:
    position = Position(KEY, 1, 0, receipts=(Receipts(TODAY, 2, planned=5),))
    assert atp(position, Item("I1"), TODAY, TODAY) == 2
    assert atp(position, Item("I1", planned_receipts_count=True), TODAY, TODAY) == 7


def test_supply_is_assumed_from_the_checking_horizon_on() -> None:
    position = Position(KEY, 1, on_hand=3, commitments=((TODAY + 5, 9),))
    item = Item("I1", checking_horizon_days=4)
    assert atp(position, item, TODAY, TODAY) == 3
    assert atp(position, item, TODAY, TODAY + 4) == UNLIMITED
    assert running_supply(position, item, TODAY).horizon == TODAY + 4
    assert atp(position, Item("I1", checking_horizon_days=0), TODAY, TODAY) == UNLIMITED


def test_an_assumed_receipt_is_supply_until_the_horizon_reaches_it() -> None:
    due = TODAY + 6
    position = Position(KEY, 1, 0, receipts=(Receipts(due, 0, assumed=5),), commitments=((due, 5),))
    item = Item("I1", checking_horizon_days=4)
    assert running_supply(position, item, TODAY).available == [0, 0]
    assert still_assumed(position, item, TODAY + 2) == [Assumed(due, 5, 0)]
    assert running_supply(position, item, TODAY + 3).available == [0, -5]
    assert still_assumed(position, item, TODAY + 3) == []
    assert atp(replace(position, on_hand=9), item, TODAY + 2, TODAY + 2) == 9
    assert atp(replace(position, on_hand=9), item, TODAY + 3, TODAY + 3) == 4


def test_a_real_receipt_replaces_what_is_assumed_and_is_not_counted_twice() -> None:
    receipts = (Receipts(TODAY + 5, 3), Receipts(TODAY + 6, 0, assumed=5))
    position = Position(KEY, 1, 0, receipts=receipts, commitments=((TODAY + 6, 5),))
    item = Item("I1", checking_horizon_days=4)
    assert still_assumed(position, item, TODAY) == [Assumed(TODAY + 6, 2, 3)]
    assert running_supply(position, item, TODAY).available == [0, 3, 0]
    lacking = replace(position, commitments=((TODAY, 2), (TODAY + 6, 5)))
    assert still_assumed(lacking, item, TODAY) == [Assumed(TODAY + 6, 4, 1)]
    late = replace(position, receipts=(Receipts(TODAY + 6, 0, assumed=5), Receipts(TODAY + 7, 9)))
    assert still_assumed(late, item, TODAY) == [Assumed(TODAY + 6, 5, 0)]


def test_an_item_without_a_horizon_assumes_nothing() -> None:
    position = Position(KEY, 1, 0, receipts=(Receipts(TODAY + 6, 0, assumed=5),), commitments=((TODAY + 6, 5),))
    assert still_assumed(position, Item("I1"), TODAY) == []
    assert running_supply(position, Item("I1"), TODAY).available == [0, -5]
