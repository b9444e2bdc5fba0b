"""A change request: what one person proposes and another one approves, before it is carried out.

    open --approve--> approved --apply--> applied
    open, approved --reject, withdraw--> rejected, withdrawn
    open --(its days pass)--> expired          approved --(its hours pass)--> expired

The content may be edited while the request is open; everybody who wrote any of it is its author, and no author
approves it, whatever key is shown: a person is the subject of the credentials. An approval is for one content, named by
its hash; what is carried out must have that hash. An approval that is not used in its hours is worth nothing.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.segment_registry.domain.change_rules import ChangeRules


class RequestState(StrEnum):
    """Where a request is."""

    OPEN = "open"
    APPROVED = "approved"
    APPLIED = "applied"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class RequestRefusal(StrEnum):
    """Why a step was refused; where several apply, the first in this order is given."""

    REQUEST_EXPIRED = "request_expired"
    REQUEST_CLOSED = "request_closed"
    EDIT_AFTER_APPROVAL = "edit_after_approval"
    NOT_APPROVED = "not_approved"
    OWN_REQUEST = "own_request"
    NOT_THE_AUTHOR = "not_the_author"
    CONTENT_CHANGED = "content_changed"


@dataclass(frozen=True, slots=True)
class Approval:
    """Who approved which content, and until when it counts."""

    approver: str
    content_sha256: str
    at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """`content` is canonical JSON; `authors` are who proposed and who edited it, in this order, each once."""

    request_id: str
    kind: str
    content: str
    reason: str
    authors: tuple[str, ...]
    proposed_at: datetime
    expires_at: datetime
    state: RequestState = RequestState.OPEN
    approval: Approval | None = None
    closed_by: str | None = None
    closed_at: datetime | None = None
    closing_reason: str = ""

    @property
    def content_sha256(self) -> str:
        """What an approval names."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    def state_at(self, now: datetime) -> RequestState:
        """Where it is, time considered."""
        if self.state is RequestState.OPEN and now >= self.expires_at:
            return RequestState.EXPIRED
        if self.state is RequestState.APPROVED and self.approval is not None and now >= self.approval.expires_at:
            return RequestState.EXPIRED
        return self.state


def propose(  # noqa: PLR0917 - as many as a request has
    request_id: str, kind: str, content: str, reason: str, author: str, now: datetime, rules: ChangeRules
) -> ChangeRequest:
    """A new request."""
    expires_at = now + timedelta(days=rules.request_valid_days)
    return ChangeRequest(request_id, kind, content, reason, (author,), now, expires_at)


def edit(
    request: ChangeRequest, kind: str, content: str, reason: str, *, author: str, now: datetime
) -> ChangeRequest | RequestRefusal:
    """Another content; its writer becomes one of the authors."""
    state = request.state_at(now)
    if state is RequestState.APPROVED:
        return RequestRefusal.EDIT_AFTER_APPROVAL
    if state is not RequestState.OPEN:
        return _closed(state)
    authors = tuple(dict.fromkeys((*request.authors, author)))
    return replace(request, kind=kind, content=content, reason=reason, authors=authors)


def approve(
    request: ChangeRequest, approver: str, content_sha256: str, *, now: datetime, rules: ChangeRules
) -> ChangeRequest | RequestRefusal:
    """Approve the content that has this hash."""
    state = request.state_at(now)
    if state is not RequestState.OPEN:
        return _closed(state)
    if approver in request.authors:
        return RequestRefusal.OWN_REQUEST
    if content_sha256 != request.content_sha256:
        return RequestRefusal.CONTENT_CHANGED
    until = now + timedelta(hours=rules.approval_valid_hours)
    return replace(request, state=RequestState.APPROVED, approval=Approval(approver, content_sha256, now, until))


def reject(request: ChangeRequest, by: str, reason: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """Reject a request, or take back an approval that was not used; its authors withdraw instead."""
    if request.state_at(now) not in {RequestState.OPEN, RequestState.APPROVED}:
        return _closed(request.state_at(now))
    if by in request.authors:
        return RequestRefusal.OWN_REQUEST
    return _close(request, RequestState.REJECTED, by, reason, now)


def withdraw(request: ChangeRequest, by: str, reason: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """Withdraw a request; only its authors may."""
    if request.state_at(now) not in {RequestState.OPEN, RequestState.APPROVED}:
        return _closed(request.state_at(now))
    if by not in request.authors:
        return RequestRefusal.NOT_THE_AUTHOR
    return _close(request, RequestState.WITHDRAWN, by, reason, now)


def apply(request: ChangeRequest, by: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """The request as carried out; whoever holds it must carry the content out, in the same transaction."""
    state = request.state_at(now)
    if state is RequestState.OPEN:
        return RequestRefusal.NOT_APPROVED
    if state is not RequestState.APPROVED or request.approval is None:
        return _closed(state)
    if request.approval.content_sha256 != request.content_sha256:
        return RequestRefusal.CONTENT_CHANGED  # nobody here writes that: somebody wrote into the table
    if request.approval.approver in request.authors:
        return RequestRefusal.OWN_REQUEST
    return _close(request, RequestState.APPLIED, by, "", now)


def _closed(state: RequestState) -> RequestRefusal:
    return RequestRefusal.REQUEST_EXPIRED if state is RequestState.EXPIRED else RequestRefusal.REQUEST_CLOSED


def _close(request: ChangeRequest, state: RequestState, by: str, reason: str, now: datetime) -> ChangeRequest:
    return replace(request, state=state, closed_by=by, closed_at=now, closing_reason=reason)
