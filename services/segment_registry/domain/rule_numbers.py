"""The numbers that a rule looked at, beside its limits: for a colleague as they are, for the customer in sentences.

A limit is written as the reclassifier gives it: `at least 1000.00`, `in the top 5 % (at least 900.00)`, `smooth or
lumpy`, or a plain number. Said to the customer are its own orders; margins, scores and what others are like are ours.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from services.segment_registry.domain.tier_distances import WORDS
from services.segment_registry.domain.timeline import Evidence

UNKNOWN: Final = "unknown"
_NAME: Final = re.compile(r"([a-z_]+?)(?:_([0-9]{1,5})d)?")
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?")
_COMPARED: Final = re.compile(rf"(?:(at least|above|at most|below) )?({_NUMBER.pattern})")
_OF_ALL: Final = "in the top "
_SAID: Final = {"above": "more than", "below": "less than"}


class RuleNumber(NamedTuple):
    """One number of the rule: how far it lies above its limit (negative: below); None where one is no number."""

    name: str
    value: str
    limit: str
    above_limit: Decimal | None


def rule_number(evidence: Evidence) -> RuleNumber:
    """A number of the evidence with its distance from the limit."""
    value, limit = _NUMBER.fullmatch(evidence.value), _COMPARED.fullmatch(evidence.limit)
    above = None if value is None or limit is None else Decimal(value[0]) - Decimal(limit[2])
    return RuleNumber(evidence.name, evidence.value, evidence.limit, above)


def number_sentences(numbers: Iterable[RuleNumber]) -> tuple[str, ...]:
    """What may be said of them to the customer, each sentence once."""
    return tuple(dict.fromkeys(_sentence(each) for each in numbers))


def _sentence(number: RuleNumber) -> str:
    match = _NAME.fullmatch(number.name)
    words = None if match is None else WORDS.get(match[1])
    if match is None or words is None:
        return "Our own assessment of your account was looked at too."
    over = f" over {match[2]} days" if match[2] else ""
    was = "is not known yet" if number.value == UNKNOWN else f"was {number.value}"
    return f"Your {words}{over} {was}; {_looked_for(number.limit)}."


def _looked_for(limit: str) -> str:
    if limit.startswith(_OF_ALL):  # where the cut lies is what others are like
        return "the rule compares it with that of all customers"
    compared = _COMPARED.fullmatch(limit)
    if compared is None or compared[1] is None:
        return f"the rule looks for {limit}"
    return f"the rule looks for {_SAID.get(compared[1], compared[1])} {compared[2]}"
