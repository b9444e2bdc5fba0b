"""Stored answers: a request that is sent again gets the same bytes again, a refusal included.

`store` runs in the transaction of the effect, so that answer and effect exist together or not at all. Keys belong to
their caller. The same key with another request is told by its fingerprint. Answers are kept for a week by default
(see `partitions.CHASSIS_TABLES`); what must be unique for ever has an identity row of its own.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from services.chassis.database_session import Connection

_LOOK_UP = """
SELECT DISTINCT ON (caller, key) caller, key, fingerprint, status, body
FROM idempotency JOIN unnest($1::text[], $2::text[]) AS asked (caller, key) USING (caller, key)
ORDER BY caller, key, stored_on
"""

# Rows for both days in the hour after midnight, for the reason given in inbox.py: a look-up before midnight and a store
# after it must still meet another store.
_STORE = """
WITH today AS MATERIALIZED (SELECT clock_timestamp() AT TIME ZONE 'UTC' AS now),
days AS MATERIALIZED (SELECT now::date AS day FROM today UNION SELECT (now - interval '1 hour')::date FROM today)
INSERT INTO idempotency (caller, key, stored_on, fingerprint, status, body)
SELECT caller, key, day, fingerprint, status, body
FROM unnest($1::text[], $2::text[], $3::bytea[], $4::smallint[], $5::bytea[])
    AS answer (caller, key, fingerprint, status, body), days
ORDER BY caller, key, day
"""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What was answered to `key` of `caller`, and to which request."""

    caller: str
    key: str
    fingerprint: bytes
    status: int
    body: bytes


def fingerprint(method: str, path: str, body: bytes) -> bytes:
    """32 bytes that differ when the request differs; the body counts byte by byte."""
    digest = hashlib.sha256()
    for part in (method.upper().encode(), path.encode(), body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


async def look_up(connection: Connection, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredAnswer]:
    """The answers stored for these (caller, key), where there are any."""
    if not pairs:
        return {}
    callers, keys = zip(*pairs, strict=True)
    rows = await connection.fetch(_LOOK_UP, callers, keys)
    return {(row["caller"], row["key"]): StoredAnswer(*row) for row in rows}


async def store(connection: Connection, answers: Sequence[StoredAnswer]) -> None:
    """Store the answers in the caller's transaction.

    Raises:
        asyncpg.UniqueViolationError: somebody else answered one of the keys first; roll back and look it up.
    """
    if not answers:
        return
    await connection.execute(
        _STORE,
        [answer.caller for answer in answers],
        [answer.key for answer in answers],
        [answer.fingerprint for answer in answers],
        [answer.status for answer in answers],
        [answer.body for answer in answers],
    )
