"""The audit trail on real PostgreSQL: chained as it is written, anchored outside, and true to what is done by force."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from services.chassis import audit
from services.chassis.audit import AuditEntry, FindingKind, Report, Verifier
from services.chassis.audit.anchoring import Anchoring, AuditMetrics
from services.chassis.audit.chain import GENESIS, Signed, digest_of
from services.chassis.audit.places import AnchorPlace, FileAnchors, TopicAnchors, read_anchors
from services.chassis.audit.rows import everything
from services.chassis.audit.signing import Signer, is_genuine
from services.chassis.clocks import SystemClock
from services.chassis.database import Connection
from services.chassis.event_log.kafka import KafkaEventLog
from services.chassis.event_log.port import EventLog, TopicSpec
from services.chassis.event_log.postgres import PostgresEventLog
from services.chassis.signing_keys import UnusableKey, make_key, public_key
from services.contracts.catalogue import decode
from tests.support.atp import in_days, running_atp, unique
from tests.support.kafka import new_topic_name
from tests.support.registry_service import RegistryUnderTest, registry_over
from tests.support.waiting import until

SERVICE = "segment_registry"


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[RegistryUnderTest]:
    async with registry_over(database_url) as running:
        genesis = f"UPDATE audit_head SET position = 0, linked = 0, digest = '\\x{GENESIS.hex()}'"
        await by_force(running, "TRUNCATE audit, audit_link", genesis)  # what the test before did to it
        yield running


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    make_key(tmp_path / "audit.key")
    return Signer.from_file(tmp_path / "audit.key")


def anchoring(registry: RegistryUnderTest, place: AnchorPlace, signer: Signer) -> tuple[Anchoring, CollectorRegistry]:
    collectors = CollectorRegistry()
    metrics = AuditMetrics(collectors)
    task = Anchoring(registry.database, place, signer, service=SERVICE, wall=SystemClock(), metrics=metrics)
    return task, collectors


async def verify(registry: RegistryUnderTest, anchors: list[Signed]) -> Report:
    async def look(connection: Connection) -> Report:
        verifier = Verifier(anchors)
        async for record in everything(connection):
            verifier.feed(record)
        return verifier.finish(await audit.head(connection))

    return await registry.database.read(look)


async def signed(place: AnchorPlace) -> list[Signed]:
    return [Signed(anchor.position, anchor.digest, anchor.at) for anchor in await place.kept(SERVICE)]


async def by_force(registry: RegistryUnderTest, *statements: str) -> None:
    """As somebody who may do everything in the database."""

    async def work(connection: Connection) -> None:
        await connection.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("ALTER TABLE audit ENABLE TRIGGER audit_append_only")

    await registry.database.run(work, label="by force")


async def test_what_the_registry_does_is_chained(registry: RegistryUnderTest) -> None:
    customer = await registry.new_customer(f"chained {uuid4()}", "gold")
    await registry.assign(customer, "silver")
    report = await verify(registry, [])
    assert report.is_whole
    assert report.verified_to == report.entries >= 3
    listed = (await registry.client.get("/v1/audit", params={"after": report.entries - 1})).json()["items"]
    assert [(item["subject"], len(item["digest"])) for item in listed] == [(customer, 64)]


async def test_entries_of_many_at_once_make_one_chain(registry: RegistryUnderTest) -> None:
    before = (await verify(registry, [])).entries

    async def one(number: int) -> None:
        entries = [AuditEntry("ann", "test.done", f"{number}-{step}", {"step": step}) for step in range(3)]
        await registry.database.run(
            lambda connection: audit.append(connection, entries, datetime.now(UTC)), label="append"
        )

    await asyncio.gather(*(one(number) for number in range(20)))
    report = await verify(registry, [])
    assert report.is_whole
    assert report.verified_to == before + 60


async def test_an_entry_that_is_rolled_back_leaves_no_gap(registry: RegistryUnderTest) -> None:
    before = (await verify(registry, [])).entries

    async def fail(connection: Connection) -> None:
        await audit.append(connection, [AuditEntry("ann", "test.done", "x")], datetime.now(UTC))
        raise LookupError

    with pytest.raises(LookupError):
        await registry.database.run(fail, label="fail")
    report = await verify(registry, [])
    assert (report.is_whole, report.entries) == (True, before)


async def test_what_a_version_without_the_chain_wrote_is_chained_later(registry: RegistryUnderTest) -> None:
    async def old_version(connection: Connection) -> None:
        last = await connection.fetchval("UPDATE audit_head SET position = position + 2 RETURNING position")
        for position in (last - 1, last):
            await connection.execute(
                "INSERT INTO audit VALUES ($1, now(), 'ann', 'test.old', 'x', '{\"b\": 1, \"a\": [true, null]}')",
                position,
            )

    await registry.database.run(old_version, label="old")
    report = await verify(registry, [])
    assert report.is_whole
    assert report.verified_to == report.entries - 2
    await registry.new_customer(f"after {uuid4()}")  # the next entry chains what is before it
    report = await verify(registry, [])
    assert (report.is_whole, report.verified_to) == (True, report.entries)
    await registry.database.run(old_version, label="old")
    assert await audit.catch_up(registry.database) == 2
    assert await audit.catch_up(registry.database) == 0
    report = await verify(registry, [])
    assert (report.is_whole, report.verified_to) == (True, report.entries)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit SET author = 'nobody' WHERE position = 2", FindingKind.EDITED),
        ('UPDATE audit SET detail = detail || \'{"tier": "gold"}\' WHERE position = 2', FindingKind.EDITED),
        ("UPDATE audit SET at = at + interval '1 microsecond' WHERE position = 2", FindingKind.EDITED),
        ("UPDATE audit_link SET digest = sha256(digest) WHERE position = 2", FindingKind.EDITED),
        ("DELETE FROM audit WHERE position = 2", FindingKind.MISSING),
        ("DELETE FROM audit_link WHERE position = 2", FindingKind.MISSING),
    ],
)
async def test_an_act_of_force_is_found(registry: RegistryUnderTest, statement: str, kind: FindingKind) -> None:
    for name in ("one", "two"):
        await registry.new_customer(f"forced {name} {uuid4()}", "gold")
    await by_force(registry, statement)
    report = await verify(registry, [])
    assert [finding.kind for finding in report.findings] == [kind]
    assert report.verified_to == 1


async def test_a_tail_cut_together_with_the_head_is_found_by_the_anchor(
    registry: RegistryUnderTest, tmp_path: Path, signer: Signer
) -> None:
    await registry.new_customer(f"cut {uuid4()}", "gold")
    place = FileAnchors(tmp_path)
    task, collectors = anchoring(registry, place, signer)
    assert await task.anchor_now()
    last = (await verify(registry, [])).entries
    await by_force(
        registry,
        f"DELETE FROM audit WHERE position > {last - 1}",
        f"DELETE FROM audit_link WHERE position > {last - 1}",
        f"UPDATE audit_head SET position = {last - 1}, linked = {last - 1},"
        f" digest = (SELECT digest FROM audit_link WHERE position = {last - 1})",
    )
    assert (await verify(registry, [])).is_whole, "the chain alone does not show it"
    report = await verify(registry, await signed(place))
    assert [(finding.kind, finding.position) for finding in report.findings] == [(FindingKind.CUT_TAIL, last)]
    assert not await task.anchor_now()
    assert collectors.get_sample_value("tiercel_audit_contradicted") == 1


async def test_a_chain_computed_anew_in_the_tables_is_found_by_the_anchor(
    registry: RegistryUnderTest, tmp_path: Path, signer: Signer
) -> None:
    await registry.new_customer(f"anew {uuid4()}", "gold")
    place = FileAnchors(tmp_path)
    task, _ = anchoring(registry, place, signer)
    assert await task.anchor_now()

    async def forge(connection: Connection) -> None:
        await connection.execute("ALTER TABLE audit DISABLE TRIGGER audit_append_only")
        await connection.execute("UPDATE audit SET author = 'nobody'")
        digest = GENESIS
        for record in await audit.page(connection, 0, 1_000):
            digest = digest_of(digest, record.position, record.at, record.entry)
            await connection.execute("UPDATE audit_link SET digest = $1 WHERE position = $2", digest, record.position)
        await connection.execute("UPDATE audit_head SET digest = $1", digest)

    await registry.database.run(forge, label="forge")
    assert (await verify(registry, [])).is_whole, "the chain alone does not show it"
    report = await verify(registry, await signed(place))
    assert [finding.kind for finding in report.findings] == [FindingKind.REWRITTEN]
    assert report.verified_to == 0
    assert not await task.anchor_now()


@pytest.fixture(params=["file", "postgres", pytest.param("kafka", marks=pytest.mark.kafka)])
async def place(request: pytest.FixtureRequest, tmp_path: Path, database_url: str) -> AsyncIterator[AnchorPlace]:
    if request.param == "file":
        yield FileAnchors(tmp_path)
        return
    log: EventLog
    if request.param == "kafka":
        log = KafkaEventLog(request.getfixturevalue("kafka_bootstrap"), name="test")
    else:
        log = await PostgresEventLog.open(database_url)
    topic = new_topic_name()
    await log.ensure_topics([TopicSpec(topic, partitions=1, compacted=True)])
    anchors = TopicAnchors(log, topic)
    yield anchors
    await anchors.close()
    await log.close()


async def test_every_place_keeps_what_was_signed(place: AnchorPlace, signer: Signer, tmp_path: Path) -> None:
    at = datetime(2026, 3, 2, 12, 0, 0, 5, tzinfo=UTC)
    made = [signer.sign(SERVICE, position, bytes([position]) * 32, at) for position in (1, 2, 9)]
    other = signer.sign("atp", 4, bytes(32), at)
    for anchor in (*made, other):
        await place.keep(anchor)
    assert await place.kept(SERVICE) == made
    assert await place.kept("atp") == [other]
    assert await place.kept("reclassifier") == []
    key = public_key(tmp_path / "audit.key.pub")
    assert all(is_genuine(anchor, key) for anchor in made)
    assert not is_genuine(replace(made[0], position=2), key)
    assert not is_genuine(replace(made[0], service="atp"), key)
    decode("audit.anchored.v1", made[0].to_json(), topic="audit.anchors.v1")


async def test_the_task_anchors_after_a_commit_and_on_its_way_out(
    registry: RegistryUnderTest, tmp_path: Path, signer: Signer
) -> None:
    task, _ = anchoring(registry, FileAnchors(tmp_path), signer)
    stop = asyncio.Event()
    running = asyncio.create_task(task.run(stop))
    await registry.new_customer(f"anchored {uuid4()}", "gold")
    last = (await verify(registry, [])).entries
    file = tmp_path / f"{SERVICE}.jsonl"

    def anchored() -> bool:
        found = read_anchors(file)
        return bool(found) and found[-1].position >= last

    await until(anchored)
    stop.set()
    await registry.new_customer(f"on the way out {uuid4()}")
    await running
    end = (await verify(registry, [])).entries
    assert (await asyncio.to_thread(read_anchors, file))[-1].position in {last, end}


async def test_what_planners_and_counts_change_in_the_atp_is_in_its_trail(database_url: str) -> None:
    async with running_atp(database_url) as atp:
        item, document = await atp.item(on_hand=10), unique("kept")
        name = {"source": "wms", "sku": item, "location": "L1"}
        moment = "2026-01-05T08:00:00Z"
        moved = {**name, "reference": "A-1", "kind": "adjustment", "quantity": 9, "occurred_at": moment}
        counted = {**name, "reference": "C-1", "on_hand": 17, "as_of": in_days(1) + "T00:00:00Z"}
        period = {"sku": item, "location": "L1", "tier": "gold", "start": in_days(0), "end": in_days(9)}
        for method, path, body in (
            ("POST", "/v1/supply/movements", {"items": [moved]}),
            ("POST", "/v1/supply/movements", {"items": [moved]}),
            ("POST", "/v1/supply/snapshots", {"items": [counted]}),
            ("PUT", f"/v1/protections/{document}", {"lines": [{**period, "protected_qty": 4}]}),
        ):
            answer = await atp.client.request(method, path, json=body)
            assert answer.is_success, answer.text
        listed = (await atp.client.get("/v1/audit")).json()["items"]
        assert [(each["author"], each["action"], each["subject"]) for each in listed] == [
            ("wms", "stock.adjusted", f"{item}@L1"),
            ("wms", "stock.corrected", f"{item}@L1"),
            (listed[2]["author"], "protections.changed", document),
        ]
        assert listed[1]["detail"] == {"reference": "C-1", "correction": -2, "on_hand": 17}


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path: Path, signer: Signer) -> None:
    line = signer.sign(SERVICE, 1, bytes(32), datetime.now(UTC)).to_json()
    file = tmp_path / "anchors.jsonl"
    file.write_bytes(line + b"\n" + line[:40])
    assert len(read_anchors(file)) == 1


def test_a_key_is_never_overwritten_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "audit.key"
    make_key(file)
    with pytest.raises(FileExistsError):
        make_key(file)
    assert file.stat().st_mode & 0o077 == 0
    (tmp_path / "nonsense").write_text("no key")
    with pytest.raises(UnusableKey):
        Signer.from_file(tmp_path / "nonsense")
    with pytest.raises(UnusableKey):
        public_key(tmp_path / "nonsense")
