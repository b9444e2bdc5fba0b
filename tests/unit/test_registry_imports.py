"""Bulks of customers: row by row, later rows seeing earlier ones."""

from services.segment_registry.domain.customers import Customer, Identifier, IdentifierRefusal
from services.segment_registry.domain.imports import Bulk, ImportDecision, ImportRow, RowRefused, import_rows
from services.segment_registry.domain.moves import TierUnusable
from tests.support.registry import CRM, CUSTOMER, DAY, ERP, NOON, TIERS, a_customer, moved, wish

OTHER = Identifier("erp", "0815")


def decide(rows: list[ImportRow], *known: Customer) -> ImportDecision:
    owners = {identifier: customer.customer_id for customer in known for identifier in customer.identifiers}
    customers = {customer.customer_id: customer for customer in known}
    bulk = Bulk(owners, customers, TIERS, iter(["new-1", "new-2", "new-3"]), "ann", NOON)
    return import_rows(rows, bulk)


def row(index: int, *identifiers: Identifier, tier: str | None = "gold") -> ImportRow:
    return ImportRow(index, identifiers, tier, "migration")


def test_new_customers_get_their_tier_at_once() -> None:
    decision = decide([row(0, ERP), row(1, OTHER, tier=None)])
    assert (decision.created, decision.changed, decision.unchanged, decision.refused) == (2, 0, 0, ())
    first, second = decision.after
    assert (first.customer_id, first.identifiers, first.sequence) == ("new-1", (ERP,), 2)
    assert (second.customer_id, second.assignments) == ("new-2", ())
    assert [(notice.customer_id, notice.from_tier, notice.to_tier) for notice in decision.moves] == [
        ("new-1", None, "gold")
    ]


def test_a_later_row_sees_what_an_earlier_one_did() -> None:
    decision = decide([row(0, ERP), row(1, ERP, CRM, tier="silver")])
    assert (decision.created, decision.changed, decision.before) == (1, 1, {})
    assert decision.after[0].identifiers == (CRM, ERP)
    assert [a.tier for a in decision.after[0].assignments] == ["silver"]
    assert [notice.to_tier for notice in decision.moves] == ["gold", "silver"]


def test_the_same_bulk_again_changes_nothing() -> None:
    known = moved(a_customer(ERP), wish("gold"), NOON - DAY)
    decision = decide([row(0, ERP), row(1, ERP)], known)
    assert (decision.after, decision.moves, decision.unchanged) == ((), (), 2)


def test_a_known_customer_gets_new_identifiers_and_the_new_tier() -> None:
    decision = decide([row(0, CRM, ERP)], a_customer(ERP))
    assert (decision.created, decision.changed) == (0, 1)
    assert decision.after[0].customer_id == CUSTOMER
    assert decision.after[0].identifiers == (CRM, ERP)


def test_a_bad_row_alters_nothing_and_says_why() -> None:
    other = a_customer(OTHER, customer_id="other")
    decision = decide(
        [
            row(0, ERP, OTHER),
            row(1, Identifier("tiercel", "x")),
            row(2, CRM, tier="copper"),
            row(3, CRM, tier="closed"),
        ],
        a_customer(ERP),
        other,
    )
    assert decision.after == ()
    assert decision.refused == (
        RowRefused(0, IdentifierRefusal.SEVERAL_CUSTOMERS),
        RowRefused(1, IdentifierRefusal.SYSTEM_RESERVED),
        RowRefused(2, TierUnusable.UNKNOWN_TIER),
        RowRefused(3, TierUnusable.INACTIVE_TIER),
    )
