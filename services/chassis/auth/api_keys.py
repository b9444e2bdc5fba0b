"""API keys: `tiercel_<id>.<secret>`, stored only as SHA-256 of the secret.

The secret is 256 random bits, so a fast hash is enough (nothing can be guessed) and a check costs microseconds. Keys
come from sources (the service's table, a file of hashed keys, keys minted by this process) and are held in one
snapshot per process: a snapshot older than `REFRESH_AFTER_SECONDS` is renewed in the background, one older than
`STALE_AFTER_SECONDS` is not trusted, so a revoked key stops working within 5 seconds everywhere, and a flood of
unknown ids costs no query.
"""

import asyncio
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from services.chassis.auth.principal import CredentialKind, Principal, Refusal, Unauthenticated
from services.chassis.clocks import WallClock
from services.chassis.problems import DEPENDENCY_UNAVAILABLE, Problem

KEY_PREFIX: Final = "tiercel_"
KEY_MAX_BYTES: Final = 200  # a minted key has 68; anything longer is not a key
REFRESH_AFTER_SECONDS: Final = 2.0  # well below the promise of 5 seconds for a revocation
STALE_AFTER_SECONDS: Final = 5.0  # the promise itself
KEYS_MAX: Final = 10_000  # one snapshot is read at once; more machine clients than this want tokens instead
_KEY: Final = re.compile(r"tiercel_([0-9a-z]{4,32})\.([0-9A-Za-z_-]{32,128})")
_NOBODY: Final = bytes(32)  # compared with when the id is unknown, so that unknown and wrong take the same path


@dataclass(frozen=True, slots=True)
class HashedKey:
    """One key as stored. `digest` is the SHA-256 of the secret; the secret itself is stored nowhere."""

    id: str
    digest: bytes
    subject: str
    scopes: frozenset[str]
    channels: frozenset[str] | None = None
    account_groups: frozenset[str] | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def principal(self) -> Principal:
        """Who calls with this key."""
        return Principal(self.subject, self.scopes, self.channels, self.account_groups, CredentialKind.API_KEY)


class KeySource(Protocol):
    """Where hashed keys are kept."""

    async def load(self) -> Sequence[HashedKey]:
        """All keys; revoked ones may be left out. Raises OSError (KeysUnavailable) if they cannot be read."""
        ...


def mint(
    scopes: Sequence[str],
    *,
    subject: str,
    channels: Sequence[str] | None = None,
    account_groups: Sequence[str] | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, HashedKey]:
    """A new key, shown this once, and the row to store."""
    key_id = secrets.token_hex(8)
    secret = secrets.token_urlsafe(32)
    hashed = HashedKey(
        id=key_id,
        digest=hashlib.sha256(secret.encode()).digest(),
        subject=subject,
        scopes=frozenset(scopes),
        channels=None if channels is None else frozenset(channels),
        account_groups=None if account_groups is None else frozenset(account_groups),
        expires_at=expires_at,
    )
    return f"{KEY_PREFIX}{key_id}.{secret}", hashed


@dataclass(slots=True)
class MintedKeys:
    """Keys that live as long as this process: the embedded form's key and tests."""

    keys: list[HashedKey] = field(default_factory=list)

    async def load(self) -> Sequence[HashedKey]:
        """The keys as they are now."""
        return tuple(self.keys)


class _FileKey(BaseModel):
    """One entry of the file of hashed keys."""

    model_config = ConfigDict(extra="forbid")

    id: str
    sha256: str
    subject: str
    scopes: list[str]
    channels: list[str] | None = None
    account_groups: list[str] | None = None
    expires_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None

    def hashed(self) -> HashedKey:
        return HashedKey(
            self.id,
            bytes.fromhex(self.sha256),
            self.subject,
            frozenset(self.scopes),
            None if self.channels is None else frozenset(self.channels),
            None if self.account_groups is None else frozenset(self.account_groups),
            self.expires_at,
            self.revoked_at,
        )


class KeysUnavailable(OSError):  # noqa: N818 - says what happened
    """A source of keys cannot be read now."""


class KeyFileInvalid(KeysUnavailable):
    """The file of hashed keys does not have the documented shape."""


def file_entry(key: HashedKey) -> dict[str, object]:
    """The entry of the keys file for a minted key (the file is a JSON list of such entries)."""

    def listed(values: frozenset[str] | None) -> list[str] | None:
        return None if values is None else sorted(values)

    entry: Mapping[str, object] = {
        "id": key.id,
        "sha256": key.digest.hex(),
        "subject": key.subject,
        "scopes": sorted(key.scopes),
        "channels": listed(key.channels),
        "account_groups": listed(key.account_groups),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(),
    }
    return {name: value for name, value in entry.items() if value is not None}


class FileKeys:
    """A JSON file with a list of hashed keys; read again when it changed on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._keys: tuple[HashedKey, ...] = ()

    async def load(self) -> Sequence[HashedKey]:
        """The keys in the file. Raises KeyFileInvalid or another OSError."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> tuple[HashedKey, ...]:
        stat = self._path.stat()
        version = (stat.st_mtime_ns, stat.st_size)
        if version != self._version:
            try:
                entries = TypeAdapter(list[_FileKey]).validate_python(orjson.loads(self._path.read_bytes()))
                self._keys = tuple(entry.hashed() for entry in entries)
            except (orjson.JSONDecodeError, ValidationError, ValueError) as error:
                msg = f"{self._path.name} is not a JSON list of hashed keys ({type(error).__name__})"
                raise KeyFileInvalid(msg) from error
            self._version = version
        return self._keys


class ApiKeys:
    """The snapshot of all sources, and the check of a presented key against it."""

    def __init__(self, sources: Sequence[KeySource], *, wall: WallClock) -> None:
        self._sources = tuple(sources)
        self._wall = wall
        self._by_id: dict[str, HashedKey] = {}
        self._loaded_at: float | None = None  # monotonic seconds
        self._refreshing: asyncio.Task[None] | None = None

    async def check(self, presented: bytes) -> HashedKey:
        """The stored key that was presented. Raises Unauthenticated, or Problem (503) if the sources cannot be read."""
        if len(presented) > KEY_MAX_BYTES:
            raise Unauthenticated(Refusal.OVERSIZED)
        match = _KEY.fullmatch(presented.decode("latin-1"))
        if match is None:
            raise Unauthenticated(Refusal.MALFORMED)
        await self._ensure_fresh()
        key = self._by_id.get(match[1])
        same = hmac.compare_digest(hashlib.sha256(match[2].encode()).digest(), _NOBODY if key is None else key.digest)
        if key is None or not same:
            raise Unauthenticated(Refusal.UNKNOWN_KEY)
        if key.revoked_at is not None:
            raise Unauthenticated(Refusal.REVOKED)
        if key.expires_at is not None and key.expires_at <= self._wall.now():
            raise Unauthenticated(Refusal.EXPIRED)
        return key

    @property
    def loaded_at(self) -> float | None:
        """When the snapshot in use was read (monotonic seconds); a remembered answer is worth no more than it."""
        return self._loaded_at

    def recent(self, now: float) -> bool:
        """Whether the snapshot is fresh enough that an answer remembered from it still holds."""
        return self._loaded_at is not None and now - self._loaded_at < REFRESH_AFTER_SECONDS

    async def refresh(self) -> None:
        """Read all sources now; concurrent callers share one read."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._load(), name="api-keys-refresh")
        await asyncio.shield(self._refreshing)

    async def _ensure_fresh(self) -> None:
        now = self._wall.monotonic()
        if self.recent(now):
            return
        if self._loaded_at is None or now - self._loaded_at >= STALE_AFTER_SECONDS:
            try:
                await self.refresh()
            except OSError as error:
                raise Problem(DEPENDENCY_UNAVAILABLE) from error
        elif self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._load(), name="api-keys-refresh")
            self._refreshing.add_done_callback(_forget_failure)

    async def _load(self) -> None:
        asked_at = self._wall.monotonic()
        found: dict[str, HashedKey] = {}
        for source in self._sources:
            for key in await source.load():
                found.setdefault(key.id, key)
        if len(found) > KEYS_MAX:
            msg = f"more than {KEYS_MAX} API keys"
            raise KeyFileInvalid(msg)
        self._by_id = found
        self._loaded_at = asked_at


def _forget_failure(task: asyncio.Task[None]) -> None:
    # A failed background refresh is not an error yet: the next caller waits for its own once the snapshot is stale.
    if not task.cancelled():
        task.exception()
