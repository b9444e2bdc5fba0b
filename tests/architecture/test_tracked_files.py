"""What may be in no file: secrets, and more than anybody can read."""

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FILE_BYTES_MAX = 1_000_000
SECRET = re.compile(
    r"-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bghp_[0-9A-Za-z]{36}\b"
    r"|\bxox[bp]-[0-9A-Za-z-]{20,}|\btiercel_[0-9a-f]{16}\.[0-9A-Za-z_-]{43}\b"
)


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - git is on the path or nowhere
        cwd=PROJECT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [path for name in listed.split("\0") if name and (path := PROJECT / name).is_file()]


def test_no_file_holds_a_secret() -> None:
    assert [
        str(path.relative_to(PROJECT)) for path in _files() if SECRET.search(path.read_text(errors="replace"))
    ] == []


def test_no_file_is_too_large_to_be_read() -> None:
    assert [str(path.relative_to(PROJECT)) for path in _files() if path.stat().st_size > FILE_BYTES_MAX] == []


@pytest.mark.parametrize(
    "line", ["-----BEGIN " + "PRIVATE KEY-----", "AKIA" + "A" * 16, "tiercel_" + "0" * 16 + "." + "a" * 43]
)
def test_the_rule_bites(line: str) -> None:
    assert SECRET.search(line)
