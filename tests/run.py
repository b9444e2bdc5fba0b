"""`python -m tests.run [--long] [pytest arguments]`: the whole suite, on real servers where this machine can have them.

Starts those servers of the stack that do not run yet, runs the tests of the database on the newest PostgreSQL (from
the wheel), then everything on the stack (PostgreSQL of the system, Kafka, Redis), and stops what it started. Where the
stack cannot be had, tests that need it skip, and say so; under CI=true that is a failure.

Several workers share the tests, except where a path below tests/ is named: those run in this process, for `-s` and
`--pdb`. `-n 0` or `-n 8` overrides both.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from tests.support.session import real_parts_are_required
from tiercel.stack import __main__ as stack
from tiercel.stack import process
from tiercel.stack.layout import open_layout

PROJECT: Final = Path(__file__).resolve().parents[1]
TEST_SETTINGS: Final = {
    "TIERCEL_DATABASE_URL": "TIERCEL_TEST_DATABASE_URL",
    "TIERCEL_KAFKA_BOOTSTRAP": "TIERCEL_TEST_KAFKA",
    "TIERCEL_REDIS_URL": "TIERCEL_TEST_REDIS",
}
"""The stack's addresses under the names that the fixtures read: a setting of a deployment never points tests at it."""

DATABASE_KINDS: Final = ("contract", "integration", "migration")
WORKERS_MAX: Final = 6  # one may hold seventy connections in a race, and PostgreSQL takes 200 from all
NO_TESTS_COLLECTED: Final = 5
TIDY_UP_SECONDS: Final = 60.0
SLOWEST: Final = 10  # named at the end, so that nobody wonders where the minutes went


def main(arguments: Sequence[str]) -> int:
    """Run the suite; the worst exit status of its parts."""
    signal.signal(signal.SIGTERM, _stop)
    options = [argument for argument in arguments if argument != "--long"]
    if "--long" in arguments:
        options.append("--hypothesis-profile=long")
    everything = not any(option.startswith("tests/") for option in options)
    if everything:
        options = [f"-n{_workers()}", "--max-worker-restart=0", *options]
    with stack_servers() as addresses:
        if not addresses and real_parts_are_required():
            return 1
        statuses = []
        if addresses and everything:
            kinds = [f"tests/{kind}" for kind in DATABASE_KINDS]
            statuses.append(_pytest([*kinds, "-m", "not kafka and not redis and not stack", *options], {}))
        statuses.append(_pytest(options, addresses))
    return max(statuses)


@contextlib.contextmanager
def stack_servers() -> Iterator[Mapping[str, str]]:
    """The addresses of the stack for the fixtures, empty if this machine cannot have it; stops what it started."""
    layout = open_layout()
    missing = [server.NAME for server in stack.SERVERS if process.running_pid(layout.pid_file(server.NAME)) is None]
    try:
        if missing and stack.main(["up"]) != 0:
            sys.stderr.write("Without the stack the tests that need it are skipped (with CI=true: fail).\n")
            yield {}
            return
        yield _addresses(layout.root / "env")
    finally:
        if missing:
            with contextlib.redirect_stdout(io.StringIO()):  # the closing line of pytest shall stay in sight
                stack.main(["down", "--only", ",".join(missing)])


def _workers() -> int:
    """One more than there are processors, since tests wait more than they compute."""
    return min(WORKERS_MAX, (os.cpu_count() or 1) + 1)


def _addresses(file: Path) -> dict[str, str]:
    settings = dict(line.split("=", 1) for line in file.read_text().splitlines())
    return {test_name: settings[name] for name, test_name in TEST_SETTINGS.items()}


def _pytest(options: Sequence[str], addresses: Mapping[str, str]) -> int:
    place = "the stack" if addresses else "PostgreSQL from the wheel"
    sys.stdout.write(f"\n== tests on {place} ==\n")
    sys.stdout.flush()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", f"--durations={SLOWEST}", *options],
        cwd=PROJECT,
        env={**os.environ, **addresses},
    )
    try:
        status = process.wait()
    except BaseException as stop:
        if isinstance(stop, SystemExit):  # a Ctrl-C has reached it by itself, and a second one would cut it short
            process.terminate()
        _let_tidy_up(process)
        raise
    return 0 if status == NO_TESTS_COLLECTED and not addresses else status


def _let_tidy_up(process: "subprocess.Popen[bytes]") -> None:
    """Tests start servers and services of their own; only pytest can stop them."""
    try:
        process.wait(TIDY_UP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
