"""A tier's card (owner, codes), and its service statement: what is promised beside what was delivered."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import orjson

from services.chassis.audit.chain import AuditEntry
from services.segment_registry.application.ports import (
    AtpUnavailable,
    Commander,
    RegistryReader,
    RegistryTransaction,
    ServiceLevels,
    TierLock,
    TierVersion,
    Transactions,
)
from services.segment_registry.domain.service_statement import Delivered, delivered, promised
from services.segment_registry.domain.tier_cards import CodeTaken, TierCard, taken
from services.segment_registry.domain.tiers import Tier

MONTHS_BACK_MAX: Final = 6  # looked at for one that is closed


@dataclass(frozen=True, slots=True)
class TierUnknown:
    """No such tier."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The policy in force, who made it, and the last closed month; `missing` says why there are no figures."""

    tier: Tier
    version: TierVersion
    card: TierCard
    promised: tuple[str, ...]
    month: str | None
    delivered: tuple[Delivered, ...]
    missing: str | None


async def keep_card(
    transaction: RegistryTransaction, tier: str, card: TierCard, commander: Commander
) -> TierCard | CodeTaken | TierUnknown:
    """Replace the card of a tier whole."""
    tiers = await transaction.lock_tiers(TierLock.EXCLUSIVE)
    if tier not in tiers:
        return TierUnknown()
    cards = await transaction.tier_cards()
    conflict = taken(tier, card, cards)
    if conflict is not None:
        return conflict
    if cards.get(tier, TierCard()) != card:
        now = await transaction.now()
        await transaction.save_tier_card(tier, card)
        detail = {"owner": card.owner, "codes": dict(card.codes)}
        await transaction.append_audit([AuditEntry(commander.author, "tier.card_kept", tier, detail)], now)
    return card


async def service_statement(
    transactions: Transactions, tier: str, levels: ServiceLevels | None
) -> Statement | TierUnknown:
    """The statement of a tier; the figures are asked of the ATP after the read has ended."""

    async def look(reader: RegistryReader) -> tuple[dict[str, Tier], TierVersion | None, TierCard, datetime]:
        cards = await reader.tier_cards()
        return await reader.tiers(), await reader.tier_version(tier), cards.get(tier, TierCard()), await reader.now()

    tiers, version, card, now = await transactions.read(look)
    if tier not in tiers or version is None:
        return TierUnknown()
    policy: dict[str, Any] = orjson.loads(tiers[tier].policy)
    words = promised(tiers[tier], tiers, policy)
    month, ratios, missing = await _last_closed(tier, levels, now.date())
    figures = () if month is None else delivered(policy, ratios)
    return Statement(tiers[tier], version, card, words, month, figures, missing)


async def _last_closed(
    tier: str, levels: ServiceLevels | None, today: date
) -> tuple[str | None, dict[str, int | None], str | None]:
    """The last closed month with the tier's ratios, or why there is none."""
    if levels is None:
        return None, {}, "no address of the ATP is configured"
    first = today.replace(day=1)
    try:
        for _ in range(MONTHS_BACK_MAX):
            first = (first - timedelta(days=1)).replace(day=1)
            month = f"{first:%Y-%m}"
            ratios = await levels.closed_ratios(month, tier)
            if ratios is not None:
                return month, ratios, None
    except AtpUnavailable as error:
        return None, {}, str(error)
    return None, {}, f"none of the last {MONTHS_BACK_MAX} months is closed"
