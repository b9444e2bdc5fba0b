"""The guide to the first promise: its commands are taken from the page and run, as a newcomer would."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.serve import PROJECT, Served

GUIDE = PROJECT / "docs" / "guides" / "first-promise.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS_MAX = 600


@pytest.mark.timeout(SECONDS_MAX + 60)  # some twenty commands, each a process of its own
def test_the_guide_leads_to_a_promise(served: Served, tmp_path: Path) -> None:
    start, *commands = BLOCK.findall(GUIDE.read_text())
    assert start.startswith("make serve ")
    assert "--ready-file .tiercel/first.json" in start
    folder = tmp_path / ".tiercel"
    folder.mkdir()
    (folder / "first.json").write_text(served.ready_file.read_text())
    (tmp_path / ".venv").symlink_to(PROJECT / ".venv")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],  # noqa: S607 - bash is on the PATH of everybody
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rows: 1 would be sent, 0 set aside" in done.stdout
    assert "1 positions compared, 0 differ" in done.stdout
    promise = json.loads((tmp_path / "mine" / "promise.json").read_text())
    assert promise["zone"] == "GB-HIGHLANDS"
    assert [line["promised"] for line in promise["lines"]] == [36]  # in time or not: that depends on the holidays
