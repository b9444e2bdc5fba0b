"""Say anew what people may change; and what was used of the budgets of this month."""

from dataclasses import asdict, dataclass, replace
from datetime import date

from services.chassis.audit.chain import AuditEntry
from services.segment_registry.application.ports import Commander, RegistryReader, RegistryTransaction, TierLock
from services.segment_registry.domain.change_rules import ChangeRules, RulesRefused, month_of, refusal_of
from services.segment_registry.domain.second_person import Need, SecondPersonNeeded


@dataclass(frozen=True, slots=True)
class RulesView:
    """The rules in force, and the overrides decided in a month, by tier."""

    rules: ChangeRules
    month: date
    used: dict[str, int]


async def read_change_rules(reader: RegistryReader) -> RulesView:
    """The rules in force with what was used of them this month."""
    month = month_of(await reader.now())
    return RulesView(await reader.change_rules(), month, await reader.overrides_used(month))


async def define_change_rules(
    transaction: RegistryTransaction,
    draft: ChangeRules,
    *,
    expected_version: int | None,
    commander: Commander,
    approved: bool = False,
) -> RulesView | RulesRefused | SecondPersonNeeded:
    """Replace the rules whole; those that are in force already make no new version."""
    tiers = await transaction.lock_tiers(TierLock.EXCLUSIVE)  # who changes anything holds them shared
    now = await transaction.now()
    current = await transaction.change_rules()
    refused = refusal_of(current, draft, tiers, expected_version)
    if refused is not None:
        return refused
    rules = replace(draft, version=current.version)
    if rules != current and current.rule_changes and not approved:
        return SecondPersonNeeded((Need.RULE_CHANGE,))
    if rules != current:
        rules = replace(draft, version=current.version + 1)
        await transaction.save_change_rules(rules, commander.author, now)
        await transaction.append_audit([_entry(rules, commander.author)], now)
    month = month_of(now)
    return RulesView(rules, month, await transaction.overrides_used(month))


def _entry(rules: ChangeRules, author: str) -> AuditEntry:
    return AuditEntry(author, "change_rules.defined", "change_rules", asdict(rules))
