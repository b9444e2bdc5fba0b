"""OAuth2 bearer tokens: signed JWTs of one issuer for one audience.

What is asked of a token: an asymmetric algorithm from a fixed list that also fits the key; `typ` at+jwt or JWT; a key
id known to the issuer's key set; exp, iss, aud and sub present and right, nbf and iat not in the future (leeway at
most 30 seconds). Nothing in the token's header is ever followed: no `jku`, `x5u` or embedded key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode

from services.chassis.auth.jwks import Jwks
from services.chassis.auth.principal import SCOPE_WILDCARD, CredentialKind, Principal, Refusal, Unauthenticated
from services.chassis.clocks import WallClock

ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
TYPES: Final = frozenset({"at+jwt", "application/at+jwt", "jwt"})
TOKEN_MAX_BYTES: Final = 8_192  # what a header line may reasonably hold; larger ones are refused unread
KEY_ID_MAX_CHARS: Final = 256
LEEWAY_SECONDS: Final = 30
LIFETIME_MAX_SECONDS: Final = 86_400  # a token that lives longer than a day is a password
CHANNELS_CLAIM: Final = "tiercel_channels"
ACCOUNT_GROUPS_CLAIM: Final = "tiercel_account_groups"


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The caller, and the wall time (seconds since the epoch) after which the token says nothing any more."""

    principal: Principal
    expires_at: float


class TokenVerifier:
    """Verifies tokens of one issuer for one audience."""

    def __init__(self, jwks: Jwks, *, issuer: str, audience: str, wall: WallClock) -> None:
        self._jwks = jwks
        self._issuer = issuer
        self._audience = audience
        self._wall = wall
        self._registry = jws.JWSRegistry(algorithms=list(ALGORITHMS))

    async def verify(self, token: bytes) -> VerifiedToken:
        """The caller of a good token. Raises Unauthenticated, or JwksUnreadable if no key set was ever read."""
        if len(token) > TOKEN_MAX_BYTES:
            raise Unauthenticated(Refusal.OVERSIZED)
        header = _header(token)
        key = await self._jwks.key(header["kid"])
        if key is None:
            raise Unauthenticated(Refusal.UNKNOWN_KEY)
        declared = key.get("alg")
        if declared is not None and declared != header["alg"]:
            raise Unauthenticated(Refusal.SIGNATURE)
        try:
            payload = jws.deserialize_compact(token, key, registry=self._registry).payload
            claims = orjson.loads(payload)
        except (JoseError, ValueError) as error:
            raise Unauthenticated(Refusal.SIGNATURE) from error
        if not isinstance(claims, dict):
            raise Unauthenticated(Refusal.CLAIMS)
        return self._judge(claims)

    def _judge(self, claims: Mapping[str, Any]) -> VerifiedToken:
        now = self._wall.now().timestamp()
        expires_at = _moment(claims.get("exp"))
        if expires_at is None or claims.get("iss") != self._issuer or not self._is_meant_for_us(claims.get("aud")):
            raise Unauthenticated(Refusal.CLAIMS)
        if expires_at <= now - LEEWAY_SECONDS:
            raise Unauthenticated(Refusal.EXPIRED)
        if expires_at > now + LIFETIME_MAX_SECONDS + LEEWAY_SECONDS:
            raise Unauthenticated(Refusal.CLAIMS)
        for name in ("nbf", "iat"):
            moment = _moment(claims.get(name)) if name in claims else now
            if moment is None or moment > now + LEEWAY_SECONDS:
                raise Unauthenticated(Refusal.CLAIMS)
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise Unauthenticated(Refusal.CLAIMS)
        principal = Principal(
            subject,
            _scopes(claims) - {SCOPE_WILDCARD},
            _limit(claims, CHANNELS_CLAIM),
            _limit(claims, ACCOUNT_GROUPS_CLAIM),
            CredentialKind.TOKEN,
        )
        return VerifiedToken(principal, expires_at + LEEWAY_SECONDS)

    def _is_meant_for_us(self, audience: object) -> bool:
        return audience == self._audience or (isinstance(audience, list) and self._audience in audience)


def _header(token: bytes) -> dict[str, str]:
    parts = token.split(b".")
    if len(parts) != 3:  # noqa: PLR2004 -- header, payload, signature
        raise Unauthenticated(Refusal.MALFORMED)
    try:
        header = orjson.loads(urlsafe_b64decode(parts[0]))
    except ValueError as error:
        raise Unauthenticated(Refusal.MALFORMED) from error
    if not isinstance(header, dict):
        raise Unauthenticated(Refusal.MALFORMED)
    algorithm, kind, key_id = header.get("alg"), header.get("typ"), header.get("kid")
    if algorithm not in ALGORITHMS or not isinstance(kind, str) or kind.lower() not in TYPES:
        raise Unauthenticated(Refusal.NOT_ACCEPTED)
    if not isinstance(key_id, str) or not 0 < len(key_id) <= KEY_ID_MAX_CHARS or "crit" in header:
        raise Unauthenticated(Refusal.NOT_ACCEPTED)
    return {"alg": algorithm, "kid": key_id}


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    value = claims.get("scope", claims.get("scp", ""))
    if isinstance(value, str):
        return frozenset(value.split())
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return frozenset(value)
    raise Unauthenticated(Refusal.CLAIMS)


def _limit(claims: Mapping[str, Any], name: str) -> frozenset[str] | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return frozenset(value)
    raise Unauthenticated(Refusal.CLAIMS)
