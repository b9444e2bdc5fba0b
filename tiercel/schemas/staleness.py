"""How old what a read shows may be, per service and path."""

from collections.abc import Mapping
from typing import Final

_COMMITTED: Final = "Everything that was committed before the read began."
_CONFIGURED: Final = "Everything that was configured before the read began."
_SNAPSHOT: Final = (
    "One moment: everything committed before the read began. The tier is the one that the ATP knows, as old as"
    " `tiercel_tier_projection_age_seconds` (below a second while the registry's events flow)."
)

_MEASURED: Final = (
    "As of the last measuring, `atp_measuring_seconds` ago (10 by default) or less; `behind` says that changes wait."
)
STALENESS: Final[Mapping[tuple[str, str], str]] = {
    ("atp", "/v1/stock/{sku}"): "Nothing: read from the primary database; what sources have said and was taken in.",
    ("atp", "/v1/availability"): _SNAPSHOT + " Another order may take it before yours comes.",
    ("atp", "/v1/availability:bulk"): "Each page: one moment, everything committed before it was asked for.",
    ("atp", "/v1/availability:quick"): "One moment, which the answer names: everything committed before it.",
    ("atp", "/v1/promises:inquire"): _SNAPSHOT + " Nothing is held: another order may take it before yours comes.",
    ("atp", "/v1/promises"): _COMMITTED + " Of a list: each page.",
    ("atp", "/v1/exceptions"): "Each page: one moment, everything committed before it was asked for.",
    ("atp", "/v1/planner-actions"): "Each page: everything committed before it was asked for.",
    ("atp", "/v1/closings"): _COMMITTED,
    ("atp", "/v1/stops"): "Each page: everything committed before it was asked for.",
    ("atp", "/v1/promises/{promise_id}"): _COMMITTED,
    ("atp", "/v1/promises/{promise_id}/history"): _COMMITTED,
    ("atp", "/v1/promises/{promise_id}/explanation"): _COMMITTED,
    ("atp", "/v1/promises/{promise_id}/decision"): _COMMITTED + " It shows what the decision knew when it was made.",
    ("atp", "/v1/promises/{promise_id}/releases"): _COMMITTED,
    ("atp", "/v1/held-orders"): "Each page: everything committed before it was asked for.",
    ("atp", "/v1/customer-blocks"): "Each page: everything committed before it was asked for.",
    ("atp", "/v1/customer-blocks/history"): _COMMITTED,
    ("atp", "/v1/positions"): "Each page: one moment, everything committed before it was asked for.",
    ("atp", "/v1/items"): _CONFIGURED,
    ("atp", "/v1/items/{sku}"): _CONFIGURED,
    ("atp", "/v1/locations"): _CONFIGURED,
    ("atp", "/v1/lanes"): _CONFIGURED,
    ("atp", "/v1/services"): _CONFIGURED,
    ("atp", "/v1/calendars"): _CONFIGURED,
    ("atp", "/v1/zones"): _CONFIGURED,
    ("atp", "/v1/zones:resolve"): _CONFIGURED,
    ("atp", "/v1/sourcing-rules"): _CONFIGURED,
    ("atp", "/v1/sourcing-rules/{document_id}"): _CONFIGURED,
    ("atp", "/v1/sourcing-rules/{document_id}/versions"): _CONFIGURED,
    ("atp", "/v1/fulfilment-modes"): _CONFIGURED,
    ("atp", "/v1/fulfilment-modes/{document_id}"): _CONFIGURED,
    ("atp", "/v1/fulfilment-modes/{document_id}/versions"): _CONFIGURED,
    ("atp", "/v1/substitutions"): _CONFIGURED,
    ("atp", "/v1/substitutions/{document_id}"): _CONFIGURED,
    ("atp", "/v1/substitutions/{document_id}/versions"): _CONFIGURED,
    ("atp", "/v1/service-rule"): _CONFIGURED,
    ("atp", "/v1/service-rule/versions"): _CONFIGURED,
    ("atp", "/v1/run-variants"): _CONFIGURED,
    ("atp", "/v1/run-variants/{variant_id}"): _CONFIGURED,
    ("atp", "/v1/run-variants/{variant_id}/versions"): _CONFIGURED,
    ("atp", "/v1/runs"): "Each page: everything committed before it was asked for.",
    ("atp", "/v1/runs/{run_id}"): _COMMITTED + " Of a run that goes on: up to its last portion.",
    ("atp", "/v1/protections/{document_id}"): _CONFIGURED,
    ("atp", "/v1/protections/{document_id}/versions"): _CONFIGURED,
    ("atp", "/v1/protections/{document_id}/csv"): _CONFIGURED,
    ("atp", "/v1/quotas/{document_id}"): _CONFIGURED,
    ("atp", "/v1/quotas/{document_id}/versions"): _CONFIGURED,
    ("atp", "/v1/quotas/{document_id}/csv"): _CONFIGURED,
    ("atp", "/v1/costs/landed"): _COMMITTED,
    ("atp", "/v1/costs/rates"): _COMMITTED,
    ("atp", "/v1/promises/{promise_id}/costs"): _COMMITTED,
    ("atp", "/v1/service-levels"): _MEASURED,
    ("atp", "/v1/service-breaches"): _MEASURED,
    ("atp", "/v1/hierarchies/{document_id}"): _CONFIGURED,
    ("atp", "/v1/hierarchies/{document_id}/versions"): _CONFIGURED,
    ("atp", "/v1/hierarchies/{document_id}/csv"): _CONFIGURED,
    ("atp", "/v1/capacities/{document_id}"): _CONFIGURED,
    ("atp", "/v1/capacities/{document_id}/versions"): _CONFIGURED,
    ("atp", "/v1/capacities/{document_id}/csv"): _CONFIGURED,
    ("atp", "/v1/capacities/{document_id}/days"): _COMMITTED,
    ("atp", "/v1/allocations"): _CONFIGURED,
    ("atp", "/v1/regions"): _CONFIGURED,
    ("segment_registry", "/v1/tiers"): _COMMITTED,
    ("segment_registry", "/v1/tiers/{tier}"): _COMMITTED,
    ("segment_registry", "/v1/customers/{customer_id}"): _COMMITTED,
    ("segment_registry", "/v1/customers:list"): "Each page: everything committed before it was asked for.",
    ("segment_registry", "/v1/customers:resolve"): _COMMITTED,
    ("segment_registry", "/v1/customers/{customer_id}/tier"): _COMMITTED,
    ("segment_registry", "/v1/customers/{customer_id}/assignments"): _COMMITTED,
    ("segment_registry", "/v1/customers/{customer_id}/tier-explanation"): _COMMITTED,
    ("segment_registry", "/v1/assignments"): (
        "Each page: everything committed before it was asked for; who goes on with the cursor misses no commit."
    ),
    ("segment_registry", "/v1/tiers/{tier}/card"): _COMMITTED,
    ("segment_registry", "/v1/tiers/{tier}/versions"): _COMMITTED,
    ("segment_registry", "/v1/tiers/{tier}/service-statement"): (
        "Everything that was committed before the read began; figures are of the ATP's last closed month."
    ),
    ("segment_registry", "/v1/change-rules"): _COMMITTED,
    ("segment_registry", "/v1/change-requests"): "Each page: everything committed before it was asked for.",
    ("segment_registry", "/v1/change-requests/{request_id}"): _COMMITTED,
    ("segment_registry", "/v1/change-requests/{request_id}/effects"): (
        "Everything that was committed before the read began; `preview` is of a later moment, and of the ATP's data."
    ),
    ("segment_registry", "/v1/reports/both-hands"): _COMMITTED,
    ("segment_registry", "/v1/customers/{customer_id}/personal"): _COMMITTED,
    ("atp", "/v1/audit"): "Each page: everything committed before it was asked for; nothing is skipped.",
    ("reclassifier", "/v1/audit"): "Each page: everything committed before it was asked for; nothing is skipped.",
    ("segment_registry", "/v1/audit"): "Each page: everything committed before it was asked for; nothing is skipped.",
    ("reclassifier", "/v1/customers/{customer_id}/features"): (
        "Orders and tiers as far as their events were read: `orders_unread` and `segments_unread` of `/internal/quiet`"
        " say how many were not. Late events correct the numbers when they come."
    ),
    ("reclassifier", "/v1/proposals"): (
        "Each page: every proposal committed before it was asked for; none is skipped. `state` is as old as the events"
        " of the registry that were read."
    ),
    ("reclassifier", "/v1/rule-sets"): _COMMITTED,
    ("reclassifier", "/v1/rule-sets/{rule_set_id}"): _COMMITTED,
    ("reclassifier", "/v1/rule-sets/{rule_set_id}/fuse"): _COMMITTED,
    ("reclassifier", "/v1/customer-months/{month}"): (
        "Orders and costs as far as their events were read; costs are as old as the last measuring of the ATP."
    ),
    ("reclassifier", "/v1/detections"): (
        "As of the last look (`seen_at`): each hour, or as set; what was counted before it is in it."
    ),
    ("reclassifier", "/v1/runs"): _COMMITTED,
    ("reclassifier", "/v1/runs/{run_id}"): _COMMITTED,
}
