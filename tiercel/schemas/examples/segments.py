"""Examples of who the customers are, which tiers there are and who should move."""

from typing import Any, Final

_PROPOSAL: Final = "019caf40-77aa-7b02-8c11-5f20c9d3a7e1"
_SILVER: Final = {
    "tier": "silver",
    "effective_from": "2026-01-12T00:00:00Z",
    "effective_to": None,
    "sequence": 5,
    "reason": "3 orders and 412.50 in 90 days",
    "kind": "assigned",
}

VALID: Final[dict[str, dict[str, Any]]] = {
    "segment.current.v1": {
        "active": {
            "customer_id": "c-17",
            "sequence": 6,
            "status": "active",
            "identifiers": [{"system": "webshop", "id": "C00017"}, {"system": "erp", "id": "400017"}],
            "assignments": [
                {**_SILVER, "effective_to": "2026-04-01T00:00:00Z"},
                {"tier": "gold", "effective_from": "2026-04-01T00:00:00Z", "sequence": 6, "reason": "contract"},
            ],
        },
        "merged": {"customer_id": "c-18", "sequence": 9, "status": "merged", "merged_into": "c-17"},
        "deleted": {"customer_id": "c-19", "sequence": 4, "status": "deleted"},
    },
    "segment.heartbeat.v1": {"beat": {"partition": 3, "beat_at": "2026-03-02T10:15:01Z"}},
    "segment.changed.v1": {
        "by_rule": {
            "customer_id": "c-17",
            "sequence": 5,
            "from_tier": "bronze",
            "to_tier": "silver",
            "effective_from": "2026-01-12T00:00:00Z",
            "reason": "3 orders and 412.50 in 90 days",
            "author": "reclassifier",
            "rule": "activity",
            "proposal_id": _PROPOSAL,
        },
        "by_hand": {
            "customer_id": "c-17",
            "sequence": 6,
            "from_tier": None,
            "to_tier": "gold",
            "effective_from": "2026-04-01T00:00:00Z",
            "effective_to": "2026-07-01T00:00:00Z",
            "reason": "contract",
            "author": "planner-4",
        },
    },
    "segment.proposed.v1": {
        "promotion": {
            "proposal_id": _PROPOSAL,
            "customer_id": "c-17",
            "from_tier": "bronze",
            "to_tier": "silver",
            "rule": "activity",
            "rule_version": 1,
            "as_of": "2026-01-12T00:00:00Z",
            "based_on_sequence": 4,
            "reason": "3 orders and 412.50 in 90 days",
            "evidence": [
                {"name": "orders", "value": "3", "limit": "at least 3 in 90 days"},
                {"name": "value", "value": "412.50", "limit": "at least 300 in 90 days"},
            ],
        }
    },
    "tier.policy.v1": {
        "silver": {
            "tier": "silver",
            "version": 3,
            "name": "Silver",
            "priority_rank": 2,
            "is_default": False,
            "active": True,
            "policy": {
                "lead_time_days": 4,
                "carrier_classes": ["standard"],
                "split_allowed": True,
                "as_soon_as_possible": True,
                "lateness_penalty_minor": 150,
                "split_penalty_minor": 0,
                "backorder_penalty_minor": 1500,
            },
        },
        "minimal": {"tier": "bronze", "version": 1, "name": "Bronze", "priority_rank": 3, "is_default": True},
    },
    "segment.profiled.v1": {
        "turned": {
            "customer_id": "c-17",
            "sequence": 2,
            "demand_profile": "intermittent",
            "since": "2025-11-02T08:00:00Z",
            "evidence": [
                {"name": "average_interval", "value": "1.52", "limit": "1.32"},
                {"name": "squared_variation", "value": "0.12", "limit": "0.49"},
            ],
        },
        "ended": {
            "customer_id": "c-17",
            "sequence": 3,
            "demand_profile": None,
            "since": "2026-10-30T08:00:00Z",
        },
    },
    "tier.policy.v2": {
        "silver": {
            "tier": "silver",
            "version": 3,
            "name": "Silver",
            "priority_rank": 2,
            "is_default": False,
            "active": True,
            "policy": {
                "lead_time_days": 4,
                "carrier_classes": ["standard"],
                "split_allowed": True,
                "as_soon_as_possible": True,
                "lateness_penalty_minor": 150,
                "split_penalty_minor": 0,
                "backorder_penalty_minor": 1500,
                "fill_rate_target_bp": 9800,
                "on_time_target_bp": 9500,
                "order_accuracy_target_bp": None,
                "pick_priority": 2,
                "packaging": "recycled-carton",
                "handling": ["signature"],
                "strategy": "redistribute",
                "lock_window_days": 2,
                "validation": {
                    "order_quantity_max": 500,
                    "line_value_max": "2500.00",
                    "permitted_item_groups": ["drinks"],
                    "permitted_zones": ["GB", "FR"],
                    "held": ["line_value_max"],
                },
                "micro_segments": [
                    {
                        "name": "drinks-by-web",
                        "item_groups": ["drinks"],
                        "channels": ["web"],
                        "policy": {"lead_time_days": 2, "carrier_classes": ["express"], "packaging": "bottle-box"},
                    },
                    {"name": "islands", "zones": ["GB-HS", "GB-ZE"], "policy": {"lead_time_days": 9}},
                    {
                        "name": "now-and-then",
                        "demand_profiles": ["intermittent", "lumpy"],
                        "policy": {"validation": {"order_quantity_max": 50}},
                    },
                ],
            },
        },
        "minimal": {"tier": "bronze", "version": 1, "name": "Bronze", "priority_rank": 3, "is_default": True},
    },
}

BROKEN: Final[dict[str, dict[str, tuple[str, Any]]]] = {
    "segment.current.v1": {
        "status_unknown": ("status", "asleep"),
        "assignment_without_sequence": ("assignments.0.sequence", ...),
        "name_of_a_person": ("identifiers.0.name", "Jane"),
    },
    "segment.heartbeat.v1": {"partition_negative": ("partition", -1)},
    "segment.changed.v1": {"sequence_zero": ("sequence", 0)},
    "segment.proposed.v1": {
        "evidence_as_number": ("evidence.0.value", 3),
        "tier_with_blank": ("to_tier", "very gold"),
    },
    "segment.profiled.v1": {"profile_unknown": ("demand_profile", "wild"), "sequence_zero": ("sequence", 0)},
    "tier.policy.v1": {
        "rank_zero": ("priority_rank", 0),
        "policy_field_without_effect": ("policy.gift_wrap", True),
        "lead_time_of_years": ("policy.lead_time_days", 366),
    },
    "tier.policy.v2": {
        "rank_zero": ("priority_rank", 0),
        "policy_field_without_effect": ("policy.gift_wrap", True),
        "lead_time_of_years": ("policy.lead_time_days", 366),
        "target_above_all": ("policy.fill_rate_target_bp", 10_001),
        "held_by_nothing": ("policy.validation.held", ["mood"]),
        "segment_with_a_field_that_nothing_acts_on": ("policy.micro_segments.1.policy.strategy", "win"),
    },
}
