"""Who is served first, as planners set it: one rule, in versions that replace each other from their effective dates on.

While a rule comes into effect, the keys of those who wait are set anew in bounded portions, item by item, before any of
an item is served; until then all that waits there counts ahead of newcomers, so that no decision compares keys of two
rules (docs/adr/0034-the-order-of-service-is-a-rule.md).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.atp.application.planning import Values
from services.atp.domain.service_rule import ServiceRule


@dataclass(frozen=True, slots=True)
class RuleDraft:
    """The next version of the rule, from when it is in effect (None: at once), and who wrote it.

    `body` is its document; `base` the version that it was made from (0: there was none; None: whichever is newest).
    """

    body: bytes
    effective_from: datetime | None
    author: str
    base: int | None = None


class ServiceRules(Protocol):
    """Keeps the rule."""

    async def store(self, draft: RuleDraft) -> int:
        """Write the next version; its number. Raises VersionMoved."""
        ...

    async def versions(self, before: int | None, limit: int) -> list[Values]:
        """The versions before one, the newest first."""
        ...

    async def in_effect(self, at: datetime | None) -> tuple[ServiceRule, Values | None, list[int]]:
        """The rule in effect at a time (None: now), as it was written (None: none was), and the ranks of the tiers."""
        ...
