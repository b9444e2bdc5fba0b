"""What is known of a customer besides its identifiers and tiers: the golden record, with its contract.

Nothing here is a personal field: those are in a table of their own and reach no decision, event or audit entry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from services.segment_registry.domain.tiers import Tier

COMMITMENTS_MAX = 20  # of one contract; more is a document of its own elsewhere


@dataclass(frozen=True, slots=True)
class Contract:
    """In force from its first day to its last one (None: open), days in UTC.

    No automatic move puts the customer into a tier that is served after `minimum_tier`. `commitments` are what was
    agreed, in words, for those who decide by hand.
    """

    starts: date
    ends: date | None = None
    minimum_tier: str | None = None
    commitments: tuple[str, ...] = ()

    def in_force(self, at: datetime) -> bool:
        """Whether it counts at a moment."""
        return self.starts <= at.date() and (self.ends is None or at.date() <= self.ends)


@dataclass(frozen=True, slots=True)
class CustomerRecord:
    """The golden record; a field that is not known is None. A key account is `strategic`."""

    account_owner: str | None = None
    customer_type: str | None = None
    industry: str | None = None
    strategic: bool = False
    contract: Contract | None = None


NO_RECORD = CustomerRecord()


def promised_tier(records: Iterable[CustomerRecord], tiers: Mapping[str, Tier], at: datetime) -> Tier | None:
    """The best tier that a contract in force at a moment promises as the lowest one; None where none does."""
    contracts = [record.contract for record in records if record.contract is not None]
    minimums = [contract.minimum_tier for contract in contracts if contract.in_force(at)]
    known = [tiers[minimum] for minimum in minimums if minimum is not None and minimum in tiers]
    return min(known, key=lambda tier: tier.priority_rank, default=None)


def below_contract(records: Iterable[CustomerRecord], tier: str, tiers: Mapping[str, Tier], at: datetime) -> bool:
    """Whether the tier is served after one that the customer's contracts promise at that moment."""
    promised, wanted = promised_tier(records, tiers, at), tiers.get(tier)
    return promised is not None and wanted is not None and wanted.priority_rank > promised.priority_rank
