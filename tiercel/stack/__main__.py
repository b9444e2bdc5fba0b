"""`python -m tiercel.stack up | down | status [--only NAME,NAME]`."""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Final, Protocol

from tiercel.stack import kafka, packages, postgres, process, prometheus, redis
from tiercel.stack.layout import Layout, StackError, exclusive, open_layout
from tiercel.stack.packages import Package


class Server(Protocol):
    """What the stack asks of each of its servers: they are modules."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of the module
        """What it is called on the command line and in file names."""
        ...

    @property
    def NEEDS(self) -> Sequence[Package]:  # noqa: N802 - a constant of the module
        """The packages that bring its programs; the first one names its version."""
        ...

    def start(self, layout: Layout) -> None:
        """Start it and return when it is ready."""
        ...

    def answers(self, layout: Layout) -> bool:
        """Whether it is ready."""
        ...

    def stop(self, layout: Layout) -> bool:
        """Stop it; False if it was not running."""
        ...

    def environment(self, layout: Layout) -> dict[str, str]:
        """The settings that point to it."""
        ...


SERVERS: Final[tuple[Server, ...]] = (postgres, redis, kafka, prometheus)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 if it worked (for `status`: if everything asked about is ready)."""
    options = _options(arguments)
    servers = [server for server in SERVERS if options.only is None or server.NAME in options.only]
    try:
        layout = open_layout()
        with exclusive(layout):
            match options.command:
                case "up":
                    up(layout, servers)
                case "down":
                    down(layout, servers)
                case "status":
                    return status(layout, servers)
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1
    return 0


def up(layout: Layout, servers: Sequence[Server]) -> None:
    """Start what does not run yet, and write the addresses of everything that runs to `.stack/env`."""
    packages.require([package for server in servers for package in server.NEEDS])
    for server in servers:
        if process.running_pid(layout.pid_file(server.NAME)) is not None and server.answers(layout):
            print(f"{server.NAME}: already up on port {layout.ports[server.NAME]}")
            continue
        server.stop(layout)  # one that runs and does not answer
        began = time.monotonic()
        server.start(layout)
        print(f"{server.NAME}: up on port {layout.ports[server.NAME]} after {time.monotonic() - began:.1f} s")
    _write_environment(layout)


def down(layout: Layout, servers: Sequence[Server]) -> None:
    """Stop what runs, the last started first; data and logs stay."""
    for server in reversed(servers):
        print(f"{server.NAME}: {'stopped' if server.stop(layout) else 'was not running'}")
    _write_environment(layout)


def status(layout: Layout, servers: Sequence[Server]) -> int:
    """Print what runs where; 1 if something does not."""
    missing = 0
    for server in servers:
        pid = process.running_pid(layout.pid_file(server.NAME))
        ready = pid is not None and server.answers(layout)
        missing += not ready
        state = "down" if pid is None else f"{'ready' if ready else 'not answering'}, pid {pid}"
        version = packages.installed_version(server.NEEDS[0])
        print(f"{server.NAME:<12}{state:<28}port {layout.ports[server.NAME]:<7}{version}")
    return 1 if missing else 0


def _write_environment(layout: Layout) -> None:
    running = [server for server in SERVERS if process.running_pid(layout.pid_file(server.NAME)) is not None]
    settings = {name: value for server in running for name, value in server.environment(layout).items()}
    file = layout.root / "env"
    file.touch(mode=0o600)  # it holds the password of the database
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tiercel.stack", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status"))
    names = [server.NAME for server in SERVERS]
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"some of: {','.join(names)}")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.only or () if name not in names]
    if unknown:
        parser.error(f"no such server: {', '.join(unknown)}; there are {', '.join(names)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
