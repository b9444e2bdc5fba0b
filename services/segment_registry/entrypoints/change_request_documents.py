"""Change requests as they are given and answered."""

from typing import Annotated, Any, Literal

import orjson
from pydantic import Field, StringConstraints

from services.contracts.payload import Identifier, Moment, Note, Payload, Version
from services.segment_registry.application.dry_run import Effects
from services.segment_registry.application.ports import BothHands
from services.segment_registry.domain.change_requests import ChangeRequest, RequestState
from services.segment_registry.entrypoints.change_contents import Content


class EditBody(Payload):
    """What is to change, and why."""

    reason: Annotated[Note, Field(min_length=1)]
    content: Content


class ProposalBody(EditBody):
    """What is to change, and why; as a draft it asks nobody until it is submitted."""

    draft: bool = False


class ApprovalBody(Payload):
    """The content that was looked at, by its hash."""

    content_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ClosingBody(Payload):
    """Why a request is rejected or withdrawn."""

    reason: Annotated[Note, Field(min_length=1)]


class NothingBody(Payload):
    """Nothing more is to be said."""


class RequestSummary(Payload):
    """A change request without its content. `state` is as of now: what was not decided or used in time is expired.

    `expires_at` is null before a draft is submitted; `revision` counts what was written, the first is 1.
    """

    request_id: Identifier
    kind: str
    state: Literal["draft", "open", "approved", "applied", "rejected", "withdrawn", "expired"]
    reason: str
    authors: tuple[Identifier, ...]
    content_sha256: str
    proposed_at: Moment
    expires_at: Moment | None
    revision: Version
    approver: Identifier | None
    approved_at: Moment | None
    approval_expires_at: Moment | None
    closed_by: Identifier | None
    closed_at: Moment | None
    closing_reason: str


class RequestDocument(RequestSummary):
    """A change request with its content, which `content_sha256` is of (canonical JSON: sorted keys, no blanks)."""

    content: dict[str, Any]


class RequestPage(Payload):
    """Change requests by id, which is by time; `next_cursor` is null on the last page."""

    items: tuple[RequestSummary, ...]
    next_cursor: Identifier | None


class TouchedCustomer(Payload):
    """A customer that would move, and why that needs a second person."""

    customer_id: Identifier
    from_tier: str
    to_tier: str
    effective_from: Moment | None
    needs: tuple[str, ...]


class DifferenceDocument(Payload):
    """A field (`path`, a JSON pointer) that is said otherwise than before; null where it is not said."""

    path: str
    before: Any
    after: Any


class EffectsDocument(Payload):
    """What a change touches; `preview` is the ATP's, as if all took effect now, or `preview_missing` says why not.

    `differences` of a tier are from what is in effect before it: the version in force, or the plan before its moment;
    of the rules of change from those in force.
    """

    request_id: Identifier
    customers: int
    moves: tuple[TouchedCustomer, ...]
    preview: dict[str, Any] | None
    preview_missing: str | None
    differences: tuple[DifferenceDocument, ...]


class BothHandsKey(Payload):
    """A subject whose keys together let it propose and approve."""

    subject: str
    scopes: tuple[str, ...]


class BothHandsActed(Payload):
    """Somebody who proposed and approved changes of one kind, though never the same one."""

    subject: str
    kind: str
    proposed: int
    approved: int


class BothHandsDocument(Payload):
    """Who may propose and approve the same thing: by keys of this registry's table, and by what was done."""

    may: tuple[BothHandsKey, ...]
    did: tuple[BothHandsActed, ...]


def summary_value(request: ChangeRequest, state: RequestState) -> dict[str, Any]:
    """A `RequestSummary`."""
    approval = request.approval
    return {
        "request_id": request.request_id,
        "kind": request.kind,
        "state": state,
        "reason": request.reason,
        "authors": list(request.authors),
        "content_sha256": request.content_sha256,
        "proposed_at": request.proposed_at,
        "expires_at": request.expires_at,
        "revision": request.revision,
        "approver": None if approval is None else approval.approver,
        "approved_at": None if approval is None else approval.at,
        "approval_expires_at": None if approval is None else approval.expires_at,
        "closed_by": request.closed_by,
        "closed_at": request.closed_at,
        "closing_reason": request.closing_reason,
    }


def request_value(request: ChangeRequest, state: RequestState) -> dict[str, Any]:
    """A `RequestDocument`."""
    return summary_value(request, state) | {"content": orjson.Fragment(request.content)}


def effects_value(request_id: str, effects: Effects) -> dict[str, Any]:
    """An `EffectsDocument`."""
    moves = [
        {
            "customer_id": each.customer_id,
            "from_tier": each.from_tier,
            "to_tier": each.to_tier,
            "effective_from": each.effective_from,
            "needs": list(each.needs),
        }
        for each in effects.moves
    ]
    return {
        "request_id": request_id,
        "customers": effects.customers,
        "moves": moves,
        "preview": effects.preview,
        "preview_missing": effects.preview_missing,
        "differences": [
            {"path": each.path, "before": each.before, "after": each.after} for each in effects.differences
        ],
    }


def both_hands_value(found: BothHands) -> dict[str, Any]:
    """A `BothHandsDocument`."""
    return {
        "may": [{"subject": subject, "scopes": list(scopes)} for subject, scopes in found.keys],
        "did": [
            {"subject": person, "kind": kind, "proposed": proposed, "approved": approved}
            for person, kind, proposed, approved in found.acted
        ],
    }
