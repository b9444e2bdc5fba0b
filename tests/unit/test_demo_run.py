"""What a replay says when it cannot come to its end."""

from pathlib import Path

import pytest

from tiercel.demo import run
from tiercel.demo.run import Wish


@pytest.mark.parametrize("status", [0, 1])
def test_a_replay_whose_services_stop_fails_and_names_the_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, status: int
) -> None:
    monkeypatch.setattr(run, "run_on_embedded", lambda _work, _folder: status)
    wish = Wish(None, {}, "embedded", tmp_path, generated={"orders": 3, "days": 2})
    assert run.demo(wish) == 1
    assert str(tmp_path / "demo-embedded") in capsys.readouterr().err
