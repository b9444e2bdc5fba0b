"""How many commands a caller may send: a budget per caller, refilled evenly, with room for a burst.

The decision is local and costs about a microsecond (GCRA: one stored number per caller, its theoretical arrival time).
With a shared cache, replicas tell each other what they admitted, a few times a second and never on the request's path:
a caller that spent its budget of a period over all replicas is refused until the period ends. Without the cache, or
while it is gone, each replica limits alone; limits protect the service, nobody is billed by them.

Reference: ITU-T I.371, generic cell rate algorithm (virtual scheduling).
"""

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from services.chassis.cache import Cache
from services.chassis.clocks import WallClock

NANOSECONDS: Final = 1_000_000_000
CALLERS_MAX: Final = 10_000  # past it the one that was silent for longest is forgotten (its budget is full anyway)
SHARE_SECONDS: Final = 0.5  # how often replicas tell each other
PERIOD_SECONDS: Final = 10  # over which replicas add up


@dataclass(frozen=True, slots=True)
class Budget:
    """Admitted per second in the long run, and at once after a silence."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        """Refuse budgets that admit nobody."""
        if self.per_second <= 0 or self.burst < 1:
            msg = "a budget admits more than nothing: per_second > 0 and burst >= 1"
            raise ValueError(msg)


class RateLimiter:
    """Budgets of all callers of one service in this process."""

    def __init__(self, budget: Budget, *, wall: WallClock, cache: Cache | None = None) -> None:
        self._interval = round(NANOSECONDS / budget.per_second)  # integers: a burst of five is five, not almost five
        self._tolerance = self._interval * (budget.burst - 1)
        self._per_period = int(budget.per_second * PERIOD_SECONDS) + budget.burst
        self._wall = wall
        self._cache = cache
        self._arrival: OrderedDict[str, int] = OrderedDict()  # theoretical arrival time, monotonic nanoseconds
        self._admitted: dict[str, int] = {}  # since the last exchange with the other replicas
        self._blocked_until: dict[str, float] = {}  # monotonic seconds

    def wait_seconds(self, subject: str) -> float:
        """Take one from the caller's budget: 0.0 if there was one, else how long until there is."""
        seconds = self._wall.monotonic()
        if self._blocked_until and (blocked := self._blocked_until.get(subject, 0.0)) > seconds:
            return blocked - seconds
        now = round(seconds * NANOSECONDS)
        expected = max(self._arrival.get(subject, now), now)
        wait = expected - self._tolerance - now
        if wait > 0:
            return wait / NANOSECONDS
        self._arrival[subject] = expected + self._interval
        self._arrival.move_to_end(subject)
        if len(self._arrival) > CALLERS_MAX:
            self._arrival.popitem(last=False)
        if self._cache is not None:
            self._admitted[subject] = self._admitted.get(subject, 0) + 1
        return 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Exchange counts with the other replicas until stopped; the side task of a service with a shared cache."""
        while not stop.is_set():
            await self.share()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SHARE_SECONDS)

    async def share(self) -> None:
        """One exchange: tell what was admitted here, hear what was admitted everywhere."""
        admitted, self._admitted = self._admitted, {}
        if self._cache is None:
            return
        wall = self._wall.now().timestamp()
        period = int(wall // PERIOD_SECONDS)
        left = (period + 1) * PERIOD_SECONDS - wall
        for subject, count in admitted.items():
            total = await self._cache.add(_counter(period, subject), count, 2.0 * PERIOD_SECONDS)
            if total is not None and total >= self._per_period:
                self._blocked_until[subject] = self._wall.monotonic() + left
        now = self._wall.monotonic()
        self._blocked_until = {each: until for each, until in self._blocked_until.items() if until > now}


def _counter(period: int, subject: str) -> str:
    return f"rate:{period}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"
