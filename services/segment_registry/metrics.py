"""What the segment registry measures; label values are closed lists, never a customer."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.chassis.metrics import counter
from services.segment_registry.domain.change_requests import RequestRefusal
from services.segment_registry.domain.customers import IdentifierRefusal
from services.segment_registry.domain.imports import RowRefusal
from services.segment_registry.domain.moves import BudgetRefusal, CustomerMerged, TierUnusable
from services.segment_registry.domain.proposals import ProposalRefusal
from services.segment_registry.domain.timeline import Kind, TimelineRefusal

MOVE_REFUSALS: Final = (*CustomerMerged, *TierUnusable, *TimelineRefusal, *BudgetRefusal)
ASSIGNMENT_OUTCOMES: Final = ("moved", "unchanged", "ended", "customer_unknown", "approval_required", *MOVE_REFUSALS)
PROPOSAL_OUTCOMES: Final = ("applied", "waiting", *ProposalRefusal)
IMPORT_OUTCOMES: Final = (
    "created",
    "changed",
    "unchanged",
    "malformed",
    *IdentifierRefusal,
    *MOVE_REFUSALS,
    *RowRefusal,
)
REQUEST_OUTCOMES: Final = (
    "drafted",
    "proposed",
    "edited",
    "submitted",
    "redrafted",
    "approved",
    "rejected",
    "withdrawn",
    "applied",
    "not_carried_out",
    *RequestRefusal,
)


class RegistryMetrics:
    """The registry's own metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.assignments = counter(
            registry,
            "registry_assignment_commands_total",
            "Commands of persons on assignments, by layer and what became of them.",
            {"kind": tuple(Kind), "outcome": ASSIGNMENT_OUTCOMES},
        )
        self.proposals = counter(
            registry,
            "registry_proposals_total",
            "Proposals of rules, by what became of them; `waiting` ones are counted again when they are decided.",
            {"outcome": PROPOSAL_OUTCOMES},
        )
        self.imported = counter(
            registry,
            "registry_import_rows_total",
            "Rows of bulk imports by what became of them.",
            {"outcome": IMPORT_OUTCOMES},
        )
        self.effects = Counter(
            "registry_planned_moves_total", "Moves that took effect by date, as they were planned.", registry=registry
        )
        self.requests = counter(
            registry,
            "registry_change_requests_total",
            "Steps of change requests, and attempts that were refused, by what became of them.",
            {"outcome": REQUEST_OUTCOMES},
        )
        self.tier_versions = Counter(
            "registry_tier_versions_total", "Versions of tiers that were defined.", registry=registry
        )
        self.heartbeats = Counter(
            "registry_heartbeats_total", "Heartbeats handed to the log, one per partition.", registry=registry
        )
        self.proposals_waiting = Gauge(
            "registry_proposals_waiting_items", "Proposals kept until a replay settles.", registry=registry
        )
