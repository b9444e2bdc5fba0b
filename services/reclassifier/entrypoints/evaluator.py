"""The task that judges customers and looks at their demand: right after a batch brought news, and by the calendar."""

import asyncio
from time import monotonic
from typing import Final

import structlog

from services.chassis.database import DatabaseError
from services.reclassifier.application.evaluate import Evaluation, evaluate_due
from services.reclassifier.application.ports import Swept, Transactions
from services.reclassifier.application.profile_customers import profile_due
from services.reclassifier.metrics import ReclassifierMetrics

POLL_SECONDS: Final = 1.0  # the calendar's accuracy; news do not wait for it
PORTIONS_BEFORE_LOOKS: Final = 8  # judgements come first; where they never end, looks still get a ninth of the turns
TELL_SECONDS: Final = 10.0  # between two lines of the log on how far a run is

_log = structlog.get_logger(__name__)


class Evaluator:
    """Works off what is due, a portion per transaction, whenever it is woken and at every poll."""

    def __init__(
        self,
        transactions: Transactions,
        metrics: ReclassifierMetrics,
        *,
        rule_set_id: str,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._transactions = transactions
        self._metrics = metrics
        self._rule_set_id = rule_set_id
        self._poll_seconds = poll_seconds
        self._woken = asyncio.Event()
        self._told_at = monotonic()

    def wake(self, _payload: str = "") -> None:
        """Say that something is due."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Judge until `stop` is set; a database that is away is asked again."""
        waker = asyncio.create_task(self._wake_when(stop), name="evaluator: wake at the stop")
        try:
            while not stop.is_set():
                await self._round(stop)
        finally:
            waker.cancel()

    async def _round(self, stop: asyncio.Event) -> None:
        self._woken.clear()
        try:
            await self._work(stop)
        except DatabaseError as error:
            _log.warning("evaluation_left_for_next_round", cause=repr(error))
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _work(self, stop: asyncio.Event) -> None:
        portions, more = 0, True
        while more and not stop.is_set():
            more = (await self.evaluate()).more
            portions += 1
            if not more or portions % PORTIONS_BEFORE_LOOKS == 0:
                more = await self.look() > 0 or more

    async def look(self) -> int:
        """Look at the demand of one portion of customers; how many they were."""
        looked = await self._transactions.run(profile_due, label="look at demand")
        self._metrics.looked.inc(looked)
        return looked

    async def evaluate(self) -> Evaluation:
        """Judge one portion of what is due."""
        with self._metrics.evaluation_seconds.time():
            evaluation = await self._transactions.run(
                lambda transaction: evaluate_due(transaction, self._rule_set_id), label="evaluate"
            )
        self._metrics.judged.inc(evaluation.judged)
        self._metrics.proposals.at("promotion").inc(evaluation.promotions)
        self._metrics.proposals.at("demotion").inc(evaluation.demotions)
        self._metrics.held.at("shadow").inc(evaluation.recorded)
        self._metrics.held.at("awaiting").inc(evaluation.awaiting)
        if evaluation.stopped is not None:
            self._metrics.fuse_blown.set(int(evaluation.stopped))
        if evaluation.swept is not None:
            self._tell_run(evaluation.swept)
        return evaluation

    def _tell_run(self, swept: Swept) -> None:
        """How far the run under way is, now and then, and that it has ended."""
        left = max(0, (swept.customers or 0) - swept.judged) if swept.claimed else 0
        self._metrics.run_waiting.set(left)
        if not swept.claimed:
            _log.info("run_ended", run_id=swept.run_id, judged=swept.judged)
        elif monotonic() - self._told_at > TELL_SECONDS:
            self._told_at = monotonic()
            _log.info("run_goes_on", run_id=swept.run_id, judged=swept.judged, customers=swept.customers)

    async def _wake_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()
