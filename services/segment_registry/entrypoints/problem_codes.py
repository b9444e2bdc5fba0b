"""Problems of the registry's own: a code for each refusal of its domain."""

from collections.abc import Mapping
from typing import Any, Final

from services.chassis.problems import PRECONDITION_FAILED, Problem, ProblemCode, register
from services.segment_registry.domain.change_requests import RequestRefusal
from services.segment_registry.domain.change_rules import RulesRefusal, RulesRefused
from services.segment_registry.domain.customers import IdentifierRefusal, IdentifiersRefused
from services.segment_registry.domain.merging import MergeRefusal
from services.segment_registry.domain.moves import BudgetRefusal, CustomerMerged, MoveRefusal, MoveRefused, TierUnusable
from services.segment_registry.domain.planned_tiers import PlanRefusal
from services.segment_registry.domain.second_person import SecondPersonNeeded
from services.segment_registry.domain.tiers import TierRefusal, TierRefused
from services.segment_registry.domain.timeline import TimelineRefusal

CUSTOMER_UNKNOWN: Final = register(ProblemCode("customer_unknown", 404, "No such customer"))
TIER_NOT_FOUND: Final = register(ProblemCode("tier_not_found", 404, "No such tier"))
CONTRACT_TIER_UNKNOWN: Final = register(
    ProblemCode("contract_tier_unknown", 422, "The minimum tier of the contract is not defined")
)
CODE_TAKEN: Final = register(ProblemCode("code_taken", 409, "In this system the code means another tier"))
PLAN_PROBLEMS: Final[Mapping[PlanRefusal, ProblemCode]] = {
    PlanRefusal.PLAN_NOT_AHEAD: register(
        ProblemCode("plan_not_ahead", 422, "A plan takes effect after now, and within ten years")
    ),
    PlanRefusal.PLAN_TAKEN: register(
        ProblemCode("plan_taken", 409, "Something is planned for the tier at this moment; withdraw that first")
    ),
    PlanRefusal.TOO_MANY_PLANS: register(ProblemCode("too_many_plans", 409, "So much is planned for the tier already")),
    PlanRefusal.PLAN_UNKNOWN: register(ProblemCode("plan_unknown", 404, "Nothing is planned for the tier then")),
}
UNKNOWN_ASSIGNMENT: Final = register(ProblemCode("unknown_assignment", 404, "The customer has no such assignment"))

MERGED_CUSTOMER: Final = register(ProblemCode("merged_customer", 409, "The customer was merged into another one"))
MERGE_PROBLEMS: Final[Mapping[MergeRefusal, ProblemCode]] = {
    MergeRefusal.MERGED_WITH_ITSELF: register(
        ProblemCode("merged_with_itself", 422, "A customer is merged into another one")
    ),
    MergeRefusal.MERGED_CUSTOMER: MERGED_CUSTOMER,
    MergeRefusal.MERGES_TOO_DEEP: register(
        ProblemCode("merges_too_deep", 409, "So many merges follow one another already; merge the first ones directly")
    ),
    MergeRefusal.NOT_MERGED: register(ProblemCode("not_merged", 409, "The customer stands for itself already")),
}

IDENTIFIER_PROBLEMS: Final[Mapping[IdentifierRefusal, ProblemCode]] = {
    IdentifierRefusal.IDENTIFIER_MISSING: register(
        ProblemCode("identifier_missing", 422, "A customer is known by at least one identifier")
    ),
    IdentifierRefusal.SYSTEM_RESERVED: register(
        ProblemCode("system_reserved", 422, "The registry gives ids of this system itself")
    ),
    IdentifierRefusal.TOO_MANY_IDENTIFIERS: register(
        ProblemCode("too_many_identifiers", 422, "A customer cannot have so many identifiers")
    ),
    IdentifierRefusal.SEVERAL_CUSTOMERS: register(
        ProblemCode("several_customers", 409, "These identifiers mean different customers")
    ),
    IdentifierRefusal.IDENTIFIER_TAKEN: register(
        ProblemCode("identifier_taken", 409, "Another customer has this identifier")
    ),
}
MOVE_PROBLEMS: Final[Mapping[MoveRefusal, ProblemCode]] = {
    CustomerMerged.MERGED_CUSTOMER: MERGED_CUSTOMER,
    TierUnusable.UNKNOWN_TIER: register(ProblemCode("unknown_tier", 422, "No such tier is defined")),
    TierUnusable.INACTIVE_TIER: register(ProblemCode("inactive_tier", 409, "The tier takes no customers")),
    TimelineRefusal.REASON_MISSING: register(ProblemCode("reason_missing", 422, "An override needs a reason")),
    TimelineRefusal.END_MISSING: register(ProblemCode("end_missing", 422, "An override needs an end")),
    TimelineRefusal.END_BEFORE_START: register(
        ProblemCode("end_before_start", 422, "An assignment ends after it starts")
    ),
    TimelineRefusal.OUT_OF_RANGE: register(
        ProblemCode("out_of_range", 422, "The dates of an assignment lie within ten years of today")
    ),
    TimelineRefusal.OVERLAP: register(
        ProblemCode("overlap", 409, "It would shorten or split another assignment; end that one first")
    ),
    TimelineRefusal.TOO_MANY_PLANNED: register(
        ProblemCode("too_many_planned", 409, "So many assignments are planned for the customer already")
    ),
    TimelineRefusal.UNKNOWN_ASSIGNMENT: UNKNOWN_ASSIGNMENT,
    BudgetRefusal.OVERRIDE_BUDGET_SPENT: register(
        ProblemCode("override_budget_spent", 409, "The tier's overrides of this month are used up")
    ),
}
RULES_PROBLEMS: Final[Mapping[RulesRefusal, ProblemCode]] = {
    RulesRefusal.RULES_VERSION_MISMATCH: PRECONDITION_FAILED,
    RulesRefusal.RULES_TIER_UNKNOWN: register(ProblemCode("rules_tier_unknown", 422, "A tier of the rules is unknown")),
}
TIER_PROBLEMS: Final[Mapping[TierRefusal, ProblemCode]] = {
    TierRefusal.VERSION_MISMATCH: PRECONDITION_FAILED,
    TierRefusal.TOO_MANY_TIERS: register(ProblemCode("too_many_tiers", 409, "There are as many tiers as there may be")),
    TierRefusal.RANK_TAKEN: register(ProblemCode("rank_taken", 409, "Another tier has this rank")),
    TierRefusal.DEFAULT_REQUIRED: register(
        ProblemCode("default_required", 409, "One tier is the default; make another one the default instead")
    ),
    TierRefusal.DEFAULT_INACTIVE: register(ProblemCode("default_inactive", 409, "The default tier is active")),
    TierRefusal.TIER_IN_USE: register(ProblemCode("tier_in_use", 409, "Customers are in the tier, now or planned")),
}


APPROVAL_REQUIRED: Final = register(
    ProblemCode("approval_required", 409, "The rules of change ask for a second person; propose it as a change request")
)
REQUEST_UNKNOWN: Final = register(ProblemCode("request_unknown", 404, "No such change request"))
NOT_CARRIED_OUT: Final = register(
    ProblemCode("not_carried_out", 409, "The approved change cannot be carried out as things are now")
)
TOO_MANY_DRAFTS: Final = register(
    ProblemCode("too_many_drafts", 409, "There are as many drafts as there may be; withdraw some")
)
PROPOSAL_PROBLEMS: Final[Mapping[str, ProblemCode]] = {
    "too_many_drafts": TOO_MANY_DRAFTS,
    **{refusal.value: problem for refusal, problem in PLAN_PROBLEMS.items()},
}
REQUEST_PROBLEMS: Final[Mapping[RequestRefusal, ProblemCode]] = {
    RequestRefusal.REQUEST_EXPIRED: register(ProblemCode("request_expired", 409, "The request's time has passed")),
    RequestRefusal.REQUEST_CLOSED: register(ProblemCode("request_closed", 409, "The request is decided already")),
    RequestRefusal.REVISION_MOVED: PRECONDITION_FAILED,
    RequestRefusal.NOT_SUBMITTED: register(
        ProblemCode("not_submitted", 409, "It is a draft: nobody was asked to decide on it")
    ),
    RequestRefusal.ALREADY_SUBMITTED: register(ProblemCode("already_submitted", 409, "The draft is submitted already")),
    RequestRefusal.EDIT_AFTER_APPROVAL: register(
        ProblemCode("edit_after_approval", 409, "What was approved is edited no more")
    ),
    RequestRefusal.NOT_APPROVED: register(ProblemCode("not_approved", 409, "Nobody has approved the request")),
    RequestRefusal.OWN_REQUEST: register(ProblemCode("own_request", 403, "Nobody decides on a request of their own")),
    RequestRefusal.NOT_THE_AUTHOR: register(ProblemCode("not_the_author", 403, "Only its authors withdraw a request")),
    RequestRefusal.CONTENT_CHANGED: register(
        ProblemCode("content_changed", 409, "The request holds another content than the one that was looked at")
    ),
}


def second_person(needed: SecondPersonNeeded) -> Problem:
    """Names why a second person is needed."""
    return Problem(APPROVAL_REQUIRED, needs=list(needed.needs))


def customer_unknown() -> Problem:
    """404; also where the caller may not see the customer."""
    return Problem(CUSTOMER_UNKNOWN)


def identifiers_problem(refused: IdentifiersRefused) -> Problem:
    """Names the identifier in the way and its owner."""
    extra: dict[str, Any] = {}
    if refused.identifier is not None:
        extra["identifier"] = {"system": refused.identifier.system, "id": refused.identifier.id}
    if refused.owner is not None:
        extra["customer_id"] = refused.owner
    return Problem(IDENTIFIER_PROBLEMS[refused.reason], **extra)


def move_problem(refused: MoveRefused) -> Problem:
    """Names the assignment in the way."""
    conflict = refused.conflict
    if conflict is None:
        return Problem(MOVE_PROBLEMS[refused.reason])
    return Problem(
        MOVE_PROBLEMS[refused.reason],
        assignment={
            "sequence": conflict.sequence,
            "tier": conflict.tier,
            "kind": conflict.kind,
            "effective_from": conflict.effective_from,
            "effective_to": conflict.effective_to,
        },
    )


def rules_problem(refused: RulesRefused) -> Problem:
    """Names the version in force."""
    return Problem(RULES_PROBLEMS[refused.reason], version=refused.version)


def tier_problem(refused: TierRefused) -> Problem:
    """Names the tier in the way, at its version."""
    other = refused.other
    extra: dict[str, Any] = {} if other is None else {"tier": other.tier, "version": other.version}
    return Problem(TIER_PROBLEMS[refused.reason], **extra)
