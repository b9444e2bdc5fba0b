"""Consumer groups of the event log in PostgreSQL: one process, any number of members in it.

Within the process the members of a group divide the partitions in the order in which they joined. Between processes an
advisory lock of the database says which one consumes in a group; it ends with the process, however that ends.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from services.chassis.event_log.port import GroupInUse, LogUnavailable, TopicPartition

if TYPE_CHECKING:
    LockConnection = asyncpg.Connection[asyncpg.Record]

LOCK_SECONDS: Final = 5.0  # the server may take a moment to notice that a killed process is gone
ANSWER_SECONDS: Final = 5.0
LOCK_SPACE: Final = 1_413_695_813  # of this use among the advisory locks of the database


class Membership:
    """One member's share; `generation` changes with it."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.topics = tuple(topics)
        self.partitions: frozenset[TopicPartition] = frozenset()
        self.generation = 0
        self.lost = False  # the lock of the group is gone, and with it the right to consume


class Groups:
    """The groups in which this process consumes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: LockConnection | None = None
        self._members: dict[str, list[Membership]] = {}
        self._changing = asyncio.Lock()

    async def join(self, group: str, topics: Mapping[str, int]) -> Membership:
        """Become a member for these topics (name -> number of partitions).

        Raises:
            GroupInUse: another process consumes in the group.
            LogUnavailable: the database does not answer.
        """
        async with self._changing:
            if not self._members.get(group):
                await self._lock(group)
            member = Membership(tuple(topics))
            self._members.setdefault(group, []).append(member)
            _share_out(self._members[group], topics)
            return member

    async def leave(self, group: str, member: Membership, topics: Mapping[str, int]) -> None:
        """Give the member's partitions to the others; the last one gives the group free."""
        async with self._changing:
            members = self._members.get(group, [])
            if member not in members:
                return
            members.remove(member)
            _share_out(members, topics)
            if not members and self._connection is not None and not self._connection.is_closed():
                await self._ask(self._connection, "SELECT pg_advisory_unlock($1, hashtext($2))", group)

    async def close(self) -> None:
        """Give all groups free."""
        connection, self._connection = self._connection, None
        self._members.clear()
        if connection is not None and not connection.is_closed():
            connection.terminate()  # the server gives its locks free; nothing of it waits for an answer

    async def _lock(self, group: str) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect(group)
        try:
            await self._ask(self._connection, "SELECT pg_advisory_lock($1, hashtext($2))", group)
        except asyncpg.LockNotAvailableError as error:
            raise GroupInUse(f"another process consumes in group {group}") from error

    async def _connect(self, group: str) -> "LockConnection":
        settings = {"application_name": "event log: groups", "lock_timeout": f"{LOCK_SECONDS:g}s"}
        try:
            connection = await asyncpg.connect(self._url, timeout=ANSWER_SECONDS, server_settings=settings)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LogUnavailable(f"group {group}: {error!r}") from error
        connection.add_termination_listener(self._lose_all)
        return connection

    async def _ask(self, connection: "LockConnection", question: str, group: str) -> None:
        try:
            await connection.execute(question, LOCK_SPACE, group, timeout=LOCK_SECONDS + ANSWER_SECONDS)
        except asyncpg.LockNotAvailableError:
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise LogUnavailable(f"group {group}: {error!r}") from error

    def _lose_all(self, _connection: Any) -> None:
        """The connection with the locks broke: nobody in this process may go on as if it were a member."""
        for members in self._members.values():
            for member in members:
                member.lost = True
        self._members.clear()


def _share_out(members: Sequence[Membership], topics: Mapping[str, int]) -> None:
    """Divide the partitions of the topics among the members that want them, in turn."""
    shares: dict[int, set[TopicPartition]] = {
        index: {place for place in member.partitions if place[0] not in topics} for index, member in enumerate(members)
    }
    for topic, partitions in topics.items():
        takers = [index for index, member in enumerate(members) if topic in member.topics]
        for partition in range(partitions) if takers else ():
            shares[takers[partition % len(takers)]].add((topic, partition))
    for index, member in enumerate(members):
        share = frozenset(shares[index])
        if share != member.partitions:
            member.partitions = share
            member.generation += 1
