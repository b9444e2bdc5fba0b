"""The file of API keys: what is added works, what is revoked does not, and no secret is ever in it."""

from pathlib import Path

import orjson
import pytest

from services.chassis.auth import ApiKeys, FileKeys, Unauthenticated
from services.chassis.clocks import SystemClock
from tiercel.credentials import KeyRefused, add_key, revoke_key


def _keys(file: Path) -> ApiKeys:
    return ApiKeys([FileKeys(file)], wall=SystemClock())


async def test_a_key_that_was_added_is_let_in_with_its_scopes_and_channels(tmp_path: Path) -> None:
    file = tmp_path / "new" / "api_keys.json"
    add_key(file, subject="prometheus", scopes=["metrics.read"])
    key = add_key(file, subject="shop", scopes=["atp.promise", "atp.read"], channels=["web"])

    found = await _keys(file).check(key.encode())

    assert found.subject == "shop"
    assert found.scopes == {"atp.promise", "atp.read"}
    assert found.channels == frozenset({"web"})


async def test_a_revoked_key_stays_in_the_file_and_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "api_keys.json"
    key = add_key(file, subject="shop", scopes=["atp.promise"])
    revoke_key(file, key.removeprefix("tiercel_").split(".")[0])

    assert [entry["subject"] for entry in orjson.loads(file.read_bytes())] == ["shop"]
    with pytest.raises(Unauthenticated):
        await _keys(file).check(key.encode())


def test_the_file_holds_no_secret_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "api_keys.json"
    key = add_key(file, subject="shop", scopes=["atp.promise"])

    assert key.split(".")[1] not in file.read_text()
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("scopes", [[], ["*"], ["atp.read", "*"]])
def test_a_key_for_everything_is_refused(tmp_path: Path, scopes: list[str]) -> None:
    with pytest.raises(KeyRefused, match="scopes"):
        add_key(tmp_path / "api_keys.json", subject="shop", scopes=scopes)


def test_revoking_an_unknown_key_says_what_an_id_is(tmp_path: Path) -> None:
    file = tmp_path / "api_keys.json"
    add_key(file, subject="shop", scopes=["atp.promise"])
    with pytest.raises(KeyRefused, match="between"):
        revoke_key(file, "0000")


def test_a_file_that_is_no_list_of_keys_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "api_keys.json"
    file.write_text("not json")
    with pytest.raises(KeyRefused, match="cannot be read"):
        add_key(file, subject="shop", scopes=["atp.promise"])
    assert file.read_text() == "not json"
