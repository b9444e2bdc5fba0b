"""How much waits for items, by place in the order of service: what marked positions keep from those behind.

A row whose key is of a former basis counts before all others, until it is set anew. Several leads count together as the
first of them where there are more than a position remembers.
"""

from typing import Final

from services.atp.domain.leads import OUTDATED, WAITING_STEPS_MAX

BASIS_PER_RULE: Final = 2**32  # more than ranks of tiers ever change


def totals(rows: str, basis: str) -> str:
    """The query of (item_id, lead, quantity) over backorders `b` of a FROM clause, by a basis (SQL)."""
    return f"""
    SELECT item_id, min(lead) AS lead, sum(quantity)::bigint AS quantity
    FROM (
        SELECT item_id, lead, quantity,
            ntile({WAITING_STEPS_MAX}) OVER (PARTITION BY item_id ORDER BY lead) AS step
        FROM (
            SELECT b.item_id, CASE WHEN b.basis = {basis} THEN b.lead ELSE {OUTDATED} END AS lead,
                sum(b.quantity) AS quantity
            FROM {rows} GROUP BY 1, 2
        ) AS leads
    ) AS steps GROUP BY item_id, step
    """  # noqa: S608 - made of constants


BASIS_AT: Final = f"""
(SELECT coalesce((SELECT max(r.version) FROM service_rule r
    WHERE r.effective_from <= {{moment}} AND (r.effective_to IS NULL OR r.effective_to > {{moment}})), 0)
    * {BASIS_PER_RULE} + c.ranks_version FROM configuration c)
"""  # noqa: S608 - made of constants
"""The basis in effect at a moment; `format` it with the SQL of the moment."""
