"""API keys: what is stored cannot be used, what is revoked ends within five seconds, and a flood reads nothing."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from services.chassis.auth import (
    ApiKeys,
    Authenticator,
    FileKeys,
    KeysUnavailable,
    Principal,
    Refusal,
    Unauthenticated,
    mint,
)
from services.chassis.auth.api_keys import KEY_PREFIX, STALE_AFTER_SECONDS, file_entry
from services.chassis.auth.authenticator import find_credential
from services.chassis.auth.configure import AuthNotConfigured, build_authenticator, check_auth_configured
from services.chassis.problems import Problem
from tests.support.clocks import SteppedClock
from tests.support.http import CountingKeys


class Door:
    """An authenticator with one key, whose source counts."""

    def __init__(self) -> None:
        self.wall = SteppedClock()
        self.key, self.stored = mint(["atp.read"], subject="shop", channels=["web"], account_groups=["retail"])
        self.source = CountingKeys([self.stored])
        self.authenticator = Authenticator(wall=self.wall, api_keys=ApiKeys([self.source], wall=self.wall))

    async def knock(self, key: str | None = None) -> str:
        """Who is let in, or why not; lets a refresh in the background finish first."""
        presented = (self.key if key is None else key).encode("latin-1")
        try:
            principal = await self.authenticator.authenticate([(b"x-api-key", presented)])
        except Unauthenticated as error:
            return error.reason
        finally:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait([task])
        return principal.subject


async def test_a_key_says_who_calls_and_what_it_may() -> None:
    door = Door()
    principal = await door.authenticator.authenticate([(b"authorization", b"Bearer " + door.key.encode())])
    assert principal == Principal("shop", frozenset({"atp.read"}), frozenset({"web"}), frozenset({"retail"}))


def test_what_is_stored_is_not_the_secret() -> None:
    key, stored = mint(["atp.read"], subject="shop")
    secret = key.partition(".")[2]
    assert key.startswith(KEY_PREFIX + stored.id)
    assert stored.digest == hashlib.sha256(secret.encode()).digest()
    assert secret not in repr(stored)
    assert secret not in orjson.dumps(file_entry(stored)).decode()


def test_keys_differ_and_have_256_random_bits() -> None:
    keys = {mint([], subject="s")[0] for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key.partition(".")[2]) == 43 for key in keys)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"), Refusal.UNKNOWN_KEY),
        (lambda key: key.replace("tiercel_", "tiercel_0"), Refusal.UNKNOWN_KEY),
        (lambda key: key.partition(".")[0], Refusal.MALFORMED),
        (lambda key: key + "é", Refusal.MALFORMED),
        (lambda key: key + "\x00", Refusal.MALFORMED),
        (lambda key: key.upper(), Refusal.MALFORMED),
        (lambda _: "tiercel_", Refusal.MALFORMED),
        (lambda key: key + "x" * 200, Refusal.OVERSIZED),
    ],
)
async def test_what_is_not_exactly_the_key_is_refused(change: object, reason: Refusal) -> None:
    door = Door()
    assert callable(change)
    assert await door.knock(change(door.key)) == reason


async def test_a_revoked_key_is_refused_within_five_seconds_also_when_it_is_remembered() -> None:
    door = Door()
    assert await door.knock() == "shop"
    door.source.keys = [replace(door.stored, revoked_at=door.wall.now())]

    outcomes = []
    for _ in range(10):
        door.wall.advance(STALE_AFTER_SECONDS / 10)
        outcomes.append(await door.knock())
    assert outcomes[-1] == Refusal.REVOKED


async def test_a_revocation_after_a_long_silence_is_seen_by_the_very_first_request() -> None:
    door = Door()
    await door.knock()
    door.source.keys = []
    door.wall.advance(STALE_AFTER_SECONDS)
    assert await door.knock() == Refusal.UNKNOWN_KEY


async def test_an_expired_key_is_refused_at_its_time_also_when_it_is_remembered() -> None:
    door = Door()
    door.source.keys = [replace(door.stored, expires_at=door.wall.now() + timedelta(seconds=1))]
    assert await door.knock() == "shop"
    door.wall.advance(0.999)
    assert await door.knock() == "shop"
    door.wall.advance(0.001)
    assert await door.knock() == Refusal.EXPIRED


async def test_a_flood_of_unknown_keys_does_not_read_the_source() -> None:
    door = Door()
    for _ in range(500):
        assert await door.knock(mint([], subject="stranger")[0]) == Refusal.UNKNOWN_KEY
    assert door.source.loads == 1


async def test_many_first_requests_share_one_read() -> None:
    door = Door()
    headers = [(b"x-api-key", door.key.encode())]
    await asyncio.gather(*(door.authenticator.authenticate(headers) for _ in range(20)))
    assert door.source.loads == 1


async def test_a_source_that_is_gone_is_not_trusted_beyond_its_time_and_the_answer_is_try_again() -> None:
    door = Door()
    assert await door.knock() == "shop"
    door.source.broken = True
    door.wall.advance(STALE_AFTER_SECONDS - 0.1)
    assert await door.knock() == "shop"
    door.wall.advance(0.1)
    with pytest.raises(Problem) as caught:
        await door.knock()
    assert caught.value.status == 503

    door.source.broken = False
    assert await door.knock() == "shop"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], Refusal.MISSING),
        ([(b"x-api-key", b"")], Refusal.MALFORMED),
        ([(b"authorization", b"Bearer ")], Refusal.MISSING),
        ([(b"authorization", b"Basic dXNlcjpwYXNz")], Refusal.NOT_ACCEPTED),
        ([(b"authorization", b"")], Refusal.NOT_ACCEPTED),
        ([(b"x-api-key", b"tiercel_a.b"), (b"authorization", b"Bearer x")], Refusal.AMBIGUOUS),
        ([(b"authorization", b"Bearer x"), (b"authorization", b"Bearer y")], Refusal.AMBIGUOUS),
        ([(b"x-api-key", b"eyJ.a.token")], Refusal.MALFORMED),
    ],
)
def test_exactly_one_credential_is_asked_for(headers: list[tuple[bytes, bytes]], reason: Refusal) -> None:
    with pytest.raises(Unauthenticated) as caught:
        find_credential(headers)
    assert caught.value.reason is reason


def test_every_refusal_has_the_same_words() -> None:
    documents = [Unauthenticated(reason).document() for reason in Refusal]
    assert all(document == documents[0] for document in documents)


async def test_a_file_of_hashed_keys_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    first, second = mint(["a"], subject="one"), mint(["b"], subject="two", channels=["web"])
    source = FileKeys(file)
    file.write_bytes(orjson.dumps([file_entry(first[1])]))
    assert list(await source.load()) == [first[1]]
    file.write_bytes(orjson.dumps([file_entry(first[1]), file_entry(second[1])]))
    assert list(await source.load()) == [first[1], second[1]]


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"id": "a"}]', b'[{"id": "a", "sha256": "zz"}]', b"[1]"])
async def test_a_broken_key_file_is_an_error_that_does_not_show_its_content(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(content)
    with pytest.raises(KeysUnavailable, match=r"keys\.json is not"):
        await FileKeys(file).load()


class Settings:
    """The settings that authentication reads."""

    def __init__(
        self,
        *,
        form: str = "distributed",
        auth_jwks: str | None = None,
        auth_issuer: str | None = None,
        api_keys_file: Path | None = None,
    ) -> None:
        self.form = form
        self.auth_jwks = auth_jwks
        self.auth_issuer = auth_issuer
        self.auth_audience = "tiercel"
        self.api_keys_file = api_keys_file


def test_the_distributed_form_does_not_start_without_authentication() -> None:
    with pytest.raises(AuthNotConfigured, match="TIERCEL_AUTH_JWKS or TIERCEL_API_KEYS_FILE"):
        check_auth_configured(Settings())
    check_auth_configured(Settings(form="embedded"))
    check_auth_configured(Settings(api_keys_file=Path("keys.json")))


def test_tokens_of_just_any_issuer_are_not_accepted() -> None:
    with pytest.raises(AuthNotConfigured, match="TIERCEL_AUTH_ISSUER"):
        check_auth_configured(Settings(auth_jwks="jwks.json"))
    check_auth_configured(Settings(auth_jwks="jwks.json", auth_issuer="https://issuer.example"))


async def test_the_settings_make_the_authenticator(tmp_path: Path) -> None:
    wall = SteppedClock()
    file = tmp_path / "keys.json"
    in_file, minted = mint(["a"], subject="from the file"), mint(["b"], subject="minted at start")
    file.write_bytes(orjson.dumps([file_entry(in_file[1])]))
    authenticator = build_authenticator(Settings(api_keys_file=file), wall=wall, sources=[CountingKeys([minted[1]])])
    for key, stored in (in_file, minted):
        assert (await authenticator.authenticate([(b"x-api-key", key.encode())])).subject == stored.subject


async def test_nothing_is_accepted_that_was_not_configured() -> None:
    authenticator = Authenticator(wall=SteppedClock())
    for credential in (mint([], subject="s")[0], "a.b.c"):
        with pytest.raises(Unauthenticated) as caught:
            await authenticator.authenticate([(b"authorization", b"Bearer " + credential.encode())])
        assert caught.value.reason is Refusal.NOT_ACCEPTED
