"""Tokens: good ones say who calls, every known trick is refused, and a flood of tricks costs nothing."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from services.chassis.auth import Authenticator, JwksUnreadable, Principal, Refusal, Unauthenticated
from services.chassis.auth.authenticator import REMEMBER_TOKEN_SECONDS
from services.chassis.auth.jwks import REFRESH_AFTER_SECONDS, REFRESH_MIN_SECONDS, Jwks, parse_key_set
from services.chassis.auth.principal import CredentialKind
from services.chassis.auth.tokens import LEEWAY_SECONDS, TOKEN_MAX_BYTES, TokenVerifier
from services.chassis.problems import Problem
from tests.support.clocks import SteppedClock
from tests.support.http import Issuer, claims_at, verifier


class Setting:
    """An issuer whose key set is in a file, and an authenticator that reads it."""

    def __init__(self, folder: Path, issuer: Issuer | None = None) -> None:
        self.wall = SteppedClock()
        self.issuer = issuer or Issuer()
        self.file = folder / "jwks.json"
        self.file.write_bytes(self.issuer.key_set())
        self.authenticator = Authenticator(wall=self.wall, tokens=verifier(str(self.file), self.wall))

    def token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        return self.issuer.token(claims_at(self.wall, **claims), **(header or {}))

    async def present(self, token: str | bytes) -> Principal:
        raw = token.encode() if isinstance(token, str) else token
        return await self.authenticator.authenticate([(b"authorization", b"Bearer " + raw)])

    async def refusal(self, token: str | bytes) -> Refusal:
        with pytest.raises(Unauthenticated) as caught:
            await self.present(token)
        return caught.value.reason


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


async def test_a_good_token_says_who_calls_and_what_it_may(setting: Setting) -> None:
    token = setting.token(tiercel_channels=["web"], tiercel_account_groups=["retail", "trade"])

    assert await setting.present(token) == Principal(
        subject="shop",
        scopes=frozenset({"atp.promise", "atp.read"}),
        channels=frozenset({"web"}),
        account_groups=frozenset({"retail", "trade"}),
        kind=CredentialKind.TOKEN,
    )


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "JWT", "application/at+jwt"])
async def test_both_kinds_of_access_tokens_are_accepted(setting: Setting, typ: str) -> None:
    assert (await setting.present(setting.token(header={"typ": typ}))).subject == "shop"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSAKey.generate_key(2048, {"kid": "r"}), "RS256"),
        (RSAKey.generate_key(2048, {"kid": "p"}), "PS256"),
        (ECKey.generate_key("P-384", {"kid": "e"}), "ES384"),
    ],
    ids=["RS256", "PS256", "ES384"],
)
async def test_asymmetric_algorithms_are_accepted(tmp_path: Path, key: RSAKey | ECKey, algorithm: str) -> None:
    setting = Setting(tmp_path, Issuer(key, algorithm))
    assert (await setting.present(setting.token())).subject == "shop"


async def test_scopes_may_come_as_a_list(setting: Setting) -> None:
    assert (await setting.present(setting.token(scope=None, scp=["a", "b"]))).scopes == {"a", "b"}


async def test_a_token_cannot_hold_every_scope_at_once(setting: Setting) -> None:
    principal = await setting.present(setting.token(scope="* atp.read"))
    assert principal.scopes == {"atp.read"}
    assert not principal.may("segments.write")


async def test_an_unsigned_token_is_refused(setting: Setting) -> None:
    claims = claims_at(setting.wall)
    for algorithm in ("none", "None", "NONE", ""):
        unsigned = _part({"alg": algorithm, "typ": "at+jwt", "kid": "key-1"}) + "." + _part(claims) + "."
        assert await setting.refusal(unsigned) is Refusal.NOT_ACCEPTED


async def test_a_token_signed_with_the_public_key_as_shared_secret_is_refused(setting: Setting) -> None:
    claims = claims_at(setting.wall)
    signed = _part({"alg": "HS256", "typ": "at+jwt", "kid": "key-1"}) + "." + _part(claims)
    assert isinstance(setting.issuer.key, ECKey)
    for secret in (setting.issuer.key.as_pem(private=False), setting.issuer.key_set()):
        mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256)).rstrip(b"=").decode()
        assert await setting.refusal(f"{signed}.{mac}") is Refusal.NOT_ACCEPTED


async def test_a_signature_by_another_key_with_the_same_id_is_refused(setting: Setting) -> None:
    other = Issuer()
    assert await setting.refusal(other.token(claims_at(setting.wall))) is Refusal.SIGNATURE


async def test_changed_claims_are_refused(setting: Setting) -> None:
    header, _, signature = setting.token().split(".")
    forged = _part(claims_at(setting.wall, scope="segments.write"))
    assert await setting.refusal(f"{header}.{forged}.{signature}") is Refusal.SIGNATURE


async def test_an_algorithm_that_the_key_is_not_for_is_refused(tmp_path: Path) -> None:
    setting = Setting(tmp_path, Issuer(RSAKey.generate_key(2048, {"kid": "r"}), "RS256"))
    entry = {**setting.issuer.key.as_dict(private=False), "alg": "PS256"}
    setting.file.write_bytes(orjson.dumps({"keys": [entry]}))
    assert await setting.refusal(setting.token()) is Refusal.SIGNATURE


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": ["https://issuer.example"]},
        {"aud": "another-service"},
        {"aud": ["another-service"]},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"exp": 10**12},
        {"nbf": 10**12},
        {"iat": 10**12},
        {"nbf": "soon"},
        {"scope": 5},
        {"tiercel_channels": "web"},
    ],
    ids=str,
)
async def test_wrong_or_missing_claims_are_refused(setting: Setting, claims: dict[str, Any]) -> None:
    assert await setting.refusal(setting.token(**claims)) is Refusal.CLAIMS


async def test_one_of_several_audiences_is_enough(setting: Setting) -> None:
    assert (await setting.present(setting.token(aud=["another-service", "tiercel"]))).subject == "shop"


async def test_a_token_ends_with_its_expiry_and_a_small_leeway_even_if_it_is_remembered(setting: Setting) -> None:
    token = setting.token()
    await setting.present(token)
    setting.wall.advance(300 + LEEWAY_SECONDS - 1)
    await setting.present(token)
    setting.wall.advance(2)
    assert await setting.refusal(token) is Refusal.EXPIRED


async def test_a_token_of_the_near_future_is_accepted_and_one_of_the_far_future_is_not(setting: Setting) -> None:
    now = int(setting.wall.now().timestamp())
    await setting.present(setting.token(nbf=now + LEEWAY_SECONDS))
    assert await setting.refusal(setting.token(nbf=now + LEEWAY_SECONDS + 1)) is Refusal.CLAIMS


@pytest.mark.parametrize(
    "header",
    [
        {"typ": None},
        {"typ": "id+jwt"},
        {"typ": 5},
        {"kid": None},
        {"kid": ""},
        {"kid": 5},
        {"kid": "k" * 257},
        {"crit": ["exp"]},
    ],
    ids=lambda header: str(header)[:30],
)
async def test_headers_that_say_something_else_are_refused(setting: Setting, header: dict[str, Any]) -> None:
    _, payload, signature = setting.token().split(".")
    members = {"alg": "ES256", "typ": "at+jwt", "kid": "key-1", **header}
    shown = _part({name: value for name, value in members.items() if value is not None})
    assert await setting.refusal(f"{shown}.{payload}.{signature}") is Refusal.NOT_ACCEPTED


@pytest.mark.parametrize("kid", ["../../etc/passwd", "/dev/null", "x' OR '1'='1", "http://evil.example/key", "\x00"])
async def test_a_key_id_is_only_ever_looked_up(setting: Setting, kid: str) -> None:
    assert await setting.refusal(setting.token(header={"kid": kid})) is Refusal.UNKNOWN_KEY


async def test_a_key_that_the_token_brings_along_is_not_used(setting: Setting) -> None:
    evil = Issuer(ECKey.generate_key("P-256", {"kid": "key-1"}))
    header = {"jwk": evil.key.as_dict(private=False), "jku": "https://evil.example/jwks"}
    assert await setting.refusal(evil.token(claims_at(setting.wall), **header)) is Refusal.SIGNATURE


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "a.b.c.d.e", "....", "ä.ö.ü", "e30.e30.e30", "\xff" * 40])
async def test_what_is_no_token_is_refused(setting: Setting, token: str) -> None:
    assert await setting.refusal(token.encode("latin-1")) in {
        Refusal.MALFORMED,
        Refusal.NOT_ACCEPTED,
        Refusal.MISSING,
    }


async def test_an_oversized_token_is_refused_unread(setting: Setting) -> None:
    assert await setting.refusal("a" * (TOKEN_MAX_BYTES + 1)) is Refusal.OVERSIZED


async def test_a_flood_of_unknown_key_ids_reads_the_key_set_once_in_a_while(setting: Setting) -> None:
    reads = 0
    jwks = Jwks(str(setting.file), wall=setting.wall)
    original = jwks._read

    async def counted() -> bytes:
        nonlocal reads
        reads += 1
        return await original()

    jwks._read = counted  # type: ignore[method-assign]
    for number in range(200):
        assert await jwks.key(f"unknown-{number}") is None
    assert reads == 1

    setting.wall.advance(REFRESH_MIN_SECONDS)
    for number in range(200):
        assert await jwks.key(f"unknown-{number}") is None
    assert reads == 2


async def test_a_new_key_is_found_after_the_pause_and_a_withdrawn_one_is_forgotten(setting: Setting) -> None:
    old = setting.token()
    await setting.present(old)
    setting.issuer.key = ECKey.generate_key("P-256", {"kid": "key-2"})
    setting.file.write_bytes(setting.issuer.key_set())

    assert await setting.refusal(setting.token()) is Refusal.UNKNOWN_KEY
    setting.wall.advance(REFRESH_MIN_SECONDS)
    await setting.present(setting.token())

    setting.wall.advance(REMEMBER_TOKEN_SECONDS)
    assert await setting.refusal(old) is Refusal.UNKNOWN_KEY


async def test_a_key_in_use_is_asked_for_again_after_a_while(setting: Setting) -> None:
    await setting.present(setting.token())
    setting.file.write_bytes(Issuer(ECKey.generate_key("P-256", {"kid": "key-2"})).key_set())
    setting.wall.advance(REFRESH_AFTER_SECONDS)
    assert await setting.refusal(setting.token()) is Refusal.UNKNOWN_KEY


async def test_a_key_set_that_breaks_keeps_the_former_keys(setting: Setting) -> None:
    await setting.present(setting.token())
    setting.file.write_bytes(b"<html>maintenance</html>")
    setting.wall.advance(REFRESH_AFTER_SECONDS)
    await setting.present(setting.token())


async def test_without_any_key_set_the_answer_is_try_again_not_go_away(tmp_path: Path) -> None:
    wall = SteppedClock()
    authenticator = Authenticator(wall=wall, tokens=verifier(str(tmp_path / "missing.json"), wall))
    token = Issuer().token(claims_at(wall)).encode()
    with pytest.raises(Problem) as caught:
        await authenticator.authenticate([(b"authorization", b"Bearer " + token)])
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "2")


async def test_a_remembered_token_is_not_verified_again(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    token = setting.token()
    first = await setting.present(token)

    async def fail(_: TokenVerifier, __: bytes) -> None:
        pytest.fail("verified twice")

    monkeypatch.setattr(TokenVerifier, "verify", fail)
    assert await setting.present(token) is first


def test_only_public_asymmetric_signature_keys_are_taken_from_a_key_set() -> None:
    good = ECKey.generate_key("P-256", {"kid": "good"})
    private = ECKey.generate_key("P-256", {"kid": "private"})
    document = {
        "keys": [
            good.as_dict(private=False),
            private.as_dict(private=True),
            OctKey.generate_key(256, {"kid": "shared"}).as_dict(),
            RSAKey.generate_key(2048, {"kid": "encryption", "use": "enc"}).as_dict(private=False),
            {"kty": "RSA", "kid": "short", "e": "AQAB", "n": base64.urlsafe_b64encode(b"\xc1" * 128).decode()},
            {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "AA", "y": "AA"},
            {"kty": "EC"},
            "nonsense",
        ]
    }
    keys = parse_key_set(orjson.dumps(document))
    assert sorted(keys) == ["good", "private"]
    assert not any(key.is_private for key in keys.values())


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": 5}', b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}'])
def test_a_key_set_without_a_usable_key_is_an_error(body: bytes) -> None:
    with pytest.raises(JwksUnreadable):
        parse_key_set(body)


@pytest.mark.parametrize(
    "url", ["http://issuer.example/jwks", "ftp://issuer.example/jwks", "https://", "http://10.0.0.1/jwks"]
)
def test_a_key_set_is_not_fetched_over_a_line_that_others_can_write_to(url: str) -> None:
    with pytest.raises(ValueError, match="https"):
        Jwks(url, wall=SteppedClock())
