"""API keys in a service's table `api_key` (services.chassis.tables): read for checks, written by the key commands."""

from collections.abc import Sequence
from typing import Final

from services.chassis.auth.api_keys import KEYS_MAX, HashedKey, KeysUnavailable
from services.chassis.database import Connection, Database, DatabaseUnavailable

_SELECT: Final = """
SELECT id, secret_sha256, subject, scopes, channels, account_groups, expires_at, revoked_at
  FROM api_key WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())
 ORDER BY id LIMIT $1"""
_INSERT: Final = """
INSERT INTO api_key (id, secret_sha256, subject, scopes, channels, account_groups, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)"""
_REVOKE: Final = "UPDATE api_key SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL RETURNING id"


class TableKeys:
    """The keys that are neither revoked nor expired."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self) -> Sequence[HashedKey]:
        """Read them. Raises KeysUnavailable."""
        try:
            return await self._database.read(read_keys, label="api keys")
        except DatabaseUnavailable as error:
            raise KeysUnavailable(str(error)) from error


async def read_keys(connection: Connection) -> list[HashedKey]:
    """The valid keys, one more than allowed at most."""
    rows = await connection.fetch(_SELECT, KEYS_MAX + 1)
    return [
        HashedKey(
            row["id"],
            row["secret_sha256"],
            row["subject"],
            frozenset(row["scopes"]),
            None if row["channels"] is None else frozenset(row["channels"]),
            None if row["account_groups"] is None else frozenset(row["account_groups"]),
            row["expires_at"],
            row["revoked_at"],
        )
        for row in rows
    ]


async def store_key(connection: Connection, key: HashedKey) -> None:
    """Store a minted key; its secret is in nobody's hands but the caller's."""
    await connection.execute(
        _INSERT,
        key.id,
        key.digest,
        key.subject,
        sorted(key.scopes),
        None if key.channels is None else sorted(key.channels),
        None if key.account_groups is None else sorted(key.account_groups),
        key.expires_at,
    )


async def revoke_key(connection: Connection, key_id: str) -> bool:
    """End a key; every process refuses it within 5 seconds. False if there is no such valid key."""
    return await connection.fetchval(_REVOKE, key_id) is not None
