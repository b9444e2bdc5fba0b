"""Made-up tiers, customers and proposals of the segment registry."""

from datetime import UTC, datetime, timedelta

from services.segment_registry.domain.customers import Customer, Identifier, new_customer
from services.segment_registry.domain.moves import Moved, MoveRequest, move
from services.segment_registry.domain.proposals import Proposal
from services.segment_registry.domain.tiers import Tier
from services.segment_registry.domain.timeline import Evidence, Grounds, Kind

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CUSTOMER = "0192f000-0000-7000-8000-000000000001"
POLICY = '{"lead_time_days":3}'
STANDARD = Tier("standard", 1, "Standard", 1_000, is_default=True, active=True, policy=POLICY)
GOLD = Tier("gold", 1, "Gold", 1, is_default=False, active=True, policy=POLICY)
SILVER = Tier("silver", 4, "Silver", 2, is_default=False, active=True, policy=POLICY)
CLOSED = Tier("closed", 2, "Closed", 3, is_default=False, active=False, policy=POLICY)
TIERS = {tier.tier: tier for tier in (GOLD, SILVER, CLOSED, STANDARD)}
ERP = Identifier("erp", "4711")
CRM = Identifier("crm", "acme")


def a_customer(*identifiers: Identifier, customer_id: str = CUSTOMER) -> Customer:
    """A customer in no tier, made a day before noon."""
    return new_customer(customer_id, identifiers or (ERP,), NOON - DAY)


def wish(
    tier: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    kind: Kind = Kind.ASSIGNED,
    reason: str = "because",
    author: str = "ann",
) -> MoveRequest:
    """A wish to move a customer."""
    return MoveRequest(tier, kind, start, end, Grounds(reason, author))


def moved(customer: Customer, request: MoveRequest, now: datetime = NOON) -> Customer:
    """The customer after a move that must succeed."""
    outcome = move(customer, TIERS, request, now)
    assert isinstance(outcome, Moved), outcome
    return outcome.customer


def a_proposal(customer: Customer | None, from_tier: str, to_tier: str, *, based_on: int | None = None) -> Proposal:
    """A proposal made from what is known of the customer."""
    return Proposal(
        proposal_id="p-1",
        customer_id=customer.customer_id if customer else "nobody",
        from_tier=from_tier,
        to_tier=to_tier,
        rule="revenue",
        rule_version=7,
        based_on_sequence=based_on or (customer.sequence if customer else 1),
        as_of=NOON,
        reason="revenue above 10,000",
        author="reclassifier",
        evidence=(Evidence("revenue_90d", "12000", "10000"),),
    )
