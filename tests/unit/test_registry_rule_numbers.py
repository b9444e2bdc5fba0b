"""What is said of the numbers that a rule looked at: they are the customer's own, in words, and nothing of ours."""

from decimal import Decimal

import pytest

from services.reclassifier.domain.measures import Measure
from services.segment_registry.domain.rule_numbers import number_sentences, rule_number
from services.segment_registry.domain.tier_distances import WORDS
from services.segment_registry.domain.timeline import Evidence

OURS = "Our own assessment of your account was looked at too."


@pytest.mark.parametrize(
    ("evidence", "above", "sentence"),
    [
        (
            ("value_90d", "1200.00", "at least 1000.00"),
            Decimal("200.00"),
            "Your value of orders over 90 days was 1200.00; the rule looks for at least 1000.00.",
        ),
        (
            ("orders_365d", "3", "below 5"),
            Decimal(-2),
            "Your number of orders over 365 days was 3; the rule looks for less than 5.",
        ),
        (
            ("trend_180d", "-12.5", "above -10.0"),
            Decimal("-2.5"),
            "Your trend of orders in percent over 180 days was -12.5; the rule looks for more than -10.0.",
        ),
        (
            ("value_90d", "1200.00 or more", "at least 1000.00"),
            None,
            "Your value of orders over 90 days was 1200.00 or more; the rule looks for at least 1000.00.",
        ),
        (
            ("repeat_share_90d", "unknown", "at most 40.0"),
            None,
            "Your share of repeated orders in percent over 90 days is not known yet; the rule looks for at most 40.0.",
        ),
        (
            ("value_90d", "1200.00", "in the top 5 % (at least 900.00)"),
            None,
            "Your value of orders over 90 days was 1200.00; the rule compares it with that of all customers.",
        ),
        (
            ("demand_profile_90d", "smooth", "smooth or erratic"),
            None,
            "Your rhythm of orders over 90 days was smooth; the rule looks for smooth or erratic.",
        ),
        (("margin_365d", "-120.50", "below 0.00"), Decimal("-120.50"), OURS),
        (("score:loyalty", "3.5", "at least 3"), Decimal("0.5"), OURS),
        (("lapse_risk_365d", "80.0", "above 50.0"), Decimal("30.0"), OURS),
    ],
)
def test_a_number_has_its_distance_and_its_sentence(
    evidence: tuple[str, str, str], above: Decimal | None, sentence: str
) -> None:
    number = rule_number(Evidence(*evidence))
    assert (number.name, number.value, number.limit) == evidence
    assert number.above_limit == above
    assert number_sentences([number]) == (sentence,)


def test_what_is_ours_is_said_once() -> None:
    numbers = [rule_number(Evidence(name, "1", "2")) for name in ("margin_90d", "score:value", "lapse_risk_90d")]
    assert number_sentences(numbers) == (OURS,)


def test_what_customers_cost_and_how_likely_they_leave_is_never_said() -> None:
    assert sorted(measure.value for measure in Measure if measure.value not in WORDS) == ["lapse_risk", "margin"]
