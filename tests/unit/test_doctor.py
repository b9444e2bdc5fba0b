"""`tiercel doctor`: one part that is gone does not hide the others, and every bad finding says what to change."""

import asyncio
import sys
from pathlib import Path

import pytest

from tiercel import doctor
from tiercel.credentials import add_key
from tiercel.doctor import Finding, Verdict


async def test_a_part_that_is_gone_does_not_hide_the_others() -> None:
    async def gone() -> Finding:
        raise ConnectionRefusedError("nobody listens")

    async def well() -> Finding:
        return doctor.ok("fine")

    findings = await doctor.examine({"first": gone, "second": well})

    assert list(findings) == ["first", "second"]
    assert findings["first"].verdict is Verdict.FAILED
    assert "nobody listens" in findings["first"].said
    assert findings["second"] == doctor.ok("fine")


async def test_a_part_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECK_SECONDS_MAX", 0.01)

    async def silent() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    findings = await doctor.examine({"silent": silent})

    assert findings["silent"].verdict is Verdict.FAILED
    assert "no answer" in findings["silent"].said


async def test_an_old_python_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await doctor.python()).verdict is Verdict.OK
    monkeypatch.setattr(doctor, "PYTHON_OLDEST", (sys.version_info.major + 1, 0))
    assert (await doctor.python()).verdict is Verdict.FAILED


async def test_a_full_disk_is_a_warning_also_for_a_folder_that_is_not_there_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = doctor.disk(tmp_path / "not" / "yet")
    monkeypatch.setattr(doctor, "DISK_FREE_BYTES_MIN", 0)
    assert (await check()).verdict is Verdict.OK
    monkeypatch.setattr(doctor, "DISK_FREE_BYTES_MIN", 2**80)
    assert (await check()).verdict is Verdict.WARNING


async def test_credentials_by_file_are_counted_and_their_absence_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "api_keys.json"
    add_key(file, subject="shop", scopes=["atp.promise"])

    assert (await doctor.credentials(file, None)()).said == "1 API keys by file"
    assert (await doctor.credentials(None, None)()).verdict is Verdict.FAILED


async def test_a_key_set_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text('{"keys": []}')

    findings = await doctor.examine({"credentials": doctor.credentials(None, str(jwks))})

    assert findings["credentials"].verdict is Verdict.FAILED
    assert "JwksUnreadable" in findings["credentials"].said


def test_a_finding_that_is_not_well_says_what_to_do() -> None:
    finding = doctor.judged(well=False, said="so it is", mend="change it")
    assert finding == Finding(Verdict.FAILED, "so it is", "change it")
