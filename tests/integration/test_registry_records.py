"""Golden records, contracts that hold a customer's tier, and personal fields that can be erased."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from services.chassis.audit.chain import Report, Verifier
from services.chassis.audit.rows import everything, head
from services.chassis.database import Connection
from services.segment_registry.application.apply_proposals import ReceivedProposal, apply_proposals
from services.segment_registry.application.ports import Cause, ProposalVerdict
from services.segment_registry.domain.proposals import Proposal, ProposalRefusal
from services.segment_registry.entrypoints.documents import CustomerDocument
from services.segment_registry.entrypoints.record_documents import RecordDocument
from tests.support.registry import NOON
from tests.support.registry_service import RegistryUnderTest, registry_over

CONTRACT: dict[str, Any] = {"starts": "2025-01-01", "minimum_tier": "silver", "commitments": ["delivery within 48 h"]}
PERSONAL = {"contact_name": "Zebulon Quigglesworth", "email": "zebulon@quigglesworth.example"}


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        yield running


async def record(registry: RegistryUnderTest, customer: str, expected: int = 200, **fields: Any) -> dict[str, Any]:
    answer = await registry.client.put(f"/v1/customers/{customer}/record", json=fields)
    assert answer.status_code == expected, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_golden_record_is_kept_whole_and_shown_with_its_customer(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("recorded", "gold")
    told = len(await registry.published(customer))
    kept = await record(registry, customer, account_owner="kim", industry="retail", strategic=True, contract=CONTRACT)
    shown = CustomerDocument.model_validate_json((await registry.client.get(f"/v1/customers/{customer}")).content)
    assert shown.record == RecordDocument.model_validate(kept)
    assert (shown.sequence, shown.record.customer_type, shown.record.strategic) == (3, None, True)
    assert len(await registry.published(customer)) == told  # nothing of a subscriber's has changed
    assert (await registry.audit(customer))[-1]["action"] == "customer.recorded"
    stale = await registry.client.put(f"/v1/customers/{customer}/record", json={}, headers={"If-Match": '"2"'})
    assert (stale.status_code, stale.json()["version"]) == (412, 3)
    unknown = await record(registry, customer, 422, contract=CONTRACT | {"minimum_tier": "lead"})
    assert unknown["code"] == "contract_tier_unknown"
    backwards = await record(registry, customer, 422, contract=CONTRACT | {"ends": "2024-01-01"})
    assert backwards["code"] == "validation_failed"
    await record(registry, customer)  # whole: what is left out is not known any more
    shown = CustomerDocument.model_validate_json((await registry.client.get(f"/v1/customers/{customer}")).content)
    assert shown.record == RecordDocument()


async def test_a_bulk_brings_records_too(registry: RegistryUnderTest) -> None:
    rows = [
        {"identifiers": [{"system": "erp", "id": f"bulk {number}"}], "tier": "gold", "record": fields}
        for number, fields in enumerate(({"strategic": True}, {"contract": CONTRACT | {"minimum_tier": "lead"}}))
    ]
    answer = await registry.client.post("/v1/imports", json={"items": rows})
    assert (answer.json()["created"], answer.json()["rejected"][0]["code"]) == (1, "contract_tier_unknown")
    found = await registry.client.get("/v1/customers:resolve", params={"system": "erp", "id": "bulk 0"})
    assert found.json()["record"]["strategic"] is True


async def propose(registry: RegistryUnderTest, customer: str, to_tier: str) -> ProposalVerdict:
    sequence = (await registry.client.get(f"/v1/customers/{customer}")).json()["sequence"]
    name = f"{customer} {to_tier} {sequence}"
    proposal = Proposal(name, customer, "gold", to_tier, "revenue", 1, sequence, NOON, "less", "reclassifier", ())
    received = ReceivedProposal(name, ProposalVerdict(proposal, Cause("c", "c")))
    [verdict] = await registry.transactions.run(
        lambda transaction: apply_proposals(transaction, [received]), label="test"
    )
    return verdict


@pytest.mark.parametrize(
    ("contract", "refusal"),
    [
        (CONTRACT, ProposalRefusal.BELOW_CONTRACT),
        (CONTRACT | {"minimum_tier": "standard"}, None),
        (CONTRACT | {"ends": "2025-12-31"}, None),  # it has ended
        (CONTRACT | {"starts": "2150-01-01"}, None),  # it has not begun
        (None, None),
    ],
)
async def test_no_automatic_move_goes_below_the_contract(
    registry: RegistryUnderTest, contract: dict[str, Any] | None, refusal: ProposalRefusal | None
) -> None:
    customer = await registry.new_customer(f"contracted {hash(str(contract))}", "gold")
    await record(registry, customer, contract=contract)
    assert (await propose(registry, customer, "standard")).refusal == refusal
    if refusal is not None:
        assert (await propose(registry, customer, "silver")).refusal is None  # as low as it may go
        await registry.assign(customer, "standard", reason="a person may")


async def test_a_merge_ends_no_contract(registry: RegistryUnderTest) -> None:
    names = ("contracted below", "contracted twin", "contracted root")
    below, twin, root = [await registry.new_customer(name, "gold") for name in names]
    await record(registry, below, contract=CONTRACT)
    for duplicate, into in ((below, twin), (twin, root)):
        merged = await registry.client.post(
            f"/v1/customers/{duplicate}:merge", json={"into": into, "reason": "one firm"}
        )
        assert merged.status_code == 200
    assert (await propose(registry, root, "standard")).refusal is ProposalRefusal.BELOW_CONTRACT
    split = await registry.client.post(f"/v1/customers/{twin}:split", json={"reason": "two firms"})
    assert split.status_code == 200
    await record(registry, root, account_owner="kim")
    assert (await propose(registry, root, "standard")).refusal is None
    assert (await propose(registry, twin, "standard")).refusal is ProposalRefusal.BELOW_CONTRACT


async def everywhere(registry: RegistryUnderTest) -> str:
    """All that the registry's schema holds, in text; the outbox is what goes to the topics."""
    tables = await registry.fetch(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') ORDER BY 1"
    )
    found = []
    for table in tables:
        rows = await registry.fetch(f'SELECT t::text AS row FROM "{table["relname"]}" AS t')
        found += [row["row"] for row in rows]
    payloads = await registry.fetch("SELECT payload FROM outbox")
    answers = await registry.fetch("SELECT * FROM idempotency")
    found += [bytes(row["payload"]).decode() for row in payloads] + [repr(dict(row)) for row in answers]
    return "\n".join(found)


async def test_after_an_erasure_nothing_holds_the_personal_fields(
    registry: RegistryUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    customer = await registry.new_customer("erased", "gold")
    path = f"/v1/customers/{customer}"
    kept = await registry.client.put(f"{path}/personal", json=PERSONAL)
    assert (kept.status_code, kept.headers["cache-control"]) == (200, "no-store")
    assert (await registry.client.get(f"{path}/personal")).json()["email"] == PERSONAL["email"]
    assert PERSONAL["email"] in await everywhere(registry)  # the search would find it
    await registry.assign(customer, "silver")
    bad = await registry.client.put(f"{path}/personal", json=PERSONAL | {"shoe_size": PERSONAL["contact_name"]})
    assert bad.status_code == 422
    for expected in (True, False):
        erased = await registry.client.post(f"{path}:erase", json={"reason": "asked for"}, headers={})
        assert (erased.status_code, erased.json()["erased"]) == (200, expected)
    held = await everywhere(registry) + "".join(capfd.readouterr()) + bad.text
    listed = await registry.client.get("/v1/assignments", params={"limit": 500})
    audited = await registry.client.get("/v1/audit", params={"limit": 500})
    held += listed.text + audited.text + (await registry.client.get("/metrics")).text
    assert customer in held
    for planted in PERSONAL.values():
        assert planted not in held
        assert planted.split("@")[0].split()[0] not in held
    assert (await registry.client.get(f"{path}/personal")).json()["email"] is None
    assert (await registry.client.get(f"{path}/tier")).json()["tier"] == "silver"  # still known, and served


async def test_the_audit_trail_still_verifies_after_an_erasure(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("verified")
    await registry.client.put(f"/v1/customers/{customer}/personal", json=PERSONAL)
    await registry.client.post(f"/v1/customers/{customer}:erase", json={"reason": "asked for"})

    async def verify(connection: Connection) -> Report:
        verifier = Verifier([])
        async for each in everything(connection):
            verifier.feed(each)
        return verifier.finish(await head(connection))

    report = await registry.database.read(verify)
    assert report.findings == ()
    assert report.verified_to == report.entries > 2
    detail = orjson.loads((await registry.audit(customer))[-1]["detail"])
    assert detail == {"fields": ["contact_name", "email"], "reason": "asked for"}


async def test_personal_fields_have_scopes_of_their_own(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer("private")
    writer = registry.keys["writer"]
    for method, path, body, scope in (
        ("GET", "/personal", None, "registry.personal"),
        ("PUT", "/personal", PERSONAL, "registry.personal"),
        ("POST", ":erase", {"reason": "x"}, "registry.erase"),
    ):
        answer = await registry.client.request(method, f"/v1/customers/{customer}{path}", json=body, headers=writer)
        assert (answer.status_code, answer.json()["scope"]) == (403, scope)
