"""Applications, credentials and tokens for tests, and the proof that nothing answers to a stranger."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
from fastapi import FastAPI
from joserfc import jws
from joserfc.jwk import ECKey, Key
from prometheus_client import CollectorRegistry

from services.chassis.auth import ApiKeys, Authenticator, HashedKey, Jwks, MintedKeys, TokenVerifier, mint
from services.chassis.auth.routes import declared_routes
from services.chassis.clocks import SystemClock, WallClock
from services.chassis.http import create_app
from services.chassis.problems import MEDIA_TYPE

ISSUER = "https://issuer.example"
AUDIENCE = "tiercel"
PARAMETER = "00000000-0000-7000-8000-000000000000"


@dataclass(slots=True)
class Credentials:
    """A source of API keys with its keys, for one application under test."""

    wall: WallClock = field(default_factory=SystemClock)
    source: MintedKeys = field(default_factory=MintedKeys)

    def key(self, *scopes: str, subject: str = "tester", **limits: Any) -> str:
        """A new key with these scopes."""
        key, hashed = mint(scopes, subject=subject, **limits)
        self.source.keys.append(hashed)
        return key

    def headers(self, *scopes: str, **limits: Any) -> dict[str, str]:
        """The header that presents a new key with these scopes."""
        return {"x-api-key": self.key(*scopes, **limits)}

    def authenticator(self) -> Authenticator:
        """Accepts these keys and no token."""
        return Authenticator(wall=self.wall, api_keys=ApiKeys([self.source], wall=self.wall))


@dataclass(slots=True)
class CountingKeys:
    """A source of keys that counts how often it is read, and can break."""

    keys: list[HashedKey] = field(default_factory=list)
    loads: int = 0
    broken: bool = False

    async def load(self) -> list[HashedKey]:
        self.loads += 1
        if self.broken:
            raise ConnectionRefusedError
        return list(self.keys)


async def everything_is_ready() -> dict[str, str | bool]:
    """A readiness check without a doubt."""
    return {"database": True}


def app_for_tests(credentials: Credentials, **options: Any) -> FastAPI:
    """An application of the shell alone; `options` go to `create_app`."""
    given: dict[str, Any] = {
        "title": "Test",
        "version": "1",
        "description": "",
        "authenticator": credentials.authenticator(),
        "registry": CollectorRegistry(),
        "readiness": everything_is_ready,
        **options,
    }
    return create_app(**given)


@asynccontextmanager
async def client_of(app: FastAPI, headers: Mapping[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that talks to the application without a socket."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        yield client


@dataclass(slots=True)
class Issuer:
    """An issuer of tokens with one key."""

    key: Key = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "key-1", "use": "sig"}))
    algorithm: str = "ES256"

    def key_set(self, *others: Mapping[str, Any]) -> bytes:
        """The public key set as JSON."""
        return orjson.dumps({"keys": [self.key.as_dict(private=False), *others]})

    def token(self, claims: Mapping[str, Any], **header: Any) -> str:
        """A signed token; header members given as None are left out."""
        members = {"alg": self.algorithm, "typ": "at+jwt", "kid": self.key.kid, **header}
        shown = {name: value for name, value in members.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[self.algorithm], strict_check_header=False)
        return jws.serialize_compact(shown, orjson.dumps(claims), self.key, registry=registry)


def claims_at(wall: WallClock, **changed: Any) -> dict[str, Any]:
    """The claims of a good token, valid for five minutes; claims given as None are left out."""
    now = int(wall.now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "shop",
        "iat": now,
        "exp": now + 300,
        "scope": "atp.promise atp.read",
        **changed,
    }
    return {name: value for name, value in claims.items() if value is not None}


def verifier(location: str, wall: WallClock, client: httpx.AsyncClient | None = None) -> TokenVerifier:
    """A verifier of the test issuer's tokens."""
    return TokenVerifier(Jwks(location, wall=wall, client=client), issuer=ISSUER, audience=AUDIENCE, wall=wall)


async def strangers_let_in(app: FastAPI, credential_without_scopes: Mapping[str, str]) -> list[str]:
    """The routes of an application that answer without credentials, or to credentials without any scope.

    Every route is tried with every method it declares: without credentials it must say 401 and how to do better, with
    a valid credential that has no scope 403. Both as problem documents. Must be empty.
    """
    faults: list[str] = []
    async with client_of(app) as client:
        for route in declared_routes(app):
            if route.public:
                continue
            for method in sorted(route.methods):
                path = _filled(route.path)
                stranger = await client.request(method, path)
                faults += _faults(method, path, stranger, 401)
                poor = await client.request(method, path, headers=dict(credential_without_scopes))
                faults += _faults(method, path, poor, 403)
    return faults


def _filled(path: str) -> str:
    parts = path.split("/")
    return "/".join(_filled_in_part(part) for part in parts)


def _filled_in_part(part: str) -> str:
    while "{" in part:
        before, _, rest = part.partition("{")
        part = before + PARAMETER + rest.partition("}")[2]
    return part


def _faults(method: str, path: str, response: httpx.Response, expected: int) -> Iterable[str]:
    if response.status_code != expected:
        yield f"{method} {path}: {response.status_code} instead of {expected}"
    elif "www-authenticate" not in response.headers:
        yield f"{method} {path}: no WWW-Authenticate"
    elif method != "HEAD" and response.headers.get("content-type") != MEDIA_TYPE:
        yield f"{method} {path}: not a problem document"
