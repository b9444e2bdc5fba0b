"""The contract of the cache, kept by both adapters; and that a Redis that is gone makes nothing wrong."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from services.chassis.cache import (
    KEY_MAX_CHARS,
    PAUSE_SECONDS,
    VALUE_MAX_BYTES,
    Cache,
    MemoryCache,
    RedisCache,
)
from services.chassis.clocks import SystemClock
from services.chassis.rate_limit import Budget, RateLimiter
from tests.support.clocks import SteppedClock
from tests.support.redis import RedisServer

LONG_SECONDS = 60.0
EXPIRY_DEADLINE_SECONDS = 60.0


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def cache(request: pytest.FixtureRequest) -> AsyncIterator[Cache]:
    adapter: Cache
    if request.param == "memory":
        adapter = MemoryCache(wall=SystemClock())
    else:
        url = request.getfixturevalue("redis_url")
        adapter = RedisCache.open(url, prefix=f"test-{uuid4().hex}", wall=SystemClock(), call_deadline_seconds=60)
    yield adapter
    await adapter.close()


async def test_what_was_set_is_there(cache: Cache) -> None:
    assert await cache.get("a") is None
    await cache.set("a", b"\x00\xff value", LONG_SECONDS)
    await cache.set("empty", b"", LONG_SECONDS)
    assert await cache.get("a") == b"\x00\xff value"
    assert await cache.get("empty") == b""
    await cache.set("a", b"newer", LONG_SECONDS)
    assert await cache.get("a") == b"newer"


async def test_what_was_deleted_is_not(cache: Cache) -> None:
    await cache.set("a", b"1", LONG_SECONDS)
    await cache.delete("a")
    await cache.delete("never there")
    assert await cache.get("a") is None


async def test_a_value_ends_with_its_time(cache: Cache) -> None:
    await cache.set("a", b"1", 0.01)
    seen: bytes | None = b"1"
    async with asyncio.timeout(EXPIRY_DEADLINE_SECONDS):
        while seen is not None:
            seen = await cache.get("a")
    await cache.set("a", b"2", LONG_SECONDS)
    assert await cache.get("a") == b"2"


async def test_a_counter_adds_up_and_can_be_read(cache: Cache) -> None:
    assert await cache.add("n", 3, LONG_SECONDS) == 3
    assert await cache.add("n", 4, LONG_SECONDS) == 7
    assert await cache.add("n", -2, LONG_SECONDS) == 5
    assert await cache.get("n") == b"5"


async def test_the_life_of_a_counter_begins_with_its_first_use_and_is_not_prolonged(cache: Cache) -> None:
    assert await cache.add("n", 1, 0.05) == 1
    seen = 1
    async with asyncio.timeout(EXPIRY_DEADLINE_SECONDS):
        while (now := await cache.add("n", 1, LONG_SECONDS)) is not None and now > seen:
            seen = now
    assert now == 1


async def test_counting_at_the_same_time_loses_nothing(cache: Cache) -> None:
    await asyncio.gather(*(cache.add("n", 1, LONG_SECONDS) for _ in range(50)))
    assert await cache.add("n", 0, LONG_SECONDS) == 50


async def test_a_value_that_is_no_counter_cannot_be_counted_and_stays(cache: Cache) -> None:
    await cache.set("a", b"text", LONG_SECONDS)
    assert await cache.add("a", 1, LONG_SECONDS) is None
    assert await cache.get("a") == b"text"


async def test_entries_out_of_bounds_are_refused(cache: Cache) -> None:
    for key, value, ttl_seconds in (
        ("", b"", 1.0),
        ("k" * (KEY_MAX_CHARS + 1), b"", 1.0),
        ("k", b"v" * (VALUE_MAX_BYTES + 1), 1.0),
        ("k", b"", 0.0),
    ):
        with pytest.raises(ValueError, match="out of bounds"):
            await cache.set(key, value, ttl_seconds)


async def test_the_memory_is_bounded_and_keeps_what_is_used() -> None:
    cache = MemoryCache(wall=SteppedClock(), entries_max=10)
    await cache.set("used", b"1", LONG_SECONDS)
    for number in range(100):
        await cache.set(str(number), b"1", LONG_SECONDS)
        assert await cache.get("used") == b"1"
    assert len(cache._entries) == 10


@pytest.mark.redis
async def test_services_on_one_server_do_not_see_each_other(redis_url: str) -> None:
    prefix = uuid4().hex
    one, two = (
        RedisCache.open(redis_url, prefix=f"{prefix}-{name}", wall=SystemClock(), call_deadline_seconds=60)
        for name in ("one", "two")
    )
    await one.set("a", b"1", LONG_SECONDS)
    assert await one.get("a") == b"1"
    assert await two.get("a") is None
    await one.close()
    await two.close()


@pytest.mark.redis
async def test_a_dead_server_is_a_miss_then_left_alone_and_used_again_when_it_is_back(
    private_redis: RedisServer,
) -> None:
    clock = SteppedClock()
    cache = RedisCache.open(private_redis.url, prefix="test", wall=clock, call_deadline_seconds=60)
    await cache.set("a", b"1", LONG_SECONDS)
    private_redis.kill()

    async with asyncio.timeout(EXPIRY_DEADLINE_SECONDS):
        assert await cache.get("a") is None
        for _ in range(1_000):
            assert await cache.get("a") is None
            assert await cache.add("n", 1, LONG_SECONDS) is None
            await cache.set("a", b"2", LONG_SECONDS)
            await cache.delete("a")
    assert cache.failures == 1

    private_redis.start()
    clock.advance(PAUSE_SECONDS)
    await cache.set("a", b"3", LONG_SECONDS)
    assert await cache.get("a") == b"3"
    await cache.close()


async def test_a_server_that_accepts_and_never_answers_costs_its_deadline_once() -> None:
    silence = asyncio.Event()

    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silence.wait()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cache = RedisCache.open(f"redis://127.0.0.1:{port}/0", prefix="test", wall=SteppedClock())
    async with asyncio.timeout(EXPIRY_DEADLINE_SECONDS):
        for _ in range(100):
            assert await cache.get("a") is None
    assert cache.failures == 1
    await cache.close()
    silence.set()
    server.close()
    await server.wait_closed()


@pytest.mark.redis
async def test_replicas_share_a_budget_through_a_real_server_and_limit_alone_without_it(
    private_redis: RedisServer,
) -> None:
    clock = SteppedClock()
    wall = SystemClock()
    caches = [RedisCache.open(private_redis.url, prefix="test", wall=wall, call_deadline_seconds=60) for _ in range(2)]
    one, two = (RateLimiter(Budget(per_second=1, burst=10), wall=clock, cache=cache) for cache in caches)
    for limiter in (one, two):
        assert sum(limiter.wait_seconds("shop") == 0.0 for _ in range(20)) == 10
        await limiter.share()
    assert two.wait_seconds("shop") > 1

    private_redis.kill()
    clock.advance(100)
    for limiter in (one, two):
        assert sum(limiter.wait_seconds("shop") == 0.0 for _ in range(20)) == 10
        await limiter.share()
        assert 0 < limiter.wait_seconds("shop") <= 1
    for cache in caches:
        await cache.close()
