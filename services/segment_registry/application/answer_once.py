"""Run a command so that the same idempotency key gets the same bytes again, whatever happened in between."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from services.chassis.database import CommitUnknown
from services.chassis.idempotency import StoredAnswer
from services.segment_registry.application.ports import LostRace, RegistryTransaction, Transactions

ATTEMPTS_MAX: Final = 5  # each attempt lost means that another command got through


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller gets: an HTTP status and the bytes of its body."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RequestKey:
    """A caller's idempotency key, and a fingerprint of what was asked under it."""

    caller: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key was used for another request; nothing was done."""


Command = Callable[[RegistryTransaction], Awaitable[Answer]]


async def answer_once(
    transactions: Transactions, command: Command, key: RequestKey | None, *, label: str
) -> Answer | KeyReused:
    """Run a command in one transaction together with its answer, or give the answer stored before.

    A lost race runs it again. With a key also a commit whose answer was lost does: the key tells whether it had
    happened. Raises `LostRace` when it keeps losing, and without a key `CommitUnknown`.
    """

    async def work(transaction: RegistryTransaction) -> Answer | KeyReused:
        if key is None:
            return await command(transaction)
        stored = await transaction.stored_answer(key.caller, key.key)
        if stored is not None:
            same = stored.fingerprint == key.fingerprint
            return Answer(stored.status, stored.body) if same else KeyReused()
        answer = await command(transaction)
        await transaction.store_answer(StoredAnswer(key.caller, key.key, key.fingerprint, answer.status, answer.body))
        return answer

    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return await transactions.run(work, label=label)
        except LostRace:
            if attempt == ATTEMPTS_MAX:
                raise
        except CommitUnknown:
            if key is None or attempt == ATTEMPTS_MAX:
                raise
    raise AssertionError("the last attempt returns or raises")
