"""The CSV round trip of allocation documents: exported, edited, looked at, imported; nothing overwritten unseen."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.atp import Atp, an_order, assigned, in_days, running_atp, unique

Rows = list[dict[str, str]]


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url) as running:
        await running.tier("gold", 1)
        await running.tier("bronze", 3, default=True)
        await running.customer("g", assigned("gold"))
        yield running


async def export(atp: Atp, path: str) -> Rows:
    answer = await atp.client.get(f"/v1/{path}/csv")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text)))


def text_of(rows: Rows) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


async def send(atp: Atp, path: str, content: str | bytes, **query: Any) -> httpx.Response:
    return await atp.client.post(f"/v1/{path}/csv", content=content, params=query, headers={"content-type": "text/csv"})


async def write(atp: Atp, path: str, document: dict[str, Any]) -> None:
    answer = await atp.client.put(f"/v1/{path}", json=document)
    assert answer.status_code == 200, answer.text


def line(item: str, tier: str = "gold", days: tuple[int, int] = (0, 9), **fields: Any) -> dict[str, Any]:
    return {"sku": item, "tier": tier, "start": in_days(days[0]), "end": in_days(days[1]), **fields}


async def documents(atp: Atp) -> dict[str, dict[str, Any]]:
    """One document of each kind, with everything that a kind can say."""
    item, other = await atp.item(on_hand=500), await atp.item(on_hand=500)
    await atp.location("L2")
    periods = [{"start": in_days(10 * each), "end": in_days(10 * each + 9)} for each in range(2)]
    node = {"attribute": "tier", "value": "gold", "quantities": [30, 40], "borrow_policy": "siblings", "priority": 2}
    quota = {"sku": item, "channel": "web", "forward_periods": 1, "quantity": 9}
    return {
        f"protections/{unique('p')}": {
            "lines": [
                line(item, location="L1", protected_qty=50, mode="core", lapse_days=2, strict_privilege=True),
                line(item, "bronze", locations=["L1", "L2"], percent="12.5", carry_stock=True, expected_qty=70),
                line(other, ratio=3),
                line(other, "emergency", protected_qty=5, unconsumable=True),
            ]
        },
        f"quotas/{unique('q')}": {
            "lines": [
                *({**quota, **period} for period in periods),
                {**periods[0], "quantity": 0, "customer": "g", "zone": "GB", "item_group": "tea"},
            ]
        },
        f"hierarchies/{unique('h')}": {
            "sku": item,
            "periods": periods,
            "fair_share": True,
            "nodes": [
                {"node": "north", "attribute": "zone", "value": "GB", "quantities": [20, 0]},
                {"node": "gold", "parent": "north", "lock_window_days": 3, **node},
            ],
            "pool": {"node": "rest", "quantities": [5, 6]},
        },
    }


async def test_what_is_exported_reads_back_as_the_same_document(atp: Atp) -> None:
    for path, document in (await documents(atp)).items():
        await write(atp, path, document)
        before = (await atp.client.get(f"/v1/{path}")).json()
        exported = await atp.client.get(f"/v1/{path}/csv")
        assert exported.headers["etag"] == '"1"'
        seen = await send(atp, path, exported.text, dry_run=True)
        assert seen.status_code == 200, seen.text
        assert (seen.json()["changes"], seen.json()["set_aside"]) == ([], [])
        assert seen.json()["unchanged"] == len(await export(atp, path))
        written = await send(atp, path, exported.text, effective_from="2000-01-01T00:00:00Z")
        assert written.json()["version"] == 2, written.text
        after = (await atp.client.get(f"/v1/{path}")).json()
        changed = {"version", "effective_from", "effective_to", "recorded_at"}
        assert {name: after[name] for name in after if name not in changed} == {
            name: before[name] for name in before if name not in changed
        }


async def test_a_dry_run_shows_every_line_that_differs_and_whom_it_would_touch_and_writes_nothing(atp: Atp) -> None:
    without = atp.credentials.headers("atp.configure")  # before the first request: keys are not read at every one
    item, path = await atp.item(on_hand=100), f"protections/{unique('p')}"
    lines = [line(item, location="L1", protected_qty=100), line(item, "bronze", location="L1", protected_qty=1)]
    await write(atp, path, {"lines": lines})
    waiting = (await atp.place(an_order((item, 40)))).json()["promise_id"]
    rows = await export(atp, path)
    rows[0]["protected_qty"] = "60"
    rows[1] = {**rows[1], "start": in_days(20), "end": in_days(25)}
    shown = (await send(atp, path, text_of(rows), dry_run=True)).json()
    keys = f"sku={item} location=L1 tier="
    assert [(each["change"], each["row"], each["line"]) for each in shown["changes"]] == [
        ("changed", f"{keys}gold start={in_days(0)}", 2),
        ("added", f"{keys}bronze start={in_days(20)}", 3),
        ("removed", f"{keys}bronze start={in_days(0)}", None),
    ]
    assert shown["changes"][0]["fields"] == [{"field": "protected_qty", "before": "100", "after": "60"}]
    assert (shown["version"], shown["dry_run"], shown["touches"]["total"]["gained"]) == (None, True, 40)
    assert [each["promise_id"] for each in shown["touches"]["promises"]] == [waiting]
    assert (await atp.client.get(f"/v1/{path}")).json()["version"] == 1
    answer = await atp.client.post(f"/v1/{path}/csv?dry_run=true", content=text_of(rows), headers=without)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["touches"], "atp.preview" in answer.json()["touches_missing"]) == (None, True)
    done = (await send(atp, path, text_of(rows))).json()
    assert done["version"] == 2
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE promise_id = $1::text::uuid)", waiting)


async def test_a_new_version_has_its_author_and_date_and_takes_effect_then(atp: Atp) -> None:
    item, path = await atp.item(on_hand=100), f"protections/{unique('p')}"
    await write(atp, path, {"lines": [line(item, location="L1", protected_qty=10)]})
    rows = await export(atp, path)
    rows[0]["protected_qty"] = "90"
    tomorrow = f"{in_days(1)}T00:00:00Z"
    assert (await send(atp, path, text_of(rows), effective_from=tomorrow)).json()["version"] == 2
    versions = (await atp.client.get(f"/v1/{path}/versions")).json()["items"]
    assert [(each["version"], each["author"], each["state"]) for each in versions] == [
        (2, "tester", "upcoming"),
        (1, "tester", "in_effect"),
    ]
    now = await atp.client.get(f"/v1/{path}", params={"at": f"{in_days(0)}T23:59:59Z"})
    then = await atp.client.get(f"/v1/{path}", params={"at": tomorrow})
    assert [each.json()["lines"][0]["protected_qty"] for each in (now, then)] == [10, 90]


async def test_bad_rows_are_set_aside_with_line_and_reason_and_nothing_is_written_by_accident(atp: Atp) -> None:
    item, path = await atp.item(on_hand=100), f"protections/{unique('p')}"
    good = {"document_id": "", "base_version": "0", **{name: str(each) for name, each in line(item).items()}}
    good |= {"location": "L1", "locations": "", "protected_qty": "10", "percent": "", "mode": ""}
    rows = [
        good,
        {**good, "tier": "bronze", "protected_qty": "ten"},
        {**good, "tier": "bronze", "sku": "NOWHERE"},
        {**good, "tier": "bronze", "percent": "5"},
        {**good, "end": in_days(4)},
        {**good, "tier": "bronze", "document_id": "another"},
        {**good, "tier": "bronze"},
    ]
    refused = await send(atp, path, text_of(rows))
    assert (refused.status_code, refused.json()["code"]) == (422, "rows_set_aside")
    assert (await atp.client.get(f"/v1/{path}")).status_code == 404
    aside = refused.json()["set_aside"]
    assert [each["line"] for each in aside] == [3, 4, 5, 6, 7]
    for each, reason in zip(
        aside, ("integer", "NOWHERE is not known", "exactly one", "line 2", "another"), strict=True
    ):
        assert reason in each["reason"]
    done = await send(atp, path, text_of(rows), without_bad_rows=True)
    assert (done.json()["version"], len(done.json()["changes"])) == (1, 2), done.text
    assert [each["tier"] for each in (await atp.client.get(f"/v1/{path}")).json()["lines"]] == ["gold", "bronze"]


async def test_a_stale_base_is_refused_in_a_file_and_in_a_put(atp: Atp) -> None:
    item, path = await atp.item(on_hand=100), f"protections/{unique('p')}"
    document = {"lines": [line(item, location="L1", protected_qty=10)]}
    await write(atp, path, document)
    exported = (await atp.client.get(f"/v1/{path}/csv")).text
    await write(atp, path, document)
    for dry_run in (True, False):
        answer = await send(atp, path, exported, dry_run=dry_run)
        assert (answer.status_code, answer.json()["code"], answer.json()["current_version"]) == (
            412,
            "precondition_failed",
            2,
        )
    for base, status in (('"1"', 412), ('"2"', 200), ('"0"', 412), ("W/x", 400)):
        answer = await atp.client.put(f"/v1/{path}", json=document, headers={"if-match": base})
        assert answer.status_code == status, answer.text
    assert (await send(atp, path, exported, base_version=3)).json()["version"] is None  # nothing differs
    nameless = "\n".join(row.split(",", 2)[2] for row in exported.splitlines())
    answer = await send(atp, path, nameless)
    assert (answer.status_code, answer.json()["code"]) == (428, "precondition_required")


async def test_no_cell_is_a_formula_and_every_id_comes_back_as_it_was(atp: Atp) -> None:
    path, names = f"quotas/{unique('q')}", ["=1+1", "+44", "-x", "@SUM(A1)", "'quoted", "'=twice", "plain"]
    for name in names:
        await atp.item(name)
    period = {"start": in_days(0), "end": in_days(9), "quantity": 1}
    await write(atp, path, {"lines": [{**period, "sku": name, "customer": name} for name in names]})
    exported = await atp.client.get(f"/v1/{path}/csv")
    cells = [cell for row in csv.reader(io.StringIO(exported.text)) for cell in row]
    assert not [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r"}]
    seen = (await send(atp, path, exported.text, dry_run=True)).json()
    assert (seen["changes"], seen["set_aside"], seen["unchanged"]) == ([], [], len(names))


async def test_a_file_that_is_no_table_is_refused_whole(atp: Atp) -> None:
    path = f"hierarchies/{unique('h')}"
    header = "sku,fair_share,node,parent,attribute,value,priority,borrow_policy,lock_window_days,start,end,quantity"
    span = f"{in_days(0)},{in_days(9)}"
    files: list[tuple[str | bytes, str]] = [
        (b"\xff\xfe", "UTF-8"),
        ("node,start,surprise\n", "surprise"),
        ("node\n", "missing"),
        (f'{header}\n"open,', "unexpected end"),
        (f"{header}\nx,no,a,,tier,gold,,,,{span},1\n", "pool"),
        (f"{header}\nx,no,rest,,pool,,,,,{span},1\ny,no,a,,tier,gold,,,,{span},1\n", "one sku"),
    ]
    for content, reason in files:
        answer = await send(atp, path, content, base_version=0)
        assert (answer.status_code, answer.json()["code"]) == (422, "sheet_refused"), answer.text
        assert reason in answer.json()["detail"]


async def test_a_document_keeps_its_kind(atp: Atp) -> None:
    name = unique("same")
    await write(atp, f"protections/{name}", {"lines": []})
    answer = await atp.client.put(f"/v1/quotas/{name}", json={"lines": []})
    assert (answer.status_code, answer.json()["code"]) == (409, "document_kind")
