"""Authentication and scopes: bearer tokens and API keys in, a `Principal` out, default deny.

`Authenticator` proves who calls; `require` (FastAPI) and `secured` (plain Starlette) ask for a route's scope;
`unprotected_routes` finds a route that asks for none. `mint` makes an API key.
"""

from services.chassis.auth.api_keys import (
    ApiKeys,
    FileKeys,
    HashedKey,
    KeySource,
    KeysUnavailable,
    MintedKeys,
    file_entry,
    mint,
)
from services.chassis.auth.authenticator import Authenticator
from services.chassis.auth.configure import AuthNotConfigured, build_authenticator, check_auth_configured
from services.chassis.auth.jwks import Jwks, JwksUnreadable
from services.chassis.auth.key_table import TableKeys, revoke_key, store_key
from services.chassis.auth.principal import (
    SCOPE_WILDCARD,
    CredentialKind,
    Forbidden,
    Principal,
    Refusal,
    Unauthenticated,
)
from services.chassis.auth.routes import (
    PUBLIC_PATHS,
    DeclaredRoute,
    RouteWithoutScope,
    authorize,
    check_routes,
    declared_routes,
    principal_of,
    require,
    secured,
    see_everything,
    template_of,
    unprotected_routes,
)
from services.chassis.auth.tokens import TokenVerifier

__all__ = [
    "PUBLIC_PATHS",
    "SCOPE_WILDCARD",
    "ApiKeys",
    "AuthNotConfigured",
    "Authenticator",
    "CredentialKind",
    "DeclaredRoute",
    "FileKeys",
    "Forbidden",
    "HashedKey",
    "Jwks",
    "JwksUnreadable",
    "KeySource",
    "KeysUnavailable",
    "MintedKeys",
    "Principal",
    "Refusal",
    "RouteWithoutScope",
    "TableKeys",
    "TokenVerifier",
    "Unauthenticated",
    "authorize",
    "build_authenticator",
    "check_auth_configured",
    "check_routes",
    "declared_routes",
    "file_entry",
    "mint",
    "principal_of",
    "require",
    "revoke_key",
    "secured",
    "see_everything",
    "store_key",
    "template_of",
    "unprotected_routes",
]
