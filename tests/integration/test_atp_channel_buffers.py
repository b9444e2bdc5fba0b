"""Stock held back from a channel, over the public interface."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.atp import Atp, an_order, running_atp
from tests.support.atp_proofs import prove


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def hold_back(atp: Atp, item: str, buffer: int, channel: str | None = "marketplace") -> str:
    entry = {"sku": item, "location": "L1", "buffer": buffer, "channel": channel}
    answer = await atp.client.put("/v1/buffers", json={"items": [entry]})
    assert answer.status_code == 200, answer.text
    effect: str = answer.json()["results"][0]["effect"]
    return effect


async def line_of(atp: Atp, item: str, quantity: int, channel: str) -> dict[str, Any]:
    answer = await atp.place(an_order((item, quantity), channel=channel))
    line: dict[str, Any] = answer.json()["lines"][0]
    return {**line, "promise_id": answer.json()["promise_id"]}


async def test_a_channel_leaves_what_is_held_back_from_it_to_the_others(atp: Atp) -> None:
    item = await atp.item(on_hand=10, buffer=1)
    assert await hold_back(atp, item, 4) == "applied"
    assert await hold_back(atp, item, 4) == "repeated"
    short = await line_of(atp, item, 7, "marketplace")
    assert (short["promised"], short["backordered"]) == (5, 2)
    (buffer,) = [each for each in short["why"] if each["kind"] == "buffer"]
    assert (buffer["reference"], buffer["allowed"], buffer["needed"]) == ("L1", 5, 2)
    assert buffer["would_help"] == "2 units less held back from the channel at L1"
    said = (await atp.client.get(f"/v1/promises/{short['promise_id']}/explanation")).text
    assert "held back from the order's channel at L1" in said
    assert (await line_of(atp, item, 4, "shop"))["promised"] == 4
    await prove(atp)


async def test_availability_and_stock_show_what_is_held_back(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    await hold_back(atp, item, 4)
    held = [{"channel": "marketplace", "buffer": 4}]
    assert (await atp.client.get(f"/v1/stock/{item}")).json()["locations"][0]["channel_buffers"] == held
    for channel, offered in (({"channel": "marketplace"}, 6), ({"channel": "shop"}, 10), ({}, 10)):
        asked = {"sku": item, "by_tier": "true", **channel}
        (location,) = (await atp.client.get("/v1/availability", params=asked)).json()["locations"]
        assert location["channel_buffers"] == held
        assert [(row["atp"], row["offered"]) for row in location["days"]] == [(10, offered)]
        assert {share["confirmable"] for row in location["days"] for share in row["tiers"]} <= {offered}


async def test_what_is_held_back_no_more_goes_to_those_of_the_channel_who_wait(atp: Atp) -> None:
    item = await atp.item(on_hand=6)
    await hold_back(atp, item, 6)
    waiting = await line_of(atp, item, 5, "marketplace")
    assert (waiting["promised"], waiting["backordered"]) == (0, 5)
    assert await hold_back(atp, item, 0) == "applied"
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    promise = (await atp.client.get(f"/v1/promises/{waiting['promise_id']}")).json()
    assert promise["lines"][0]["promised"] == 5
    await prove(atp)


async def test_a_buffer_and_what_is_held_back_from_a_channel_are_set_apart(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    await hold_back(atp, item, 3)
    await hold_back(atp, item, 2, None)
    assert (await line_of(atp, item, 10, "marketplace"))["promised"] == 5
    assert (await line_of(atp, item, 10, "shop"))["promised"] == 3


async def test_a_position_holds_back_from_so_many_channels_and_no_more(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    entries = [{"sku": item, "location": "L1", "buffer": 1, "channel": f"c{number}"} for number in range(101)]
    results = (await atp.client.put("/v1/buffers", json={"items": entries})).json()["results"]
    assert [each["effect"] for each in results] == ["applied"] * 100 + ["too_many_channels"]
