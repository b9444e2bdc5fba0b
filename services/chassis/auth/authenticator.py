"""The one way in: credentials of a request to a caller.

`Authorization: Bearer <jwt or API key>` or `X-API-Key: <key>`; exactly one of them, once. A credential that was found
good is remembered by its SHA-256 (never by itself) for a short, bounded time, so that the hot path costs a hash and a
dictionary look-up: an API key until its snapshot is due for renewal (2 s), a token until it expires, at most 60 s.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from services.chassis.auth.api_keys import KEY_PREFIX, REFRESH_AFTER_SECONDS, ApiKeys
from services.chassis.auth.jwks import JwksUnreadable
from services.chassis.auth.principal import Principal, Refusal, Unauthenticated
from services.chassis.auth.tokens import TOKEN_MAX_BYTES, TokenVerifier
from services.chassis.clocks import WallClock
from services.chassis.problems import DEPENDENCY_UNAVAILABLE, Problem

REMEMBER_TOKEN_SECONDS: Final = 60.0  # how long a token outlives the withdrawal of the key that signed it
REMEMBERED_MAX: Final = 10_000  # about 5 MB; past it the least recently used goes
_KEY_START: Final = KEY_PREFIX.encode()
_BEARER: Final = b"bearer "


@dataclass(frozen=True, slots=True)
class _Remembered:
    principal: Principal
    until: float  # monotonic seconds


class Authenticator:
    """Checks credentials; without a token verifier no token is accepted, without keys no key."""

    def __init__(
        self, *, wall: WallClock, api_keys: ApiKeys | None = None, tokens: TokenVerifier | None = None
    ) -> None:
        self._wall = wall
        self._api_keys = api_keys
        self._tokens = tokens
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def authenticate(self, headers: Iterable[tuple[bytes, bytes]]) -> Principal:
        """The caller behind raw ASGI headers. Raises Unauthenticated; Problem (503) if it cannot be checked now."""
        credential = find_credential(headers)
        digest = hashlib.sha256(credential).digest()
        known = self._remembered.get(digest)
        if known is not None and known.until > self._wall.monotonic():
            self._remembered.move_to_end(digest)
            return known.principal
        return await self._check(credential, digest)

    async def _check(self, credential: bytes, digest: bytes) -> Principal:
        if credential.startswith(_KEY_START):
            found = await self._check_key(credential)
        else:
            found = await self._check_token(credential)
        self._remembered[digest] = found
        self._remembered.move_to_end(digest)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return found.principal

    async def _check_key(self, credential: bytes) -> _Remembered:
        if self._api_keys is None:
            raise Unauthenticated(Refusal.NOT_ACCEPTED)
        key = await self._api_keys.check(credential)
        now = self._wall.monotonic()
        until = (self._api_keys.loaded_at or now) + REFRESH_AFTER_SECONDS
        if key.expires_at is not None:
            until = min(until, now + (key.expires_at - self._wall.now()).total_seconds())
        return _Remembered(key.principal(), until)

    async def _check_token(self, credential: bytes) -> _Remembered:
        if self._tokens is None:
            raise Unauthenticated(Refusal.NOT_ACCEPTED)
        try:
            verified = await self._tokens.verify(credential)
        except JwksUnreadable as error:
            raise Problem(DEPENDENCY_UNAVAILABLE) from error
        left = min(verified.expires_at - self._wall.now().timestamp(), REMEMBER_TOKEN_SECONDS)
        return _Remembered(verified.principal, self._wall.monotonic() + left)


def find_credential(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The one credential in raw ASGI headers. Raises Unauthenticated if there is none, or more than one."""
    found: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() != _BEARER:
                raise Unauthenticated(Refusal.NOT_ACCEPTED)
            presented = value[7:].strip()
        elif name == b"x-api-key":
            presented = value.strip()
            if not presented.startswith(_KEY_START):
                raise Unauthenticated(Refusal.MALFORMED)
        else:
            continue
        if found is not None:
            raise Unauthenticated(Refusal.AMBIGUOUS)
        found = presented
    if not found:
        raise Unauthenticated(Refusal.MISSING)
    if len(found) > TOKEN_MAX_BYTES:
        raise Unauthenticated(Refusal.OVERSIZED)
    return found
