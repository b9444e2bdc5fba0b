"""A wall clock that only the test moves."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(slots=True)
class SteppedClock:
    """A `WallClock`: stands still until `advance`."""

    at: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    ticks: float = 1_000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.ticks

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.ticks += seconds
