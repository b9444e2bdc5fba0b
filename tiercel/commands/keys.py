"""`tiercel keys`: API keys of the distributed form, in a file, or in the key tables of all three services.

A new or revoked key is in force within seconds, without a restart.
"""

from collections.abc import Sequence
from pathlib import Path

import asyncpg

from services.chassis.auth import mint, revoke_key, store_key
from services.chassis.database import Connection
from tiercel import credentials
from tiercel.parts import PARTS
from tiercel.reaching import reach


async def new_key(file: Path | None, *, subject: str, scopes: Sequence[str], channels: Sequence[str] | None) -> str:
    """Mint a key, store its hash, and return the key, which is shown this once."""
    credentials.check_scopes(scopes)
    if file is not None:
        return credentials.add_key(file, subject=subject, scopes=scopes, channels=channels)
    key, hashed = mint(scopes, subject=subject, channels=channels)
    async with reach(None) as reached:
        for part in PARTS:
            connection = await _connect(reached.database_url, part.program.schema)
            try:
                await store_key(connection, hashed)
            finally:
                await connection.close()
    return key


async def revoke(file: Path | None, key_id: str) -> None:
    """End a key."""
    if file is not None:
        credentials.revoke_key(file, key_id)
        return
    async with reach(None) as reached:
        known = False
        for part in PARTS:
            connection = await _connect(reached.database_url, part.program.schema)
            try:
                known |= await revoke_key(connection, key_id)
            finally:
                await connection.close()
    if not known:
        raise credentials.UnknownKey(key_id, "the key tables")


async def _connect(url: str, schema: str) -> Connection:
    return await asyncpg.connect(url, timeout=5, server_settings={"search_path": schema})
