"""Debian packages: installed only when a command is missing, saying which, and without starting their services."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tiercel.stack.layout import StackError
from tiercel.stack.process import run

POLICY: Final = Path("/usr/sbin/policy-rc.d")
CREATE_CLUSTER: Final = Path("/etc/postgresql-common/createcluster.conf")


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package and the command that shows that it (or another way to have it) is installed."""

    name: str
    command: str


POSTGRES: Final = Package("postgresql", "postgres")
REDIS: Final = Package("redis-server", "redis-server")
PROMETHEUS: Final = Package("prometheus", "prometheus")
JAVA: Final = Package("default-jre-headless", "java")
MAVEN: Final = Package("maven", "mvn")


def find(command: str) -> str | None:
    """The path of a command; PostgreSQL's servers are not on the PATH of Debian, the newest is taken."""
    found = shutil.which(command)
    if found is not None or command != POSTGRES.command:
        return found
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return str(versions[-1]) if versions else None


def require(packages: Sequence[Package]) -> None:
    """Install those whose command is missing.

    Raises:
        StackError: they are missing and cannot be installed from here; the text is the command to run.
    """
    missing = [package.name for package in packages if find(package.command) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise StackError(
            f"missing: {', '.join(missing)}. Run as root: apt-get update && apt-get install {' '.join(missing)}"
        )
    print(f"installing Debian packages: {', '.join(missing)}")
    run(["apt-get", "update", "-q"])
    with _services_stay_off():
        run(
            [
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "install",
                "-y",
                "-q",
                "--no-install-recommends",
                "-o",
                "Dpkg::Options::=--force-confold",  # keeps the file that turns the default cluster off
                *missing,
            ]
        )


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Packages start their services when they are installed; here only what `up` starts shall run."""
    if not CREATE_CLUSTER.exists():
        CREATE_CLUSTER.parent.mkdir(parents=True, exist_ok=True)
        CREATE_CLUSTER.write_text("create_main_cluster = false\n")
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def installed_version(package: Package) -> str:
    """What the command says about its version: the first line."""
    command = find(package.command)
    if command is None:
        return "not installed"
    said = subprocess.run(  # noqa: S603 - the command is one of the constants above
        [command, "--version"], capture_output=True, text=True, check=False
    )
    return (said.stdout or said.stderr).partition("\n")[0]
