"""Processor time by process, read from the system (Linux): what a promise costs, however busy the machine is.

A server's backends count to the service whose connection they serve (`postgresql: atp`). Where the system does not say
(no `/proc`), nothing is reported.
"""

import json
import os
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg

from tiercel.stack.deployment import Deployment
from tiercel.stack.layout import open_layout

_BACKENDS: Final = """
SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
Times = dict[str, dict[int, float]]  # by name and process id, seconds


async def used(deployment: Deployment) -> Times:
    """Processor seconds so far, by name: services by role, PostgreSQL by service, Kafka."""
    found: Times = {}
    for running in deployment.processes:
        name = " ".join((running.wanted.service, *running.wanted.roles))
        found.setdefault(name, {})[running.process.pid] = seconds_of(running.process.pid)
    connection = await asyncpg.connect(deployment.database_url)
    try:
        for pid, application in await connection.fetch(_BACKENDS):
            name = f"postgresql: {str(application).partition(':')[0]}"
            found.setdefault(name, {})[pid] = seconds_of(pid)
    finally:
        await connection.close()
    pid_file = open_layout().pid_file("kafka")
    if pid_file.exists():
        pid = json.loads(pid_file.read_text())["pid"]
        found["kafka"] = {pid: seconds_of(pid)}
    return found


def of_ended_children() -> float:
    """Processor seconds of the children of this process that have ended: the load generators that it has run."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def per_piece(before: Times, after: Times, pieces: int) -> Mapping[str, float]:
    """Microseconds per piece of work between two looks, by name; a process that ended meanwhile is left out."""
    if not Path("/proc/self/stat").exists():
        return {}
    spent = {
        name: sum(seconds - before.get(name, {}).get(pid, 0.0) for pid, seconds in processes.items())
        for name, processes in after.items()
    }
    return {name: round(seconds * 1e6 / max(1, pieces), 1) for name, seconds in spent.items() if seconds > 0}


def seconds_of(pid: int) -> float:
    """Processor seconds of a process so far; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
