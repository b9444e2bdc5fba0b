"""Items whose SKU has slashes in it are written and read by path like all others, on a real PostgreSQL."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from tests.support.atp import Atp, running_atp, unique

SKUS = ("AC/DC", "a/b/c", "half//full", "1/2 inch", "dir/", "Öl/Essig", "50%/50%", "a/../b")


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


@pytest.mark.parametrize("name", SKUS)
async def test_an_item_is_written_and_read_under_its_whole_name(atp: Atp, name: str) -> None:
    sku = f"{unique('item')}/{name}"
    path = f"/v1/items/{quote(sku, safe='')}"
    assert (await atp.client.get(path)).json()["code"] == "item_unknown"
    stored = await atp.client.put(path, json={"sku": sku})
    assert stored.status_code == 200, stored.text
    found = await atp.client.get(path)
    assert (found.status_code, found.json()["sku"]) == (200, sku)
    movement = {"source": "wms", "reference": unique("GR"), "sku": sku, "location": "L1", "kind": "receipt"}
    body = {"items": [{**movement, "quantity": 3, "occurred_at": "2026-01-05T08:00:00Z"}]}
    await atp.location("L1")
    assert (await atp.client.post("/v1/supply/movements", json=body)).status_code == 200
    stock = (await atp.client.get(f"/v1/stock/{quote(sku, safe='')}")).json()
    assert (stock["sku"], [each["location"] for each in stock["locations"]]) == (sku, ["L1"])


async def test_a_slash_need_not_be_encoded(atp: Atp) -> None:
    sku = f"{unique('item')}/plain"
    assert (await atp.client.put(f"/v1/items/{sku}", json={"sku": sku})).status_code == 200
    assert (await atp.client.get(f"/v1/items/{sku}")).json()["sku"] == sku
    assert (await atp.client.put(f"/v1/items/{sku}", json={"sku": "another"})).status_code == 422


async def test_neither_measures_nor_the_description_know_such_names(atp: Atp) -> None:
    sku = f"{unique('item')}/measured"
    await atp.client.get(f"/v1/items/{sku}")
    measured = (await atp.client.get("/metrics")).text
    assert 'route="/v1/items/{sku}"' in measured
    assert sku not in measured
    described = (await atp.client.get("/openapi.json")).json()["paths"]
    for path in ("/v1/items/{sku}", "/v1/stock/{sku}"):
        assert described[path]["get"]["security"] == [{"token": ["atp.read"]}, {"api_key": ["atp.read"]}]
    assert not [path for path in described if ":path" in path]
