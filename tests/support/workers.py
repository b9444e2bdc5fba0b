"""How a run of several workers (pytest's `-n`) shares the tests out, and ends.

* The tests of a file go to one worker, since they share the database of their module.
* The tests of whole deployments go to one worker, but for the longest file: several at once would starve each other.
* The kinds that take longest come first, so that the workers end together.
* SIGTERM ends a run as Ctrl-C does: fixtures stop what they started, in every worker.

A worker has servers and ports of its own, and on a server that all share, databases and topics of its own: a test may
ask such a server about nothing else.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

import execnet
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

LONGEST_FIRST: Final = ("e2e", "integration", "property", "contract", "migration", "simulation", "unit", "architecture")
DEPLOYMENTS: Final = "e2e"
LONGEST_FILE: Final = "tests/e2e/test_demo.py"  # as long as half of the others together

_process_ids: Final[list[int]] = []


def kind_of(path: str) -> str:
    """The kind of the test at `path` (a path or node id below the project's root): the folder below tests/."""
    parts = Path(path.split("::", 1)[0]).parts
    return parts[parts.index("tests") + 1] if "tests" in parts[:-2] else "other"


class Sharing(LoadFileScheduling):  # type: ignore[misc] # xdist says no types
    """Work is handed out in units: deployments, or else a file."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return DEPLOYMENTS if kind_of(file) == DEPLOYMENTS and file != LONGEST_FILE else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Sharing:
    """Hand out the units in the order in which the workers have collected them."""
    config.option.loadscopereorder = False
    return Sharing(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a worker: the longest first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _place(kind_of(item.nodeid)))


def pytest_xdist_newgateway(gateway: execnet.Gateway) -> None:
    """Remember the process of a worker."""
    _process_ids.append(gateway.remote_exec("import os; channel.send(os.getpid())").receive())


def stop(number: int, frame: FrameType | None) -> None:
    """What SIGTERM does: interrupt the workers, whose end ends this process; without workers, this process itself."""
    if not _process_ids:
        signal.default_int_handler(number, frame)
    while _process_ids:
        with suppress(ProcessLookupError):
            os.kill(_process_ids.pop(), signal.SIGINT)


def _place(kind: str) -> int:
    return LONGEST_FIRST.index(kind) if kind in LONGEST_FIRST else len(LONGEST_FIRST)
