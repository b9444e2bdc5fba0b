"""Planned changes take effect by themselves: looked for at their time, and when a replay moves."""

import structlog

from services.segment_registry.application.plan_tiers import settle_plan
from services.segment_registry.application.ports import Transactions
from services.segment_registry.application.settle_effects import settle_due
from services.segment_registry.entrypoints.rounds import Rounds
from services.segment_registry.metrics import RegistryMetrics

_log = structlog.get_logger(__name__)


class PlannedEffects(Rounds):
    """Lets what is due take effect, a bounded portion a transaction."""

    def __init__(self, transactions: Transactions, metrics: RegistryMetrics, *, poll_seconds: float) -> None:
        super().__init__(poll_seconds=poll_seconds)
        self._transactions = transactions
        self._metrics = metrics

    async def settle(self) -> None:
        """Work all that is due now."""
        while (worked := await self._transactions.run(settle_plan, label="a planned tier takes effect")) is not None:
            self._metrics.tier_versions.inc(worked.changed or 0)
            if worked.refusal is not None:  # what was decided, perhaps by two persons, does not come into effect
                _log.warning("tier_plan_failed", tier=worked.tier, reason=worked.refusal)
        while True:
            moves = await self._transactions.run(settle_due, label="planned changes take effect")
            if moves is None:
                return
            self._metrics.effects.inc(len(moves))
