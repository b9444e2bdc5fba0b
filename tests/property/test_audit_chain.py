"""Whatever is done to an audit trail is found, and where; nothing is found where nothing was done."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.audit.chain import (
    GENESIS,
    AuditEntry,
    AuditRecord,
    Finding,
    FindingKind,
    Head,
    Report,
    Signed,
    Verifier,
    canonical,
    digest_of,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TAMPERINGS = 1_000


def chained(entries: list[AuditEntry], start: datetime = NOON) -> list[AuditRecord]:
    digest, records = GENESIS, []
    for position, entry in enumerate(entries, 1):
        at = start + timedelta(seconds=position)
        digest = digest_of(digest, position, at, entry)
        records.append(AuditRecord(position, at, entry, digest))
    return records


def head_of(records: list[AuditRecord]) -> Head:
    if not records:
        return Head(0, 0, GENESIS)
    last = records[-1]
    assert last.digest is not None
    return Head(last.position, last.position, last.digest)


def anchors_of(records: list[AuditRecord], *positions: int) -> list[Signed]:
    return [
        Signed(position, digest, NOON) for position in positions if (digest := records[position - 1].digest) is not None
    ]


def verify(records: list[AuditRecord], head: Head, anchors: list[Signed]) -> Report:
    verifier = Verifier(anchors)
    for record in records:
        verifier.feed(record)
    return verifier.finish(head)


def trail(seed: random.Random, length: int) -> list[AuditRecord]:
    return chained(
        [
            AuditEntry(
                seed.choice(["ann", "bob"]),
                seed.choice(["tier.defined", "protection.changed"]),
                f"subject-{seed.randrange(5)}",
                {"quantity": seed.randrange(1_000), "names": [seed.choice("äb☃")], "none": None},
            )
            for _ in range(length)
        ]
    )


details = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
entries = st.builds(
    AuditEntry, st.text(), st.text(max_size=10), st.text(max_size=10), st.dictionaries(st.text(), details, max_size=3)
)


@given(st.lists(entries, max_size=12), st.data())
def test_a_trail_that_nobody_touched_is_whole(listed: list[AuditEntry], data: st.DataObject) -> None:
    records = chained(listed)
    anchored = data.draw(st.lists(st.integers(1, len(records)), unique=True)) if records else []
    report = verify(records, head_of(records), anchors_of(records, *anchored))
    assert report.is_whole
    assert report.verified_to == report.entries == len(records)
    assert report.anchored_to == max(anchored, default=0)


@given(entries)
def test_a_detail_is_written_the_same_however_its_keys_are_ordered(entry: AuditEntry) -> None:
    turned = dict(reversed(list(entry.detail.items())))
    assert canonical(turned) == canonical(entry.detail)


def _with(entry: AuditEntry, field: str) -> AuditEntry:
    match field:
        case "author":
            return replace(entry, author="somebody else")
        case "action":
            return replace(entry, action="something else")
        case _:
            return replace(entry, subject="something else")


def _tampered(seed: random.Random, records: list[AuditRecord]) -> tuple[list[AuditRecord], int, str]:
    """The records after one act by force, the first position that it concerns, and what was done."""
    changed = list(records)
    act = seed.choice(["edit", "delete", "swap", "cut", "insert", "unlink"])
    at = seed.randrange(len(changed))
    if act == "edit":
        record = changed[at]
        field = seed.choice(["author", "action", "subject", "at", "detail"])
        if field == "at":
            changed[at] = replace(record, at=record.at + timedelta(microseconds=1))
        elif field == "detail":
            changed[at] = replace(record, entry=replace(record.entry, detail={**record.entry.detail, "quantity": -1}))
        else:
            changed[at] = replace(record, entry=_with(record.entry, field))
    elif act == "delete":
        at = seed.randrange(len(changed) - 1)  # the last one is a cut tail
        del changed[at]
    elif act == "swap":
        other = seed.choice([index for index in range(len(changed)) if index != at])
        mine, theirs = changed[at], changed[other]
        changed[at] = replace(mine, at=theirs.at, entry=theirs.entry)
        changed[other] = replace(theirs, at=mine.at, entry=mine.entry)
        at = min(at, other)
    elif act == "cut":
        changed = changed[:at]
    elif act == "insert":
        copy = replace(changed[at], position=at + 1)
        changed = [*changed[:at], copy, *(replace(one, position=one.position + 1) for one in changed[at:])]
        at += 1
    else:
        changed[at] = replace(changed[at], digest=None)
    return changed, at + 1, act


def test_a_thousand_random_edits_deletions_swaps_and_cut_tails_are_all_found() -> None:
    seed = random.Random(20261122)
    done: dict[str, int] = {}
    for _ in range(TAMPERINGS):
        records = trail(seed, seed.randrange(3, 30))
        anchors = anchors_of(records, len(records), seed.randrange(1, len(records) + 1))
        assert verify(records, head_of(records), anchors).is_whole
        changed, position, act = _tampered(seed, records)
        if changed == records:
            continue  # a swap of twins
        head = head_of(changed) if act == "cut" else head_of(records)  # a careful thief moves the head too
        report = verify(changed, head, anchors)
        assert not report.is_whole, act
        assert report.verified_to < position, (act, position, report)
        done[act] = done.get(act, 0) + 1
    assert sum(done.values()) > TAMPERINGS * 0.95
    assert min(done.values()) > TAMPERINGS // 20


@pytest.mark.parametrize("length", [1, 7, 30])
def test_a_chain_computed_anew_is_found_by_the_anchor(length: int) -> None:
    records = trail(random.Random(length), length)
    anchors = anchors_of(records, length)
    forged = chained([replace(record.entry, author="nobody") for record in records])
    assert verify(forged, head_of(forged), []).is_whole, "without an anchor nothing shows it"
    report = verify(forged, head_of(forged), anchors)
    assert [finding.kind for finding in report.findings] == [FindingKind.REWRITTEN]
    assert report.anchored_to == 0


def test_what_came_after_the_last_anchor_is_named_as_not_anchored() -> None:
    records = trail(random.Random(1), 9)
    report = verify(records, head_of(records), anchors_of(records, 3, 6))
    assert (report.verified_to, report.anchored_to) == (9, 6)
    assert report.anchor == anchors_of(records, 6)[0]


def test_a_head_that_was_set_back_is_found_without_any_anchor() -> None:
    records = trail(random.Random(2), 5)
    report = verify(records, head_of(records[:4]), [])
    assert report.findings == (
        Finding(FindingKind.HEAD, 5, "it says 4 entries, 4 of them chained, and the chain says otherwise"),
    )


def test_entries_that_an_older_version_wrote_are_whole_but_not_chained_yet() -> None:
    records = trail(random.Random(3), 5)
    newest = [replace(record, digest=None) for record in records[3:]]
    head = replace(head_of(records[:3]), position=5)
    report = verify([*records[:3], *newest], head, anchors_of(records, 2))
    assert report.is_whole
    assert (report.entries, report.verified_to, report.anchored_to) == (5, 3, 2)
