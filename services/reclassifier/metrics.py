"""What the reclassifier measures; label values are closed lists, never a customer."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.chassis.metrics import BUCKETS, counter, gauge
from services.reclassifier.domain.detections import Kind

RECORD_OUTCOMES: Final = ("news", "known")
HELD_AS: Final = ("shadow", "awaiting")
DIRECTIONS: Final = ("promotion", "demotion")


class ReclassifierMetrics:
    """The reclassifier's own metrics."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = counter(
            registry,
            "reclassifier_order_records_total",
            "Records of orders: with news, or older than or equal to what was known.",
            {"outcome": RECORD_OUTCOMES},
        )
        self.feedback = counter(
            registry,
            "reclassifier_feedback_records_total",
            "Surveys and complaints: with news, or older than or equal to what was known.",
            {"outcome": RECORD_OUTCOMES},
        )
        self.costs = counter(
            registry,
            "reclassifier_cost_records_total",
            "Costs of orders: with news, or older than or equal to what was known.",
            {"outcome": RECORD_OUTCOMES},
        )
        self.proposals = counter(
            registry, "reclassifier_proposals_total", "Proposals made, by direction.", {"direction": DIRECTIONS}
        )
        self.held = counter(
            registry,
            "reclassifier_proposals_held_total",
            "Proposals that were not published: recorded only, or awaiting a person.",
            {"as": HELD_AS},
        )
        self.fuse_blown = Gauge(
            "reclassifier_fuse_blown_state",
            "1 while automatic moves of the rule set in force are stopped.",
            registry=registry,
        )
        self.judged = Counter("reclassifier_customers_judged_total", "Judgements of customers.", registry=registry)
        self.looked = Counter(
            "reclassifier_demand_looks_total", "Looks at the demand of customers for their profiles.", registry=registry
        )
        self.due = Gauge("reclassifier_customers_due_items", "Customers to be judged now.", registry=registry)
        self.run_waiting = Gauge(
            "reclassifier_run_customers_waiting_items",
            "Customers that the run under way has still to judge.",
            registry=registry,
        )
        self.evaluation_seconds = Histogram(
            "reclassifier_evaluation_seconds",
            "Time to judge one portion of customers and store what came of it.",
            registry=registry,
            buckets=BUCKETS,
        )
        self.rule_set_versions = Counter(
            "reclassifier_rule_set_versions_total", "Versions of rule sets that were stored.", registry=registry
        )
        self.detections = gauge(
            registry,
            "reclassifier_detections_standing_items",
            "Findings that stand, by kind: customers served beside their tier, and ways around the rules.",
            {"kind": tuple(kind.value for kind in Kind)},
        )
        self.detection_seconds = Histogram(
            "reclassifier_detection_seconds",
            "Time to look for detections once, and to store them.",
            registry=registry,
            buckets=BUCKETS,
        )
