"""The three services as the product composes them: their names, schemas, migrations, settings and composition roots."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.atp import bootstrap as atp
from services.atp.settings import AtpSettings
from services.chassis.command_line import Program
from services.chassis.database import Connection
from services.chassis.migrations import migrate, newest_version, stored_version
from services.reclassifier import bootstrap as reclassifier
from services.reclassifier.settings import ReclassifierSettings
from services.segment_registry import bootstrap as segment_registry
from services.segment_registry.settings import SegmentRegistrySettings
from tiercel.doctor import Migration


@dataclass(frozen=True, slots=True)
class Part:
    """One service and its migrations."""

    program: Program
    migrations: Path

    @property
    def name(self) -> str:
        """As in addresses and logs."""
        return self.program.name


ATP: Final = Part(Program(atp.NAME, atp.SCHEMA, AtpSettings, atp.build), atp.MIGRATIONS)
SEGMENT_REGISTRY: Final = Part(
    Program(segment_registry.NAME, segment_registry.SCHEMA, SegmentRegistrySettings, segment_registry.build),
    segment_registry.MIGRATIONS,
)
RECLASSIFIER: Final = Part(
    Program(reclassifier.NAME, reclassifier.SCHEMA, ReclassifierSettings, reclassifier.build), reclassifier.MIGRATIONS
)

PARTS: Final = (ATP, SEGMENT_REGISTRY, RECLASSIFIER)
"""In the order of their ports in the all-in-one form."""
ASKED_BY_THE_REGISTRY: Final = ("atp.read", "atp.preview", "reclassifier.read")  # the scopes of its key at the others


async def migrate_all(url: str) -> None:
    """Bring the schema of every service to its newest version."""
    for part in PARTS:
        await migrate(url, schema=part.program.schema, script_location=part.migrations)


async def migration_states(connection: Connection) -> dict[str, Migration]:
    """Of each schema: the version that is stored, and the one that this program needs."""
    return {
        part.program.schema: Migration(
            await stored_version(connection, part.program.schema), newest_version(part.migrations)
        )
        for part in PARTS
    }
