"""Master data: what is said of items comes back as it was said, by HTTP and by the event log."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from services.atp.adapters.items import items
from services.atp.adapters.oversell_audit import audit
from services.atp.application.reproduce import reproduce
from services.atp.domain.model import Backordering, Item, PromisingRule
from services.chassis.database import Connection
from services.chassis.envelope import Event
from services.chassis.ids import new_id
from services.contracts import catalogue
from services.contracts.catalogue import EventType
from tests.support.atp import Atp, an_order, assigned, outcomes, running_atp, unique


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


def catalog_event(kind: EventType, key: str, payload: dict[str, Any]) -> Event:
    """An event of `catalog.v1`."""
    made = str(new_id())
    return Event(
        id=made,
        type=kind.name,
        source="urn:test:erp",
        topic=kind.topic.name,
        key=key,
        sequence=0,
        time=datetime.now(UTC),
        data=orjson.dumps(payload),
        correlation_id=made,
        causation_id=made,
    )


async def decided_on(atp: Atp, sku: str) -> Item:
    """The item as decisions see it."""

    async def read(connection: Connection) -> Item:
        return (await items(connection, [sku]))[sku]

    return await atp.database.read(read)


async def test_what_is_said_of_an_item_comes_back_and_is_what_decisions_see(atp: Atp) -> None:
    sku, other = unique("item"), unique("item")
    said = {
        "sku": sku,
        "version": 3,
        "active": True,
        "planned_receipts_count": True,
        "checking_horizon_days": 30,
        "past_due_supply_days": 2,
        "base_unit": "each",
        "units": [{"unit": "case", "quantity": 12}, {"unit": "pallet", "quantity": 960}],
        "pack_size": 12,
        "weight_grams": 340,
        "groups": ["tea", "loose"],
        "criticality": "vital",
        "substitutes": [other],
        "backorders": {"policy": "until", "until": "2026-05-01", "limit": None},
        "promising_rule": {
            "kind": "periods",
            "period_days": 7,
            "backward_periods": 4,
            "forward_periods": 1,
            "accumulation_periods": 2,
        },
    }
    answer = await atp.client.put(f"/v1/items/{sku}", json=said)
    assert (answer.status_code, answer.json()) == (200, {"stored": 1})
    assert (await atp.client.get(f"/v1/items/{sku}")).json() == said
    assert await decided_on(atp, sku) == Item(
        sku,
        planned_receipts_count=True,
        checking_horizon_days=30,
        past_due_supply_days=2,
        pack_size=12,
        weight_grams=340,
        units=(("case", 12), ("pallet", 960)),
        groups=("tea", "loose"),
        criticality="vital",
        substitutes=(other,),
        backorders=Backordering("until", datetime(2026, 5, 1, tzinfo=UTC).toordinal()),
        rule=PromisingRule("periods", 7, 4, 1, 2),
    )


async def test_an_item_of_which_little_is_said_is_a_plain_one(atp: Atp) -> None:
    sku = unique("item")
    await atp.client.put(f"/v1/items/{sku}", json={"sku": sku})
    assert await decided_on(atp, sku) == Item(sku)


@pytest.mark.parametrize(
    "wrong",
    [
        {"units": [{"unit": "each", "quantity": 2}]},
        {"substitutes": ["SELF"]},
        {"substitutes": ["A", "A"]},
        {"backorders": {"policy": "until"}},
        {"backorders": {"policy": "open", "limit": 3}},
        {"pack_size": 0},
        {"checking_horizon_days": 36_501},
        {"past_due_supply_days": 10**11},
    ],
)
async def test_what_contradicts_itself_is_refused(atp: Atp, wrong: dict[str, Any]) -> None:
    answer = await atp.client.put("/v1/items/SELF", json={"sku": "SELF", **wrong})
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


async def test_both_versions_of_the_event_are_taken_and_the_highest_version_of_an_item_counts(atp: Atp) -> None:
    sku = unique("item")
    await atp.publish(
        catalog_event(catalogue.CATALOG_ITEM, sku, {"sku": sku, "version": 2, "pack_size": 6}),
        catalog_event(catalogue.CATALOG_ITEM_V1, sku, {"sku": sku, "version": 1, "active": False}),
    )
    await atp.until("SELECT EXISTS (SELECT FROM item WHERE item_id = $1)", sku)
    assert (await decided_on(atp, sku)).pack_size == 6
    await atp.publish(catalog_event(catalogue.CATALOG_ITEM_V1, sku, {"sku": sku, "version": 3, "active": False}))
    await atp.until("SELECT EXISTS (SELECT FROM item WHERE item_id = $1 AND version = 3)", sku)
    assert not (await decided_on(atp, sku)).active


async def described(atp: Atp, on_hand: int, **fields: Any) -> str:
    """An item in stock, with master data."""
    sku = await atp.item(on_hand=on_hand)
    answer = await atp.client.put(f"/v1/items/{sku}", json={"sku": sku, "version": 2, **fields})
    assert answer.json() == {"stored": 1}
    return sku


def in_unit(sku: str, quantity: int, unit: str) -> dict[str, Any]:
    """An order of one line in a unit."""
    order = an_order((sku, quantity))
    order["lines"][0]["unit"] = unit
    return order


async def test_cases_are_promised_in_base_units_and_whole_packs_and_the_decision_repeats(atp: Atp) -> None:
    sku = await described(atp, 40, units=[{"unit": "case", "quantity": 12}], pack_size=12)
    order = in_unit(sku, 4, "case")
    answer = await atp.place(order)
    line = answer.json()["lines"][0]
    assert (line["quantity"], line["promised"], line["backordered"], line["outcome"]) == (48, 36, 12, "partly_promised")
    assert (await atp.place(order)).content == answer.content
    await atp.client.post(
        "/v1/supply/movements",
        json={
            "items": [
                {
                    "source": "wms",
                    "reference": unique("GR"),
                    "sku": sku,
                    "location": "L1",
                    "kind": "receipt",
                    "quantity": 8,
                    "occurred_at": "2026-01-05T08:00:00Z",
                }
            ]
        },
    )
    promise_id = answer.json()["promise_id"]
    await atp.until(
        "SELECT convert_from(document, 'UTF8')::jsonb #>> '{lines,0,outcome}' = 'promised' FROM promise"
        " WHERE promise_id = $1::text::uuid",
        promise_id,
    )
    records = await atp.fetch("SELECT input FROM decision_batch ORDER BY decision_id")
    assert sum(len(reproduce(record)) for (record,) in records) >= 2
    report = await audit(atp.database)
    assert (report.oversold, report.broken_chains) == ({}, {})


async def test_a_unit_that_the_item_does_not_have_is_refused_in_words(atp: Atp) -> None:
    sku = await described(atp, 40)
    answer = await atp.place(in_unit(sku, 1, "pallet"))
    assert (answer.status_code, answer.json()["state"], outcomes(answer)) == (201, "refused", ["unknown_unit"])


async def test_more_of_a_unit_than_any_line_has_is_refused_in_words(atp: Atp) -> None:
    sku = await atp.item(on_hand=5)
    units = [{"unit": "lot", "quantity": 1_000_000}]
    await atp.client.put(f"/v1/items/{sku}", json={"sku": sku, "version": 2, "units": units})
    order = an_order((sku, 1_000_000_000_000))
    order["lines"][0]["unit"] = "lot"
    answer = await atp.place(order)
    assert outcomes(answer) == ["unknown_unit"]
    assert answer.json()["lines"][0]["why"][0]["would_help"] == "at most 1000000000000 base units"


async def test_a_cost_beyond_all_measure_is_capped_and_the_order_answered(atp: Atp) -> None:
    sku = await atp.item(on_hand=1_000_000_000_000, location="DEAR")
    dear = {"zone": "MOON", "location": "DEAR", "service": "rocket", "carrier_class": "rocket", "transit_days": 1}
    dear |= {"cost_shipment_minor": 2**53, "cost_unit_minor": 2**53, "cost_kg_minor": 2**53}
    assert (await atp.client.put("/v1/lanes", json={"items": [dear]})).status_code == 200
    answer = await atp.place(an_order((sku, 1_000_000_000_000), ship_to={"zone": "MOON"}))
    assert (answer.status_code, outcomes(answer)) == (201, ["promised"])
    assert answer.json()["cost_minor"] == 10**13


async def test_a_short_line_is_offered_its_substitute_by_what_there_is(atp: Atp) -> None:
    other = await described(atp, 5)
    sku = await described(atp, 1, substitutes=[other], backorders={"policy": "none"})
    line = (await atp.place(an_order((sku, 4)))).json()["lines"][0]
    assert (line["outcome"], line["promised"], line["backordered"]) == ("partly_promised", 1, 0)
    assert [(each["sku"], each["quantity"]) for each in line["alternatives"]] == [(other, 3)]
    assert line["why"][-1]["kind"] == "backorders"
    assert await atp.fetch("SELECT commit_quantities FROM position WHERE item_id = $1", other) == [([],)]


@pytest.mark.parametrize(
    ("backorders", "outcome"),
    [
        ({"policy": "none"}, "not_backordered"),
        ({"policy": "until", "until": "2020-01-01"}, "not_backordered"),
        ({"policy": "until", "until": "2199-01-01"}, "backordered"),
        ({"policy": "discontinued"}, "discontinued"),
        ({"policy": "limited", "limit": 0}, "not_backordered"),
        ({"policy": "open"}, "backordered"),
    ],
)
async def test_a_policy_says_whether_what_is_missing_waits(atp: Atp, backorders: dict[str, Any], outcome: str) -> None:
    sku = await described(atp, 0, backorders=backorders)
    answer = await atp.place(an_order((sku, 2)))
    assert outcomes(answer) == [outcome]
    assert answer.json()["state"] == ("promised" if outcome == "backordered" else "refused")


async def test_a_discontinued_item_is_sold_out_and_nothing_is_assumed_for_it(atp: Atp) -> None:
    sku = await described(atp, 3, checking_horizon_days=5, backorders={"policy": "discontinued"})
    assert outcomes(await atp.place(an_order((sku, 3)))) == ["promised"]
    assert outcomes(await atp.place(an_order((sku, 1)))) == ["discontinued"]


async def test_two_services_let_no_more_wait_than_the_limit(atp: Atp, database_url: str) -> None:
    """They lock no position in common: each serves another zone from another location."""
    sku = await described(atp, 0, backorders={"policy": "limited", "limit": 7})
    await atp.location("L-far", zone="FAR")
    await atp.execute("INSERT INTO position (item_id, location_id) VALUES ($1, 'L-far')", sku)
    async with running_atp(database_url, store=atp.store) as second:
        orders = [an_order((sku, 1), ship_to={"zone": "FAR" if number % 2 else "*"}) for number in range(24)]
        answers = await asyncio.gather(
            *((second if number % 2 else atp).place(order) for number, order in enumerate(orders))
        )
    assert sorted(outcome for answer in answers for outcome in outcomes(answer)) == [
        *["backordered"] * 7,
        *["not_backordered"] * 17,
    ]


async def test_an_amended_line_names_the_substitutes_of_now_and_not_those_of_before(atp: Atp) -> None:
    other = await described(atp, 5)
    sku = await described(atp, 1, substitutes=[other])
    order = an_order((sku, 1))
    promise = (await atp.place(order)).json()
    more = amended(order, 2, 4)
    answer = await atp.client.post(f"/v1/promises/{promise['promise_id']}:amend", json=more)
    assert answer.status_code == 200, answer.text
    assert [each["quantity"] for each in answer.json()["lines"][0]["alternatives"]] == [3]
    assert (await atp.place(an_order((other, 5)))).json()["lines"][0]["promised"] == 5
    answer = await atp.client.post(f"/v1/promises/{promise['promise_id']}:amend", json=amended(order, 3, 5))
    assert answer.json()["lines"][0].get("alternatives", []) == []


def amended(order: dict[str, Any], version: int, quantity: int) -> dict[str, Any]:
    """The order at a later version, with another quantity of its one line."""
    (line,) = order["lines"]
    return order | {"order": order["order"] | {"version": version}, "lines": [line | {"quantity": quantity}]}


async def test_a_revived_hold_names_substitutes_for_what_it_cannot_have(atp: Atp) -> None:
    other = await described(atp, 5)
    sku = await described(atp, 4, substitutes=[other])
    held = (await atp.place(an_order((sku, 4), hold_seconds=1))).json()
    await atp.until("SELECT state = 'expired' FROM promise WHERE promise_id = $1", UUID(held["promise_id"]))
    assert (await atp.place(an_order((sku, 3)))).json()["lines"][0]["promised"] == 3
    answer = await atp.client.post(f"/v1/promises/{held['promise_id']}:revive", json={"version": 2})
    (line,) = answer.json()["lines"]
    assert (line["promised"], [each["quantity"] for each in line["alternatives"]]) == (1, [3])


async def test_an_order_that_is_released_names_substitutes_as_a_new_one_does(atp: Atp) -> None:
    tier, customer = unique("tier"), unique("customer")
    await atp.tier(tier, 1_000, validation={"line_quantity_max": 3, "held": ["line_quantity_max"]})
    await atp.customer(customer, assigned(tier))
    other = await described(atp, 5)
    sku = await described(atp, 1, substitutes=[other])
    held = (await atp.place(an_order((sku, 4), customer={"system": "erp", "id": customer}))).json()
    assert held["state"] == "awaiting_release"
    path = f"/v1/promises/{held['promise_id']}:release-validation"
    (line,) = (await atp.client.post(path, json={"reason": "vouched for"})).json()["lines"]
    assert (line["promised"], [each["quantity"] for each in line["alternatives"]]) == (1, [3])
