"""The ATP's `POST /v1/previews`: what other tiers of customers would do to open promises and protections."""

from collections.abc import Sequence
from typing import Any, Final

import httpx

from services.segment_registry.application.ports import PreviewUnavailable

SECONDS_MAX: Final = 8.0  # below the deadline of the request that waits for it
_OWN_SYSTEM: Final = "tiercel"
_TOLD_MAX_CHARS: Final = 200  # of the ATP's refusal


class HttpPreviews:
    """Asks the ATP over HTTP, with a key that may preview and nothing else."""

    def __init__(self, url: str, key: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"authorization": f"Bearer {key}"},
            timeout=SECONDS_MAX,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def of_tiers(self, wanted: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """The ATP's answer as it is. Raises PreviewUnavailable, which says why there is none."""
        tiers = [{"customer": {"system": _OWN_SYSTEM, "id": customer}, "tier": tier} for customer, tier in wanted]
        try:
            answer = await self._client.post("/v1/previews", json={"tiers": tiers})
        except httpx.HTTPError as error:
            raise PreviewUnavailable(f"the ATP does not answer: {type(error).__name__}") from error
        if answer.is_error:
            raise PreviewUnavailable(f"the ATP answers {answer.status_code}: {answer.text[:_TOLD_MAX_CHARS]}")
        document: dict[str, Any] = answer.json()
        return document

    async def close(self) -> None:
        """Let the connections go."""
        await self._client.aclose()
