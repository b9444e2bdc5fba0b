"""Wall time: for time-outs, tokens, metrics and names of partitions. Dates of the business come from business_time."""

import time
from datetime import UTC, datetime
from typing import Protocol


class WallClock(Protocol):
    """What the machine says the time is."""

    def now(self) -> datetime:
        """The current time, aware, in UTC; it may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock; it goes on while the process is stopped."""
        return time.monotonic()
