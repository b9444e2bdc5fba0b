"""PostgreSQL for the native stack: a cluster of its own, durable, on TCP loopback, with a password made at first start.

PostgreSQL refuses to run as root. When this program is root, the cluster belongs to the user `postgres` (or `nobody`);
where that user cannot reach `.stack/` (a private home or temporary folder), the data live in /var/tmp and
`.stack/postgres` points there.
"""

import asyncio
import hashlib
import os
import pwd
import secrets
import shutil
import signal
from pathlib import Path
from typing import Final

import asyncpg

from tiercel.stack import packages, process
from tiercel.stack.layout import HOST, Layout, StackError, settle_port

NAME: Final = "postgres"
NEEDS: Final = (packages.POSTGRES,)
READY_SECONDS: Final = 60
USER: Final = "tiercel"
DATABASE: Final = "tiercel"
ANSWER_SECONDS: Final = 2

# Durability stays at its defaults (fsync, synchronous_commit and full_page_writes on).
SETTINGS: Final = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
}


def start(layout: Layout) -> None:
    """Make the cluster if there is none, start it, and make the database."""
    user = _server_user()
    folder = _folder(layout, user)
    postgres = packages.find("postgres")
    if postgres is None:
        raise StackError("PostgreSQL's server program was not found below /usr/lib/postgresql")
    cluster = folder / "cluster"
    if not (cluster / "PG_VERSION").exists():
        _make_cluster(folder, Path(postgres).resolve().parent / "initdb", user)
    port = settle_port(layout, NAME)
    settings = [f"-c{name}={value}" for name, value in SETTINGS.items()]
    process.start(
        [postgres, "-D", str(cluster), "-p", str(port), *settings],
        pid_file=layout.pid_file(NAME),
        log=layout.log(NAME),
        user=user,
    )
    process.wait_until_ready(
        NAME, lambda: answers(layout), pid_file=layout.pid_file(NAME), log=layout.log(NAME), seconds=READY_SECONDS
    )
    asyncio.run(_make_database(layout))


def answers(layout: Layout) -> bool:
    """Whether it takes connections."""
    if not _password_file(layout).exists():
        return False
    try:
        asyncio.run(_select_one(_url(layout, "postgres")))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


def stop(layout: Layout) -> bool:
    """Stop it at once and cleanly (connections are closed); False if it was not running."""
    return process.stop(layout.pid_file(NAME), how=signal.SIGINT)


def environment(layout: Layout) -> dict[str, str]:
    """The settings that point to it."""
    return {"TIERCEL_DATABASE_URL": _url(layout, DATABASE)} if _password_file(layout).exists() else {}


def _password_file(layout: Layout) -> Path:
    return layout.root / NAME / "password"


def _url(layout: Layout, database: str) -> str:
    return f"postgresql://{USER}:{_password_file(layout).read_text()}@{HOST}:{layout.ports[NAME]}/{database}"


async def _select_one(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=ANSWER_SECONDS)
    try:
        await connection.fetchval("SELECT 1", timeout=ANSWER_SECONDS)
    finally:
        await connection.close(timeout=ANSWER_SECONDS)


async def _make_database(layout: Layout) -> None:
    connection = await asyncpg.connect(_url(layout, "postgres"), timeout=ANSWER_SECONDS)
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close(timeout=ANSWER_SECONDS)


def _server_user() -> str | None:
    """The user that runs the server: this one, or if this one is root, another."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise StackError("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")


def _folder(layout: Layout, user: str | None) -> Path:
    """The folder of the cluster and its password, readable by nobody else; made at the first start."""
    place = layout.root / NAME
    if place.exists():
        return place.resolve()
    if user is None:
        place.mkdir(mode=0o700)
        return place
    real = place
    if not _reachable(layout.root, user):
        digest = hashlib.sha256(str(layout.root).encode()).hexdigest()[:12]
        real = Path("/var/tmp") / f"tiercel-stack-{digest}"  # noqa: S108 - it survives a restart, and its mode is 0700
        if real.is_symlink():
            raise StackError(f"{real} is somebody else's symbolic link; remove it")
        if real.exists():  # of an earlier `.stack/` in the same place
            shutil.rmtree(real)
        print(f"{NAME}: the user {user} cannot reach {layout.root}, so the data are in {real}")
    real.mkdir(mode=0o700)
    shutil.chown(real, user, process.group_of(user))
    if real != place:
        place.symlink_to(real)
    return real


def _reachable(folder: Path, user: str) -> bool:
    try:
        process.run(["test", "-x", str(folder)], user=user)
    except StackError:
        return False
    return True


def _make_cluster(folder: Path, initdb: Path, user: str | None) -> None:
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24))
    if user is not None:
        shutil.chown(password, user, process.group_of(user))
    process.run(
        [
            str(initdb),
            *("-D", str(folder / "cluster"), "-U", USER, f"--pwfile={password}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"),
        ],
        user=user,
        cwd=folder,
    )
