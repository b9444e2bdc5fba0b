import asyncpg
import pytest

from services.chassis.database import Retry
from services.chassis.database_session import Failure, failure_of, refused_to_commit


def test_pauses_grow_up_to_a_bound() -> None:
    retry = Retry(attempts_max=12, pause_first_seconds=0.02, pause_max_seconds=1.0)
    for attempt in range(1, 12):
        whole = min(1.0, 0.02 * 2 ** (attempt - 1))
        assert whole / 2 <= retry.pause_seconds(attempt) <= whole


@pytest.mark.parametrize(
    ("error", "closed", "expected"),
    [
        (asyncpg.SerializationError("x"), False, Failure.CONFLICT),
        (asyncpg.DeadlockDetectedError("x"), False, Failure.CONFLICT),
        (asyncpg.LockNotAvailableError("x"), False, Failure.CONFLICT),
        (ConnectionResetError(), True, Failure.LOST),
        (asyncpg.AdminShutdownError("x"), True, Failure.LOST),
        (asyncpg.ConnectionDoesNotExistError("x"), True, Failure.LOST),
        (asyncpg.InterfaceError("connection is closed"), True, Failure.LOST),
        (asyncpg.InterfaceError("misused"), False, Failure.OTHER),
        (asyncpg.UniqueViolationError("x"), False, Failure.OTHER),
        (LookupError(), True, Failure.OTHER),
    ],
)
def test_an_error_before_commit_says_whether_another_attempt_makes_sense(
    error: Exception, closed: bool, expected: Failure
) -> None:
    assert failure_of(error, connection_closed=closed) is expected


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (asyncpg.SerializationError("x"), True),
        (asyncpg.UniqueViolationError("a deferred constraint"), True),
        (asyncpg.AdminShutdownError("x"), False),
        (asyncpg.QueryCanceledError("x"), False),
        (asyncpg.PostgresConnectionError("x"), False),
        (asyncpg.InternalServerError("x"), False),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
    ],
)
def test_only_a_plain_refusal_proves_that_commit_did_not_happen(error: Exception, refused: bool) -> None:
    assert refused_to_commit(error) is refused
