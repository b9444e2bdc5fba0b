"""The native stack: servers that are started once, found again, and stopped by their id."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.session import real_parts_are_required
from tiercel.stack import packages, process
from tiercel.stack.layout import HOST, Layout, StackError, open_layout, settle_port

Stack = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Runs `python -m tiercel.stack` over a folder of its own, on ports of its own."""
    environment = {**os.environ, "TIERCEL_STACK_DIR": str(tmp_path)}
    for name in ("POSTGRES", "REDIS"):
        environment[f"TIERCEL_STACK_{name}_PORT"] = str(_free_port())

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tiercel.stack", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    yield run
    run("down")
    if (tmp_path / "postgres").is_symlink():
        shutil.rmtree((tmp_path / "postgres").resolve())


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Path]:
    """The pid file of a process that does nothing."""
    pid_file = tmp_path / "sleeper.pid"
    process.start(["sleep", "600"], pid_file=pid_file, log=tmp_path / "sleeper.log")
    yield pid_file
    process.stop(pid_file)


def needs(package: packages.Package) -> None:
    if packages.find(package.command) is None:
        (pytest.fail if real_parts_are_required() else pytest.skip)(f"needs the Debian package {package.name}")


def settings(folder: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in (folder / "env").read_text().splitlines())


def test_a_server_is_started_once_found_again_and_stopped(stack: Stack, tmp_path: Path) -> None:
    needs(packages.REDIS)
    first = stack("up", "--only", "redis")
    assert (first.returncode, first.stderr) == (0, "")
    pid = process.running_pid(tmp_path / "redis.pid")
    assert pid is not None

    second = stack("up", "--only", "redis")
    assert "already up" in second.stdout
    assert process.running_pid(tmp_path / "redis.pid") == pid
    assert settings(tmp_path)["TIERCEL_REDIS_URL"].startswith(f"redis://{HOST}:")
    assert stack("status", "--only", "redis").returncode == 0

    assert "redis: stopped" in stack("down").stdout
    assert process.running_pid(tmp_path / "redis.pid") is None
    assert stack("status", "--only", "redis").returncode == 1
    assert settings(tmp_path) == {}


def test_a_server_that_was_killed_is_started_again(stack: Stack, tmp_path: Path) -> None:
    needs(packages.REDIS)
    stack("up", "--only", "redis")
    pid = process.running_pid(tmp_path / "redis.pid")
    assert pid is not None
    os.kill(pid, 9)
    assert stack("up", "--only", "redis").returncode == 0
    assert process.running_pid(tmp_path / "redis.pid") not in (None, pid)


async def test_postgresql_keeps_its_data_behind_a_password_also_when_root_starts_it(
    stack: Stack, tmp_path: Path
) -> None:
    needs(packages.POSTGRES)
    up = stack("up", "--only", "postgres")
    assert (up.returncode, up.stderr) == (0, "")
    url = settings(tmp_path)["TIERCEL_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    assert await connection.fetchval("SHOW fsync") == await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()

    stack("down")
    assert stack("up", "--only", "postgres").returncode == 0
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT one FROM kept") == 1
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url, password="guess")


def test_an_unknown_server_is_refused(stack: Stack) -> None:
    refused = stack("up", "--only", "oracle")
    assert refused.returncode == 2
    assert "there are postgres, redis, kafka, prometheus" in refused.stderr


def test_another_process_with_the_same_id_is_not_taken_for_the_server(sleeper: Path) -> None:
    remembered = json.loads(sleeper.read_text())
    sleeper.with_name("old.pid").write_text(json.dumps(remembered | {"started": remembered["started"] - 1}))

    assert process.running_pid(sleeper) == remembered["pid"]
    assert process.running_pid(sleeper.with_name("old.pid")) is None
    assert process.stop(sleeper.with_name("old.pid")) is False
    assert process.running_pid(sleeper) == remembered["pid"]


def test_a_process_that_stands_still_is_stopped_too(sleeper: Path) -> None:
    pid = process.running_pid(sleeper)
    assert pid is not None
    os.kill(pid, 19)
    assert process.stop(sleeper)
    assert process.running_pid(sleeper) is None


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    pid_file, log = tmp_path / "false.pid", tmp_path / "false.log"
    process.start(["sh", "-c", "echo out of luck; exit 1"], pid_file=pid_file, log=log)
    with pytest.raises(StackError, match="out of luck"):
        process.wait_until_ready("false", lambda: False, pid_file=pid_file, log=log, seconds=30)


def test_a_port_that_somebody_holds_is_replaced_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIERCEL_STACK_REDIS_PORT", raising=False)
    with socket.create_server((HOST, 0)) as holder:
        taken = holder.getsockname()[1]
        chosen = settle_port(Layout(tmp_path, {"redis": taken}), "redis")
    assert chosen != taken
    assert open_layout(tmp_path).ports["redis"] == chosen


def test_a_port_that_was_asked_for_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((HOST, 0)) as holder:
        monkeypatch.setenv("TIERCEL_STACK_REDIS_PORT", str(holder.getsockname()[1]))
        with pytest.raises(StackError, match="TIERCEL_STACK_REDIS_PORT"):
            settle_port(open_layout(tmp_path), "redis")


def test_a_port_that_is_no_port_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERCEL_STACK_KAFKA_PORT", "many")
    with pytest.raises(StackError, match="TIERCEL_STACK_KAFKA_PORT"):
        open_layout(tmp_path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
