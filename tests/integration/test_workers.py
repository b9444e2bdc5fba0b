"""A run of several workers counts and judges as a run of one does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workers import DEPLOYMENTS, LONGEST_FILE, LONGEST_FIRST, Sharing, kind_of

PROJECT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 300
FILES = {
    "property/test_generated.py": (
        "from hypothesis import given, strategies\n\n"
        "@given(strategies.integers())\n"
        "def test_one(number):\n    assert number == number\n\n"
        "@given(strategies.integers())\n"
        "def test_another(number):\n    assert number == number\n"
    ),
    "property/test_more.py": (
        "from hypothesis import given, strategies\n\n"
        "@given(strategies.integers())\n"
        "def test_one(number):\n    assert number == number\n"
    ),
    "unit/test_plain.py": "def test_one():\n    pass\n",
    "unit/test_missing.py": "import pytest\n\ndef test_one():\n    pytest.skip('a part is missing')\n",
}


def run(folder: Path, workers: int, **environment: str) -> tuple[int, dict[str, str]]:
    """The exit status of a run, and what its table says of each kind."""
    for name, text in FILES.items():
        file = folder / "tests" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    plugins = [f"-ptests.support.{name}" for name in ("workers", "session")]
    # With a place of its own for temporary files: in the usual one a run shuts out the users of other runs' servers.
    places = (f"--rootdir={folder}", f"--basetemp={folder / 'temporary'}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"-n{workers}", *plugins, *places, str(folder / "tests")],
        cwd=PROJECT,
        env={**os.environ, "CI": "", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )
    table = done.stdout.partition("tests by kind")[2]
    return done.returncode, dict(re.findall(r"^(\w+)  +(\S.*)$", table, re.MULTILINE))


@pytest.mark.parametrize("workers", [0, 2])
def test_tests_and_examples_are_counted_over_all_workers(tmp_path: Path, workers: int) -> None:
    assert run(tmp_path, workers) == (0, {"property": "3 passed, 450 examples", "unit": "1 passed, 1 skipped"})


@pytest.mark.parametrize("workers", [0, 2])
def test_a_skipped_test_of_any_worker_fails_a_run_of_ci(tmp_path: Path, workers: int) -> None:
    assert run(tmp_path, workers, CI="true")[0] == 1


def test_a_file_goes_to_one_worker_and_all_deployments_but_the_longest_to_one() -> None:
    sharing = Sharing.__new__(Sharing)
    names = ["tests/unit/test_a.py::test_one[x::y]", "tests/unit/test_a.py::test_two", "tests/unit/test_b.py::test_one"]
    assert len({sharing._split_scope(name) for name in names}) == 2
    others = {sharing._split_scope(f"tests/{DEPLOYMENTS}/test_{name}.py::test_one") for name in "ab"}
    assert len(others) == 1
    assert sharing._split_scope(f"{LONGEST_FILE}::test_one") not in others
    assert (PROJECT / LONGEST_FILE).exists()


def test_every_kind_has_its_place() -> None:
    kinds = {kind_of(str(file.relative_to(PROJECT))) for file in (PROJECT / "tests").glob("*/__init__.py")}
    assert kinds - {"support"} == set(LONGEST_FIRST)
