"""The zone of a destination, against a search through all rules."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.atp.domain.zones import ZoneMap, ZoneRule, plain_postcode

codes = st.text("0129A", min_size=1, max_size=4)


@st.composite
def rules(draw: st.DrawFn) -> list[ZoneRule]:
    found: dict[tuple[str, str, str], ZoneRule] = {}
    for number in range(draw(st.integers(0, 8))):
        low = draw(codes)
        high = draw(st.sampled_from((low, draw(codes))))
        if len(high) != len(low) or high < low:
            high = low
        country = draw(st.sampled_from(("DE", "GB")))
        if draw(st.integers(0, 5)) == 0:
            low = high = ""
            country = draw(st.sampled_from((country, "*")))
        found[country, low, high] = ZoneRule(country, low, high, f"zone-{number}")
    return list(found.values())


def _matches(rule: ZoneRule, country: str, code: str) -> bool:
    if rule.country == "*":
        return True
    return rule.country == country and len(code) >= len(rule.low) and rule.low <= code[: len(rule.low)] <= rule.high


def _specificity(rule: ZoneRule) -> tuple[object, ...]:
    return (
        rule.country != "*",
        len(rule.fixed),
        rule.low != rule.high,
        rule.low,
        tuple(-ord(character) for character in rule.high),
    )


@given(rules(), st.sampled_from(("DE", "GB", "FR")), st.one_of(st.just(""), codes))
def test_the_most_specific_rule_that_matches_decides(rules: list[ZoneRule], country: str, code: str) -> None:
    matching = [rule for rule in rules if _matches(rule, country, code)]
    expected = max(matching, key=_specificity, default=None)
    assert ZoneMap(rules).find(country, code or None) == expected
    ranked = sorted(dict.fromkeys(matching), key=_specificity, reverse=True)
    assert list(ZoneMap(rules).matching(country, code or None)) == ranked


@given(rules(), st.randoms(use_true_random=False))
def test_the_order_of_rules_is_of_no_effect(rules: list[ZoneRule], order: Random) -> None:
    shuffled = list(rules)
    order.shuffle(shuffled)
    for code in ("0", "12", "A9", "0129"):
        assert ZoneMap(rules).find("DE", code) == ZoneMap(shuffled).find("DE", code)


def test_blanks_dashes_and_case_do_not_tell_postcodes_apart() -> None:
    rule = ZoneRule("GB", "EC1A", "EC1A", "LONDON")
    assert ZoneMap([rule]).find("GB", "ec1a 1bb") == rule
    assert plain_postcode("1234-567") == "1234567"
