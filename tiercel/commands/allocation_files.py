"""`tiercel allocations`: allocation documents as CSV files through the ATP's HTTP API.

`import --dry-run` shows every line that differs and which open promises that would touch; `import` writes the next
version, with the caller as its author. A file that was made of another version than the newest is refused. Rows that
cannot be taken go to a file with their line and the reason.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from services.atp.entrypoints.allocation_csv import defused, plain
from tiercel.commands.importing import ImportRefused

SECONDS_MAX: Final = 120.0
KINDS: Final = ("protections", "quotas", "hierarchies", "capacities")
PROMISES_SHOWN_MAX: Final = 50


@dataclass(frozen=True, slots=True)
class Sent:
    """How a file is sent."""

    kind: str
    document_id: str
    dry_run: bool
    base_version: int | None
    effective_from: str | None
    without_bad_rows: bool


def export(kind: str, document_id: str, file: Path, *, version: int | None, url: str, key: str) -> str:
    """Write a version of a document (None: the newest) to a file; its number. Raises ImportRefused."""
    query = {} if version is None else {"version": version}
    with _client(url, key) as client:
        answer = client.get(f"/v1/{kind}/{document_id}/csv", params=query)
    if answer.is_error:
        raise ImportRefused(_problem(answer))
    file.write_bytes(answer.content)
    return str(answer.headers["etag"]).strip('"')


def import_file(sent: Sent, file: Path, *, set_aside: Path, url: str, key: str) -> tuple[list[str], bool]:
    """Send a file; what to tell, line by line, and whether all its rows were taken. Raises ImportRefused."""
    asked: dict[str, Any] = {"dry_run": sent.dry_run, "without_bad_rows": sent.without_bad_rows}
    asked |= {} if sent.base_version is None else {"base_version": sent.base_version}
    asked |= {} if sent.effective_from is None else {"effective_from": sent.effective_from}
    with _client(url, key) as client:
        path = f"/v1/{sent.kind}/{sent.document_id}/csv"
        headers = {"content-type": "text/csv"}
        answer = client.post(path, params=asked, content=file.read_bytes(), headers=headers)
    document: dict[str, Any] = answer.json()
    aside = document.get("set_aside", [])
    set_aside.parent.mkdir(parents=True, exist_ok=True)
    with set_aside.open("w", newline="") as report:
        writer = csv.writer(report)
        writer.writerow(("line", "reason"))
        writer.writerows((row["line"], defused(row["reason"])) for row in aside)
    told = [f"line {row['line']} set aside: {row['reason']}" for row in aside]
    if answer.is_error:
        raise ImportRefused("\n".join([_problem(answer), *told]))
    return [*_changes(document), *told, *_touches(document), _summary(document)], not aside


def document_named_in(file: Path) -> str:
    """The document that a file says that it is of. Raises ImportRefused."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        named = {plain(str(row.get("document_id") or "")): None for row in csv.DictReader(text)}
    named.pop("", None)
    if len(named) != 1:
        raise ImportRefused("the column document_id does not name one document; say which with --document")
    return next(iter(named))


def _client(url: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS_MAX)


def _problem(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:500]}"


def _changes(document: Mapping[str, Any]) -> list[str]:
    told = []
    for change in document["changes"]:
        where = "" if change["line"] is None else f" (line {change['line']})"
        told.append(f"{change['change']:>8} {change['row']}{where}")
        if change["change"] == "changed":
            told += [
                f"           {each['field']}: {each['before'] or '-'} -> {each['after'] or '-'}"
                for each in change["fields"]
            ]
    return told


def _touches(document: Mapping[str, Any]) -> list[str]:
    touches = document["touches"]
    if touches is None:
        missing = document["touches_missing"]
        return [] if missing is None else [f"open promises it would touch: not shown, {missing}"]
    told = [f"{touches['promises_changed']} open promises would be touched"]
    for each in touches["promises"][:PROMISES_SHOWN_MAX]:
        order = f"{each['source']} {each['order_id']}"
        told.append(f"  {each['promise_id']} ({order}, {each['tier']}): +{each['gained']} -{each['lost']}")
    told += [f"  {each['tier']}: +{each['gained']} -{each['lost']} units" for each in touches["tiers"]]
    return told


def _summary(document: Mapping[str, Any]) -> str:
    counts = f"{document['rows']} rows: {document['changed']} differ, {document['unchanged']} do not"
    if document["dry_run"]:
        return f"{counts}; nothing was written."
    version = document["version"]
    return f"{counts}; {'nothing was written' if version is None else f'version {version} was written'}."
