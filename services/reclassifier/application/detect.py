"""Look for customers who are served beside their tier and for ways around the rules, and store what is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.reclassifier.application.ports import ReclassifierTransaction
from services.reclassifier.domain.detections import Detection, Limits
from services.reclassifier.domain.service_received import served_beside_their_tier
from services.reclassifier.domain.splits import split_around_limits, split_around_quotas
from services.reclassifier.domain.workarounds import entered_under_anothers_id, too_many_overrides


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found, by identity."""

    found: Sequence[Detection]


async def detect(transaction: ReclassifierTransaction, limits: Limits, every: timedelta) -> Look | None:
    """Look at the window that ends now; None if it is not time yet, somebody else looks, or a replay collects."""
    now = await transaction.now()
    if await transaction.collecting() or not await transaction.may_look(now, every):
        return None
    terms = await transaction.terms()
    received, totals = await transaction.received(now, limits)
    sized = await transaction.sized(now, limits)
    found = [
        *served_beside_their_tier(received, totals, terms, limits),
        *too_many_overrides(await transaction.acts(now, limits), limits),
        *entered_under_anothers_id(await transaction.entered(now, limits), terms, limits),
        *split_around_limits(sized, terms, limits),
        *split_around_quotas(sized, limits),
    ]
    found.sort(key=lambda one: one.identity)
    await transaction.save_detections(found, now - timedelta(days=limits.window_days), now)
    return Look(found)
