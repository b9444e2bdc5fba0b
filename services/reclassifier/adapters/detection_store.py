"""The ports of detection over PostgreSQL, its statements in `trace_rows`, `received_rows` and `detection_rows`."""
# ruff: noqa: D102 -- each method is documented by the port that it implements

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from services.chassis.database import Connection
from services.reclassifier.adapters import detection_rows, received_rows, trace_rows
from services.reclassifier.application.detection_ports import DetectionsAsked, StoredDetection
from services.reclassifier.domain.detections import Detection, Kind, Limits
from services.reclassifier.domain.service_received import Received
from services.reclassifier.domain.splits import Sized
from services.reclassifier.domain.traces import Act, TierTerms, Trace
from services.reclassifier.domain.workarounds import Entered, UsersActs


class PostgresDetections:
    """What a use case may do for detection within a transaction; each method does what the port says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def terms(self) -> dict[str, TierTerms]:
        return await trace_rows.load_terms(self._connection)

    async def received(self, now: datetime, limits: Limits) -> tuple[list[Received], list[Received]]:
        return await received_rows.load_received(self._connection, now, limits)

    async def entered(self, now: datetime, limits: Limits) -> list[Entered]:
        return await trace_rows.load_entered(self._connection, now, limits)

    async def sized(self, now: datetime, limits: Limits) -> list[Sized]:
        return await trace_rows.load_sized(self._connection, now, limits)

    async def acts(self, now: datetime, limits: Limits) -> list[UsersActs]:
        return await trace_rows.load_acts(self._connection, now, limits)

    async def standing_detections(self) -> Mapping[Kind, int]:
        return await detection_rows.standing_by_kind(self._connection)

    async def page_of_detections(self, asked: DetectionsAsked, after: int, limit: int) -> list[StoredDetection]:
        return await detection_rows.page_of_detections(self._connection, asked, after, limit)

    async def add_traces(self, traces: Sequence[Trace], acts: Sequence[Act]) -> None:
        await trace_rows.add_traces(self._connection, traces)
        await trace_rows.add_acts(self._connection, acts)

    async def save_terms(self, terms: Sequence[TierTerms]) -> None:
        await trace_rows.save_terms(self._connection, terms)

    async def may_look(self, now: datetime, every: timedelta) -> bool:
        return await detection_rows.may_look(self._connection, now, every)

    async def save_detections(self, found: Sequence[Detection], window_from: datetime, now: datetime) -> None:
        await detection_rows.save_detections(self._connection, found, window_from, now)

    async def forget_traces(self, now: datetime, limit: int) -> int:
        return await trace_rows.forget_traces(self._connection, now, limit)
