"""Rate limits: a burst, then an even pace; over all replicas when they can talk, alone when they cannot."""

import asyncio

import pytest

from services.chassis.cache import MemoryCache
from services.chassis.rate_limit import CALLERS_MAX, PERIOD_SECONDS, Budget, RateLimiter
from tests.support.clocks import SteppedClock


def _admitted(limiter: RateLimiter, clock: SteppedClock, *, seconds: float, step: float, subject: str = "a") -> int:
    admitted = 0
    for _ in range(round(seconds / step)):
        admitted += limiter.wait_seconds(subject) == 0.0
        clock.advance(step)
    return admitted


def test_a_burst_is_admitted_at_once_and_then_an_even_pace() -> None:
    clock = SteppedClock()
    limiter = RateLimiter(Budget(per_second=10, burst=5), wall=clock)
    assert [limiter.wait_seconds("a") for _ in range(6)] == [0, 0, 0, 0, 0, pytest.approx(0.1)]
    clock.advance(0.1)
    assert limiter.wait_seconds("a") == 0.0
    assert limiter.wait_seconds("a") > 0


def test_in_the_long_run_the_rate_is_kept_and_the_wait_told_is_the_wait_needed() -> None:
    clock = SteppedClock()
    limiter = RateLimiter(Budget(per_second=10, burst=5), wall=clock)
    assert _admitted(limiter, clock, seconds=10, step=0.01) in range(104, 107)
    while (wait := limiter.wait_seconds("a")) == 0.0:
        pass
    clock.advance(wait + 1e-6)
    assert limiter.wait_seconds("a") == 0.0


def test_a_refusal_costs_nothing() -> None:
    clock = SteppedClock()
    limiter = RateLimiter(Budget(per_second=1, burst=1), wall=clock)
    limiter.wait_seconds("a")
    for _ in range(1_000):
        assert limiter.wait_seconds("a") > 0
    clock.advance(1.0)
    assert limiter.wait_seconds("a") == 0.0


def test_callers_do_not_share_a_budget() -> None:
    limiter = RateLimiter(Budget(per_second=1, burst=1), wall=SteppedClock())
    assert limiter.wait_seconds("a") == 0.0
    assert limiter.wait_seconds("b") == 0.0
    assert limiter.wait_seconds("a") > 0


def test_a_flood_of_callers_takes_bounded_memory() -> None:
    limiter = RateLimiter(Budget(per_second=1, burst=1), wall=SteppedClock())
    for number in range(CALLERS_MAX + 100):
        limiter.wait_seconds(str(number))
    assert len(limiter._arrival) == CALLERS_MAX


async def test_replicas_together_admit_what_one_would() -> None:
    clock = SteppedClock()
    clock.advance(-(clock.now().timestamp() % PERIOD_SECONDS))
    cache = MemoryCache(wall=clock)
    budget = Budget(per_second=10, burst=5)
    replicas = [RateLimiter(budget, wall=clock, cache=cache) for _ in range(4)]
    admitted = 0
    for _ in range(PERIOD_SECONDS * 10 - 1):
        for replica in replicas:
            admitted += sum(replica.wait_seconds("a") == 0.0 for _ in range(5))
        clock.advance(0.1)
        for replica in replicas:
            await replica.share()
    alone = PERIOD_SECONDS * 10 + 5
    exchanged_late = 4 * (5 + 10)
    assert alone <= admitted <= alone + exchanged_late
    assert all(0 < replica.wait_seconds("a") <= PERIOD_SECONDS for replica in replicas)

    clock.advance(0.2)
    assert all(replica.wait_seconds("a") == 0.0 for replica in replicas)


class NobodyKnows(MemoryCache):
    """A cache that is gone."""

    async def add(self, key: str, amount: int, ttl_seconds: float) -> int | None:
        del key, amount, ttl_seconds
        return None


async def test_without_the_cache_each_replica_limits_alone() -> None:
    clock = SteppedClock()
    limiter = RateLimiter(Budget(per_second=10, burst=5), wall=clock, cache=NobodyKnows(wall=clock))
    for _ in range(20):
        _admitted(limiter, clock, seconds=0.5, step=0.01)
        await limiter.share()
    assert _admitted(limiter, clock, seconds=1, step=0.01) in range(9, 12)


async def test_the_exchange_ends_when_asked_to() -> None:
    clock = SteppedClock()
    limiter = RateLimiter(Budget(per_second=10, burst=5), wall=clock, cache=MemoryCache(wall=clock))
    stop = asyncio.Event()
    running = asyncio.create_task(limiter.run(stop))
    stop.set()
    async with asyncio.timeout(60):
        await running


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_budget_that_admits_nobody_is_refused(per_second: float, burst: int) -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        Budget(per_second, burst)
