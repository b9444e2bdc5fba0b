"""The content of change requests: canonical JSON, so that one content has one hash."""

from typing import Any

import orjson

from services.chassis.audit.chain import AuditEntry
from services.segment_registry.domain.change_requests import ChangeRequest
from services.segment_registry.domain.proposals import Proposal


def canonical(content: dict[str, Any]) -> str:
    """The one way to write a content."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def content_of_proposal(proposal: Proposal) -> str:
    """The move that a rule proposes, with its grounds, as it is asked for in a change request."""
    move = {
        "customer_id": proposal.customer_id,
        "tier": proposal.to_tier,
        "kind": "assigned",
        "effective_from": None,
        "effective_to": None,
        "reason": proposal.reason,
        "proposal": {
            "proposal_id": proposal.proposal_id,
            "rule": proposal.rule,
            "rule_version": proposal.rule_version,
            "evidence": [{"name": one.name, "value": one.value, "limit": one.limit} for one in proposal.evidence],
        },
    }
    return canonical({"kind": "assignments", "moves": [move]})


def audit_of_request(
    request: ChangeRequest, author: str, action: str, *, refusal: str | None = None, reason: str = ""
) -> AuditEntry:
    """The audit entry of a step of a request, or of one that was refused. The content is named by its hash."""
    detail: dict[str, Any] = {
        "kind": request.kind,
        "state": request.state,
        "authors": list(request.authors),
        "content_sha256": request.content_sha256,
        "approver": None if request.approval is None else request.approval.approver,
        "reason": reason or request.reason,
    }
    if refusal is not None:
        detail["refusal"] = refusal
    return AuditEntry(author, action, request.request_id, detail)
