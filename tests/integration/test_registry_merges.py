"""Duplicates are merged and split: one customer under all its identifiers, its history kept, subscribers told."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.atp.adapters.customers import customers as customers_of_atp
from services.atp.adapters.segments import SegmentProjection
from services.atp.application.content import CustomerKey
from services.chassis.business_time import Phase, clear_replay, set_replay
from services.chassis.database import Connection, Database
from services.chassis.deliveries import Delivery
from services.chassis.envelope import Event, to_record
from services.chassis.event_log.port import Received
from services.chassis.migrations import migrate
from services.contracts.segments import SegmentChanged, SegmentCurrent
from services.segment_registry.application.apply_proposals import ReceivedProposal, apply_proposals
from services.segment_registry.application.ports import Cause, ProposalVerdict
from services.segment_registry.domain.merging import MERGES_DEEP_MAX
from services.segment_registry.domain.proposals import Proposal, ProposalRefusal
from services.segment_registry.entrypoints.documents import CustomerDocument
from services.segment_registry.entrypoints.explanation_documents import ExplanationDocument
from tests.support.registry_service import RegistryUnderTest, registry_over

NOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running
        await running.database.run(clear_replay, label="test")


async def at(registry: RegistryUnderTest, moment: datetime) -> None:
    async def work(connection: Connection) -> None:
        await set_replay(connection, moment, Phase.SETTLE, 1)

    await registry.database.run(work, label="move the business time")


async def act(registry: RegistryUnderTest, customer: str, action: str, **body: Any) -> tuple[int, str]:
    """The status, and the state of the customer or the code."""
    path = f"/v1/customers/{customer}:{action}"
    answer = await registry.client.post(path, json={"reason": "a duplicate", **body})
    document = answer.json()
    return answer.status_code, document.get("code") or document["status"]


async def resolved(registry: RegistryUnderTest, name: str) -> tuple[str, str]:
    """The customer and its tier under an identifier of the ERP."""
    answer = await registry.client.get("/v1/customers:resolve", params={"system": "erp", "id": name})
    document = CustomerDocument.model_validate_json(answer.content)
    return document.customer_id, document.tier


async def tier_of(registry: RegistryUnderTest, customer: str, **query: str) -> str:
    tier: str = (await registry.client.get(f"/v1/customers/{customer}/tier", params=query)).json()["tier"]
    return tier


async def test_two_records_of_one_customer_are_served_as_one_and_told_so(registry: RegistryUnderTest) -> None:
    twin, other = await registry.new_customer("twin", "silver"), await registry.new_customer("other", "gold")
    assert await act(registry, twin, "merge", into=other) == (200, "merged")
    assert await resolved(registry, "twin") == await resolved(registry, "other") == (other, "gold")
    assert await tier_of(registry, twin) == "gold"
    state, change = [event.payload for event in await registry.published(twin)][-2:]
    assert isinstance(state, SegmentCurrent)
    assert (state.status, state.merged_into, state.assignments) == ("merged", other, ())
    assert [each.id for each in state.identifiers] == ["twin"]  # it still says who is meant
    assert isinstance(change, SegmentChanged)
    assert (change.from_tier, change.to_tier, change.reason) == ("silver", "gold", "a duplicate")
    for path, body in (("assignments", {"tier": "gold"}), ("assignments/2:end", {"reason": "x"})):
        answer = await registry.client.post(f"/v1/customers/{twin}/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "merged_customer")
    same = await registry.client.post("/v1/customers", json={"identifiers": [{"system": "erp", "id": "twin"}]})
    assert (same.status_code, same.json()["customer_id"]) == (200, other)
    rows = [{"identifiers": [{"system": "erp", "id": "twin"}, {"system": "crm", "id": "new"}], "tier": "silver"}]
    assert (await registry.client.post("/v1/imports", json={"items": rows})).json()["changed"] == 1
    assert await resolved(registry, "twin") == (other, "silver")
    taken = await registry.client.put(
        f"/v1/customers/{other}/identifiers", json={"identifiers": [{"system": "erp", "id": "twin"}]}
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "identifier_taken")
    assert await act(registry, twin, "split") == (200, "active")
    assert await resolved(registry, "twin") == (twin, "silver")
    actions = [row["action"] for row in await registry.audit(twin)]
    assert [each for each in actions if each.startswith("customer.")][1:] == ["customer.merged", "customer.split"]


async def test_the_history_before_a_merge_stays_the_customers_own(registry: RegistryUnderTest) -> None:
    await at(registry, NOON)
    twin, other = await registry.new_customer("old twin", "silver"), await registry.new_customer("old other", "gold")
    await registry.assign(twin, "standard", effective_from=(NOON + 2 * HOUR).isoformat())
    await at(registry, NOON + HOUR)
    await act(registry, twin, "merge", into=other)
    await at(registry, NOON + 3 * HOUR)  # what was planned for it passes without a word
    told = len(await registry.published(twin))
    await act(registry, twin, "split")
    expected = {0: "silver", 1: "gold", 2: "gold", 3: "standard"}
    for hour, tier in expected.items():
        assert await tier_of(registry, twin, at=(NOON + hour * HOUR).isoformat()) == tier
    before = {"at": (NOON + 3 * HOUR).isoformat(), "known_at": (NOON + HOUR).isoformat()}
    assert await tier_of(registry, twin, **before) == "gold"  # nobody knew of the split
    after = [event.payload for event in await registry.published(twin)][told:]
    assert isinstance(after[0], SegmentCurrent)
    assert [each.tier for each in after[0].assignments] == ["standard"]
    assert isinstance(after[1], SegmentChanged)
    assert (after[1].from_tier, after[1].to_tier) == ("gold", "standard")


async def test_merges_that_cannot_be_are_refused(registry: RegistryUnderTest) -> None:
    chain = [await registry.new_customer(f"link {number}") for number in range(MERGES_DEEP_MAX + 2)]
    assert await act(registry, chain[0], "merge", into=chain[0]) == (422, "merged_with_itself")
    assert await act(registry, chain[0], "merge", into="nobody") == (404, "customer_unknown")
    assert await act(registry, chain[0], "split") == (409, "not_merged")
    for one, following in itertools.pairwise(chain[: MERGES_DEEP_MAX + 1]):
        assert await act(registry, one, "merge", into=following) == (200, "merged")
    assert await act(registry, chain[MERGES_DEEP_MAX], "merge", into=chain[-1]) == (409, "merges_too_deep")
    assert await act(registry, chain[0], "merge", into=chain[-1]) == (409, "merged_customer")
    assert await act(registry, chain[-1], "merge", into=chain[0]) == (409, "merged_customer")
    assert (await resolved(registry, "link 0"))[0] == chain[MERGES_DEEP_MAX]


async def test_two_that_merge_each_other_at_once_do_not_vanish(registry: RegistryUnderTest) -> None:
    for number in range(5):
        left, right = await registry.new_customer(f"left {number}"), await registry.new_customer(f"right {number}")
        outcomes = await asyncio.gather(
            act(registry, left, "merge", into=right), act(registry, right, "merge", into=left)
        )
        assert sorted(outcomes) == [(200, "merged"), (409, "merged_customer")]


async def test_a_merge_is_no_way_around_a_second_person_and_no_rule_moves_a_merged_customer(
    registry: RegistryUnderTest,
) -> None:
    twin, other = await registry.new_customer("guarded", "standard"), await registry.new_customer("best", "gold")
    await registry.client.put("/v1/change-rules", json={"jump_ranks_max": 1})
    assert await act(registry, twin, "merge", into=other) == (409, "approval_required")
    content = {"kind": "merge", "customer_id": twin, "into": other, "reason": "one firm"}
    asked = await registry.client.post("/v1/change-requests", json={"reason": "one firm", "content": content})
    path = f"/v1/change-requests/{asked.json()['request_id']}"
    effects = (await registry.client.get(f"{path}/effects")).json()
    assert [(each["customer_id"], each["to_tier"], each["needs"]) for each in effects["moves"]] == [
        (twin, "gold", ["jump"])
    ]
    approved = await registry.client.post(
        f"{path}:approve", json={"content_sha256": asked.json()["content_sha256"]}, headers=registry.keys["approver"]
    )
    assert approved.status_code == 200
    assert (await registry.client.post(f"{path}:apply", json={})).json()["state"] == "applied"
    await registry.client.put("/v1/change-rules", json={})
    assert await tier_of(registry, twin) == "gold"
    proposal = Proposal("p-m", twin, "standard", "silver", "revenue", 1, 9, NOON, "grew", "reclassifier", ())
    received = ReceivedProposal("e-m", ProposalVerdict(proposal, Cause("c", "c")))
    [verdict] = await registry.transactions.run(lambda transaction: apply_proposals(transaction, [received]), label="t")
    assert verdict.refusal is ProposalRefusal.MERGED_CUSTOMER


async def test_what_guards_a_customer_is_not_taken_away_by_a_merge_or_a_split(registry: RegistryUnderTest) -> None:
    key_account, other = await registry.new_customer("key account", "gold"), await registry.new_customer("any", "gold")
    contract = {"contract": {"starts": "2025-01-01", "minimum_tier": "gold"}}
    await registry.client.put(f"/v1/customers/{key_account}/record", json={"strategic": True, **contract})
    await registry.client.put("/v1/change-rules", json={"key_accounts": True, "contract_downgrades": True})
    try:
        path = f"/v1/customers/{key_account}:merge"
        refused = await registry.client.post(path, json={"into": other, "reason": "same tier, no guard"})
        assert (refused.status_code, refused.json().get("needs")) == (409, ["key_account", "contract_downgrade"])
        assert await act(registry, other, "merge", into=key_account) == (200, "merged")
        split = await registry.client.post(f"/v1/customers/{other}:split", json={"reason": "out of the contract"})
        assert (split.status_code, split.json().get("needs")) == (409, ["key_account", "contract_downgrade"])
    finally:
        await registry.client.put("/v1/change-rules", json={})
    assert await act(registry, other, "split") == (200, "active")


async def test_an_erasure_reaches_the_duplicates(registry: RegistryUnderTest) -> None:
    twin, other = await registry.new_customer("erased twin"), await registry.new_customer("erased other")
    third = await registry.new_customer("erased third")
    for duplicate in (twin, third):
        await act(registry, duplicate, "merge", into=other)
    for named in (other, twin):  # whichever of its ids the customer names
        for each in (twin, third, other):
            await registry.client.put(f"/v1/customers/{each}/personal", json={"email": f"{each}@example.org"})
        erased = await registry.client.post(f"/v1/customers/{named}:erase", json={"reason": "asked"})
        assert erased.json() == {"customer_id": named, "erased": True}
        assert await registry.fetch("SELECT FROM customer_personal") == []
    nobody = await registry.client.post("/v1/customers/nobody:erase", json={"reason": "asked"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "customer_unknown")


@pytest.mark.parametrize("seed", range(3))
async def test_random_merges_and_splits_agree_with_a_table_of_parents_here_and_in_the_atp(
    registry: RegistryUnderTest, database_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"random {seed} {number}" for number in range(6)]
    ids = {name: await registry.new_customer(name) for name in names}
    parents: dict[str, str | None] = dict.fromkeys(names)
    tiers = dict.fromkeys(names, "standard")

    def root(name: str) -> str:
        parent = parents[name]
        return name if parent is None else root(parent)

    def height(name: str) -> int:
        return max((1 + height(each) for each in names if parents[each] == name), default=0)

    fed: dict[str, str] = {}
    cursor = await follow(registry, None, fed)
    served: dict[str, list[str]] = {name: ["standard"] for name in names}  # by the hour
    for hour in range(1, 31):
        await at(registry, NOON + hour * HOUR)
        one, other = chance.sample(names, 2)
        what = chance.choice(["merge", "split", "assign"])
        if what == "assign":
            tier = chance.choice(["gold", "silver", "standard"])
            expected = {200, 201} if parents[one] is None else {409}
            answer = await registry.client.post(f"/v1/customers/{ids[one]}/assignments", json={"tier": tier})
            assert answer.status_code in expected
            tiers[one] = tier if parents[one] is None else tiers[one]
        elif what == "split":
            status, _ = await act(registry, ids[one], "split")
            assert (status == 200) == (parents[one] is not None)
            parents[one] = None
        else:
            status, _ = await act(registry, ids[one], "merge", into=ids[other])
            possible = parents[one] is None and parents[other] is None and height(one) < MERGES_DEEP_MAX
            assert (status == 200) == possible
            parents[one] = other if possible else parents[one]
        for name in names:
            served[name].append(tiers[root(name)])
        cursor = await follow(registry, cursor, fed)
        assert {name: fed[ids[name]] for name in names} == {name: tiers[root(name)] for name in names}
    for name in names:
        for hour in (30, chance.randrange(31), chance.randrange(31)):
            await check_explanation(registry, ids[name], served[name][: hour + 1])
    await at(registry, NOON + 30 * HOUR)
    expected_tiers = {name: (ids[root(name)], tiers[root(name)]) for name in names}
    assert {name: await resolved(registry, name) for name in names} == expected_tiers
    assert await tiers_in_the_atp(registry, database_url, chance, names) == expected_tiers


async def follow(registry: RegistryUnderTest, cursor: str | None, tiers: dict[str, str]) -> str | None:
    """Read the feed to its end, as a system without Kafka does; the place to go on from."""
    more = True
    while more:
        query = {"limit": "3"} | ({} if cursor is None else {"after": cursor})
        page = (await registry.client.get("/v1/assignments", params=query)).json()
        tiers |= {each["customer_id"]: each["tier"] for each in page["items"]}
        cursor, more = page["next_cursor"], page["more"]
    return cursor


async def check_explanation(registry: RegistryUnderTest, customer: str, served: list[str]) -> None:
    """What is said of the last of these hours: the tier, and since when it was in none but this one."""
    hour = len(served) - 1
    query = {"at": (NOON + hour * HOUR).isoformat()}
    answer = await registry.client.get(f"/v1/customers/{customer}/tier-explanation", params=query)
    explained = ExplanationDocument.model_validate_json(answer.content)
    assert explained.tier == served[-1] == await tier_of(registry, customer, **query)
    changed = [each for each in range(1, hour + 1) if served[each] != served[each - 1]]
    if changed:
        assert explained.since == NOON + changed[-1] * HOUR
    elif explained.basis == "unassigned":
        assert explained.since is None


async def tiers_in_the_atp(
    registry: RegistryUnderTest, database_url: str, chance: random.Random, names: list[str]
) -> dict[str, tuple[str | None, str]]:
    """What the ATP makes of the published states, told twice and in any order of the customers."""
    from services.atp.bootstrap import MIGRATIONS, SCHEMA

    await migrate(database_url, schema=SCHEMA, script_location=MIGRATIONS)
    rows = await registry.fetch("SELECT * FROM outbox WHERE type = 'segment.current.v1' ORDER BY position")
    told = [*rows, *chance.sample(rows, len(rows) // 2)]
    chance.shuffle(told)
    database = await Database.open(database_url, schema=SCHEMA, name="atp of the merges")
    projection = SegmentProjection(lambda: None)

    async def tell(connection: Connection) -> None:
        for row in told:
            await projection(connection, [_delivered(row)])

    try:
        await database.run(tell, label="follow the registry")
        keys = [CustomerKey("erp", name) for name in names]
        found = await database.read(lambda connection: customers_of_atp(connection, keys, stale_after=HOUR))
    finally:
        await database.close()
    now = NOON + 30 * HOUR
    return {key.id: (each.customer_id, _in_force(each.assignments, now)) for key, each in found.items()}


def _in_force(assignments: Any, now: datetime) -> str:
    held = [each.tier for each in assignments if each.effective_from <= now]
    return held[-1] if held else "standard"


def _delivered(row: Any) -> Delivery:
    event = Event(
        id=str(row["id"]),
        type=row["type"],
        source="segment_registry",
        topic=row["aggregatetype"],
        key=row["aggregateid"],
        sequence=row["key_version"],
        time=NOON,
        data=bytes(row["payload"]),
        correlation_id="c",
        causation_id="c",
    )
    return Delivery(event, Received(to_record(event), 0, 0, NOON))
