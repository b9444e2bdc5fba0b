"""Master data: what is said of items comes back as it was said, by HTTP and by the event log."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.atp.adapters.items import items
from services.atp.domain.model import Backordering, Item
from services.chassis.database import Connection
from services.chassis.envelope import Event
from services.chassis.ids import new_id
from services.contracts import catalogue
from services.contracts.catalogue import EventType
from tests.support.atp import Atp, running_atp, unique


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
