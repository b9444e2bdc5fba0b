"""How the registry reaches the HTTP API of another service: one key, no redirects, no proxies of the environment."""

import httpx


def client_of(
    url: str, key: str, *, seconds_max: float, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    """A client of a service at an address; a request ends after so many seconds. `transport` replaces the network."""
    return httpx.AsyncClient(
        base_url=url,
        headers={"authorization": f"Bearer {key}"},
        timeout=seconds_max,
        follow_redirects=False,
        trust_env=False,
        transport=transport,
    )
