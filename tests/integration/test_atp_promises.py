"""The promise path over HTTP, on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from services.contracts.promises import Promise
from tests.support.atp import Atp, an_order, outcomes, running_atp


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def test_an_order_is_promised_from_stock(atp: Atp) -> None:
    item = await atp.item(on_hand=10)
    answer = await atp.place(an_order((item, 4)))
    assert answer.status_code == 201, answer.text
    promise = Promise.model_validate_json(answer.content)
    assert promise.state == "promised"
    assert outcomes(answer) == ["promised"]
    assert answer.headers["location"] == f"/v1/promises/{promise.promise_id}"
