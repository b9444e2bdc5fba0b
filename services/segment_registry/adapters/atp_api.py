"""The ATP's HTTP API, as far as the registry asks it: previews of other tiers, and what was measured of a tier."""

from collections.abc import Sequence
from typing import Any, Final

import httpx

from services.segment_registry.adapters.asked_service import client_of
from services.segment_registry.application.ports import AtpUnavailable

SECONDS_MAX: Final = 8.0  # below the deadline of the request that waits for it
_OWN_SYSTEM: Final = "tiercel"
_TOLD_MAX_CHARS: Final = 200  # of the ATP's refusal


class AtpApi:
    """Asks the ATP over HTTP, with a key that may read and preview and nothing else."""

    def __init__(self, url: str, key: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = client_of(url, key, seconds_max=SECONDS_MAX, transport=transport)

    async def of_tiers(self, wanted: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The ATP's preview as it is, of customers in other tiers. Raises AtpUnavailable."""
        tiers = [{"customer": {"system": _OWN_SYSTEM, "id": customer}, "tier": tier} for customer, tier in wanted]
        return await self._ask("POST", "/v1/previews", json={"tiers": tiers})

    async def closed_ratios(self, month: str, tier: str) -> dict[str, int | None] | None:
        """Basis points by measure of a closed month; None if it is not closed. Raises AtpUnavailable."""
        found = await self._ask("GET", "/v1/service-levels", params={"month": month, "tier": tier})
        if found["state"] != "closed":
            return None
        return {
            name: ratio["basis_points"]
            for each in found["tiers"]
            if each["tier"] == tier
            for name, ratio in each["ratios"].items()
        }

    async def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = await self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise AtpUnavailable(f"the ATP does not answer: {type(error).__name__}") from error
        if answer.is_error:
            raise AtpUnavailable(f"the ATP answers {answer.status_code}: {answer.text[:_TOLD_MAX_CHARS]}")
        document: dict[str, Any] = answer.json()
        return document

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()
