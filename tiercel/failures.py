"""What can go wrong in a command without a mistake in the code: it is told in one sentence, all else with its trace."""

from typing import Final

import asyncpg
import httpx
from sqlalchemy.exc import DBAPIError

from services.chassis.auth import AuthNotConfigured
from services.chassis.business_time import ReplayTimeStored
from services.chassis.database import DatabaseError
from services.chassis.dlq import LetterGone, ValueOmitted
from services.chassis.embedded_postgres import EmbeddedPostgresError
from services.chassis.event_log.port import EventLogError
from services.chassis.migrations import MigrationLockBusy
from services.chassis.signing_keys import UnusableKey
from tiercel.commands.audit import UnknownService
from tiercel.commands.decisions import UnknownDecisionError
from tiercel.commands.importing import ImportRefused
from tiercel.conformance.mapping import MappingError
from tiercel.credentials import KeyRefused


class BacktestRefused(Exception):  # noqa: N818 - says what happened
    """A rule set or a history cannot be tried; the text says why."""


class NotReady(Exception):  # noqa: N818 - says what happened
    """A service did not become ready; the text names what it waited for."""


EXPECTED: Final = (
    OSError,
    AuthNotConfigured,
    BacktestRefused,
    DBAPIError,
    DatabaseError,
    EmbeddedPostgresError,
    EventLogError,
    KeyRefused,
    LetterGone,
    ImportRefused,
    MappingError,
    MigrationLockBusy,
    NotReady,
    ReplayTimeStored,
    UnknownDecisionError,
    UnknownService,
    UnusableKey,
    ValueOmitted,
    asyncpg.InterfaceError,
    asyncpg.PostgresError,
    httpx.TransportError,
)
