"""Who is served first: tier rank, then requested arrival, then age, then what makes the order total."""

from datetime import UTC, datetime
from typing import NamedTuple

from services.atp.domain.model import Day, Request, RequestLine
from services.atp.domain.promising import wanted_arrival


class ServiceKey(NamedTuple):
    """The stored place of a line in the order of service, ascending; compares as a plain tuple."""

    priority_rank: int
    requested_arrival: Day
    ordered_at: str
    source: str
    order_id: str
    line: str


def service_key(request: Request, line: RequestLine, ordered_at: datetime) -> ServiceKey:
    """The key of a line. `ordered_at` is aware; it is kept as UTC text of fixed width, which sorts as time does."""
    moment = ordered_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return ServiceKey(
        request.tier.priority_rank,
        wanted_arrival(request, line),
        moment,
        request.source,
        request.order_id,
        line.line,
    )
