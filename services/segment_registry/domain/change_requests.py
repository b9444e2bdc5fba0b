"""A change request: what one person proposes and another one approves, before it is carried out.

    draft --submit--> open --approve--> approved --apply--> applied
    draft --apply--> applied                   (a tier, where the rules of change ask nobody)
    open, approved, expired --redraft--> draft
    draft, open, approved --withdraw--> withdrawn        open, approved --reject--> rejected
    open --(its days pass)--> expired          approved --(its hours pass)--> expired

A draft asks nobody for anything and waits for as long as its authors like. The content may be edited while the request
is a draft or open; everybody who wrote any of it, or submitted it, is its author, and no author approves it, whatever
key is shown: a person is the subject of the credentials, however it is written (`persons`). An approval is for one
content, named by its hash; what is carried out must have that hash. An approval that is not used in its hours is worth
nothing, nor is one of a request that was made a draft again.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.persons import person

DRAFTS_MAX: Final = 200  # of all kinds at a time: what people work on, not an archive
# What one person may put into effect from a draft, if the rules of change say so when it is carried out.
UNASKED_KINDS: Final = frozenset({"tier"})


class RequestState(StrEnum):
    """Where a request is."""

    DRAFT = "draft"
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
    REVISION_MOVED = "revision_moved"
    NOT_SUBMITTED = "not_submitted"
    ALREADY_SUBMITTED = "already_submitted"
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
    """`content` is canonical JSON; `authors` are who proposed and who edited it, in this order, each once.

    `expires_at` is None while nothing was asked of anybody. `revision` counts what was written: the first is 1.
    """

    request_id: str
    kind: str
    content: str
    reason: str
    authors: tuple[str, ...]
    proposed_at: datetime
    expires_at: datetime | None
    state: RequestState = RequestState.OPEN
    approval: Approval | None = None
    closed_by: str | None = None
    closed_at: datetime | None = None
    closing_reason: str = ""
    revision: int = 1

    @property
    def content_sha256(self) -> str:
        """What an approval names."""
        return hashlib.sha256(self.content.encode()).hexdigest()

    def state_at(self, now: datetime) -> RequestState:
        """Where it is, time considered."""
        if self.state is RequestState.OPEN and self.expires_at is not None and now >= self.expires_at:
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


def draft(  # noqa: PLR0917 - as many as a draft has
    request_id: str, kind: str, content: str, reason: str, author: str, now: datetime
) -> ChangeRequest:
    """A new draft."""
    return ChangeRequest(request_id, kind, content, reason, (author,), now, None, RequestState.DRAFT)


def edit(
    request: ChangeRequest,
    kind: str,
    content: str,
    reason: str,
    *,
    author: str,
    now: datetime,
    expected_revision: int | None = None,
) -> ChangeRequest | RequestRefusal:
    """Another content; its writer becomes one of the authors. `expected_revision` is the one looked at (None: any)."""
    state = request.state_at(now)
    if state is RequestState.APPROVED:
        return RequestRefusal.EDIT_AFTER_APPROVAL
    if state not in {RequestState.DRAFT, RequestState.OPEN}:
        return _closed(state)
    if expected_revision is not None and expected_revision != request.revision:
        return RequestRefusal.REVISION_MOVED
    authors = _with(request.authors, author)
    revision = request.revision + 1
    return replace(request, kind=kind, content=content, reason=reason, authors=authors, revision=revision)


def submit(
    request: ChangeRequest, by: str, content_sha256: str, *, now: datetime, rules: ChangeRules
) -> ChangeRequest | RequestRefusal:
    """Ask for the content that has this hash; whoever submits it is one of its authors."""
    state = request.state_at(now)
    if state in {RequestState.OPEN, RequestState.APPROVED}:
        return RequestRefusal.ALREADY_SUBMITTED
    if state is not RequestState.DRAFT:
        return _closed(state)
    if content_sha256 != request.content_sha256:
        return RequestRefusal.CONTENT_CHANGED
    until = now + timedelta(days=rules.request_valid_days)
    return replace(request, state=RequestState.OPEN, authors=_with(request.authors, by), expires_at=until)


def redraft(request: ChangeRequest, by: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """Make a draft of a request again; an approval of it is void. Only its authors may."""
    state = request.state_at(now)
    if state not in {RequestState.OPEN, RequestState.APPROVED, RequestState.EXPIRED}:
        return RequestRefusal.NOT_SUBMITTED if state is RequestState.DRAFT else _closed(state)
    if not _is_author(request, by):
        return RequestRefusal.NOT_THE_AUTHOR
    return replace(request, state=RequestState.DRAFT, approval=None, expires_at=None)


def approve(
    request: ChangeRequest, approver: str, content_sha256: str, *, now: datetime, rules: ChangeRules
) -> ChangeRequest | RequestRefusal:
    """Approve the content that has this hash."""
    state = request.state_at(now)
    if state is RequestState.DRAFT:
        return RequestRefusal.NOT_SUBMITTED
    if state is not RequestState.OPEN:
        return _closed(state)
    if _is_author(request, approver):
        return RequestRefusal.OWN_REQUEST
    if content_sha256 != request.content_sha256:
        return RequestRefusal.CONTENT_CHANGED
    until = now + timedelta(hours=rules.approval_valid_hours)
    return replace(request, state=RequestState.APPROVED, approval=Approval(approver, content_sha256, now, until))


def reject(request: ChangeRequest, by: str, reason: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """Reject a request, or take back an approval that was not used; its authors withdraw instead."""
    if request.state_at(now) is RequestState.DRAFT:
        return RequestRefusal.NOT_SUBMITTED
    if request.state_at(now) not in {RequestState.OPEN, RequestState.APPROVED}:
        return _closed(request.state_at(now))
    if _is_author(request, by):
        return RequestRefusal.OWN_REQUEST
    return _close(request, RequestState.REJECTED, by, reason, now)


def withdraw(request: ChangeRequest, by: str, reason: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """Withdraw a draft or a request; only its authors may."""
    if request.state_at(now) not in {RequestState.DRAFT, RequestState.OPEN, RequestState.APPROVED}:
        return _closed(request.state_at(now))
    if not _is_author(request, by):
        return RequestRefusal.NOT_THE_AUTHOR
    return _close(request, RequestState.WITHDRAWN, by, reason, now)


def apply(request: ChangeRequest, by: str, now: datetime) -> ChangeRequest | RequestRefusal:
    """The request as carried out; whoever holds it must carry the content out, in the same transaction.

    One without an approval was a draft: it is carried out as a command of one person, or not at all.
    """
    state = request.state_at(now)
    if state is RequestState.DRAFT:
        return _apply_draft(request, by, now)
    if state is RequestState.OPEN:
        return RequestRefusal.NOT_APPROVED
    if state is not RequestState.APPROVED or request.approval is None:
        return _closed(state)
    if request.approval.content_sha256 != request.content_sha256:
        return RequestRefusal.CONTENT_CHANGED  # nobody here writes that: somebody wrote into the table
    if _is_author(request, request.approval.approver):
        return RequestRefusal.OWN_REQUEST
    return _close(request, RequestState.APPLIED, by, "", now)


def _apply_draft(request: ChangeRequest, by: str, now: datetime) -> ChangeRequest | RequestRefusal:
    if request.kind not in UNASKED_KINDS:
        return RequestRefusal.NOT_SUBMITTED
    return _close(replace(request, authors=_with(request.authors, by)), RequestState.APPLIED, by, "", now)


def _is_author(request: ChangeRequest, name: str) -> bool:
    """Whether this is one of its authors, however the name is written."""
    return person(name) in {person(each) for each in request.authors}


def _with(authors: tuple[str, ...], one: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*authors, one)))


def _closed(state: RequestState) -> RequestRefusal:
    return RequestRefusal.REQUEST_EXPIRED if state is RequestState.EXPIRED else RequestRefusal.REQUEST_CLOSED


def _close(request: ChangeRequest, state: RequestState, by: str, reason: str, now: datetime) -> ChangeRequest:
    return replace(request, state=state, closed_by=by, closed_at=now, closing_reason=reason)
