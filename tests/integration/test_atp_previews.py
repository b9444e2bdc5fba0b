"""`POST /v1/previews`: it writes nothing, locks nothing, and foretells exactly what the change then does."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
import pytest

from services.atp.adapters.segments import SegmentProjection
from services.chassis.database import Connection
from services.chassis.deliveries import Delivery
from services.chassis.envelope import to_record
from services.chassis.event_log.port import Received
from services.contracts import catalogue
from tests.support.atp import Atp, an_order, assigned, in_days, order_event, running_atp, today, unique

Standings = dict[tuple[str, str], tuple[int, int]]  # by promise and line: promised less at risk, and backordered
QUIET = """
SELECT NOT EXISTS (SELECT FROM position WHERE marked_at IS NOT NULL) AND NOT EXISTS (SELECT FROM deficit_review)
    AND NOT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)
"""
TIERS = ("gold", "silver", "bronze")
BEATING = ("lease", "segment_heartbeat", "projection_offset")  # written from time to time, whoever asks what


@pytest.fixture
async def atp(database_url: str) -> AsyncIterator[Atp]:
    async with running_atp(database_url, atp_measuring_seconds=3_600) as running:
        await running.tier("gold", 1)
        await running.tier("silver", 2)
        await running.tier("bronze", 3, default=True)
        for number in range(4):
            await running.customer(f"g{number}", assigned("gold"))
            await running.customer(f"s{number}", assigned("silver"))
            await running.customer(f"b{number}", assigned("bronze"))
        yield running


async def preview(atp: Atp, **changes: Any) -> Any:
    answer = await atp.client.post("/v1/previews", json=changes)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def contents(atp: Atp) -> dict[str, str]:
    """A digest of every row of every table, and where every sequence stands, once all is published."""
    await atp.until(QUIET)
    names = """
    SELECT relname::text FROM pg_class
    WHERE relnamespace = 'atp'::regnamespace AND relkind = ANY($1::"char"[]) AND NOT relispartition ORDER BY 1
    """
    found: dict[str, str] = {}
    for (table,) in await atp.fetch(names, [b"r", b"p"]):
        if table not in BEATING:
            rows = f"SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '')) FROM atp.\"{table}\" t"
            found[table] = (await atp.fetch(rows))[0][0]
    for (sequence,) in await atp.fetch(names, [b"S"]):
        found[sequence] = str(await atp.fetch(f'SELECT last_value, is_called FROM atp."{sequence}"'))
    assert len(found) > 45
    return found


async def standings(atp: Atp) -> Standings:
    rows = await atp.fetch(
        "SELECT p.promise_id::text, l ->> 'line', (l ->> 'promised')::bigint - coalesce(("
        "  SELECT sum(d.quantity)::bigint FROM deficit d WHERE d.promise_id = p.promise_id AND d.line = l ->> 'line'"
        " ), 0), (l ->> 'backordered')::bigint"
        " FROM promise p, jsonb_array_elements(convert_from(p.document, 'UTF8')::jsonb -> 'lines') l"
    )
    return {(promise, line): (has, waits) for promise, line, has, waits in rows}


def foretold(before: Standings, shown: Any) -> Standings:
    """How all lines stand after what a preview shows."""
    after = dict(before)
    for promise in shown["promises"]:
        for line in promise["lines"]:
            now = line["after"]
            after[promise["promise_id"], line["line"]] = (now["promised"] - now["at_risk"], now["backordered"])
    return after


async def place(atp: Atp, *lines: tuple[str, int], customer: str = "b0", **fields: Any) -> str:
    answer = await atp.place(an_order(*lines, customer={"system": "erp", "id": customer}, **fields))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["promise_id"])


async def due(atp: Atp, item: str, quantity: int, day: int, *, version: int = 1, name: str | None = None) -> Any:
    entry = {"source": "erp", "reference": name or unique("po"), "sku": item, "location": "L1", "quantity": quantity}
    body = {"items": [{**entry, "due": in_days(day), "certainty": "confirmed", "version": version}]}
    answer = await atp.client.post("/v1/supply/receipts", json=body)
    assert answer.status_code == 200, answer.text
    return {name: entry[name] for name in ("source", "reference", "sku", "location")}


def protecting(item: str, quantity: int, tier: str = "gold", days: tuple[int, int] = (0, 9)) -> dict[str, Any]:
    start, end = in_days(days[0]), in_days(days[1])
    return {"sku": item, "location": "L1", "tier": tier, "start": start, "end": end, "protected_qty": quantity}


async def put(atp: Atp, path: str, document: dict[str, Any]) -> None:
    answer = await atp.client.put(path, json=document)
    assert answer.status_code == 200, answer.text


async def retier(atp: Atp, customer: str, tier: str) -> None:
    """Move a customer as the registry would tell it."""
    payload: dict[str, Any] = {
        "customer_id": customer,
        "sequence": 2,
        "identifiers": [{"system": "erp", "id": customer}],
        "assignments": [assigned(tier, sequence=2)],
    }
    key = {"order": {"order_id": customer}}
    event = order_event(catalogue.SEGMENT_CURRENT, key, data=orjson.dumps(payload), key=customer)
    delivery = Delivery(event, Received(to_record(event), 0, 0, datetime.now(UTC)))
    projection = SegmentProjection(partial(pytest.fail, "the event is unreadable"))
    await atp.database.run(partial(told, projection, delivery), label="test")


async def told(projection: SegmentProjection, delivery: Delivery, connection: Connection) -> None:
    await projection(connection, [delivery])


async def test_a_weaker_protection_shows_who_would_be_served_and_writes_nothing(atp: Atp) -> None:
    item, document = await atp.item(on_hand=100), unique("keep")
    await put(atp, f"/v1/protections/{document}", {"lines": [protecting(item, 100)]})
    waiting = await place(atp, (item, 40), customer="s0")
    await place(atp, (item, 30))
    before, picture = await contents(atp), await standings(atp)
    tried = {"document_id": document, "document": {"lines": [protecting(item, 50)]}}
    shown = await preview(atp, protections=[tried])
    assert await contents(atp) == before
    assert shown["total"] == {"gained": 50, "lost": 0, "promises_gaining": 2, "promises_losing": 0}
    assert {each["tier"]: each["gained"] for each in shown["tiers"]} == {"silver": 40, "bronze": 10}
    assert next(each for each in shown["promises"] if each["promise_id"] == waiting)["gained"] == 40
    await put(atp, f"/v1/protections/{document}", tried["document"])  # type: ignore[arg-type]
    await atp.until(QUIET)
    assert await standings(atp) == foretold(picture, shown)


async def test_a_stronger_protection_shows_what_lower_tiers_could_no_longer_take(atp: Atp) -> None:
    item = await atp.item(on_hand=100)
    tried = {"document_id": unique("keep"), "document": {"lines": [protecting(item, 70)]}}
    shown = await preview(atp, protections=[tried])
    assert shown["promises"] == []
    rooms = {each["tier"]: (each["today_before"], each["today"]) for each in shown["rooms"]}
    assert rooms == {"silver": (100, 30), "bronze": (100, 30)}


async def test_late_and_short_supply_show_who_would_go_short_in_reverse_order_of_service(atp: Atp) -> None:
    item = await atp.item()
    receipt = await due(atp, item, 100, 3)
    gold = await place(atp, (item, 60), customer="g0")
    bronze = await place(atp, (item, 40))
    before, picture = await contents(atp), await standings(atp)
    late = await preview(atp, receipts=[{**receipt, "days_later": 10}])
    short = await preview(atp, receipts=[{**receipt, "quantity": 70}])
    assert await contents(atp) == before
    assert late["total"]["lost"] == 100
    lost = {each["promise_id"]: each["lost"] for each in short["promises"]}
    assert lost == {bronze: 30}
    assert gold not in lost
    await due(atp, item, 70, 3, version=2, name=receipt["reference"])
    await atp.until("SELECT EXISTS (SELECT FROM deficit)")
    await atp.until(QUIET)
    assert await standings(atp) == foretold(picture, short)


async def test_other_tiers_of_customers_show_who_would_be_served_instead(atp: Atp) -> None:
    item, document = await atp.item(on_hand=60), unique("keep")
    await put(atp, f"/v1/protections/{document}", {"lines": [protecting(item, 60)]})
    first = await place(atp, (item, 50), customer="s0")
    second = await place(atp, (item, 50), customer="b1")
    picture = await standings(atp)
    tried = {"customer": {"system": "erp", "id": "b1"}, "tier": "gold"}
    shown = await preview(atp, tiers=[tried])
    assert [(each["promise_id"], each["tier_before"], each["tier"], each["gained"]) for each in shown["promises"]] == [
        (second, "bronze", "gold", 50)
    ]
    assert first != second
    await retier(atp, "b1", "gold")
    await atp.until("SELECT NOT EXISTS (SELECT FROM backorder WHERE promise_id = $1::text::uuid)", second)
    await atp.until(QUIET)
    assert await standings(atp) == foretold(picture, shown)


@dataclass(frozen=True)
class World:
    """Two items at two locations, with receipts, and customers of their own."""

    atp: Atp
    chance: random.Random
    items: list[str]
    receipts: dict[str, Any]
    customers: list[str]
    name: str

    def protecting(self, most: int) -> dict[str, Any]:
        lines = [protecting(item, self.chance.randrange(most), tier) for item in self.items for tier in TIERS[:2]]
        return {"lines": lines}

    def over_locations(self, percent: int) -> dict[str, Any]:
        span = {"start": in_days(0), "end": in_days(9), "tier": "gold"}
        parts = [{**span, "sku": self.items[0], "percent": str(self.chance.randrange(percent))}]
        numbers = [{**span, "sku": self.items[1], "protected_qty": self.chance.randrange(percent)}]
        return {"lines": [*parts, *numbers]}

    def limiting(self, most: int) -> dict[str, Any]:
        span = {"start": in_days(0), "end": in_days(9), "quantity": self.chance.randrange(most)}
        return {"lines": [{**span, "tier": "bronze"}, {**span, "sku": self.items[0], "tier": "silver"}]}

    def tree(self, most: int) -> dict[str, Any]:
        nodes = [
            {"node": tier, "attribute": "tier", "value": tier, "quantities": [self.chance.randrange(most)]}
            | {"priority": rank, "borrow_policy": self.chance.choice(["none", "siblings"])}
            for rank, tier in enumerate(TIERS, start=1)
        ]
        pool = {"node": "rest", "quantities": [self.chance.randrange(most)]}
        span = {"start": in_days(0), "end": in_days(9)}
        fair = self.chance.random() < 0.5
        return {"sku": self.items[0], "periods": [span], "nodes": nodes, "pool": pool, "fair_share": fair}


async def a_world(atp: Atp, seed: int) -> World:
    chance = random.Random(seed)
    items = [await atp.item(on_hand=chance.randrange(40)) for _ in range(2)]
    for item in items:
        await atp.item(item, on_hand=chance.randrange(20), location="L2")
    receipts = {item: await due(atp, item, chance.randrange(1, 60), chance.randrange(2, 6)) for item in items}
    customers = [unique(tier) for tier in TIERS for _ in range(3)]
    for customer in customers:
        await atp.customer(customer, assigned(customer.partition("-")[0]))
    return World(atp, chance, items, receipts, customers, unique("tried"))


async def fill(world: World) -> None:
    """Orders for more than there is, some of which ship complete."""
    chance = world.chance
    for _ in range(16):
        asked = [(item, chance.randrange(1, 30)) for item in world.items if chance.random() < 0.7]
        complete = chance.random() < 0.3
        lines = asked or [(world.items[0], 5)]
        await place(world.atp, *lines, customer=chance.choice(world.customers), ship_complete=complete)
    await world.atp.until(QUIET)


DOCUMENTS: dict[str, Any] = {  # path, and how it is written before and after
    "protections": (lambda world: world.protecting(80), lambda world: world.protecting(30)),
    "protections over locations": (lambda world: world.over_locations(95), lambda world: world.over_locations(40)),
    "quotas": (lambda world: world.limiting(10), lambda world: world.limiting(90)),
    "hierarchies": (lambda world: world.tree(20), lambda world: world.tree(60)),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_what_a_preview_of_a_document_shows_is_what_the_document_does(atp: Atp, kind: str, seed: int) -> None:
    world = await a_world(atp, seed)
    first, then = DOCUMENTS[kind]
    path = kind.partition(" ")[0]
    await put(atp, f"/v1/{path}/{world.name}", first(world))
    await fill(world)
    document = then(world)
    before, picture = await contents(atp), await standings(atp)
    shown = await preview(atp, **{path: [{"document_id": world.name, "base_version": 1, "document": document}]})
    assert await contents(atp) == before
    await put(atp, f"/v1/{path}/{world.name}", document)
    await atp.until(QUIET)
    assert await standings(atp) == foretold(picture, shown)


@pytest.mark.parametrize("seed", range(6))
async def test_what_a_preview_of_supply_shows_is_what_the_supply_does(atp: Atp, seed: int) -> None:
    """More of it earlier, less of it, and later."""
    world = await a_world(atp, seed)
    await put(atp, f"/v1/protections/{world.name}", world.protecting(40))
    await fill(world)
    item = world.items[0]
    receipt, quantity, later = world.receipts[item], world.chance.randrange(90), world.chance.randrange(-1, 8)
    before, picture = await contents(atp), await standings(atp)
    shown = await preview(atp, receipts=[{**receipt, "quantity": quantity, "days_later": later}])
    assert await contents(atp) == before
    stored = "SELECT due_day FROM scheduled_receipt WHERE reference = $1"
    day = (await atp.fetch(stored, receipt["reference"]))[0][0] - today().toordinal()
    await due(atp, item, quantity, day + later, version=2, name=receipt["reference"])
    await atp.until(QUIET)
    assert await standings(atp) == foretold(picture, shown)


@pytest.mark.parametrize("seed", range(3))
async def test_what_a_preview_of_tiers_shows_is_what_the_tiers_do(atp: Atp, seed: int) -> None:
    world = await a_world(atp, seed)
    await put(atp, f"/v1/protections/{world.name}", world.protecting(60))
    await fill(world)
    moved = {customer: world.chance.choice(TIERS) for customer in world.chance.sample(world.customers, 2)}
    before, picture = await contents(atp), await standings(atp)
    tried = [{"customer": {"system": "erp", "id": name}, "tier": tier} for name, tier in moved.items()]
    shown = await preview(atp, tiers=tried)
    assert await contents(atp) == before
    for customer, tier in moved.items():
        await retier(atp, customer, tier)
    await atp.until(QUIET)
    assert await standings(atp) == foretold(picture, shown)


async def test_a_preview_holds_up_nobody_and_sees_nothing_that_comes_after_it_began(atp: Atp) -> None:
    item, document = await atp.item(on_hand=10_000), unique("keep")
    await put(atp, f"/v1/protections/{document}", {"lines": [protecting(item, 10_000)]})
    for _ in range(30):
        await place(atp, (item, 3))
    tried = {"document_id": document, "document": {"lines": []}}
    asked = asyncio.create_task(preview(atp, protections=[tried]))
    placed = [await place(atp, (item, 1), customer="g1") for _ in range(10)]
    shown = await asked
    assert shown["total"]["gained"] == 90
    assert not {each["promise_id"] for each in shown["promises"]} & set(placed)


async def test_what_cannot_be_previewed_is_told_plainly(atp: Atp) -> None:
    item = await atp.item(on_hand=1)
    lines = [protecting(item, 1), protecting(item, 1)]
    receipt = {"source": "erp", "reference": "nowhere", "sku": item, "location": "L1", "days_later": 1}
    stranger = {"customer": {"system": "erp", "id": "stranger"}, "tier": "gold"}
    known = {"customer": {"system": "erp", "id": "g0"}, "tier": "platinum"}
    stale = {"document_id": unique("new"), "base_version": 3, "document": {"lines": []}}
    tries: list[tuple[dict[str, Any], int, str]] = [
        ({}, 422, "validation_failed"),
        ({"protections": [{"document_id": "twice", "document": {"lines": lines}}]}, 409, "periods_overlap"),
        ({"protections": [stale]}, 412, "precondition_failed"),
        ({"receipts": [receipt]}, 422, "receipt_unknown"),
        ({"tiers": [stranger]}, 422, "preview_customer_unknown"),
        ({"tiers": [known]}, 422, "tier_unknown"),
        ({"tiers": [known, known]}, 422, "validation_failed"),
    ]
    for body, status, code in tries:
        answer = await atp.client.post("/v1/previews", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_change_that_concerns_too_much_is_refused_with_its_bound(
    atp: Atp, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, document = await atp.item(on_hand=1), unique("keep")
    await put(atp, f"/v1/protections/{document}", {"lines": [protecting(item, 1)]})
    for _ in range(3):
        await place(atp, (item, 1))
    tried = {"document_id": document, "document": {"lines": []}}
    for bound, limit in (("promises", "PROMISES_MAX"), ("positions", "POSITIONS_MAX"), ("seconds", "SECONDS_MAX")):
        with monkeypatch.context() as patched:
            patched.setattr(f"services.atp.adapters.rehearsals.{limit}", 0)
            answer = await atp.client.post("/v1/previews", json={"protections": [tried]})
        assert (answer.status_code, answer.json()["code"], answer.json()["bound"]) == (422, "preview_too_large", bound)
    assert (await preview(atp, protections=[tried]))["total"]["gained"] == 1


async def test_previews_have_a_scope_of_their_own_and_are_of_all_channels(atp: Atp) -> None:
    body = {"tiers": [{"customer": {"system": "erp", "id": "g0"}, "tier": "gold"}]}
    for headers in (
        atp.credentials.headers("atp.read", "atp.configure", "atp.plan"),
        atp.credentials.headers("atp.preview", channels=["web"]),
    ):
        answer = await atp.client.post("/v1/previews", json=body, headers=headers)
        assert answer.status_code == 403, answer.text
