"""What every run of the suite does, whoever starts it.

* Tests of the kinds in `WITHOUT_SOCKETS` cannot open a network socket (Unix sockets stay: asyncio needs a pair).
* Hypothesis runs by profile: `gate` before a commit, `default`, `long` (`--hypothesis-profile=...`).
* The summary counts the tests by kind, and the generated examples that passed; a kind is a folder below tests/.
* Under CI=true a skipped test fails the run: there, every real part must be present.

All of it holds for a run of several workers too (`tests/support/workers.py`), whose reports come together in one.
"""

import itertools
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from pytest_socket import disable_socket, enable_socket

from services.chassis.signing_keys import make_key, public_half
from tests.support.workers import kind_of, stop

WITHOUT_SOCKETS: Final = frozenset({"architecture", "unit", "property", "simulation"})
"""Kinds that prove something about code alone; a socket in one of them is a mistake."""

EXAMPLES: Final = "generated examples that passed"
"""The property of a test's report that says how many."""

PASSED: Final = re.compile(r"(\d+) passing")  # in what hypothesis says of a test, once for each of its phases

DAYS_END_SECONDS: Final = 60.0  # longer than a test that reckons in days takes

OUTCOMES: Final = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")

# No deadline per example: the machines that run this are shared, and a slow example is not a wrong one.
# The gate draws the same examples every time, so that a commit is not refused for somebody else's bug.
settings.register_profile(
    "gate", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
# The default makes more than 10,000 examples over all properties, in less than three minutes on two cores: in CI the
# same ones every time, for the same reason; anywhere else, and in the long profile, new ones.
settings.register_profile(
    "default",
    max_examples=150,
    deadline=None,
    derandomize=os.environ.get("CI", "").lower() == "true",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")


def pytest_configure() -> None:
    """SIGTERM ends a run as Ctrl-C does: fixtures stop what they started."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)


def real_parts_are_required() -> bool:
    """Whether a missing server fails a test instead of skipping it."""
    return os.environ.get("CI", "").lower() == "true"


@pytest.fixture(autouse=True, scope="session")
def _keys_that_services_sign_with(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Services do not start without; processes that tests start inherit them."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder / "audit.key")
    make_key(folder / "proposal.key")
    os.environ["TIERCEL_AUDIT_KEY_FILE"] = str(folder / "audit.key")
    os.environ["TIERCEL_RECLASSIFIER_PROPOSAL_KEY_FILE"] = str(folder / "proposal.key")
    os.environ["TIERCEL_REGISTRY_PROPOSAL_KEYS_FILE"] = str(public_half(folder / "proposal.key"))


@pytest.fixture(autouse=True)
def _sockets_only_where_they_belong(request: pytest.FixtureRequest) -> Iterator[None]:
    if kind_of(str(request.path.relative_to(request.config.rootpath))) not in WITHOUT_SOCKETS:
        yield
        return
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()


@pytest.fixture(autouse=True)
def _within_one_day(request: pytest.FixtureRequest) -> None:
    """Tests of a service reckon in days from today, by its clock and by theirs: none begins just before midnight."""
    if kind_of(request.node.nodeid) not in WITHOUT_SOCKETS:
        now = datetime.now(UTC)
        later = now + timedelta(seconds=DAYS_END_SECONDS)
        while now.date() != later.date():
            time.sleep(0.1)
            now = datetime.now(UTC)


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Count the examples that hypothesis made for a test."""
    said: str = getattr(item, "hypothesis_statistics", "")
    if said:
        item.user_properties.append((EXAMPLES, sum(map(int, PASSED.findall(said)))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the count of tests by kind above pytest's closing line."""
    counts: dict[str, Counter[str]] = {}
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, []):
            counts.setdefault(kind_of(report.nodeid), Counter())[outcome] += 1
    examples = _examples(terminalreporter)
    terminalreporter.section("tests by kind")
    for kind in sorted(counts):
        line = ", ".join(f"{counts[kind][outcome]} {outcome}" for outcome in OUTCOMES if counts[kind][outcome])
        made = f", {examples[kind]:,} examples" if examples[kind] else ""
        terminalreporter.write_line(f"{kind:<14}{line}{made}")


def _examples(terminalreporter: pytest.TerminalReporter) -> Counter[str]:
    """The generated examples by kind."""
    found: Counter[str] = Counter()
    for report in itertools.chain.from_iterable(terminalreporter.stats.values()):
        for name, count in getattr(report, "user_properties", ()):
            if name == EXAMPLES and report.when == "teardown":
                found[kind_of(report.nodeid)] += count
    return found


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run under CI that skipped a test."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not real_parts_are_required() or reporter is None or not reporter.stats.get("skipped"):
        return
    reporter.write_line("\nCI=true: a skipped test is a failure, since every real part is required", red=True)
    session.exitstatus = pytest.ExitCode.TESTS_FAILED
