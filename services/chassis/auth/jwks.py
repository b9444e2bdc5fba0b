"""The public keys of the token issuer, from a JWKS file or URL.

Guarantees: only asymmetric public keys for signatures are taken over (a shared secret in the set is ignored, so a token
signed with HMAC can never match); an unknown key id causes at most one fetch per `REFRESH_MIN_SECONDS`, however many
tokens carry one; a removed key disappears after `REFRESH_AFTER_SECONDS`; a failed fetch keeps the former keys.
"""

import asyncio
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from services.chassis.clocks import WallClock

REFRESH_MIN_SECONDS: Final = 10.0  # an unknown key id is either a rotation (rare) or an attack (often)
REFRESH_AFTER_SECONDS: Final = 600.0  # a key that the issuer withdrew is forgotten after this
FETCH_DEADLINE_SECONDS: Final = 5.0
BODY_MAX_BYTES: Final = 262_144  # a set of a hundred RSA keys has 40 kB
KEYS_MAX: Final = 100
RSA_MIN_BITS: Final = 2048
_KEY_CLASSES: Final[Mapping[str, type[RSAKey | ECKey | OKPKey]]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_log = structlog.get_logger(__name__)


class JwksUnreadable(OSError):  # noqa: N818 - says what happened
    """The key set cannot be fetched or has no usable key."""


def parse_key_set(body: bytes) -> dict[str, Key]:
    """The usable signature keys by id. Raises JwksUnreadable if the document is no key set or has no usable key."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        msg = "the key set is not JSON"
        raise JwksUnreadable(msg) from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > KEYS_MAX:
        msg = f"the key set has no list of at most {KEYS_MAX} keys"
        raise JwksUnreadable(msg)
    keys = {entry["kid"]: key for entry in entries if (key := _usable(entry)) is not None}
    if not keys:
        msg = "the key set has no asymmetric signature key with a key id"
        raise JwksUnreadable(msg)
    return keys


def _usable(entry: Any) -> Key | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
        return None
    key_class = _KEY_CLASSES.get(str(entry.get("kty")))
    if key_class is None or (key_class is RSAKey and len(str(entry.get("n"))) * 6 < RSA_MIN_BITS):  # base64
        return None
    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "key_ops"}
    try:
        return key_class.import_key({name: value for name, value in entry.items() if name not in private})
    except (JoseError, ValueError, TypeError, KeyError):
        return None


class Jwks:
    """The issuer's keys, by id, kept current. `location` is a file path or an https URL (http on loopback only)."""

    def __init__(self, location: str, *, wall: WallClock, client: httpx.AsyncClient | None = None) -> None:
        self._location = location
        self._wall = wall
        self._client = client
        self._keys: dict[str, Key] = {}
        self._asked_at: float | None = None  # monotonic seconds of the last attempt, good or bad
        self._turn = asyncio.Lock()
        if _is_url(location):
            refuse_unsafe_url(location)

    async def key(self, key_id: str) -> Key | None:
        """The key with this id, or None. Raises JwksUnreadable if no key set was ever read."""
        now = self._wall.monotonic()
        limit = REFRESH_AFTER_SECONDS if key_id in self._keys else REFRESH_MIN_SECONDS
        if self._asked_at is None or now - self._asked_at >= limit:
            await self._refresh(now)
        elif key_id not in self._keys and self._turn.locked():
            async with self._turn:  # wait for the answer that somebody else asked for
                pass
        if not self._keys:
            msg = "the issuer's key set could not be read yet"
            raise JwksUnreadable(msg)
        return self._keys.get(key_id)

    async def _refresh(self, seen_at: float) -> None:
        async with self._turn:
            if self._asked_at is not None and self._asked_at >= seen_at:
                return  # somebody else asked while this caller waited
            self._asked_at = self._wall.monotonic()
            try:
                self._keys = parse_key_set(await self._read())
            except OSError as error:
                _log.warning("jwks_unreadable", reason=str(error), keys_kept=len(self._keys))

    async def _read(self) -> bytes:
        if not _is_url(self._location):
            return await asyncio.to_thread(_read_file, Path(self._location))
        try:
            async with asyncio.timeout(FETCH_DEADLINE_SECONDS):
                return await self._fetch()
        except (httpx.HTTPError, TimeoutError) as error:
            msg = f"the key set could not be fetched ({type(error).__name__})"
            raise JwksUnreadable(msg) from error

    async def _fetch(self) -> bytes:
        client = self._client or httpx.AsyncClient(follow_redirects=False, trust_env=False)
        try:
            async with client.stream("GET", self._location, headers={"accept": "application/json"}) as response:
                if response.status_code != httpx.codes.OK:
                    msg = f"the key set was answered with status {response.status_code}"
                    raise JwksUnreadable(msg)
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > BODY_MAX_BYTES:
                        msg = f"the key set is larger than {BODY_MAX_BYTES} bytes"
                        raise JwksUnreadable(msg)
                return bytes(body)
        finally:
            if self._client is None:
                await client.aclose()


def refuse_unsafe_url(url: str) -> None:
    """Raise ValueError unless the URL is https, or http to this very machine (tests, a side-car)."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and _is_loopback(parts.hostname):
        return
    msg = "the key set's URL must be https: whoever can change the answer can make tokens"
    raise ValueError(msg)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_url(location: str) -> bool:
    return "://" in location


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > BODY_MAX_BYTES:
        msg = f"{path.name} is larger than {BODY_MAX_BYTES} bytes"
        raise JwksUnreadable(msg)
    return path.read_bytes()
