"""A cache shared by the replicas of a service: what can be rebuilt, never what must be true.

Two adapters of one port. In memory: one process, bounded, the embedded form. Redis: shared; when it is slow or gone,
every read is a miss, every write does nothing and every count is unknown, each within a bounded time, so that the
caller is slower and never wrong. After a failure Redis is left alone for `PAUSE_SECONDS`: a dead server must not cost
its time limit on every request.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from services.chassis.clocks import WallClock

ENTRIES_MAX: Final = 50_000  # of the memory adapter; past it the least recently used goes
KEY_MAX_CHARS: Final = 256
VALUE_MAX_BYTES: Final = 262_144  # a larger value is not a cache entry but a document store
CALL_DEADLINE_SECONDS: Final = 0.05  # a healthy Redis answers in 0.3 ms
CONNECTIONS_MAX: Final = 16  # per process; a call holds one for a fraction of a millisecond
PAUSE_SECONDS: Final = 1.0
T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Cache(Protocol):
    """The port. Keys are text of at most 256 characters; a time to live is seconds, always given."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None if there is none, it has expired, or nobody knows."""
        ...

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep the value for this long, perhaps."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the key. Not reliable: whoever must not read an old value uses a version in the key."""
        ...

    async def add(self, key: str, amount: int, ttl_seconds: float) -> int | None:
        """Add to a counter and return its new value, or None if nobody knows; its life begins with its first use."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def _check(key: str, value: bytes = b"", ttl_seconds: float = 1.0) -> None:
    if not 0 < len(key) <= KEY_MAX_CHARS or len(value) > VALUE_MAX_BYTES or ttl_seconds <= 0:
        msg = f"cache entry out of bounds: {len(key)} characters, {len(value)} bytes, {ttl_seconds} seconds"
        raise ValueError(msg)


class MemoryCache:
    """The cache of one process."""

    def __init__(self, *, wall: WallClock, entries_max: int = ENTRIES_MAX) -> None:
        self._wall = wall
        self._entries_max = entries_max
        self._entries: OrderedDict[str, tuple[bytes | int, float]] = OrderedDict()

    async def get(self, key: str) -> bytes | None:
        """The value, if it is one and alive."""
        _check(key)
        value = self._alive(key)
        return str(value).encode() if isinstance(value, int) else value

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep the value."""
        _check(key, value, ttl_seconds)
        self._put(key, value, self._wall.monotonic() + ttl_seconds)

    async def delete(self, key: str) -> None:
        """Forget the key."""
        _check(key)
        self._entries.pop(key, None)

    async def add(self, key: str, amount: int, ttl_seconds: float) -> int | None:
        """Add to the counter."""
        _check(key, b"", ttl_seconds)
        before = self._alive(key)
        if before is None:
            self._put(key, amount, self._wall.monotonic() + ttl_seconds)
            return amount
        if not isinstance(before, int):
            return None
        total = before + amount
        self._put(key, total, self._entries[key][1])
        return total

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def _alive(self, key: str) -> bytes | int | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[1] <= self._wall.monotonic():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def _put(self, key: str, value: bytes | int, until: float) -> None:
        self._entries[key] = (value, until)
        self._entries.move_to_end(key)
        if len(self._entries) > self._entries_max:
            self._entries.popitem(last=False)


class RedisCache:
    """The cache that replicas share, in Redis or Valkey; `prefix` keeps services apart."""

    def __init__(self, client: "Redis", *, prefix: str, wall: WallClock) -> None:
        self._client = client
        self._prefix = prefix
        self._wall = wall
        self._paused_until = 0.0
        self.failures = 0

    @classmethod
    def open(
        cls, url: str, *, prefix: str, wall: WallClock, call_deadline_seconds: float = CALL_DEADLINE_SECONDS
    ) -> "RedisCache":
        """A client of this server; connects with the first call. Raises ValueError for a URL that is none."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS_MAX,
            timeout=call_deadline_seconds,
            socket_timeout=call_deadline_seconds,
            socket_connect_timeout=call_deadline_seconds,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
        return cls(Redis.from_pool(pool), prefix=prefix, wall=wall)

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""
        _check(key)
        value = await self._ask(lambda: self._client.get(self._name(key)))
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep the value, if Redis is there."""
        _check(key, value, ttl_seconds)
        await self._ask(lambda: self._client.set(self._name(key), value, px=_milliseconds(ttl_seconds)))

    async def delete(self, key: str) -> None:
        """Forget the key, if Redis is there."""
        _check(key)
        await self._ask(lambda: self._client.delete(self._name(key)))

    async def add(self, key: str, amount: int, ttl_seconds: float) -> int | None:
        """Add to the counter: one round trip, so that a counter never lives without an end."""
        _check(key, b"", ttl_seconds)

        async def pipelined() -> int:
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.set(self._name(key), 0, px=_milliseconds(ttl_seconds), nx=True)
                pipe.incrby(self._name(key), amount)
                return int((await pipe.execute())[1])

        return await self._ask(pipelined)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        if self._wall.monotonic() < self._paused_until:
            return None
        try:
            return await call()
        except ResponseError as error:  # it is there and says no: a counter that is none, memory full, read only
            self.failures += 1
            _log.warning("cache_refused", error=str(error))
            return None
        except (RedisError, OSError) as error:
            self.failures += 1
            self._paused_until = self._wall.monotonic() + PAUSE_SECONDS
            _log.warning("cache_unavailable", error=repr(error), paused_seconds=PAUSE_SECONDS)
            return None

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
