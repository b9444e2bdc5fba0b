"""What may be said to `tiercel`, and what is said back when it is wrong."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tiercel.cli import app


def _said(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


def test_every_command_explains_itself() -> None:
    code, said = _said("--help")
    assert code == 0
    for command in (
        "serve",
        "demo",
        "doctor",
        "migrate",
        "topics",
        "dlq",
        "keys",
        "ledger",
        "audit",
        "replay-decision",
        "conformance",
    ):
        assert command in said
        assert _said(command, "--help")[0] == 0


@pytest.mark.parametrize(
    "which", [[], ["--partition", "1"], ["--offset", "1"], ["--all", "--partition", "1", "--offset", "1"]]
)
def test_a_replay_names_one_letter_or_all(which: list[str]) -> None:
    code, said = _said("dlq", "replay", "orders.v1", *which)
    assert code == 2
    assert "--all" in said


def test_a_port_leaves_room_for_the_two_after_it() -> None:
    assert _said("serve", "--port", "65534")[0] == 2


def test_a_deployment_that_is_not_described_is_asked_for_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIERCEL_DATABASE_URL", "TIERCEL_FORM"):
        monkeypatch.delenv(name, raising=False)
    code, _ = _said("migrate")
    assert code == 1


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    code, _ = _said("ledger", "verify", "--data", str(tmp_path / "nothing"))
    assert code == 1


def test_a_minted_key_is_the_only_thing_printed(tmp_path: Path) -> None:
    code, said = _said(
        "keys", "mint", "--file", str(tmp_path / "keys.json"), "--subject", "shop", "--scope", "atp.read"
    )
    assert code == 0
    assert said.startswith("tiercel_")
    assert said.count("\n") == 1
    assert _said("keys", "revoke", said[8:24], "--file", str(tmp_path / "keys.json"))[0] == 0
