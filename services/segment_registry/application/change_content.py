"""The content of change requests: canonical JSON, so that one content has one hash."""

from dataclasses import asdict
from typing import Any

import orjson

from services.chassis.audit.chain import AuditEntry
from services.contracts.segments import TierPolicy
from services.segment_registry.domain.change_requests import ChangeRequest
from services.segment_registry.domain.change_rules import ChangeRules
from services.segment_registry.domain.proposals import Proposal
from services.segment_registry.domain.records import CustomerRecord
from services.segment_registry.domain.tiers import Tier


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


def document_of_tier(tier: Tier) -> dict[str, Any]:
    """A definition to be compared, whatever its version; what its policy does not say is said by its default."""
    return {
        "name": tier.name,
        "priority_rank": tier.priority_rank,
        "is_default": tier.is_default,
        "active": tier.active,
        "policy": TierPolicy.model_validate_json(tier.policy).model_dump(mode="json"),
    }


def document_of_rules(rules: ChangeRules) -> dict[str, Any]:
    """Rules of change to be compared, whatever their version."""
    document = asdict(rules)
    del document["version"]
    return document


def document_of_record(record: CustomerRecord) -> dict[str, Any]:
    """A golden record, for the audit trail and to be compared."""
    contract = record.contract
    return {
        "account_owner": record.account_owner,
        "customer_type": record.customer_type,
        "industry": record.industry,
        "strategic": record.strategic,
        "contract": None
        if contract is None
        else {
            "starts": contract.starts,
            "ends": contract.ends,
            "minimum_tier": contract.minimum_tier,
            "commitments": list(contract.commitments),
        },
    }


def audit_of_request(
    request: ChangeRequest, author: str, action: str, *, refusal: str | None = None, reason: str = ""
) -> AuditEntry:
    """The audit entry of a step of a request, or of one that was refused. The content is named by its hash."""
    detail: dict[str, Any] = {
        "kind": request.kind,
        "state": request.state,
        "authors": list(request.authors),
        "content_sha256": request.content_sha256,
        "revision": request.revision,
        "approver": None if request.approval is None else request.approval.approver,
        "reason": reason or request.reason,
    }
    if refusal is not None:
        detail["refusal"] = refusal
    return AuditEntry(author, action, request.request_id, detail)
