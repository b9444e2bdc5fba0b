"""Which zone a country and postcode are in: the most specific rule that matches decides.

From the most specific to the least: a postcode rule before one for the whole country, and that before one for every
country ("*"). Of postcode rules the one that fixes more leading characters; of two that fix as many, a range before a
prefix, and of ranges the one that starts later, then the one that ends earlier (so that the inner of two wins).

Postcodes compare without blanks, dashes and case. A range is two texts of one length; a postcode is in it when as many
of its leading characters are between them, both ends included.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

EVERY_COUNTRY = "*"


class ZoneRule(NamedTuple):
    """A country (or "*"), the postcodes from `low` to `high` (a prefix: twice the same; all of them: both empty)."""

    country: str
    low: str
    high: str
    zone: str

    @property
    def fixed(self) -> str:
        """The leading characters that all postcodes of the rule share."""
        same = 0
        while same < len(self.low) and self.low[same] == self.high[same]:
            same += 1
        return self.low[:same]


class ZoneMap:
    """The rules, arranged for look-up in as many steps as a postcode has characters."""

    def __init__(self, rules: Iterable[ZoneRule] = ()) -> None:
        self._prefixes: dict[tuple[str, str], ZoneRule] = {}
        self._ranges: dict[tuple[str, str], list[ZoneRule]] = {}
        for rule in sorted(rules):
            place = (rule.country, rule.fixed)
            if rule.low == rule.high:
                self._prefixes[place] = rule
            else:
                self._ranges.setdefault(place, []).append(rule)
        for group in self._ranges.values():
            group.sort(key=_inner_first)

    def find(self, country: str, postcode: str | None) -> ZoneRule | None:
        """The rule for a destination; None if there is none."""
        return next(self.matching(country, postcode), None)

    def matching(self, country: str, postcode: str | None) -> Iterator[ZoneRule]:
        """All rules that match a destination, the one that decides first."""
        code = plain_postcode(postcode or "")
        for length in range(len(code), -1, -1):
            place = (country, code[:length])
            for rule in self._ranges.get(place, ()):
                if rule.low <= code[: len(rule.low)] <= rule.high and len(code) >= len(rule.low):
                    yield rule
            if place in self._prefixes:
                yield self._prefixes[place]
        everywhere = self._prefixes.get((EVERY_COUNTRY, ""))
        if everywhere is not None:
            yield everywhere


def plain_postcode(postcode: str) -> str:
    """A postcode as rules and destinations are compared."""
    return postcode.replace(" ", "").replace("-", "").upper()


def _inner_first(rule: ZoneRule) -> tuple[tuple[int, ...], str]:
    return (tuple(-ord(character) for character in rule.low), rule.high)
