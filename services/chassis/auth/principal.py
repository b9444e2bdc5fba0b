"""Who is calling, and what refusing a caller looks like.

Two refusals exist, and they are told apart the same way everywhere: 401 when nobody trustworthy is calling, 403 when
the caller lacks the scope of the *route*. An object that exists outside of the caller's channels or account groups is a
404, exactly like one that does not exist, so that ids cannot be probed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from services.chassis.problems import FORBIDDEN, UNAUTHENTICATED, Problem

SCOPE_WILDCARD: Final = "*"  # only minted for the embedded form's own key; never accepted from a token


class CredentialKind(StrEnum):
    """By what a caller proved who it is."""

    TOKEN = "token"  # noqa: S105 - the name of a kind, not a secret
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that proved who it is. `None` for channels or account groups means: not limited to any."""

    subject: str
    scopes: frozenset[str]
    channels: frozenset[str] | None = None
    account_groups: frozenset[str] | None = None
    kind: CredentialKind = CredentialKind.API_KEY

    def may(self, scope: str) -> bool:
        """Whether the scope was given to this caller."""
        return scope in self.scopes or (SCOPE_WILDCARD in self.scopes and self.kind is CredentialKind.API_KEY)

    def sees_channel(self, channel: str) -> bool:
        """Whether orders of this channel are visible to this caller."""
        return self.channels is None or channel in self.channels

    def sees_account_group(self, account_group: str | None) -> bool:
        """Whether customers of this account group are visible; a customer without a group only to the unlimited."""
        return self.account_groups is None or account_group in self.account_groups


class Refusal(StrEnum):
    """Why credentials were refused: for the operator's metrics and logs, never for the caller."""

    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    UNKNOWN_KEY = "unknown_key"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    NOT_ACCEPTED = "not_accepted"


class Unauthenticated(Problem):
    """401. The words are the same for every reason: an error text must not be an oracle."""

    def __init__(self, reason: Refusal) -> None:
        self.reason = reason
        challenge = 'Bearer realm="tiercel"'
        if reason is not Refusal.MISSING:
            challenge += ', error="invalid_token"'
        super().__init__(UNAUTHENTICATED, headers={"www-authenticate": challenge})


class Forbidden(Problem):
    """403. Names the scope that the route asks for: it is public in the API description."""

    def __init__(self, scope: str) -> None:
        challenge = f'Bearer realm="tiercel", error="insufficient_scope", scope="{scope}"'
        super().__init__(FORBIDDEN, scope=scope, headers={"www-authenticate": challenge})
