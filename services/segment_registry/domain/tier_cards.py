"""What belongs to a tier and to none of those who serve by it: its owner, and what other systems call it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CODES_MAX: Final = 50  # systems of one company that follow tiers


@dataclass(frozen=True, slots=True)
class TierCard:
    """`owner` answers for the tier; `codes` are what other systems call it, by system."""

    owner: str | None = None
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CodeTaken:
    """Another tier has this code in this system; nothing was altered."""

    system: str
    code: str
    tier: str


def taken(tier: str, card: TierCard, others: Mapping[str, TierCard]) -> CodeTaken | None:
    """The first code that means another tier already: in one system a code means one tier."""
    for system, code in sorted(card.codes.items()):
        for name, other in others.items():
            if name != tier and other.codes.get(system) == code:
                return CodeTaken(system, code, name)
    return None
