from datetime import UTC, datetime, timedelta

from services.atp.domain.stock_intake import Count, Movement, StockState, apply_count, apply_movement

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
BEFORE, AFTER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)


def test_a_received_order_in_a_count_is_not_counted_again_with_its_open_receipt() -> None:
    """The commonest oversell of all: 20 are due, they come, and the count of 30 arrives before the receipt does."""
    waiting = apply_count(StockState(), 10, Count(30, NOON, cursor=1))
    assert (waiting.on_hand, waiting.effect, waiting.correction) == (10, "waiting", 0)
    received = apply_movement(waiting.state, waiting.on_hand, Movement(20, BEFORE, 1))
    assert (received.on_hand, received.effect, received.correction) == (30, "applied", 0)


def test_a_lower_count_takes_effect_at_once_and_its_movements_do_not_lower_twice() -> None:
    waiting = apply_count(StockState(), 10, Count(4, NOON, cursor=1))
    assert (waiting.on_hand, waiting.effect) == (4, "waiting")
    shipped = apply_movement(waiting.state, waiting.on_hand, Movement(-6, BEFORE, 1))
    assert (shipped.on_hand, shipped.effect) == (4, "applied")


def test_the_difference_is_a_count_correction_once_all_is_known() -> None:
    moved = apply_movement(StockState(), 0, Movement(20, BEFORE, 1))
    counted = apply_count(moved.state, moved.on_hand, Count(18, NOON, cursor=1))
    assert (counted.on_hand, counted.effect, counted.correction) == (18, "applied", -2)


def test_later_movements_are_applied_on_top_of_a_count() -> None:
    first = apply_movement(StockState(), 0, Movement(20, BEFORE, 1))
    second = apply_movement(first.state, first.on_hand, Movement(-5, AFTER, 2))
    counted = apply_count(second.state, second.on_hand, Count(20, NOON, cursor=1, later=-5))
    assert (counted.on_hand, counted.correction) == (15, 0)


def test_an_older_count_and_a_repeated_one_are_not_applied() -> None:
    counted = apply_count(StockState(), 0, Count(18, NOON, cursor=0))
    for older in (Count(18, NOON, cursor=0), Count(99, BEFORE, cursor=0), Count(99, BEFORE)):
        assert apply_count(counted.state, counted.on_hand, older) == (counted.state, 18, "older", 0)


def test_an_opening_count_is_exact_although_earlier_movements_never_come() -> None:
    opened = apply_count(StockState(), 0, Count(50, NOON, cursor=700, nothing_scheduled=True))
    assert (opened.on_hand, opened.effect) == (50, "applied")
    late = apply_movement(opened.state, opened.on_hand, Movement(9, BEFORE, 12))
    assert (late.on_hand, late.effect) == (50, "included")
    following = apply_movement(late.state, late.on_hand, Movement(9, AFTER, 701))
    assert (following.on_hand, following.effect) == (59, "applied")


def test_without_a_cursor_a_count_includes_what_occurred_up_to_its_time() -> None:
    counted = apply_count(StockState(), 10, Count(25, NOON, later=3))
    assert (counted.on_hand, counted.effect, counted.correction) == (28, "applied", 18)
    for movement in (Movement(5, BEFORE), Movement(5, BEFORE, 1)):
        assert apply_movement(counted.state, 28, movement)[1:] == (28, "included", 0)
    assert apply_movement(counted.state, 28, Movement(5, AFTER)).on_hand == 33


def test_a_count_without_a_cursor_replaces_one_that_waits() -> None:
    waiting = apply_count(StockState(), 10, Count(4, BEFORE, cursor=3))
    counted = apply_count(waiting.state, waiting.on_hand, Count(25, NOON))
    assert (counted.on_hand, counted.correction, counted.state.waiting) == (25, 15, None)
    assert apply_count(waiting.state, waiting.on_hand, Count(25, BEFORE)).effect == "older"


def test_a_count_with_a_cursor_follows_one_without_by_time() -> None:
    counted = apply_count(StockState(), 10, Count(25, NOON))
    assert apply_count(counted.state, 25, Count(7, BEFORE, cursor=0)).effect == "older"
    assert apply_count(counted.state, 25, Count(7, AFTER, cursor=0)).on_hand == 7


def test_a_movement_without_sequence_belongs_to_a_waiting_count_by_its_time() -> None:
    waiting = apply_count(StockState(), 10, Count(4, NOON, cursor=1))
    earlier = apply_movement(waiting.state, waiting.on_hand, Movement(-2, BEFORE))
    assert earlier.on_hand == 4
    later = apply_movement(earlier.state, earlier.on_hand, Movement(-2, AFTER))
    assert later.on_hand == 2
