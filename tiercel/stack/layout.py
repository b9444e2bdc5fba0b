"""Where the native stack keeps its things, and on which ports it listens.

The default ports are beside the usual ones, so that a server of the system is not in the way. A port that somebody
else holds is replaced by a free one, unless the environment asked for it (`TIERCEL_STACK_<SERVER>_PORT`).
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
DEFAULT_PORTS: Final = {
    "postgres": 15432,
    "kafka": 19092,
    "kafka_controller": 19093,
    "redis": 16379,
    "prometheus": 19090,
}
PROJECT: Final = Path(__file__).resolve().parents[2]


class StackError(Exception):
    """The stack cannot do what was asked; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of the stack and the port of each server."""

    root: Path
    ports: dict[str, int]

    def folder(self, server: str) -> Path:
        """The folder of one server, made if it is missing."""
        path = self.root / server
        path.mkdir(parents=True, exist_ok=True)
        return path

    def log(self, server: str) -> Path:
        """The file that takes what the server prints."""
        return self.root / f"{server}.log"

    def pid_file(self, server: str) -> Path:
        """The file that says which process the server is."""
        return self.root / f"{server}.pid"


def open_layout(root: Path | None = None) -> Layout:
    """The layout under `root` (default: `.stack` of the project) with the ports of its last start."""
    folder = root or Path(os.environ.get("TIERCEL_STACK_DIR", PROJECT / ".stack"))
    folder.mkdir(parents=True, exist_ok=True)
    remembered = folder / "ports.json"
    ports = dict(DEFAULT_PORTS)
    if remembered.exists():
        ports |= json.loads(remembered.read_text())
    return Layout(folder.resolve(), ports | _asked_ports())


def settle_port(layout: Layout, name: str) -> int:
    """The port for a server that is about to start, remembered for the next start.

    Raises:
        StackError: the environment asked for a port that is taken.
    """
    port = layout.ports[name]
    if not _is_free(port):
        if name in _asked_ports():
            raise StackError(f"port {port} is taken; free it or set {_variable(name)} to another one")
        taken = port
        port = _any_free_port()
        print(f"{name}: port {taken} is taken, using {port}")
    layout.ports[name] = port
    (layout.root / "ports.json").write_text(json.dumps(layout.ports, indent=2) + "\n")
    return port


@contextmanager
def exclusive(layout: Layout) -> Iterator[None]:
    """Only one command at a time works on a stack."""
    with (layout.root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _variable(name: str) -> str:
    return f"TIERCEL_STACK_{name.upper()}_PORT"


def _asked_ports() -> dict[str, int]:
    asked: dict[str, int] = {}
    for name in DEFAULT_PORTS:
        value = os.environ.get(_variable(name))
        if value is None:
            continue
        if not value.isdigit() or not 0 < int(value) < 2**16:
            raise StackError(f"{_variable(name)} must be a port number, not {value!r}")
        asked[name] = int(value)
    return asked


def _is_free(port: int) -> bool:
    """Whether nobody listens. Binding would also fail for connections that are only waiting for their end."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
