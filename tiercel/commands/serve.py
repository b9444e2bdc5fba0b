"""`tiercel serve`: the all-in-one form, kept up until it is told to stop."""

import asyncio
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Final

from services.chassis import logs
from services.chassis.lifecycle import Supervisor
from services.chassis.process import run_process
from services.chassis.settings import ChassisSettings, Form, load
from tiercel.embedded import Running, run_embedded

LOOPBACK: Final = "127.0.0.1"
LOG_BYTES_MAX: Final = 50_000_000  # looked at when it starts; the log before it is kept


def serve(*, port: int, data: Path, ready_file: Path | None) -> int:
    """Run until SIGTERM or SIGINT; the exit status. The log goes to a file, so that the terminal shows the key."""
    log_file = data / "tiercel.log"
    data.mkdir(parents=True, exist_ok=True)
    if log_file.exists() and log_file.stat().st_size > LOG_BYTES_MAX:
        log_file.replace(log_file.with_suffix(".log.1"))
    level = load(ChassisSettings, form=Form.EMBEDDED).log_level
    with log_file.open("ab", buffering=0) as log, logs.configured(level, log):
        status = run_process(partial(_serve, port, data, ready_file))
    if status != 0:
        print(f"Something died; {log_file} says what.", file=sys.stderr)
    return status


async def _serve(port: int, data: Path, ready_file: Path | None, supervisor: Supervisor) -> None:
    print(
        "Tiercel, all in one process. Not for production: one process, one machine, no replica of anything.", flush=True
    )

    async def announce(running: Running) -> None:
        print(_words(running, data), flush=True)
        if ready_file is not None:
            await asyncio.to_thread(_write, ready_file, running)

    def claimed() -> None:
        _forget(ready_file)  # of a process that was killed
        supervisor.on_drain(partial(_forget, ready_file))

    await run_embedded(supervisor, data=data, interface=LOOPBACK, port=port, claimed=claimed, then=announce)


def _words(running: Running, data: Path) -> str:
    pages = "\n".join(f"  {name:<17} {url}/docs" for name, url in running.urls.items())
    return f"  API key           {running.api_key}\n{pages}\n  data              {data.resolve()}\nReady. Ctrl-C stops."


def _write(file: Path, running: Running) -> None:
    """At once and whole: whoever waits for the file may read it as soon as it is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.touch(mode=0o600)  # it holds a key
    unfinished.write_text(json.dumps({**running.urls, "api_key": running.api_key}) + "\n")
    unfinished.replace(file)


def _forget(file: Path | None) -> None:
    if file is not None:
        file.unlink(missing_ok=True)
