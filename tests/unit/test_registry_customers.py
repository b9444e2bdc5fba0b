"""Customers and their identifiers."""

import pytest

from services.segment_registry.domain.customers import (
    IDENTIFIERS_MAX,
    Customer,
    Identifier,
    IdentifierRefusal,
    IdentifiersRefused,
    add_identifiers,
    moment_for,
    replace_identifiers,
    resolve,
    served_tier,
)
from tests.support.registry import CRM, CUSTOMER, DAY, ERP, NOON, TIERS, a_customer, moved, wish

MANY = tuple(Identifier("erp", str(n)) for n in range(IDENTIFIERS_MAX + 1))


def test_unknown_identifiers_mean_nobody_yet() -> None:
    assert resolve((ERP, CRM), {}) is None


def test_identifiers_of_one_customer_mean_it() -> None:
    assert resolve((CRM, ERP), {ERP: CUSTOMER}) == CUSTOMER


def test_identifiers_of_two_customers_contradict_each_other() -> None:
    refused = resolve((ERP, CRM), {ERP: CUSTOMER, CRM: "other"})
    assert refused == IdentifiersRefused(IdentifierRefusal.SEVERAL_CUSTOMERS, CRM, "other")


@pytest.mark.parametrize(
    ("identifiers", "reason"),
    [
        ((), IdentifierRefusal.IDENTIFIER_MISSING),
        ((ERP, Identifier("tiercel", "1")), IdentifierRefusal.SYSTEM_RESERVED),
        (MANY, IdentifierRefusal.TOO_MANY_IDENTIFIERS),
    ],
)
def test_lists_that_are_wrong_by_themselves(identifiers: tuple[Identifier, ...], reason: IdentifierRefusal) -> None:
    for refused in (resolve(identifiers, {}), replace_identifiers(a_customer(), identifiers, {}, NOON)):
        assert isinstance(refused, IdentifiersRefused)
        assert refused.reason is reason


def test_a_new_identifier_raises_the_sequence_and_leaves_the_tier_history_alone() -> None:
    customer = add_identifiers(a_customer(ERP), (CRM,), NOON)
    assert isinstance(customer, Customer)
    assert customer.identifiers == (CRM, ERP)  # sorted, so that the published state has one form
    assert (customer.sequence, customer.timeline_sequence, customer.changed_at) == (2, 1, NOON)


def test_known_identifiers_change_nothing() -> None:
    customer = a_customer(ERP, CRM)
    assert add_identifiers(customer, (ERP,), NOON) is customer
    assert replace_identifiers(customer, (ERP, CRM, ERP), {ERP: CUSTOMER}, NOON) is customer


def test_a_customer_collects_only_so_many_identifiers() -> None:
    refused = add_identifiers(a_customer(*MANY[:IDENTIFIERS_MAX]), (CRM,), NOON)
    assert refused == IdentifiersRefused(IdentifierRefusal.TOO_MANY_IDENTIFIERS)


def test_identifiers_are_replaced_whole() -> None:
    customer = replace_identifiers(a_customer(ERP), (CRM,), {}, NOON)
    assert isinstance(customer, Customer)
    assert customer.identifiers == (CRM,)


def test_an_identifier_of_somebody_else_is_not_taken() -> None:
    refused = replace_identifiers(a_customer(ERP), (ERP, CRM), {CRM: "other"}, NOON)
    assert refused == IdentifiersRefused(IdentifierRefusal.IDENTIFIER_TAKEN, CRM, "other")


def test_business_time_never_runs_backwards_for_a_customer() -> None:
    customer = a_customer()
    assert moment_for(customer, NOON) == NOON
    assert moment_for(customer, NOON - 5 * DAY) == customer.changed_at


def test_a_customer_in_no_tier_is_served_in_the_default_one() -> None:
    customer = a_customer()
    assert served_tier(customer, TIERS, NOON) == ("standard", None)
    golden = moved(customer, wish("gold"))
    assert served_tier(golden, TIERS, NOON) == ("gold", golden.assignments[0])
    assert served_tier(golden, TIERS, NOON - DAY).tier == "standard"
