"""An order is planned as a whole: its lines share shipments, and it has no more of them than it may."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.atp.application.reproduce import reproduce
from tests.integration.test_atp_sources import item, lane, source
from tests.support.atp import Atp, an_order, running_atp, unique
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def two_places(atp: Atp) -> tuple[str, str, str]:
    """A zone, the place that is cheaper for one line, and the place that is cheaper for two lines together."""
    zone = unique("Z")
    near, far = [await source(atp, "distribution_center") for _ in range(2)]
    await lane(atp, zone, near, "road", 1, 500, "post")
    await lane(atp, zone, far, "road", 1, 600, "post")
    return zone, near, far


def places_of(answer: dict[str, Any]) -> list[str]:
    return [part["location"] for line in answer["lines"] for part in line["schedule"]]


async def test_lines_go_together_where_that_costs_less_than_each_by_its_cheapest_way(atp: Atp) -> None:
    zone, near, far = await two_places(atp)
    anywhere, only_far = await item(atp, **{near: 5, far: 5}), await item(atp, **{far: 5})
    order = an_order((anywhere, 2), (only_far, 2), ship_to={"zone": zone})
    answer = (await atp.place(order)).json()
    assert places_of(answer) == [far, far]
    assert answer["cost_minor"] == 600
    alone = (await atp.place(an_order((anywhere, 2), ship_to={"zone": zone}))).json()
    assert places_of(alone) == [near]
    await prove(atp)


async def test_the_order_in_which_lines_are_written_is_of_no_effect(atp: Atp) -> None:
    zone, near, far = await two_places(atp)
    anywhere, only_far = await item(atp, **{near: 5, far: 5}), await item(atp, **{far: 5})
    order = an_order((only_far, 2), (anywhere, 2), ship_to={"zone": zone})
    order["lines"][0]["line"], order["lines"][1]["line"] = "2", "1"
    answer = (await atp.place(order)).json()
    assert places_of(answer) == [far, far]


async def test_an_order_has_no_more_shipments_than_it_may_and_says_what_a_further_one_would_bring(atp: Atp) -> None:
    zone, near, far = await two_places(atp)
    sku = await item(atp, **{near: 5, far: 4})
    order = an_order((sku, 9), ship_to={"zone": zone}, max_shipments=1)
    answer = (await atp.place(order)).json()
    assert answer["max_shipments"] == 1
    (line,) = answer["lines"]
    assert (line["outcome"], line["promised"], places_of(answer)) == ("partly_promised", 5, [near])
    named = [(why["kind"], why["reference"], why["needed"]) for why in line["why"] if why["kind"] == "shipments"]
    assert named == [("shipments", "1", 1)]
    unlimited = an_order((sku, 4), ship_to={"zone": zone})
    assert (await atp.place(unlimited)).json()["lines"][0]["promised"] == 4
    await prove(atp)


async def test_a_rest_that_is_served_later_comes_with_the_shipments_that_the_order_may_still_have(atp: Atp) -> None:
    zone, near, far = await two_places(atp)
    sku = await item(atp, **{near: 5, far: 0})
    order = an_order((sku, 9), ship_to={"zone": zone}, max_shipments=1)
    answer = (await atp.place(order)).json()
    assert answer["lines"][0]["promised"] == 5
    await count(atp, sku, far, 9)
    await until_served(atp)
    again = (await atp.client.get(f"/v1/promises/{answer['promise_id']}")).json()
    assert again["lines"][0]["promised"] == 5
    await count(atp, sku, near, 9)
    await until_served(atp)
    again = (await atp.client.get(f"/v1/promises/{answer['promise_id']}")).json()
    assert (again["lines"][0]["promised"], set(places_of(again))) == (9, {near})
    await prove(atp)


async def test_the_same_order_with_another_number_of_shipments_is_another_order(atp: Atp) -> None:
    zone, near, _ = await two_places(atp)
    sku = await item(atp, **{near: 5})
    order = an_order((sku, 2), ship_to={"zone": zone}, max_shipments=2)
    assert [(await atp.place(order)).status_code for _ in range(2)] == [201, 200]
    assert (await atp.place({**order, "max_shipments": 1})).status_code == 409
    assert (await atp.place(an_order((sku, 1), max_shipments=0))).status_code == 422


async def test_a_decision_with_a_greatest_number_of_shipments_is_made_again_from_its_record(atp: Atp) -> None:
    zone, near, far = await two_places(atp)
    sku = await item(atp, **{near: 5, far: 4})
    await atp.place(an_order((sku, 9), ship_to={"zone": zone}, max_shipments=1))
    rows = await atp.fetch("SELECT input FROM decision_batch")
    assert rows
    assert all(reproduce(record) for (record,) in rows)


async def until_served(atp: Atp) -> None:
    """Wait until nothing that was freed is still to be offered."""
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)")


async def count(atp: Atp, sku: str, location: str, on_hand: int) -> None:
    """A count of what is on hand."""
    said = {"source": "wms", "reference": unique("COUNT"), "sku": sku, "location": location, "on_hand": on_hand}
    body = {"items": [{**said, "as_of": datetime.now(UTC).isoformat()}]}
    answer = await atp.client.post("/v1/supply/snapshots", json=body)
    assert answer.status_code == 200, answer.text
