"""A process of a service that can be profiled by function: `python -m bench.profiled MODULE [ARGUMENT ...]`.

It runs the module as `python -m` does. SIGUSR1 begins a profile, SIGUSR2 ends it and writes it to the folder that
`BENCH_PROFILES` names, as `<process id>.profile` (read by `bench.profiles`). Between the two every call of a function
is counted and timed, which makes the process about half as fast; before and after it costs nothing.
"""

import cProfile
import gc
import marshal
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

FOLDER: Final = "BENCH_PROFILES"


class _Recorder:
    """What is known between the two signals."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}.profile"
        self._profile = cProfile.Profile()
        self._began = 0.0
        self._collecting_since = 0.0
        self._collections: list[tuple[int, float]] = []

    def begin(self, _signal: int, _frame: FrameType | None) -> None:
        """Start anew."""
        self._profile = cProfile.Profile()
        self._collections = []
        gc.callbacks.append(self._collected)
        self._began = time.process_time()
        self._profile.enable()

    def end(self, _signal: int, _frame: FrameType | None) -> None:
        """Write what was seen; the file appears whole."""
        self._profile.disable()
        processor_seconds = time.process_time() - self._began
        gc.callbacks.remove(self._collected)
        self._profile.create_stats()
        found: Any = self._profile
        document = {
            "processor_seconds": processor_seconds,
            "collections": self._collections,
            "functions": found.stats,
        }
        part = self._path.with_suffix(".part")
        part.write_bytes(marshal.dumps(document))
        part.rename(self._path)

    def _collected(self, phase: str, told: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self._collections.append((told["generation"], time.perf_counter() - self._collecting_since))


def main() -> None:
    """Run the module under its own name, with the arguments behind it."""
    recorder = _Recorder(Path(os.environ[FOLDER]))
    signal.signal(signal.SIGUSR1, recorder.begin)
    signal.signal(signal.SIGUSR2, recorder.end)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
