"""The CSV round trip of allocation documents: export, edit, look at what an import would do, and import.

An import is a new version with an author and an effective date. It names the version that it was made from; if the
document has another one by now, nothing is done. Rows that cannot be taken are set aside with line and reason, and
nothing is written while there are any, unless the caller asks for it: a row that is missing takes its line away.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Query, Request, Response

from services.atp.application.engine import Engine
from services.atp.application.planning import AllocationKind, Names, Planning
from services.atp.application.preview_changes import Changes, Rehearsals
from services.atp.entrypoints.allocation_csv import (
    Aside,
    Row,
    Sheetful,
    SheetRefused,
    document_of,
    read_sheet,
    rows_of,
    write_sheet,
)
from services.atp.entrypoints.allocation_documents import Document
from services.atp.entrypoints.allocation_routes import (
    SHAPES,
    WRITTEN,
    DocumentId,
    Planner,
    Reader,
    Shape,
    VersionAsked,
    draft_of,
    known_document,
    store_draft,
)
from services.atp.entrypoints.capacity_documents import shares_of
from services.atp.entrypoints.document_changes import RowChange, changes
from services.atp.entrypoints.preview_routes import PreviewAnswer, make_preview, preview_document
from services.atp.entrypoints.problem_codes import DOCUMENT_UNKNOWN, PREVIEW_TOO_LARGE, ROWS_SET_ASIDE, SHEET_REFUSED
from services.chassis.auth import Principal
from services.chassis.problems import PRECONDITION_FAILED, PRECONDITION_REQUIRED, VALIDATION_FAILED, Problem
from services.chassis.problems import problem_responses as problems
from services.contracts.payload import Moment, Payload

CSV: Final = "text/csv; charset=utf-8"
PREVIEW_SCOPE: Final = "atp.preview"
CHANGES_SHOWN_MAX: Final = 2_000
TEXT_BODY: Final = {"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}}


class SetAside(Payload):
    """A row that cannot be taken."""

    line: int
    reason: str


class CellChange(Payload):
    """A field before and after."""

    field: str
    before: str
    after: str


class LineChange(Payload):
    """A line that is added, removed or changed; `line` is its row in the file, null where there is none any more."""

    change: Literal["added", "removed", "changed"]
    row: str
    line: int | None
    fields: tuple[CellChange, ...]


class ImportResult(Payload):
    """What an import changes, or would. `version` is the one that was written, null for none.

    `touches` is what it would do to open promises (dry runs by callers with the scope `atp.preview`);
    `touches_missing` says why that is not shown. `changes` is cut at a length; `changed` counts all.
    """

    document_id: str
    base_version: int
    version: int | None
    dry_run: bool
    rows: int
    unchanged: int
    changed: int
    changes: tuple[LineChange, ...]
    set_aside: tuple[SetAside, ...]
    touches: PreviewAnswer | None
    touches_missing: str | None


def allocation_csv_routes(planning: Planning, rehearsals: Rehearsals, engine: Engine) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["allocation"])
    for shape in SHAPES:
        _add_export(router, planning, shape)
        _add_import(router, planning, shape, rehearsals, engine)
    return router


def _add_export(router: APIRouter, planning: Planning, shape: Shape) -> None:
    async def export(_: Reader, document_id: DocumentId, version: VersionAsked = None) -> Response:
        values = await known_document(planning, document_id, shape.kind, version)
        text = write_sheet(shape.kind, document_id, values["version"], stored_document(shape, values))
        return Response(text, media_type=CSV, headers={"etag": f'"{values["version"]}"'})

    router.get(
        f"/v1/{shape.path}/{{document_id}}/csv",
        name=f"export_{shape.path}",
        summary=f"A version of a {shape.noun} as CSV",
        response_class=Response,
        responses={200: {"content": {"text/csv": {}}}, **problems(DOCUMENT_UNKNOWN, VALIDATION_FAILED)},
    )(export)


def _add_import(router: APIRouter, planning: Planning, shape: Shape, rehearsals: Rehearsals, engine: Engine) -> None:
    async def import_csv(
        request: Request,
        principal: Planner,
        document_id: DocumentId,
        *,
        dry_run: Annotated[bool, Query()] = False,
        base_version: Annotated[int | None, Query(ge=0, description="default: the column; 0: a new document")] = None,
        effective_from: Annotated[Moment | None, Query(description="default: at once")] = None,
        without_bad_rows: Annotated[bool, Query(description="write the others, if some are set aside")] = False,
    ) -> dict[str, Any]:
        found = _read(shape.kind, await request.body(), document_id)
        base = base_version if base_version is not None else found.base_version
        if base is None:
            raise Problem(PRECONDITION_REQUIRED, "base_version (column or parameter) says what the file was made of")
        former = await _base(planning, shape, document_id, base)
        document, lines, changed = await _compared(planning, shape, found, former, effective_from)
        unchanged = len(rows_of(document)) - sum(each.change != "removed" for each in changed)
        result: dict[str, Any] = {
            "document_id": document_id,
            "base_version": base,
            "version": None,
            "dry_run": dry_run,
            "rows": found.count,
            "unchanged": unchanged,
            "changed": len(changed),
            "changes": [_change(each, lines) for each in changed[:CHANGES_SHOWN_MAX]],
            "set_aside": [each._asdict() for each in sorted(found.set_aside)],
            "touches": None,
            "touches_missing": None,
        }
        draft = draft_of(document, document_id, principal.subject, base=base)
        if dry_run:
            return result | await _touches(rehearsals, engine, principal, Changes((draft,)))
        if found.set_aside and not without_bad_rows:
            raise Problem(ROWS_SET_ASIDE, f"{len(found.set_aside)} rows cannot be taken", set_aside=result["set_aside"])
        if changed or effective_from is not None or former is None:
            result["version"] = await store_draft(planning, draft)
        return result

    router.post(
        f"/v1/{shape.path}/{{document_id}}/csv",
        name=f"import_{shape.path}",
        summary=f"Write the next version of a {shape.noun} from CSV, or show what that would change",
        description="With `dry_run` nothing is written: every line that differs is shown, and which open promises"
        " it would touch. A file that was made of another version than the newest is refused.",
        response_model=ImportResult,
        responses={**WRITTEN, **problems(PRECONDITION_REQUIRED, SHEET_REFUSED, ROWS_SET_ASIDE, PREVIEW_TOO_LARGE)},
        openapi_extra=TEXT_BODY,
    )(import_csv)


def stored_document(shape: Shape, values: dict[str, Any]) -> Document:
    """A version as it is read, without what its lines have given."""
    document: Document = shape.model.model_validate(_known(shape.model, values))
    return document


def _known(model: Any, values: Any) -> Any:
    """Those of the values that a model has, at every level."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in values or name == "effective_from":
            continue
        value, inner = values[name], _inner(field.annotation)
        if inner is None:
            found[name] = value
        else:
            found[name] = [_known(inner, each) for each in value] if isinstance(value, list) else _known(inner, value)
    return found


def _inner(annotation: Any) -> type[Payload] | None:
    """The payload that a field holds, or holds several of."""
    candidates = [annotation, *get_args(annotation)]
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, Payload)), None)


def _read(kind: AllocationKind, body: bytes, document_id: str) -> Sheetful:
    try:
        return read_sheet(kind, body.decode("utf-8-sig"), document_id)
    except UnicodeDecodeError:
        raise Problem(SHEET_REFUSED, "the file is not UTF-8") from None
    except SheetRefused as error:
        raise Problem(SHEET_REFUSED, str(error)) from None


async def _base(planning: Planning, shape: Shape, document_id: str, base: int) -> Document | None:
    """The version that a file was made of, which must be the newest. Raises Problem (404, 412)."""
    values = await planning.document(document_id, shape.kind)
    current = 0 if values is None else values["version"]
    if current != base:
        detail = f"the file was made of version {base}; the newest is {current}"
        raise Problem(PRECONDITION_FAILED, detail, current_version=current)
    return None if values is None else stored_document(shape, values)


async def _compared(
    planning: Planning, shape: Shape, found: Sheetful, former: Document | None, effective_from: Any
) -> tuple[Document, list[int], list[RowChange]]:
    """The document of a file, the line of each of its rows, and what differs; rows with unknown names are set aside."""
    before = [] if former is None else rows_of(former)
    while True:
        try:
            document, lines = document_of(shape.kind, found, effective_from)
        except SheetRefused as error:
            aside = [each._asdict() for each in sorted(found.set_aside)]
            raise Problem(SHEET_REFUSED, str(error), set_aside=aside) from None
        rows = rows_of(document)
        changed = changes(shape.kind, before, rows)
        new = [(lines[each.index], rows[each.index]) for each in changed if each.index is not None]
        unknown = await _unknown(planning, new)
        if not unknown:
            return document, lines, changed
        bad = {each.line for each in unknown}
        found.set_aside += unknown
        found.rows = [row for row in found.rows if row[0] not in bad]


async def _unknown(planning: Planning, rows: Sequence[tuple[int, Row]]) -> list[Aside]:
    """The rows that name an item, a location or a tier that nobody knows; an emergency stock is under any name."""
    named = {line: _names(row) for line, row in rows}
    asked = Names(*(tuple(sorted({name for own in named.values() for name in own[kind]})) for kind in range(3)))
    unknown = await planning.unknown(asked)
    found: list[Aside] = []
    for line, own in named.items():
        lacking = [
            f"{column}: {name} is not known"
            for column, names, missing in zip(("sku", "location", "tier"), own, unknown, strict=True)
            for name in names
            if name in missing
        ]
        if lacking:
            found.append(Aside(line, "; ".join(lacking)))
    return found


def _names(row: Row) -> Names:
    places = (row.get("location", ""), *row.get("locations", "").split(";"))
    tier = "" if row.get("unconsumable") == "yes" else row.get("tier", "")
    shares = shares_of(row.get("shares", ""))
    found = ((row.get("sku", ""),), places, (tier, *(each["tier"] for each in shares)))
    return Names(*(tuple(name for name in names if name) for names in found))


def _change(change: RowChange, lines: Sequence[int]) -> dict[str, Any]:
    return {
        "change": change.change,
        "row": change.row,
        "line": None if change.index is None else lines[change.index],
        "fields": [{"field": each.field, "before": each.before, "after": each.after} for each in change.fields],
    }


async def _touches(rehearsals: Rehearsals, engine: Engine, principal: Principal, tried: Changes) -> dict[str, Any]:
    """What an import would do to open promises, for those who may see it; or why it is not shown."""
    if not principal.may(PREVIEW_SCOPE) or principal.channels is not None or principal.account_groups is not None:
        return {"touches_missing": f"the scope {PREVIEW_SCOPE} over all channels is needed"}
    try:
        return {"touches": preview_document(await make_preview(rehearsals, engine, tried))}
    except Problem as problem:
        if problem.kind != PREVIEW_TOO_LARGE:
            raise
        return {"touches_missing": problem.detail}
