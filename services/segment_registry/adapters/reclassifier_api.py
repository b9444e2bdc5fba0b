"""The reclassifier's HTTP API, as far as the registry asks it: how far a customer is from other tiers."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from services.segment_registry.adapters.asked_service import client_of
from services.segment_registry.application.ports import ReclassifierUnavailable
from services.segment_registry.domain.tier_distances import FoundDistances, NumberChange, TierDistance

SECONDS_MAX: Final = 3.0  # an explanation without distances is better than one that is late
NOT_KNOWN: Final = 404


class ReclassifierApi:
    """Asks the reclassifier over HTTP, with a key that may read and nothing else."""

    def __init__(self, url: str, key: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = client_of(url, key, seconds_max=SECONDS_MAX, transport=transport)

    async def of_customer(self, customer_id: str) -> FoundDistances:
        """See `Distances`."""
        try:
            answer = await self._client.get(f"/v1/customers/{quote(customer_id, safe='')}/features")
        except httpx.HTTPError as error:
            raise ReclassifierUnavailable(f"the reclassifier does not answer: {type(error).__name__}") from error
        if answer.status_code == NOT_KNOWN:
            raise ReclassifierUnavailable("the reclassifier does not know the customer yet")
        if answer.is_error:
            raise ReclassifierUnavailable(f"the reclassifier answers {answer.status_code}")
        return _found(answer.json())

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()


def _found(document: dict[str, Any]) -> FoundDistances:
    return FoundDistances(
        as_of=datetime.fromisoformat(document["as_of"]),
        rule=document["rule_set"],
        rule_version=document["rule_version"],
        tier=document["tier"],
        overridden=document["overridden"],
        above=_distance(document["above"]),
        below=_distance(document["below"]),
    )


def _distance(document: dict[str, Any] | None) -> TierDistance | None:
    if document is None:
        return None
    return TierDistance(document["tier"], tuple(NumberChange(**each) for each in document["changes"]))
