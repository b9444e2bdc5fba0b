"""Authentication as the settings say it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from services.chassis.auth.api_keys import ApiKeys, FileKeys, KeySource
from services.chassis.auth.authenticator import Authenticator
from services.chassis.auth.jwks import Jwks
from services.chassis.auth.tokens import TokenVerifier
from services.chassis.clocks import WallClock


class AuthSettings(Protocol):
    """The part of the settings that this module reads."""

    @property
    def form(self) -> str:
        """`embedded` or `distributed`."""
        ...

    @property
    def auth_jwks(self) -> str | None:
        """File or URL of the issuer's key set."""
        ...

    @property
    def auth_issuer(self) -> str | None:
        """Who signs the tokens that are accepted."""
        ...

    @property
    def auth_audience(self) -> str:
        """For whom the tokens must be meant."""
        ...

    @property
    def api_keys_file(self) -> Path | None:
        """File of hashed keys."""
        ...


class AuthNotConfigured(Exception):  # noqa: N818 - says what happened
    """Nobody could be authenticated, or tokens of any issuer would be; the message says what to set."""


def check_auth_configured(settings: AuthSettings) -> None:
    """Refuse to start without authentication. Raises AuthNotConfigured.

    The embedded form is exempt: it mints a key at every start and prints it.
    """
    if settings.auth_jwks is not None and not (settings.auth_issuer and settings.auth_audience):
        msg = "tokens need an issuer and an audience: set TIERCEL_AUTH_ISSUER and TIERCEL_AUTH_AUDIENCE"
        raise AuthNotConfigured(msg)
    if settings.form != "embedded" and settings.auth_jwks is None and settings.api_keys_file is None:
        msg = "nobody could be authenticated: set TIERCEL_AUTH_JWKS or TIERCEL_API_KEYS_FILE"
        raise AuthNotConfigured(msg)


def build_authenticator(settings: AuthSettings, *, wall: WallClock, sources: Sequence[KeySource] = ()) -> Authenticator:
    """The authenticator of a service; `sources` are its key table and keys minted at start.

    Raises AuthNotConfigured, ValueError (a key set over plain http) or OSError (the keys file is missing).
    """
    check_auth_configured(settings)
    tokens = None
    if settings.auth_jwks is not None and settings.auth_issuer is not None:
        jwks = Jwks(settings.auth_jwks, wall=wall)
        tokens = TokenVerifier(jwks, issuer=settings.auth_issuer, audience=settings.auth_audience, wall=wall)
    from_file = [] if settings.api_keys_file is None else [FileKeys(settings.api_keys_file)]
    keys = ApiKeys([*sources, *from_file], wall=wall) if sources or from_file else None
    return Authenticator(wall=wall, api_keys=keys, tokens=tokens)
