"""`tiercel audit`: the audit trails of the services against their chains and anchors."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from services.chassis.audit import Report, Verifier
from services.chassis.audit.chain import Signed
from services.chassis.audit.places import AnchorPlace, anchor_place, read_anchors
from services.chassis.audit.routes import document
from services.chassis.audit.rows import everything, head
from services.chassis.audit.signing import Anchor, is_genuine
from services.chassis.database import Connection, Database
from services.chassis.settings import ChassisSettings, Form, load
from services.chassis.signing_keys import key_id, public_key
from services.contracts.topics import AUDIT_ANCHORS
from tiercel.cli import DATA
from tiercel.parts import PARTS, Part
from tiercel.reaching import Reached, audit_anchors, audit_key, reach


class UnknownService(Exception):  # noqa: N818 - says what happened
    """No service has this name."""


async def verify(data: Path | None, *, service: str | None, key_file: Path | None, anchors_file: Path | None) -> bool:
    """Check the trails of one service or of all, print what was found, and say whether all is well.

    Anchors come from `anchors_file` (lines of `tiercel audit anchors`), or else from where the deployment keeps them;
    they count if the key of `key_file` (the deployment's own without it) signed them.

    Raises UnknownService, UnusableKey, and what `reach` raises.
    """
    parts = _parts(service)
    async with reach(data) as reached:
        key = public_key(key_file or _key_file(data))
        whole = True
        for part in parts:
            kept = await _anchors(reached, data, part.name, anchors_file)
            genuine = [anchor for anchor in kept if is_genuine(anchor, key)]
            report = await _check(reached, part, genuine)
            print("\n".join(_told(part.name, report, forged=len(kept) - len(genuine), key=key_id(key))))
            whole &= report.is_whole and len(kept) == len(genuine)
        return whole


async def export(data: Path | None, *, service: str, file: Path) -> int:
    """Write the trail of a service, an entry a line with its digest; how many there are."""
    [part] = _parts(service)
    async with reach(data) as reached, _database(reached, part) as database:

        async def write(connection: Connection) -> int:
            written = 0
            with file.open("wb") as out:
                async for record in everything(connection):
                    out.write(orjson.dumps(document(record)) + b"\n")
                    written += 1
            return written

        return await database.read(write, label="export the audit trail")


async def anchors(data: Path | None, *, service: str) -> list[Anchor]:
    """All anchors of a service, oldest first, to be kept elsewhere too."""
    [part] = _parts(service)
    async with reach(data) as reached:
        return await _anchors(reached, data, part.name, None)


async def _check(reached: Reached, part: Part, genuine: Sequence[Anchor]) -> Report:
    signed = [Signed(anchor.position, anchor.digest, anchor.at) for anchor in genuine]

    async def look(connection: Connection) -> Report:
        verifier = Verifier(signed)
        async for record in everything(connection):
            verifier.feed(record)
            if verifier.broken:
                break
        return verifier.finish(await head(connection))

    async with _database(reached, part) as database:
        return await database.read(look, label="verify the audit trail")


def _told(service: str, report: Report, *, forged: int, key: str) -> list[str]:
    lines = [f"{service}: {report.verified_to} entries verified"]
    if report.anchor is not None:
        lines[0] += f"; anchored to {report.anchored_to} at {report.anchor.at.isoformat()} by key {key}"
    else:
        lines[0] += "; no anchor vouches for them"
    if forged:
        lines.append(f"  {forged} anchors are not signed by key {key}")
    lines += [f"  {finding.kind} at {finding.position}: {finding.detail}" for finding in report.findings]
    if report.findings:
        lines.append(f"  not verifiable after {report.verified_to}")
    return lines


def _parts(service: str | None) -> list[Part]:
    found = [part for part in PARTS if service in (None, part.name)]
    if not found:
        raise UnknownService(f"{service}; there are {', '.join(part.name for part in PARTS)}")
    return found


def _key_file(data: Path | None) -> Path:
    if data is None and (settings := load(ChassisSettings)).form is Form.DISTRIBUTED and settings.audit_key_file:
        return settings.audit_key_file
    return audit_key(data or DATA)


async def _anchors(reached: Reached, data: Path | None, service: str, file: Path | None) -> list[Anchor]:
    if file is not None:
        return [anchor for anchor in read_anchors(file) if anchor.service == service]
    place = _place(reached, data)
    try:
        return await place.kept(service)
    finally:
        await place.close()


def _place(reached: Reached, data: Path | None) -> AnchorPlace:
    folder: Path | None = audit_anchors(data or DATA)
    if data is None and (settings := load(ChassisSettings)).form is Form.DISTRIBUTED:
        folder = settings.audit_anchor_folder
    return anchor_place(folder, reached.event_log, AUDIT_ANCHORS.name)


@asynccontextmanager
async def _database(reached: Reached, part: Part) -> AsyncIterator[Database]:
    database = await Database.open(reached.database_url, schema=part.program.schema, name="tiercel audit")
    try:
        yield database
    finally:
        await database.close()
