"""A customer: one record for what other systems know under several identifiers, and its tier history.

`sequence` counts every change of the record and never restarts; `timeline_sequence` is its value at the last change of
the tier history, so that a new identifier does not make somebody's view of the tiers stale.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from services.segment_registry.domain import timeline
from services.segment_registry.domain.records import NO_RECORD, CustomerRecord
from services.segment_registry.domain.tiers import Tier, default_tier
from services.segment_registry.domain.timeline import Assignment

IDENTIFIERS_MAX = 50  # systems of one company that know a customer; all travel in every published state
OWN_SYSTEM = "tiercel"  # the registry's own ids; nobody may claim one as a foreign identifier


class Identifier(NamedTuple):
    """What another system calls a customer."""

    system: str
    id: str


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer as loaded: all identifiers (sorted), and at least the assignments not yet ended.

    `changed_at` is the business time of the last change; business time never runs backwards for one customer.
    """

    customer_id: str
    sequence: int
    timeline_sequence: int
    changed_at: datetime
    identifiers: tuple[Identifier, ...]
    assignments: tuple[Assignment, ...]
    record: CustomerRecord = NO_RECORD
    merged_into: str | None = None


class IdentifierRefusal(StrEnum):
    """Why identifiers were refused; where several apply, the first in this order is given."""

    IDENTIFIER_MISSING = "identifier_missing"
    SYSTEM_RESERVED = "system_reserved"
    TOO_MANY_IDENTIFIERS = "too_many_identifiers"
    SEVERAL_CUSTOMERS = "several_customers"
    IDENTIFIER_TAKEN = "identifier_taken"


@dataclass(frozen=True, slots=True)
class IdentifiersRefused:
    """Nothing was altered; `identifier` is the one that another customer (`owner`) holds, if that is the reason."""

    reason: IdentifierRefusal
    identifier: Identifier | None = None
    owner: str | None = None


class ServedTier(NamedTuple):
    """The tier that counts at a moment, and by what: None is the default tier of a customer that is in none."""

    tier: str
    by: Assignment | None


def moment_for(customer: Customer, now: datetime) -> datetime:
    """The business time of a change of this customer: now, unless a clock ran backwards."""
    return max(now, customer.changed_at)


def served_tier(customer: Customer, tiers: Mapping[str, Tier], at: datetime) -> ServedTier:
    """The tier in which a customer is served at a moment."""
    assignment = timeline.in_force(customer.assignments, at)
    return ServedTier(assignment.tier if assignment else default_tier(tiers).tier, assignment)


def resolve(identifiers: tuple[Identifier, ...], owners: Mapping[Identifier, str]) -> str | IdentifiersRefused | None:
    """The one customer that these identifiers mean; None if they are all new.

    Identifiers that mean different customers are a contradiction to be settled by a person.
    """
    malformed = malformed_identifiers(identifiers)
    if malformed is not None:
        return malformed
    found: str | None = None
    for identifier in identifiers:
        owner = owners.get(identifier)
        if found is not None and owner is not None and owner != found:
            return IdentifiersRefused(IdentifierRefusal.SEVERAL_CUSTOMERS, identifier, owner)
        found = found or owner
    return found


def new_customer(customer_id: str, identifiers: tuple[Identifier, ...], now: datetime) -> Customer:
    """A customer that is in no tier yet."""
    return Customer(customer_id, 1, 1, now, _unique(identifiers), ())


def add_identifiers(
    customer: Customer, identifiers: tuple[Identifier, ...], now: datetime
) -> Customer | IdentifiersRefused:
    """The customer with these identifiers too: the same object if it has them all."""
    together = _unique(customer.identifiers + identifiers)
    if len(together) > IDENTIFIERS_MAX:
        return IdentifiersRefused(IdentifierRefusal.TOO_MANY_IDENTIFIERS)
    return _with_identifiers(customer, together, now)


def replace_identifiers(
    customer: Customer, identifiers: tuple[Identifier, ...], owners: Mapping[Identifier, str], now: datetime
) -> Customer | IdentifiersRefused:
    """The customer with exactly these identifiers: the same object if it has exactly them."""
    malformed = malformed_identifiers(identifiers)
    if malformed is not None:
        return malformed
    for identifier in identifiers:
        owner = owners.get(identifier)
        if owner is not None and identifier not in customer.identifiers:  # another one's, or of one merged into it
            return IdentifiersRefused(IdentifierRefusal.IDENTIFIER_TAKEN, identifier, owner)
    return _with_identifiers(customer, _unique(identifiers), now)


def with_record(customer: Customer, record: CustomerRecord, now: datetime) -> Customer:
    """The customer with this golden record: the same object if it has it."""
    if record == customer.record:
        return customer
    return replace(customer, sequence=customer.sequence + 1, changed_at=moment_for(customer, now), record=record)


def malformed_identifiers(identifiers: tuple[Identifier, ...]) -> IdentifiersRefused | None:
    """What is wrong with a list of identifiers by itself."""
    if not identifiers:
        return IdentifiersRefused(IdentifierRefusal.IDENTIFIER_MISSING)
    for identifier in identifiers:
        if identifier.system == OWN_SYSTEM:
            return IdentifiersRefused(IdentifierRefusal.SYSTEM_RESERVED, identifier)
    if len(identifiers) > IDENTIFIERS_MAX:
        return IdentifiersRefused(IdentifierRefusal.TOO_MANY_IDENTIFIERS)
    return None


def _with_identifiers(customer: Customer, identifiers: tuple[Identifier, ...], now: datetime) -> Customer:
    if identifiers == customer.identifiers:
        return customer
    return replace(
        customer,
        sequence=customer.sequence + 1,
        changed_at=moment_for(customer, now),
        identifiers=identifiers,
    )


def _unique(identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
    return tuple(sorted(dict.fromkeys(identifiers)))
