"""What happens by date: rows of `due` (kind, key, at), worked in bounded portions by `work_due`.

Lapses, ends and expiries have no event. A handler plans one with `plan_due` and writes it with `store_due`, in its own
transaction; when its time has come, the engine is asked for the command of its kind, and that command's handler takes
the row away (`plan_due(..., None)`) or moves it. Decisions never wait for this: they compute from the time itself
whether a hold, a stop or an override is still in force. A late portion delays backorders; it makes no wrong promise.
"""

from datetime import datetime
from typing import Final

from services.atp.application.batch import Batch
from services.atp.application.ports import Due, Session

KEPT: Final = "due"


def plan_due(batch: Batch, kind: str, key: tuple[str, ...], at: datetime | None) -> None:
    """Let something be due at a time, instead of whenever it was before; None: not any more."""
    planned: dict[Due, datetime | None] = batch.kept.setdefault(KEPT, {})
    planned[Due(kind, key)] = at


async def store_due(session: Session, batch: Batch) -> None:
    """Write what the batch planned; once, whichever handler calls first."""
    planned: dict[Due, datetime | None] = batch.kept.pop(KEPT, {})
    if planned:
        await session.due.store(planned)
