from dataclasses import replace

from services.atp.domain.allocation import confirmable, quota_left, remaining
from services.atp.domain.model import (
    Book,
    Item,
    Position,
    PositionKey,
    Protection,
    Quota,
    Receipts,
    Request,
    RequestLine,
    Tier,
    UsageKey,
)
from services.atp.domain.strict_privilege import restricts

KEY = PositionKey("I1", "L1")
TODAY = 740_000
ITEM = Item("I1")
GOLD, SILVER, BRONZE = Tier("gold", 1, 1), Tier("silver", 2, 1), Tier("bronze", 3, 1)


def _protection(tier: Tier, start: int, end: int, quantity: int) -> Protection:
    name = f"{tier.tier}{start}"
    return Protection(name, "doc", 1, KEY, tier.tier, tier.priority_rank, TODAY + start, TODAY + end, quantity)


def _book(position: Position, *protections: Protection) -> Book:
    return Book(TODAY, {"I1": ITEM}, {KEY: position}, {}, {KEY: protections})


def _confirmable(book: Book, tier: Tier, day: int = 0) -> int:
    return confirmable(book, KEY, ITEM, tier, TODAY + day)


def test_a_lower_tier_gets_what_is_not_protected() -> None:
    """The case P1 of the conformance cases: 100 in stock, 60 protected for A1, A3 asks for 100 and gets 40."""
    a1, a3 = Tier("A1", 1, 1), Tier("A3", 3, 1)
    book = _book(Position(KEY, 1, 100), _protection(a1, 0, 10, 60))
    assert _confirmable(book, a3) == 40
    assert _confirmable(book, a1) == 100


def test_prioritised_protection_restricts_those_behind_only() -> None:
    book = _book(Position(KEY, 1, 100), _protection(SILVER, 0, 10, 60))
    assert [_confirmable(book, tier) for tier in (GOLD, SILVER, BRONZE)] == [100, 100, 40]


def test_core_protection_restricts_all_others() -> None:
    book = _book(Position(KEY, 1, 100), replace(_protection(SILVER, 0, 10, 60), mode="core"))
    assert [_confirmable(book, tier) for tier in (GOLD, SILVER, BRONZE)] == [40, 100, 40]


def test_core_protection_restricts_its_own_tier_outside_its_period() -> None:
    protection = replace(_protection(SILVER, 5, 10, 60), mode="core", carry_stock=True)
    book = _book(Position(KEY, 1, 100), protection)
    assert [_confirmable(book, SILVER, day) for day in (0, 4, 5, 10, 11)] == [40, 40, 100, 100, 40]
    assert restricts(protection, SILVER, TODAY + 4)
    assert not restricts(protection, SILVER, TODAY + 5)


def test_what_was_consumed_is_kept_no_more_and_never_comes_back() -> None:
    protection = _protection(GOLD, 0, 10, 60)
    book = _book(Position(KEY, 1, 50), protection)
    book.usage[UsageKey("protection", "gold0", TODAY)] = 50
    assert remaining(book, protection, ITEM, TODAY) == 10
    assert _confirmable(book, BRONZE) == 40


def test_unused_protection_lapses_before_its_period_ends() -> None:
    protection = replace(_protection(GOLD, -10, 4, 60), lapse_days=4)
    assert _confirmable(_book(Position(KEY, 1, 100), protection), BRONZE) == 40
    assert _confirmable(_book(Position(KEY, 1, 100), replace(protection, lapse_days=5)), BRONZE) == 100


def test_a_future_period_keeps_only_what_is_due_within_it() -> None:
    position = Position(KEY, 1, 100, receipts=(Receipts(TODAY + 6, 25),))
    protection = _protection(GOLD, 5, 10, 60)
    book = _book(position, protection)
    assert [_confirmable(book, BRONZE, day) for day in (0, 5, 6)] == [100, 100, 100]
    assert [remaining(book, protection, ITEM, TODAY + day) for day in (4, 5, 6, 20)] == [0, 0, 25, 25]
    carried = _book(position, replace(protection, carry_stock=True))
    assert [_confirmable(carried, BRONZE, day) for day in (0, 5, 6)] == [40, 40, 65]


def test_a_unit_of_a_receipt_covers_one_protection_in_order_of_rank() -> None:
    position = Position(KEY, 1, 0, receipts=(Receipts(TODAY + 6, 25),))
    gold, silver = _protection(GOLD, 5, 10, 20), _protection(SILVER, 5, 10, 20)
    book = _book(position, silver, gold)
    assert remaining(book, gold, ITEM, TODAY + 6) == 20
    assert remaining(book, silver, ITEM, TODAY + 6) == 5
    assert _confirmable(book, BRONZE, 6) == 0


def test_freed_stock_is_kept_for_those_who_wait_and_do_not_rank_behind() -> None:
    book = _book(Position(KEY, 1, 100, waiting=((1, 30), (2, 20))))
    assert [_confirmable(book, tier) for tier in (GOLD, SILVER, BRONZE)] == [70, 50, 50]


def test_a_request_passes_every_quota_that_matches_and_no_other() -> None:
    line = RequestLine("1", "I1", 5)
    request = Request("erp", "o1", GOLD, "GB", "web", TODAY, ship_complete=False, lines=(line,))
    quotas = (
        Quota("all", "doc", 1, TODAY, TODAY + 5, 50),
        Quota("web", "doc", 1, TODAY, TODAY + 5, 30, channel="web"),
        Quota("shop", "doc", 1, TODAY, TODAY + 5, 1, channel="shop"),
        Quota("silver", "doc", 1, TODAY, TODAY + 5, 1, tier="silver"),
        Quota("other", "doc", 1, TODAY, TODAY + 5, 1, item_id="I2"),
        Quota("far", "doc", 1, TODAY, TODAY + 5, 1, zone="US"),
        Quota("closed", "doc", 1, TODAY - 5, TODAY - 1, 1),
    )
    book = replace(_book(Position(KEY, 1, 100)), quotas=quotas)
    book.usage[UsageKey("quota", "web", TODAY)] = 12
    assert quota_left(book, request, line, TODAY + 5) == 18
    assert quota_left(book, request, line, TODAY + 6) is None
