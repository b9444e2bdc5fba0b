"""What the registry's HTTP API takes and gives: the models of its description, and the values of its answers."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SkipValidation, StringConstraints

from services.contracts.orders import CustomerRef
from services.contracts.payload import Code, Identifier, Moment, Note, Payload, Version
from services.contracts.segments import Assignment as AssignmentContract
from services.contracts.segments import Evidence, TierDefined, TierPolicy
from services.segment_registry.application.change_content import document_of_record
from services.segment_registry.application.import_customers import IMPORT_ROWS_MAX, Imported
from services.segment_registry.application.read_customers import CustomerView, KnownView
from services.segment_registry.domain.customers import IDENTIFIERS_MAX
from services.segment_registry.domain.customers import Identifier as DomainIdentifier
from services.segment_registry.domain.timeline import Assignment
from services.segment_registry.entrypoints.record_documents import RecordDocument

Basis = Literal["assigned", "override", "unassigned"]
# A tier is named in paths and scopes, where `*` means all of them.
TierId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$")]
Identifiers = Annotated[tuple[CustomerRef, ...], Field(min_length=1, max_length=IDENTIFIERS_MAX)]


class TierBody(Payload):
    """A tier, whole: what is left out gets its default."""

    name: Annotated[Note, Field(min_length=1, max_length=100)]
    priority_rank: Annotated[int, Field(strict=True, ge=1, le=1_000_000, description="1 is served first")]
    is_default: bool = False
    active: bool = True
    policy: TierPolicy = TierPolicy()


class TierList(Payload):
    """All tiers by rank."""

    items: tuple[TierDefined, ...]


class IdentifiersBody(Payload):
    """What other systems call one customer."""

    identifiers: Identifiers


class AssignmentBody(Payload):
    """A wish to move a customer. Without a start it is now; without an end it lasts until the next planned one."""

    tier: Code
    effective_from: Moment | None = None
    effective_to: Moment | None = None
    reason: Note = ""
    kind: Literal["assigned", "override"] = "assigned"


class EndBody(Payload):
    """Why an assignment ends before its time."""

    reason: Annotated[Note, Field(min_length=1)]


class ImportRowBody(Payload):
    """A customer of a bulk. Without a tier its tier is left alone, without a record its golden record is."""

    identifiers: Identifiers
    tier: Code | None = None
    reason: Note = ""
    record: RecordDocument | None = None


class ImportBody(Payload):
    """A bulk of customers with their tiers, 1 to 5,000. Rows are checked one by one: a bad one spoils no other."""

    items: Annotated[tuple[ImportRowBody, ...], Field(min_length=1, max_length=IMPORT_ROWS_MAX), SkipValidation]


class AssignmentDocument(AssignmentContract):
    """An assignment with who decided it and on which grounds."""

    author: Identifier
    rule: Code | None
    rule_version: Version | None
    proposal_id: Identifier | None
    evidence: tuple[Evidence, ...]


class ServedDocument(Payload):
    """The tier that counts at a moment, as far as it was known at another; `unassigned`: the default tier."""

    customer_id: Identifier
    at: Moment
    known_at: Moment
    tier: Code
    basis: Basis
    assignment: AssignmentDocument | None


class CustomerDocument(Payload):
    """A customer with the assignment in force and those planned, and its golden record.

    One that is `merged` is served as another one: `tier` is that one's, `assignments` are kept for a split.
    """

    customer_id: Identifier
    sequence: Version
    status: Literal["active", "merged"]
    merged_into: Identifier | None
    identifiers: tuple[CustomerRef, ...]
    tier: Code
    basis: Basis
    assignments: tuple[AssignmentDocument, ...]
    record: RecordDocument


class CustomerPage(Payload):
    """Customers by id; `next_cursor` is null on the last page."""

    items: tuple[CustomerDocument, ...]
    next_cursor: Identifier | None


class History(Payload):
    """Assignments of one customer by sequence, as known at a moment; `next_after` is null on the last page."""

    customer_id: Identifier
    sequence: Version
    known_at: Moment
    items: tuple[AssignmentDocument, ...]
    next_after: int | None


class MoveDocument(Payload):
    """What became of a wish to move a customer: `changed` is false where it was there already."""

    customer_id: Identifier
    sequence: Version
    changed: bool
    assignment: AssignmentDocument


class RejectedRow(Payload):
    """A row of a bulk that was left out; the codes are those of single commands."""

    index: int
    code: str
    detail: str


class ImportDocument(Payload):
    """What became of a bulk: numbers of rows, and the rows left out."""

    created: int
    changed: int
    unchanged: int
    rejected: tuple[RejectedRow, ...]


_ROW_DETAIL_MAX: Final = 200  # characters; a bad bulk must not make an answer larger than itself


def assignment_value(assignment: Assignment) -> dict[str, Any]:
    """An `AssignmentDocument`."""
    grounds = assignment.grounds
    return {
        "tier": assignment.tier,
        "effective_from": assignment.effective_from,
        "effective_to": assignment.effective_to,
        "sequence": assignment.sequence,
        "reason": grounds.reason,
        "kind": assignment.kind,
        "author": grounds.author,
        "rule": grounds.rule,
        "rule_version": grounds.rule_version,
        "proposal_id": grounds.proposal_id,
        "evidence": [{"name": one.name, "value": one.value, "limit": one.limit} for one in grounds.evidence],
    }


def customer_value(view: CustomerView) -> dict[str, Any]:
    """A `CustomerDocument`."""
    return {
        "customer_id": view.customer.customer_id,
        "sequence": view.customer.sequence,
        "status": "active" if view.customer.merged_into is None else "merged",
        "merged_into": view.customer.merged_into,
        "identifiers": [{"system": system, "id": id_} for system, id_ in view.customer.identifiers],
        "tier": view.served.tier,
        "basis": basis_of(view.served.by),
        "assignments": [assignment_value(a) for a in view.customer.assignments if a.ends_after(view.at)],
        "record": document_of_record(view.customer.record),
    }


def served_value(view: KnownView) -> dict[str, Any]:
    """A `ServedDocument`."""
    by = view.served.by
    return {
        "customer_id": view.customer_id,
        "at": view.at,
        "known_at": view.known_at,
        "tier": view.served.tier,
        "basis": basis_of(by),
        "assignment": None if by is None else assignment_value(by),
    }


def history_value(view: KnownView, after: int, limit: int) -> dict[str, Any]:
    """A `History`."""
    rest = sorted((a for a in view.assignments if a.sequence > after), key=lambda a: a.sequence)
    page = rest[:limit]
    return {
        "customer_id": view.customer_id,
        "sequence": view.sequence,
        "known_at": view.known_at,
        "items": [assignment_value(assignment) for assignment in page],
        "next_after": page[-1].sequence if len(rest) > limit else None,
    }


def move_value(customer_id: str, sequence: int, assignment: Assignment, *, changed: bool) -> dict[str, Any]:
    """A `MoveDocument`."""
    return {
        "customer_id": customer_id,
        "sequence": sequence,
        "changed": changed,
        "assignment": assignment_value(assignment),
    }


def import_value(imported: Imported, malformed: Iterable[RejectedRow]) -> dict[str, Any]:
    """An `ImportDocument`."""
    rejected = [{"index": row.index, "code": row.code, "detail": row.detail[:_ROW_DETAIL_MAX]} for row in malformed]
    rejected += [{"index": row.index, "code": row.reason, "detail": ""} for row in imported.refused]
    return {
        "created": imported.created,
        "changed": imported.changed,
        "unchanged": imported.unchanged,
        "rejected": sorted(rejected, key=lambda row: row["index"]),
    }


def domain_identifiers(identifiers: Iterable[CustomerRef]) -> tuple[DomainIdentifier, ...]:
    """As the domain has them."""
    return tuple(DomainIdentifier(one.system, one.id) for one in identifiers)


def basis_of(by: Assignment | None) -> Basis:
    """By what a customer is in its tier."""
    return "unassigned" if by is None else by.kind.value
