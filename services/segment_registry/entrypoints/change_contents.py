"""What a change request asks for: the models of its content, and the change that a content is."""

from typing import Annotated, Final, Literal

import orjson
from pydantic import Field, TypeAdapter

from services.contracts.payload import Code, Identifier, Moment, Note, Payload, Version
from services.contracts.segments import Evidence as EvidenceDocument
from services.segment_registry.application.changes import (
    Change,
    EndChange,
    ImportChange,
    MergeChange,
    MoveChange,
    PlanWithdrawal,
    RecordChange,
    RulesChange,
    TierChange,
)
from services.segment_registry.application.import_customers import IMPORT_ROWS_MAX
from services.segment_registry.domain.imports import ImportRow
from services.segment_registry.domain.moves import MoveRequest
from services.segment_registry.domain.timeline import Evidence, Grounds, Kind
from services.segment_registry.entrypoints.change_rule_routes import ChangeRulesBody, rules_of
from services.segment_registry.entrypoints.documents import ImportRowBody, TierBody, TierId, domain_identifiers
from services.segment_registry.entrypoints.record_documents import RecordDocument, record_of
from services.segment_registry.entrypoints.tier_routes import tier_draft

MOVES_MAX: Final = 500  # customers of one request of moves: all are locked together; more are an import
BaseVersion = Annotated[int, Field(strict=True, ge=0, le=2**53)]


class ProposalGrounds(Payload):
    """The rule that proposed a move, with its numbers. Only rules fill this in."""

    proposal_id: Identifier
    rule: Code
    rule_version: Version
    evidence: tuple[EvidenceDocument, ...] = ()


class RequestedMove(Payload):
    """A customer and where it is to be; see `POST /v1/customers/{customer_id}/assignments`."""

    customer_id: Identifier
    tier: Code
    kind: Literal["assigned", "override"] = "assigned"
    effective_from: Moment | None = None
    effective_to: Moment | None = None
    reason: Note = ""


class ProposedMove(RequestedMove):
    """A move as stored: with the rule that proposed it, if one did."""

    proposal: ProposalGrounds | None = None


class AssignmentsContent(Payload):
    """Moves, all of them or none."""

    kind: Literal["assignments"]
    moves: Annotated[tuple[RequestedMove, ...], Field(min_length=1, max_length=MOVES_MAX)]


class StoredAssignments(Payload):
    """Moves as stored."""

    kind: Literal["assignments"]
    moves: tuple[ProposedMove, ...]


class EndContent(Payload):
    """An assignment that is to end now, or to be withdrawn."""

    kind: Literal["end"]
    customer_id: Identifier
    sequence: Version
    reason: Annotated[Note, Field(min_length=1)]


class ImportContent(Payload):
    """A bulk; see `POST /v1/imports`. Rows that cannot be taken are left out."""

    kind: Literal["import"]
    items: Annotated[tuple[ImportRowBody, ...], Field(min_length=1, max_length=IMPORT_ROWS_MAX)]


class TierContent(Payload):
    """A tier, whole; see `PUT /v1/tiers/{tier}`. `base_version` is the version looked at (0: none yet, null: any).

    With `effective_from` it is planned for that moment when the request is carried out.
    """

    kind: Literal["tier"]
    tier: TierId
    base_version: BaseVersion | None = None
    effective_from: Moment | None = None
    definition: TierBody


class PlanWithdrawalContent(Payload):
    """What is planned for a tier at a moment, and is to be withdrawn; see `POST /v1/tiers/{tier}/plans:withdraw`."""

    kind: Literal["tier_plan_withdrawal"]
    tier: TierId
    effective_from: Moment


class RulesContent(Payload):
    """The rules of change, whole; see `PUT /v1/change-rules`."""

    kind: Literal["change_rules"]
    base_version: BaseVersion | None = None
    rules: ChangeRulesBody


class RecordContent(Payload):
    """A golden record, whole; see `PUT /v1/customers/{customer_id}/record`."""

    kind: Literal["record"]
    customer_id: Identifier
    record: RecordDocument


class MergeContent(Payload):
    """A duplicate that is to be merged into another customer."""

    kind: Literal["merge"]
    customer_id: Identifier
    into: Identifier
    reason: Annotated[Note, Field(min_length=1)]


class SplitContent(Payload):
    """A duplicate that is to be split off again."""

    kind: Literal["split"]
    customer_id: Identifier
    reason: Annotated[Note, Field(min_length=1)]


_OfOne = EndContent | MergeContent | SplitContent | RecordContent
_OfAll = ImportContent | TierContent | PlanWithdrawalContent | RulesContent
Content = Annotated[AssignmentsContent | _OfOne | _OfAll, Field(discriminator="kind")]
_STORED: Final[TypeAdapter[StoredAssignments | _OfOne | _OfAll]] = TypeAdapter(
    Annotated[StoredAssignments | _OfOne | _OfAll, Field(discriminator="kind")]
)


def change_of(content: str) -> Change:
    """The change that a stored content is."""
    match _STORED.validate_python(orjson.loads(content)):
        case StoredAssignments(moves=moves):
            return MoveChange(tuple((each.customer_id, _wanted(each)) for each in moves))
        case ImportContent(items=items):
            return ImportChange(tuple(_row(index, each) for index, each in enumerate(items)))
        case TierContent(tier=tier, base_version=version, effective_from=start, definition=definition):
            return TierChange(tier_draft(tier, definition), version, start)
        case PlanWithdrawalContent(tier=tier, effective_from=start):
            return PlanWithdrawal(tier, start)
        case RulesContent(base_version=base_version, rules=rules):
            return RulesChange(rules_of(rules), base_version)
        case of_one:
            return _change_of_one(of_one)


def _change_of_one(content: _OfOne) -> Change:
    match content:
        case EndContent(customer_id=customer_id, sequence=sequence, reason=reason):
            return EndChange(customer_id, sequence, reason)
        case MergeContent(customer_id=customer_id, into=into, reason=reason):
            return MergeChange(customer_id, into, reason)
        case SplitContent(customer_id=customer_id, reason=reason):
            return MergeChange(customer_id, None, reason)
        case RecordContent(customer_id=customer_id, record=record):
            return RecordChange(customer_id, record_of(record))


def _wanted(move: ProposedMove) -> MoveRequest:
    grounds = Grounds(move.reason, "")  # its author is who proposed the request
    if move.proposal is not None:
        by = move.proposal
        evidence = tuple(Evidence(one.name, one.value, one.limit) for one in by.evidence)
        grounds = Grounds(move.reason, "", by.rule, by.rule_version, by.proposal_id, evidence)
    return MoveRequest(move.tier, Kind(move.kind), move.effective_from, move.effective_to, grounds)


def _row(index: int, row: ImportRowBody) -> ImportRow:
    record = None if row.record is None else record_of(row.record)
    return ImportRow(index, domain_identifiers(row.identifiers), row.tier, row.reason, record)
