"""Every stored decision can be made again from its record, byte for byte, whatever kind of command asked for it."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from typer.testing import CliRunner

from services.atp.adapters.decision_reader import PostgresDecisionReader
from services.atp.application.replay_decision import DecisionName, Replayed, replay
from services.atp.application.workbook import ENGINE_VERSION
from tests.support.atp import Atp, an_order, assigned, in_days, outcomes, running_atp, unique
from tiercel.cli import app
from tiercel.reaching import forget_running, note_running


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        yield running


async def replayed(atp: Atp, name: str) -> list[Replayed]:
    """What comes of deciding again what an id means."""
    reader = PostgresDecisionReader(atp.database)
    batch, _, place = name.partition(".")
    names = [DecisionName(UUID(batch), int(place))] if place else await reader.names(UUID(batch))
    return [each for decision in names for each in await replay(reader, decision) or []]


async def all_replayed(atp: Atp) -> list[Replayed]:
    """Every decision in the database, made again."""
    return [
        each
        for (batch,) in await atp.fetch("SELECT decision_id FROM decision_batch ORDER BY 1")
        for each in await replayed(atp, str(batch))
    ]


async def send(atp: Atp, method: str, path: str, body: Any = None) -> Any:
    answer = await atp.client.request(method, path, json=body)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


async def a_busy_day(atp: Atp) -> list[str]:
    """Every kind of command, under protections and quotas; the promises made."""
    await atp.tier("gold", 1)
    await atp.tier("bronze", 3, default=True)
    await atp.customer("vip", assigned("gold"))
    item, other = [await atp.item(on_hand=12) for _ in range(2)]
    protection = {"sku": item, "location": "L1", "tier": "gold", "start": in_days(-1), "end": in_days(9)}
    await send(atp, "PUT", f"/v1/protections/{unique('kept')}", {"lines": [{**protection, "protected_qty": 4}]})
    quota = {"start": in_days(-1), "end": in_days(9), "quantity": 9, "tier": "bronze", "sku": other}
    await send(atp, "PUT", f"/v1/quotas/{unique('most')}", {"lines": [quota]})
    orders = [an_order((item, 5), (other, 4)) for _ in range(4)]
    orders += [an_order((item, 5), (item, 5), customer={"system": "erp", "id": "vip"}, ship_complete=True)]
    orders += [an_order(("unknown", 1)), an_order((other, 3), channel="web")]
    made = [str((await atp.place(order)).json()["promise_id"]) for order in orders]
    batch = [an_order((item, 1), (other, 1)) for _ in range(3)]
    answers = await send(atp, "POST", "/v1/promises:batch", {"items": batch})
    made += [each["promise"]["promise_id"] for each in answers["items"]]
    await send(atp, "POST", f"/v1/promises/{made[1]}:confirm", {"version": 1})
    await send(atp, "POST", f"/v1/promises/{made[0]}:cancel", {"version": 1})
    supply = {"source": "wms", "sku": item, "location": "L1", "occurred_at": "2026-01-05T08:00:00Z"}
    await send(
        atp,
        "POST",
        "/v1/supply/movements",
        {"items": [{**supply, "reference": unique("gr"), "kind": "receipt", "quantity": 30}]},
    )
    await atp.until("SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL)")
    return made


async def test_decisions_of_all_kinds_of_commands_are_reproduced(atp: Atp) -> None:
    made = await a_busy_day(atp)
    found = await all_replayed(atp)
    assert [each.differences for each in found if each.differences] == []
    assert {each.kind for each in found} == {"decide", "redecide"}
    assert sum(each.document_bytes is not None for each in found) == len(made)
    assert sum(each.quantities for each in found) == (await atp.fetch("SELECT count(*) FROM commitment"))[0][0]
    assert {each.engine_version for each in found} == {ENGINE_VERSION}


async def test_an_id_means_the_decisions_of_a_promise_a_batch_or_one(atp: Atp) -> None:
    item = await atp.item(on_hand=1)
    holder, waiting = [(await atp.place(an_order((item, 1)))).json() for _ in range(2)]
    await send(atp, "POST", f"/v1/promises/{holder['promise_id']}:cancel", {"version": 1})
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE item_id = $1)", item)
    kinds = [each.kind for each in await replayed(atp, waiting["promise_id"])]
    assert kinds == ["decide", "redecide"]
    (one,) = await replayed(atp, holder["decision_id"])
    assert (str(one.batch), one.index) == (holder["decision_id"][:36], int(holder["decision_id"][37:]))
    assert one in await replayed(atp, holder["decision_id"][:36])


async def tamper(atp: Atp, decision_id: str, **changed: Any) -> None:
    """Write another input into a record, with its digest beside it."""
    ((stored,),) = await atp.fetch("SELECT input FROM decision_batch WHERE decision_id = $1::uuid", decision_id)
    encoded = orjson.dumps({**orjson.loads(zlib.decompress(stored)), **changed})
    await atp.execute(
        "UPDATE decision_batch SET input = $2, digest = sha256($3) WHERE decision_id = $1::uuid",
        decision_id,
        zlib.compress(encoded),
        encoded,
    )


async def test_a_difference_is_found_in_record_answer_and_ledger(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    promises = [(await atp.place(an_order((item, 1)))).json() for _ in range(3)]
    assert [await replayed(atp, each["promise_id"]) for each in promises]
    first, second, third = promises
    await atp.execute("UPDATE commitment SET quantity = 9 WHERE promise_id = $1::uuid", first["promise_id"])
    (found,) = await replayed(atp, first["decision_id"])
    assert len(found.differences) == 2
    await atp.execute("UPDATE promise SET document = document || ' ' WHERE promise_id = $1::uuid", second["promise_id"])
    (found,) = await replayed(atp, second["decision_id"])
    assert found.differences == ("the answer is not the stored document, byte for byte",)
    await atp.execute(
        "UPDATE decision_batch SET digest = sha256('x') WHERE decision_id = $1::uuid", third["decision_id"][:36]
    )
    (found,) = await replayed(atp, third["decision_id"])
    assert found.differences == ("the record is not the one that its digest was taken of",)


async def test_other_input_gives_another_decision_and_is_told(atp: Atp) -> None:
    item = await atp.item(on_hand=5)
    promise = (await atp.place(an_order((item, 3)))).json()
    assert outcomes(await atp.client.get(f"/v1/promises/{promise['promise_id']}")) == ["promised"]
    decision_id = promise["decision_id"][:36]
    ((stored,),) = await atp.fetch("SELECT input FROM decision_batch WHERE decision_id = $1::uuid", decision_id)
    positions = orjson.loads(zlib.decompress(stored))["positions"]
    await tamper(atp, decision_id, positions=[{**each, "on_hand": 1} for each in positions])
    (found,) = await replayed(atp, promise["decision_id"])
    assert found.differences[0].startswith("the decisions of the batch are not those")
    assert found.differences[-1] == "the answer is not the stored document, byte for byte"
    assert len(found.differences) == 4


async def test_the_command_tells_and_its_status_says_whether_all_is_as_stored(atp: Atp, tmp_path: Path) -> None:
    item = await atp.item(on_hand=5)
    promise = (await atp.place(an_order((item, 3)))).json()
    note_running(tmp_path, atp.database.url)

    async def say(name: str) -> tuple[int, str]:
        arguments = ["replay-decision", name, "--data", str(tmp_path)]
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
        return done.exit_code, done.output

    code, said = await say(promise["promise_id"])
    assert code == 0
    assert f"by engine {ENGINE_VERSION}; reproduced byte for byte" in said
    assert promise["order"]["order_id"] in said
    await atp.execute("UPDATE commitment SET quantity = 9 WHERE promise_id = $1::uuid", promise["promise_id"])
    code, said = await say(promise["decision_id"])
    assert (code, "DIFFERS" in said) == (1, True)
    for unknown in ("019b0000-0000-7000-8000-000000000000", "nonsense", f"{promise['decision_id'][:36]}.77"):
        assert (await say(unknown))[0] == 1
    forget_running(tmp_path)
