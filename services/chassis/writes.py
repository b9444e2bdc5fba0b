"""Writes of one transaction that go to the server together: many statements as one, in one round trip.

A round trip costs both sides more than a row does: some 0.1 ms each. What is added here must be independent: all of it
sees the same state of the database, is done in no particular order, and must not touch a row twice.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from services.chassis.database_session import Connection

SHAPES_CACHED: Final = 64  # combinations of statements; their texts are few
_PARAMETER: Final = re.compile(r"\$(\d+)")


class Writes:
    """What is to be written at the next `flush`, which must come before the commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements: list[tuple[str, int]] = []
        self._parameters: list[Any] = []

    def add(self, statement: str, parameters: Sequence[Any]) -> None:
        """Add an INSERT, UPDATE or DELETE whose result nobody needs; its parameters are `$1` and on."""
        self._statements.append((statement, len(self._parameters)))
        self._parameters += parameters

    async def flush(self) -> None:
        """Write what was added; errors are those of the statements.

        Raises:
            asyncpg.UniqueViolationError: another transaction made the same row first.
        """
        if self._statements:
            statements, parameters = tuple(self._statements), self._parameters
            self._statements, self._parameters = [], []
            await self._connection.execute(_joined(statements), *parameters)


@lru_cache(maxsize=SHAPES_CACHED)
def _joined(statements: Sequence[tuple[str, int]]) -> str:
    """One statement that does all of them, each with its parameters behind those of the ones before."""
    *others, last = [_renumbered(statement, first) for statement, first in statements]
    if not others:
        return last
    named = ", ".join(f"write_{number} AS ({statement})" for number, statement in enumerate(others, start=1))
    return f"WITH {named} {last}"


def _renumbered(statement: str, first: int) -> str:
    return _PARAMETER.sub(lambda match: f"${int(match[1]) + first}", statement)
