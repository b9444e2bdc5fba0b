"""The alert rules by Prometheus' own checker, which comes with the Debian package that the stack installs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.session import real_parts_are_required

PROMETHEUS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))


def _promtool(*arguments: str | Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        if real_parts_are_required():
            pytest.fail("promtool is not installed (make stack-up brings it)")
        pytest.skip("promtool is not installed (make stack-up brings it)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_one() -> None:
    _promtool("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")


def test_the_rules_are_well_formed() -> None:
    _promtool("check", "rules", PROMETHEUS / "rules" / "tiercel.yml")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_rules_fire_when_they_should_and_only_then(case: Path) -> None:
    _promtool("test", "rules", case)
