"""Guides as tests: the commands of a page, run as they stand there, against something that is served already."""

import os
import re
import subprocess
from pathlib import Path

from tests.support.serve import PROJECT, Served

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
READY = re.compile(r"--ready-file \.tiercel/(\S+?\.json)")
SECONDS_MAX = 600


def follow(page: str, served: Served, folder: Path) -> str:
    """Run all commands of a page of docs/guides in a folder, but for the first, which starts it; what they printed."""
    first, *commands = BLOCK.findall((PROJECT / "docs" / "guides" / page).read_text())
    assert first.startswith("make serve ")
    [ready] = READY.findall(first)
    (folder / ".tiercel").mkdir()
    (folder / ".tiercel" / ready).write_text(served.ready_file.read_text())
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(commands)],  # noqa: S607 - bash is on the PATH of everybody
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
