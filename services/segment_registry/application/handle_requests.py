"""Change requests from the first word to the change itself: propose, edit, approve, reject, withdraw, apply."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.chassis.ids import new_id
from services.segment_registry.application.change_content import audit_of_request
from services.segment_registry.application.changes import Change, Failure, carry_out, objection_to, objection_to_date
from services.segment_registry.application.ports import ByRequest, Commander, RegistryReader, RegistryTransaction
from services.segment_registry.domain import change_requests as domain
from services.segment_registry.domain.change_requests import (
    DRAFTS_MAX,
    ChangeRequest,
    RequestRefusal,
    RequestState,
)
from services.segment_registry.domain.change_rules import ChangeRules

REQUESTS_PAGE_MAX: Final = 100  # of one answer: a request may hold a bulk

Step = Callable[[ChangeRequest, datetime, ChangeRules], ChangeRequest | RequestRefusal]
Read = Callable[[str], Change]  # the change that a canonical content is


@dataclass(frozen=True, slots=True)
class RequestUnknown:
    """No such request."""


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """The request stays as it was; the attempt is in the audit trail."""

    request: ChangeRequest
    reason: RequestRefusal


@dataclass(frozen=True, slots=True)
class NotCarriedOut:
    """The registry does not allow it, as things are now; the request stays as it was, and nothing was altered."""

    request: ChangeRequest
    failure: Failure


@dataclass(frozen=True, slots=True)
class NotProposed:
    """What would never be carried out, or a draft too many; nothing was stored."""

    code: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """What somebody asks for: a kind, its canonical content, and why."""

    kind: str
    content: str
    reason: str


async def propose_change(
    transaction: RegistryTransaction, proposed: Proposed, read: Read, commander: Commander
) -> ChangeRequest | NotProposed:
    """A new request; nothing is changed by it."""
    objection = await objection_to_date(transaction, read(proposed.content))
    if objection is not None:
        return NotProposed(objection.code)
    now = await transaction.now()
    rules = await transaction.change_rules()
    request = domain.propose(
        str(new_id()), proposed.kind, proposed.content, proposed.reason, commander.author, now, rules
    )
    await transaction.save_change_requests([request])
    await transaction.append_audit([audit_of_request(request, commander.author, "change_request.proposed")], now)
    return request


async def draft_change(
    transaction: RegistryTransaction, proposed: Proposed, commander: Commander
) -> ChangeRequest | NotProposed:
    """A new draft: nobody is asked, and whatever may be written is stored."""
    if await transaction.drafts() >= DRAFTS_MAX:  # a few more at the same moment do no harm
        return NotProposed("too_many_drafts")
    now = await transaction.now()
    made = domain.draft(str(new_id()), proposed.kind, proposed.content, proposed.reason, commander.author, now)
    await transaction.save_change_requests([made])
    await transaction.append_audit([audit_of_request(made, commander.author, "change_request.drafted")], now)
    return made


async def edit_change(
    transaction: RegistryTransaction,
    request_id: str,
    proposed: Proposed,
    commander: Commander,
    expected_revision: int | None,
) -> ChangeRequest | RequestRefused | RequestUnknown:
    """Another content for a draft or an open request; its writer becomes an author."""

    def step(request: ChangeRequest, now: datetime, _: ChangeRules) -> ChangeRequest | RequestRefusal:
        return domain.edit(
            request,
            proposed.kind,
            proposed.content,
            proposed.reason,
            author=commander.author,
            now=now,
            expected_revision=expected_revision,
        )

    return await _take(transaction, request_id, step, commander, "edited")


async def submit_change(
    transaction: RegistryTransaction, request_id: str, content_sha256: str, read: Read, commander: Commander
) -> ChangeRequest | RequestRefused | RequestUnknown | NotCarriedOut:
    """Ask for the approval of a draft, of the content that has this hash."""
    request = await transaction.lock_change_request(request_id)
    if request is not None and request.state is RequestState.DRAFT and request.content_sha256 == content_sha256:
        objection = await objection_to(transaction, read(request.content))
        if objection is not None:
            return NotCarriedOut(request, objection)

    def step(request: ChangeRequest, now: datetime, rules: ChangeRules) -> ChangeRequest | RequestRefusal:
        return domain.submit(request, commander.author, content_sha256, now=now, rules=rules)

    return await _take(transaction, request_id, step, commander, "submitted")


async def redraft_change(
    transaction: RegistryTransaction, request_id: str, commander: Commander
) -> ChangeRequest | RequestRefused | RequestUnknown:
    """Make a draft of a request again, which voids an approval of it."""

    def step(request: ChangeRequest, now: datetime, _: ChangeRules) -> ChangeRequest | RequestRefusal:
        return domain.redraft(request, commander.author, now)

    return await _take(transaction, request_id, step, commander, "redrafted")


async def approve_change(
    transaction: RegistryTransaction, request_id: str, content_sha256: str, commander: Commander
) -> ChangeRequest | RequestRefused | RequestUnknown:
    """Approve the content that has this hash."""

    def step(request: ChangeRequest, now: datetime, rules: ChangeRules) -> ChangeRequest | RequestRefusal:
        return domain.approve(request, commander.author, content_sha256, now=now, rules=rules)

    return await _take(transaction, request_id, step, commander, "approved")


async def close_change(
    transaction: RegistryTransaction, request_id: str, how: RequestState, reason: str, commander: Commander
) -> ChangeRequest | RequestRefused | RequestUnknown:
    """Reject a request, or withdraw one's own."""
    closing = domain.reject if how is RequestState.REJECTED else domain.withdraw

    def step(request: ChangeRequest, now: datetime, _: ChangeRules) -> ChangeRequest | RequestRefusal:
        return closing(request, commander.author, reason, now)

    return await _take(transaction, request_id, step, commander, how.value, reason)


async def apply_change(
    transaction: RegistryTransaction, request_id: str, read: Read, commander: Commander
) -> ChangeRequest | RequestRefused | RequestUnknown | NotCarriedOut:
    """Carry an approved request out, or a draft for which the rules ask nobody, once."""
    request = await transaction.lock_change_request(request_id)
    if request is None:
        return RequestUnknown()
    now = await transaction.now()
    applied = domain.apply(request, commander.author, now)
    if isinstance(applied, RequestRefusal):
        return await _refuse(transaction, request, applied, commander, now)
    approver = None if request.approval is None else request.approval.approver
    author = commander.author if approver is None else request.authors[0]  # who carries a draft out decides it alone
    proposer = Commander(author, commander.cause, ByRequest(request_id, approver))
    change = read(request.content)
    failure = await carry_out(transaction, change, proposer, approved=approver is not None)
    if failure is not None:
        entry = audit_of_request(request, commander.author, "change_request.not_applied", refusal=failure.code)
        await transaction.append_audit([entry], now)
        return NotCarriedOut(request, failure)
    await transaction.save_change_requests([applied])
    await transaction.append_audit([audit_of_request(applied, commander.author, "change_request.applied")], now)
    return applied


async def requests_page(
    reader: RegistryReader, state: RequestState | None, after: str | None, limit: int
) -> tuple[list[ChangeRequest], str | None, datetime]:
    """Requests by id, which is by time; `state` as it is now. Where to go on (None: that was the last page), and now.

    Of open and approved ones those whose time has passed are left out, so that a page may be shorter.
    """
    now = await reader.now()
    stored = None if state is RequestState.EXPIRED else state
    found = await reader.page_of_change_requests(stored, after, limit + 1)
    page = [each for each in found[:limit] if state is None or each.state_at(now) is state]
    return page, found[limit - 1].request_id if len(found) > limit else None, now


async def _take(  # noqa: PLR0917 - private, called with all of them
    transaction: RegistryTransaction,
    request_id: str,
    step: Step,
    commander: Commander,
    done: str,
    reason: str = "",
) -> ChangeRequest | RequestRefused | RequestUnknown:
    request = await transaction.lock_change_request(request_id)
    if request is None:
        return RequestUnknown()
    now = await transaction.now()
    taken = step(request, now, await transaction.change_rules())
    if isinstance(taken, RequestRefusal):
        return await _refuse(transaction, request, taken, commander, now)
    await transaction.save_change_requests([taken])
    entry = audit_of_request(taken, commander.author, f"change_request.{done}", reason=reason)
    await transaction.append_audit([entry], now)
    return taken


async def _refuse(
    transaction: RegistryTransaction,
    request: ChangeRequest,
    reason: RequestRefusal,
    commander: Commander,
    now: datetime,
) -> RequestRefused:
    """What was refused is written down: who tried it is worth knowing."""
    entry = audit_of_request(request, commander.author, "change_request.refused", refusal=reason)
    await transaction.append_audit([entry], now)
    return RequestRefused(request, reason)
