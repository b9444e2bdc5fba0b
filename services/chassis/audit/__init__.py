"""The audit trail of a service: entries in the order of their commits, chained by hash, anchored outside the database.

    change + entry ──one transaction──▶ audit (what), audit_link (the chain), audit_head (how far)
                                                                 │ NOTIFY, and once a minute
                                          relay process: head ──signed──▶ anchor (event log, or a file)
    `tiercel audit verify`: every link computed again, compared with the head and with every anchor

The chain finds an edit, a deletion and another order; the anchors find a cut tail and a chain that somebody computed
anew, because he has neither the signing key nor the place where anchors are kept.
"""

from services.chassis.audit.chain import AuditEntry, AuditRecord, Finding, FindingKind, Head, Report, Verifier
from services.chassis.audit.rows import append, catch_up, head, page, position

__all__ = [
    "AuditEntry",
    "AuditRecord",
    "Finding",
    "FindingKind",
    "Head",
    "Report",
    "Verifier",
    "append",
    "catch_up",
    "head",
    "page",
    "position",
]
