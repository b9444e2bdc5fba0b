"""What may be in no file: paths of one machine, addresses of one package index, secrets, files too large to read."""

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FILE_BYTES_MAX = 1_000_000
# A path below somebody's home or work folder works on that machine only.
MACHINE_PATH = re.compile(r"(?<![\w.${}~/-])/(?:root|home|Users|work|mnt/data)/[\w.-]+")
# An index that is written down sends every user there; the user's own configuration decides.
PACKAGE_INDEX = re.compile(
    r"(?:^|\s)(?:--(?:extra-)?index-url|--find-links|-i)[ =]\S+|index-url\s*=|registry\s*=\s*https?:|https?://\S+/simple\b"
)
SECRET = re.compile(
    r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bghp_[0-9A-Za-z]{36}\b"
    r"|\bxox[bp]-[0-9A-Za-z-]{20,}"
)


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - git is on the path or nowhere
        cwd=PROJECT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := PROJECT / name).is_file()]


def _faults(pattern: re.Pattern[str]) -> list[str]:
    found = []
    for path in _files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(PROJECT)}:{number}: {match[0].strip()}")
    return found


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    assert _faults(MACHINE_PATH) == []


def test_no_file_names_a_package_index() -> None:
    assert _faults(PACKAGE_INDEX) == []


def test_no_file_holds_a_secret() -> None:
    assert [
        fault for fault in _faults(SECRET) if not fault.startswith(f"tests/architecture/{Path(__file__).name}")
    ] == []


def test_no_file_is_too_large_to_be_read() -> None:
    assert [str(path.relative_to(PROJECT)) for path in _files() if path.stat().st_size > FILE_BYTES_MAX] == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE_PATH, "see " + "/home" + "/alice/project"),
        (MACHINE_PATH, 'open("' + "/root" + '/data.csv")'),
        (PACKAGE_INDEX, "pip install " + "--index-url" + " https://example.com/x tiercel"),
        (PACKAGE_INDEX, "https://example.com/pypi" + "/simple"),
        (SECRET, "-----BEGIN " + "PRIVATE KEY-----"),
    ],
)
def test_the_rules_bite(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


@pytest.mark.parametrize("line", ["$HOME/work/x", "docs/home/page", "~/work/tiercel", "GET /v1/work/items"])
def test_the_rules_leave_other_paths_alone(line: str) -> None:
    assert not MACHINE_PATH.search(line)
