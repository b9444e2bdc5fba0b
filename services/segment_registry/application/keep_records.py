"""Keep the golden record of a customer, and its personal fields, which can be erased."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.chassis.audit.chain import AuditEntry
from services.segment_registry.application.change_content import document_of_record
from services.segment_registry.application.change_customers import CustomerUnknown
from services.segment_registry.application.ports import (
    Commander,
    LostRace,
    RegistryReader,
    RegistryTransaction,
    TierLock,
)
from services.segment_registry.domain.customers import Customer, with_record
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.second_person import SecondPersonNeeded, needs_of_record

PERSONAL_FIELDS: Final = ("contact_name", "email", "phone", "address")


@dataclass(frozen=True, slots=True)
class ContractTierUnknown:
    """The minimum tier of the contract is not defined; nothing was altered."""

    tier: str


@dataclass(frozen=True, slots=True)
class SequenceMoved:
    """The customer has changed since its author looked at it; nothing was altered."""

    sequence: int


async def keep_record(
    transaction: RegistryTransaction,
    customer_id: str,
    record: CustomerRecord,
    *,
    expected_sequence: int | None,
    commander: Commander,
    approved: bool = False,
) -> Customer | CustomerUnknown | ContractTierUnknown | SequenceMoved | SecondPersonNeeded:
    """Replace the golden record whole. Subscribers of tiers are not told: nothing of theirs has changed."""
    tiers = await transaction.lock_tiers(TierLock.SHARED)
    customers = await transaction.lock_customers([customer_id])
    customer = customers.get(customer_id)
    if customer is None:
        return CustomerUnknown()
    if expected_sequence is not None and expected_sequence != customer.sequence:
        return SequenceMoved(customer.sequence)
    promised = None if record.contract is None else record.contract.minimum_tier
    if promised is not None and promised not in tiers:
        return ContractTierUnknown(promised)
    now = await transaction.now()
    needs = () if approved else needs_of_record(await transaction.change_rules(), customer, record, now)
    if needs:
        return SecondPersonNeeded(needs)
    changed = with_record(customer, record, now)
    if changed is not customer:
        await transaction.save_customers(customers, [changed], now)
        detail = {"sequence": changed.sequence, **document_of_record(changed.record)}
        entry = AuditEntry(commander.author, "customer.recorded", customer_id, detail)
        await transaction.append_audit([entry], now)
    return changed


async def read_personal(reader: RegistryReader, customer_id: str) -> dict[str, str] | CustomerUnknown:
    """The personal fields of a customer."""
    if customer_id not in await reader.customers([customer_id]):
        return CustomerUnknown()
    return await reader.personal(customer_id)


async def keep_personal(
    transaction: RegistryTransaction, customer_id: str, fields: Mapping[str, str], commander: Commander
) -> dict[str, str] | CustomerUnknown:
    """Replace the personal fields whole; the audit trail learns which there are, and no value."""
    customers = await transaction.lock_customers([customer_id])
    if customer_id not in customers:
        return CustomerUnknown()
    now = await transaction.now()
    if await transaction.personal(customer_id) != fields:
        await transaction.save_personal(customer_id, fields)
        entry = AuditEntry(commander.author, "customer.personal_kept", customer_id, {"fields": sorted(fields)})
        await transaction.append_audit([entry], now)
    return dict(fields)


async def erase_personal(
    transaction: RegistryTransaction, customer_id: str, reason: str, commander: Commander
) -> bool | CustomerUnknown:
    """Erase the personal fields of all records that are one customer, whichever of them is named; whether any had some.

    The customer stays known by its ids, and served.
    """
    if customer_id not in await transaction.customers([customer_id]):
        return CustomerUnknown()
    one = await _records_of_one(transaction, customer_id)
    await transaction.lock_customers(one)
    if one != await _records_of_one(transaction, customer_id):
        raise LostRace("the customer was merged or split meanwhile")
    now = await transaction.now()
    fields: dict[str, None] = {}
    for each in one:
        fields |= dict.fromkeys(await transaction.personal(each))
        await transaction.save_personal(each, {})
    detail = {"fields": sorted(fields), "reason": reason}
    await transaction.append_audit([AuditEntry(commander.author, "customer.erased", customer_id, detail)], now)
    return bool(fields)


async def _records_of_one(reader: RegistryReader, customer_id: str) -> list[str]:
    """The customer as which it is served, and all that were merged into that."""
    root = await reader.root_of(customer_id) or customer_id
    return [root, *(below for below, _ in await reader.merged_below(root))]
