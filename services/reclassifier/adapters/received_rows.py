"""How the orders of each customer were served, and how they would have been as others fared, summed by PostgreSQL.

The statement is `service_received.expected_to_fail` over all orders of a window at once: each order's chance is made of
the others' orders of its tier, its day, its size and its zone, which are sums over partitions less the owner's own.
Everything is in whole numbers, so that it equals the function to the last unit.
"""

from datetime import datetime, timedelta
from typing import Final

from services.chassis.database import Connection
from services.reclassifier.domain.detections import SHARES_PER_ONE, Limits
from services.reclassifier.domain.service_received import PEERS_WEIGHT, SIZES, ZONE_WEIGHT, Expected, Received

LOOK_SECONDS_MAX: Final = 300  # some 17 a million orders on two busy cores; nobody waits for it
ROWS_MAX: Final = 200_000  # owners and tiers: about 100 MB while they are looked at; what is beyond is not


def _share(bad: str, orders: str, usual: str = "", weight: int = PEERS_WEIGHT) -> str:
    """A share of failures, with the weight of what is usual, neither impossible nor certain."""
    wanted = f"({bad}) * {SHARES_PER_ONE}"
    if usual:
        counted = f"(({wanted} + {weight} * {usual}) / (({orders}) + {weight}))"
    else:
        counted = f"(({wanted}) / greatest(1, {orders}))"
    return f"least(greatest({counted}, 1), {SHARES_PER_ONE - 1})"


def _others(column: str, mark: str, *, of_tier: bool = True) -> str:
    """A sum over the orders of one mark (of the tier) that are not the owner's."""
    place = f"basis, {'tier, ' if of_tier else ''}{mark}".rstrip(", ")
    return f"(sum({column}) OVER (PARTITION BY {place}) - sum({column}) OVER (PARTITION BY {place}, owner))::bigint"


def _chance(marks: tuple[tuple[str, str], ...]) -> str:
    """The chance of an order to fail: odds of the tier times each mark's over what they usually are."""
    fails = " * ".join(["usual::numeric", *(f"{share} * ({SHARES_PER_ONE} - {usual})" for share, usual in marks)])
    well = " * ".join(
        [f"({SHARES_PER_ONE} - usual)::numeric", *(f"({SHARES_PER_ONE} - {share}) * {usual}" for share, usual in marks)]
    )
    return f"div({fails} * {SHARES_PER_ONE}, {fails} + {well})"


_OF_TIER: Final = (("day_share", "usual"), ("size_share", "usual"))
_STATEMENT: Final = f"""
WITH traced AS MATERIALIZED (
    SELECT o.owner, t.tier, t.zone, (ordered_at AT TIME ZONE 'UTC')::date AS day,
        width_bucket(o.ordered_units, $4::bigint[]) AS size, quota_reached, in_full, punctuality
    FROM order_trace t JOIN recorded_order o USING (source, order_id)
    WHERE ordered_at > $1 AND ordered_at <= $2
), cell AS MATERIALIZED (
    -- An order that a quota cut short says nothing of how its tier is served: it counts by its deliveries alone.
    SELECT 'in_full' AS basis, owner, tier, day, size, zone, count(*) AS n, count(*) FILTER (WHERE NOT in_full) AS bad
    FROM traced WHERE NOT quota_reached GROUP BY owner, tier, day, size, zone
    UNION ALL
    SELECT 'on_time', owner, tier, day, size, zone, count(*), count(*) FILTER (WHERE punctuality <> 1)
    FROM traced WHERE punctuality > 0 GROUP BY owner, tier, day, size, zone
), usually AS (
    SELECT basis, tier, {_share("sum(bad)::bigint", "sum(n)::bigint")} AS share FROM cell GROUP BY basis, tier
), met AS (
    SELECT basis, owner, tier, n, bad,
        {_others("bad", "")} AS tier_bad, {_others("n", "")} AS tier_n,
        {_others("bad", "day")} AS day_bad, {_others("n", "day")} AS day_n,
        {_others("bad", "size")} AS size_bad, {_others("n", "size")} AS size_n,
        {_others("bad", "zone", of_tier=False)} AS zone_bad, {_others("n", "zone", of_tier=False)} AS zone_n,
        {_others("n * share", "zone", of_tier=False)} AS zone_usually
    FROM cell JOIN usually USING (basis, tier)
), usual AS (
    SELECT met.*, {_share("tier_bad", "tier_n")} AS usual FROM met
), there AS (
    SELECT usual.*, CASE WHEN zone_n > 0 THEN zone_usually / zone_n ELSE usual END AS zone_usual FROM usual
), shares AS (
    SELECT there.*, {_share("day_bad", "day_n", "usual")} AS day_share,
        {_share("size_bad", "size_n", "usual")} AS size_share, {
    _share("zone_bad", "zone_n", "zone_usual", ZONE_WEIGHT)
} AS zone_share
    FROM there
), summed AS (
    SELECT basis, owner, tier, sum(n)::bigint AS n, sum(n - bad)::bigint AS good,
        sum(n * {_chance(_OF_TIER)})::bigint AS anywhere,
        sum(n * {_chance((*_OF_TIER, ("zone_share", "zone_usual")))})::bigint AS there
    FROM shares GROUP BY GROUPING SETS ((basis, owner, tier), (basis, tier))
)
SELECT owner, tier, {
    ", ".join(
        f"coalesce(sum({column}) FILTER (WHERE basis = '{basis}'), 0)::bigint AS {basis}_{column}"
        for basis in ("in_full", "on_time")
        for column in ("n", "good", "anywhere", "there")
    )
}
FROM summed GROUP BY owner, tier HAVING owner IS NULL OR max(n) >= $3
ORDER BY owner IS NULL DESC, sum(n) DESC, owner, tier LIMIT $5
"""  # noqa: S608 - constants


async def load_received(connection: Connection, now: datetime, limits: Limits) -> tuple[list[Received], list[Received]]:
    """By owner and tier, those with enough orders, the most orders first; and the sums of all by tier."""
    since = now - timedelta(days=limits.window_days)
    await connection.execute(f"SET LOCAL statement_timeout = '{LOOK_SECONDS_MAX}s'")
    asked = since, now, limits.orders_min, list(SIZES), ROWS_MAX
    rows = await connection.fetch(_STATEMENT, *asked, timeout=LOOK_SECONDS_MAX)
    owners: list[Received] = []
    tiers: list[Received] = []
    for row in rows:
        owner, tier, orders, in_full, *short, delivered, on_time, late_anywhere, late_there = row
        if owner is None:
            tiers.append(Received("", tier, orders, in_full, delivered, on_time))
        else:
            expected = (Expected(*short), Expected(late_anywhere, late_there))
            owners.append(Received(owner, tier, orders, in_full, delivered, on_time, *expected))
    return owners, tiers
