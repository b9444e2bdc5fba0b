"""The private server: durable, alone, and gone when its process is gone."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from services.chassis.embedded_postgres import DataFolderInUse, EmbeddedPostgres, StartFailed

STARTS_SECONDS = 180


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder; not pytest's own, whose path is too long for some of what is tested."""
    path = Path(tempfile.mkdtemp(prefix="tiercel-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def ask(url: str, *statements: str) -> object:
    """The first value of the last statement."""

    async def run() -> object:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def postmaster(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie that nobody has waited for."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def started_elsewhere(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Another process with a server in the folder, and the server's address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.embedded_process", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = (line.strip() for line in process.stdout)
    return process, next(line for line in lines if line.startswith("postgresql://"))


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=STARTS_SECONDS)


def test_it_is_durable_private_and_of_a_defined_order(folder: Path) -> None:
    server = EmbeddedPostgres()
    url = server.start(folder)
    try:
        names = ("fsync", "synchronous_commit", "full_page_writes", "data_checksums")
        assert [ask(url, f"SHOW {name}") for name in names] == ["on"] * 4
        assert ask(url, "SHOW listen_addresses") == ""
        assert ask(url, "SELECT string_agg(w, ' ' ORDER BY w) FROM unnest(ARRAY['b','A','ä','B','a']) w") == "A B a b ä"
        assert (folder / "socket").stat().st_mode & 0o077 == 0
        assert (folder / "cluster").stat().st_mode & 0o077 == 0
    finally:
        server.stop()


def test_stopping_ends_the_server_and_keeps_the_data(folder: Path) -> None:
    server = EmbeddedPostgres()
    url = server.start(folder)
    ask(url, "CREATE TABLE kept (value integer)", "INSERT INTO kept VALUES (7)", "SELECT 1")
    pid = postmaster(folder)
    server.stop()
    assert not is_alive(pid)
    assert not (folder / "cluster" / "postmaster.pid").exists()
    again = EmbeddedPostgres()
    try:
        assert ask(again.start(folder), "SELECT value FROM kept") == 7
    finally:
        again.stop()


def test_a_second_process_is_refused_and_the_first_one_goes_on(folder: Path) -> None:
    process, url = started_elsewhere(folder)
    try:
        with pytest.raises(DataFolderInUse, match="in use by another process"):
            EmbeddedPostgres().start(folder)
        assert ask(url, "SELECT 7") == 7
    finally:
        kill(process)


def test_the_server_does_not_outlive_a_killed_process_and_the_data_survive(folder: Path) -> None:
    process, url = started_elsewhere(folder)
    ask(url, "CREATE TABLE kept (value integer)", "INSERT INTO kept VALUES (7)", "SELECT 1")
    orphan = postmaster(folder)
    kill(process)
    server = EmbeddedPostgres()  # which waits until the former server is gone
    try:
        assert ask(server.start(folder), "SELECT value FROM kept") == 7
        assert postmaster(folder) != orphan
        assert not is_alive(orphan)
    finally:
        server.stop()


def test_a_server_whose_keeper_was_killed_too_is_stopped_by_the_next_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.embedded_postgres.LEFTOVER_GRACE_SECONDS", 0.1)
    process, url = started_elsewhere(folder)
    ask(url, "CREATE TABLE kept (value integer)", "INSERT INTO kept VALUES (7)", "SELECT 1")
    orphan = postmaster(folder)
    session = os.getsid(orphan)
    for keeper in in_session(session):
        if keeper != orphan and parent(keeper) != orphan:
            os.kill(keeper, signal.SIGKILL)
    kill(process)
    assert is_alive(orphan)
    server = EmbeddedPostgres()
    try:
        assert ask(server.start(folder), "SELECT value FROM kept") == 7
        assert not is_alive(orphan)
    finally:
        server.stop()


def in_session(session: int) -> list[int]:
    """The processes of a session, oldest first."""
    pids = sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if fields(pid)[3:4] == [str(session)]]


def parent(pid: int) -> int:
    return int(fields(pid)[1])


def fields(pid: int) -> list[str]:
    """What /proc says after the name of the program: state, parent, group, session, and so on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def test_a_crashed_server_recovers_at_the_next_start(folder: Path) -> None:
    server = EmbeddedPostgres()
    url = server.start(folder)
    ask(url, "CREATE TABLE kept (value integer)", "INSERT INTO kept VALUES (7)", "SELECT 1")
    os.kill(postmaster(folder), signal.SIGKILL)
    server.stop()
    again = EmbeddedPostgres()
    try:
        assert ask(again.start(folder), "SELECT value FROM kept") == 7
    finally:
        again.stop()


def test_a_first_start_that_was_interrupted_is_begun_anew(folder: Path) -> None:
    half_made = folder / "cluster.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres()
    try:
        assert ask(server.start(folder), "SELECT 7") == 7
    finally:
        server.stop()


def test_a_start_that_fails_says_why_and_frees_the_folder(folder: Path) -> None:
    with pytest.raises(StartFailed, match="shared_buffers"):
        EmbeddedPostgres({"shared_buffers": "nonsense"}).start(folder)
    server = EmbeddedPostgres()
    try:
        assert ask(server.start(folder), "SELECT 7") == 7
    finally:
        server.stop()


def test_a_path_too_long_for_a_socket_is_no_obstacle(folder: Path) -> None:
    deep = folder / ("x" * 60) / ("y" * 60)
    server = EmbeddedPostgres()
    try:
        assert ask(server.start(deep), "SELECT 7") == 7
    finally:
        server.stop()
