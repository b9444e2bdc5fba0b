"""The chain itself: how an entry is hashed, and how a trail is checked against its head and its anchors.

digest(n) = SHA-256(digest(n - 1) || canonical JSON of [n, at, author, action, subject, detail]), digest(0) fixed.
Canonical: UTF-8, keys sorted by code point, no spaces, times in UTC with microseconds.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

import orjson

GENESIS: Final = hashlib.sha256(b"tiercel audit trail 1").digest()
FINDINGS_MAX: Final = 20  # told in one report; the first one says all


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change of what a service owns.

    `author` asked for it, `action` names it (`protection.changed`), `subject` is the id of what was changed, and
    `detail` holds ids, codes and numbers only (no float, no personal data).
    """

    author: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry as stored: positions start at 1 and have no gaps. `digest` is None until the chain has reached it."""

    position: int
    at: datetime
    entry: AuditEntry
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """How far a trail goes, how far it is chained, and the digest there."""

    position: int
    linked: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """What an anchor says, its signature checked already: at `at` the trail had this digest at this position."""

    position: int
    digest: bytes
    at: datetime


class FindingKind(StrEnum):
    """What can be wrong with a trail."""

    EDITED = "edited"  # the entry is not the one that was chained
    MISSING = "missing"  # a position has no entry, or no link
    REWRITTEN = "rewritten"  # the chain holds, but an anchor says otherwise
    CUT_TAIL = "cut_tail"  # an anchor, or the head, knows of entries that are not there
    HEAD = "head"  # the head is not the end of the chain


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, and the first position that it concerns."""

    kind: FindingKind
    position: int
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. Entries up to `verified_to` are proved by the chain, up to `anchored_to` by an anchor too.

    With a finding nothing after `verified_to` can be verified.
    """

    entries: int
    verified_to: int
    anchored_to: int
    anchor: Signed | None
    findings: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def canonical(detail: Mapping[str, Any]) -> bytes:
    """The one way to write a detail: what a JSON store gives back is written the same."""
    plain = orjson.loads(orjson.dumps(detail))  # times, ids and enumerations as text first, then keys in order
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def digest_of(previous: bytes, position: int, at: datetime, entry: AuditEntry) -> bytes:
    """The digest of an entry that follows `previous`."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = [position, moment, entry.author, entry.action, entry.subject, orjson.Fragment(canonical(entry.detail))]
    return hashlib.sha256(previous + orjson.dumps(fields)).digest()


class Verifier:
    """Checks a trail that is fed to it in order; memory does not grow with the trail, only with its anchors."""

    def __init__(self, anchors: Sequence[Signed]) -> None:
        self._anchors: dict[int, list[Signed]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.position, []).append(anchor)
        self._last_anchored = max(self._anchors, default=0)
        self._previous = GENESIS
        self._position = 0
        self._unlinked = 0  # the first entry that the chain has not reached
        self._used: Signed | None = None
        self._findings: list[Finding] = []
        self._check_anchors()

    @property
    def broken(self) -> bool:
        """Whether something was found: what follows cannot be verified, and need not be fed."""
        return bool(self._findings)

    def feed(self, record: AuditRecord) -> None:
        """Check the next entry."""
        if self.broken:
            return
        expected = self._position + 1
        if record.position != expected:
            self._found(FindingKind.MISSING, expected, f"position {expected} is followed by {record.position}")
            return
        if record.digest is None:
            self._unlinked = self._unlinked or expected
            self._position = expected
            return
        if self._unlinked:
            self._found(FindingKind.MISSING, self._unlinked, "its link is not there, and that of a later one is")
            return
        digest = digest_of(self._previous, record.position, record.at, record.entry)
        if digest != record.digest:
            self._found(FindingKind.EDITED, expected, "its content does not give its digest")
            return
        self._previous = digest
        self._position = expected
        self._check_anchors()

    def finish(self, head: Head) -> Report:
        """The result, once everything was fed; `head` as read in the same snapshot."""
        entries = self._position
        chained = self._unlinked - 1 if self._unlinked else self._position
        if not self.broken:
            self._check_end(head, entries, chained)
        verified = min([chained, *(finding.position - 1 for finding in self._findings)])
        anchored = self._used.position if self._used is not None else 0
        return Report(entries, verified, anchored, self._used, tuple(self._findings[:FINDINGS_MAX]))

    def _check_end(self, head: Head, entries: int, chained: int) -> None:
        if self._last_anchored > chained:
            at = self._anchors[self._last_anchored][0].at.isoformat()
            detail = f"the anchor of {at} knows {self._last_anchored} entries, and {chained} are chained"
            self._found(FindingKind.CUT_TAIL, chained + 1, detail)
        elif head.position > entries:
            detail = f"the head knows {head.position} entries, and {entries} are there"
            self._found(FindingKind.CUT_TAIL, entries + 1, detail)
        elif (head.position, head.linked, head.digest) != (entries, chained, self._previous):
            detail = f"it says {head.position} entries, {head.linked} of them chained, and the chain says otherwise"
            self._found(FindingKind.HEAD, chained, detail)

    def _check_anchors(self) -> None:
        for anchor in self._anchors.get(self._position, ()):
            if anchor.digest != self._previous:
                detail = f"the anchor of {anchor.at.isoformat()} has another digest"
                first = (self._used.position if self._used is not None else 0) + 1
                self._found(FindingKind.REWRITTEN, first, detail)
                return
            self._used = anchor

    def _found(self, kind: FindingKind, position: int, detail: str) -> None:
        self._findings.append(Finding(kind, position, detail))
