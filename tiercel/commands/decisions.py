"""`tiercel replay-decision`: decide again what was decided, from its record alone."""

from pathlib import Path
from uuid import UUID

from services.atp.adapters.decision_reader import PostgresDecisionReader
from services.atp.application.replay_decision import DecisionName, Replayed, replay
from services.atp.application.workbook import ENGINE_VERSION
from services.atp.bootstrap import SCHEMA
from services.chassis.database import Database
from tiercel.reaching import reach


class UnknownDecisionError(Exception):
    """No decision has this id, or its record is archived."""


async def replay_decision(data: Path | None, identifier: str) -> bool:
    """Print what comes of deciding again; whether everything is as stored.

    Raises:
        UnknownDecisionError: there is nothing to decide again.
    """
    async with reach(data) as reached:
        database = await Database.open(reached.database_url, schema=SCHEMA, name="tiercel replay-decision")
        try:
            return await _replay(PostgresDecisionReader(database), identifier)
        finally:
            await database.close()


async def _replay(reader: PostgresDecisionReader, identifier: str) -> bool:
    batch, separator, index = identifier.partition(".")
    try:
        known = UUID(batch)
        names = [DecisionName(known, int(index))] if separator else await reader.names(known)
    except ValueError:
        raise UnknownDecisionError(f"{identifier} is no id of a promise, a decision or a batch of decisions") from None
    found: list[Replayed] = []
    for name in names:
        found += await replay(reader, name) or []
    if not found:
        raise UnknownDecisionError(f"no record of {identifier} is kept here; it may be archived")
    for each in found:
        _tell(each)
    return not any(each.differences for each in found)


def _tell(replayed: Replayed) -> None:
    orders = ", ".join(f"{source}/{order_id}" for source, order_id in replayed.orders)
    verdict = "DIFFERS" if replayed.differences else "reproduced byte for byte"
    by = f"decided {replayed.decided_at.isoformat()} by engine {replayed.engine_version}"
    again = "" if replayed.engine_version == ENGINE_VERSION else f", decided again by engine {ENGINE_VERSION}"
    print(f"{replayed.batch}.{replayed.index} {replayed.kind} {orders}: {by}{again}; {verdict}")
    answer = "" if replayed.document_bytes is None else f", an answer of {replayed.document_bytes} bytes"
    print(f"  {replayed.quantities} quantities in the ledger{answer}")
    for difference in replayed.differences:
        print(f"  {difference}")
