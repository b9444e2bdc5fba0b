"""Starting a server that outlives this program, and finding and stopping it again by its id.

A pid file holds the process id and the moment of its start as the kernel counts it, so that a later process that
happens to get the same id is never taken for the server, let alone stopped.
"""

import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tiercel.stack.layout import StackError

POLL_SECONDS: Final = 0.1
LOG_TAIL_LINES: Final = 20


def run(arguments: Sequence[str], *, user: str | None = None, cwd: Path | None = None) -> None:
    """Run a command to its end.

    Raises:
        StackError: it failed; the text holds the end of what it printed.
    """
    done = subprocess.run(  # noqa: S603 - the arguments are this project's own
        list(arguments),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        user=user,
        group=group_of(user),
        extra_groups=None if user is None else [],
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-LOG_TAIL_LINES:])
        raise StackError(f"`{' '.join(arguments[:3])} ...` failed with status {done.returncode}:\n{tail}")


def start(
    arguments: Sequence[str],
    *,
    pid_file: Path,
    log: Path,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Start a server in a session of its own, printing to `log`, and remember its process."""
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - the arguments are this project's own
            list(arguments),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
            user=user,
            group=group_of(user),
            extra_groups=None if user is None else [],
        )
    pid_file.write_text(json.dumps({"pid": process.pid, "started": _started(process.pid)}))
    process.returncode = 0  # it is meant to outlive us: no warning that it still runs


def running_pid(pid_file: Path) -> int | None:
    """The id of the remembered process if it still runs."""
    if not pid_file.exists():
        return None
    remembered = json.loads(pid_file.read_text())
    pid: int = remembered["pid"]
    return pid if _started(pid) == remembered["started"] is not None else None


def wait_until_ready(name: str, answers: Callable[[], bool], *, pid_file: Path, log: Path, seconds: float) -> None:
    """Return when the server answers.

    Raises:
        StackError: it died or did not answer in time; the text holds the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not answers():
        if running_pid(pid_file) is None:
            raise StackError(f"{name} stopped while starting; the end of {log}:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise StackError(f"{name} did not answer within {seconds:.0f} s; the end of {log}:\n{_tail(log)}")
        time.sleep(POLL_SECONDS)


def stop(pid_file: Path, *, how: signal.Signals = signal.SIGTERM, seconds: float = 30) -> bool:
    """Stop the remembered process, by force after `seconds`; False if it was not running."""
    pid = running_pid(pid_file)
    if pid is None:
        pid_file.unlink(missing_ok=True)
        return False
    os.kill(pid, signal.SIGCONT)  # a process that a fault test stopped could not end
    os.kill(pid, how)
    deadline = time.monotonic() + seconds
    while running_pid(pid_file) is not None:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += seconds
        time.sleep(POLL_SECONDS)
    pid_file.unlink(missing_ok=True)
    return True


def group_of(user: str | None) -> int | None:
    """The id of a user's own group; nothing for nobody in particular."""
    return None if user is None else pwd.getpwnam(user).pw_gid


def _started(pid: int) -> int | None:
    """The start of a living process in clock ticks since boot, None if there is none (a zombie is none)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    fields = status.rpartition(")")[2].split()  # the name in brackets may hold anything
    state, started = fields[0], fields[19]
    return None if state in "ZX" else int(started)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]) if log.exists() else "(empty)"
