"""Tiers: what may be defined, and what becomes of the former default."""

from dataclasses import replace

import pytest

from services.segment_registry.domain.tiers import (
    TIERS_MAX,
    Tier,
    TierDefined,
    TierRefusal,
    TierRefused,
    TierUnchanged,
    default_tier,
    define_tier,
)
from tests.support.registry import CLOSED, GOLD, SILVER, STANDARD, TIERS

PLATINUM = Tier("platinum", 0, "Platinum", 10, is_default=False, active=True, policy="{}")


def test_a_new_tier_gets_version_1() -> None:
    outcome = define_tier(TIERS, PLATINUM, expected_version=0, in_use=False)
    assert outcome == TierDefined(replace(PLATINUM, version=1), (replace(PLATINUM, version=1),), created=True)


def test_a_change_gets_the_next_version_whatever_the_draft_says() -> None:
    outcome = define_tier(TIERS, replace(SILVER, version=99, name="Ag"), expected_version=4, in_use=True)
    assert outcome == TierDefined(
        replace(SILVER, version=5, name="Ag"), (replace(SILVER, version=5, name="Ag"),), created=False
    )


def test_the_same_definition_again_changes_nothing() -> None:
    assert define_tier(TIERS, replace(GOLD, version=0), expected_version=None, in_use=True) == TierUnchanged(GOLD)


def test_another_default_takes_the_mark_from_the_former_one_which_comes_first() -> None:
    outcome = define_tier(TIERS, replace(GOLD, is_default=True), expected_version=1, in_use=True)
    former = replace(STANDARD, is_default=False, version=2)
    new = replace(GOLD, is_default=True, version=2)
    assert outcome == TierDefined(new, (former, new), created=False)


def test_the_first_tier_must_be_the_default() -> None:
    outcome = define_tier({}, PLATINUM, expected_version=None, in_use=False)
    assert outcome == TierRefused(TierRefusal.DEFAULT_REQUIRED, None)


@pytest.mark.parametrize(
    ("draft", "expected_version", "in_use", "reason"),
    [
        (replace(GOLD, name="Au"), 2, False, TierRefusal.VERSION_MISMATCH),
        (replace(GOLD, name="Au"), 0, False, TierRefusal.VERSION_MISMATCH),
        (PLATINUM, 3, False, TierRefusal.VERSION_MISMATCH),
        (replace(PLATINUM, priority_rank=1), None, False, TierRefusal.RANK_TAKEN),
        (replace(PLATINUM, priority_rank=3), None, False, TierRefusal.RANK_TAKEN),  # also of an inactive tier
        (replace(STANDARD, is_default=False), 1, False, TierRefusal.DEFAULT_REQUIRED),
        (replace(STANDARD, active=False), 1, False, TierRefusal.DEFAULT_INACTIVE),
        (replace(CLOSED, is_default=True), 2, False, TierRefusal.DEFAULT_INACTIVE),
        (replace(GOLD, active=False), 1, True, TierRefusal.TIER_IN_USE),
    ],
)
def test_what_is_refused(draft: Tier, expected_version: int | None, in_use: bool, reason: TierRefusal) -> None:
    outcome = define_tier(TIERS, draft, expected_version=expected_version, in_use=in_use)
    assert isinstance(outcome, TierRefused)
    assert outcome.reason is reason


def test_an_unused_tier_can_be_switched_off() -> None:
    assert isinstance(define_tier(TIERS, replace(GOLD, active=False), expected_version=1, in_use=False), TierDefined)


def test_there_are_only_so_many_tiers() -> None:
    many = {f"t{n}": replace(PLATINUM, tier=f"t{n}", priority_rank=n + 100) for n in range(TIERS_MAX - 1)}
    full = {**many, "standard": STANDARD}
    outcome = define_tier(full, PLATINUM, expected_version=None, in_use=False)
    assert outcome == TierRefused(TierRefusal.TOO_MANY_TIERS)


def test_a_registry_without_a_default_is_not_set_up() -> None:
    assert default_tier(TIERS) is STANDARD
    with pytest.raises(LookupError):
        default_tier({"gold": GOLD})
