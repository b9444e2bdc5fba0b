"""The tables of the event log in PostgreSQL (schema `event_log`), and the statements that work on them.

An append locks the rows of its partitions in one order and gives out offsets under that lock, which is held until the
commit: offsets have no gaps when they are given, and a record can be read only after all records before it.
"""

from typing import Final

from services.chassis.database import Connection

SCHEMA: Final = "event_log"
LOCK_KEY: Final = 7_411_203_586_301  # one starter at a time makes the schema; any constant that nobody else uses

DDL: Final = """
CREATE SCHEMA IF NOT EXISTS event_log;

CREATE TABLE IF NOT EXISTS event_log.topic (
    name text PRIMARY KEY,
    partitions integer NOT NULL CHECK (partitions > 0),
    compacted boolean NOT NULL,
    retention interval NOT NULL
);

CREATE TABLE IF NOT EXISTS event_log.partition (
    topic text NOT NULL REFERENCES event_log.topic,
    partition integer NOT NULL,
    first_offset bigint NOT NULL DEFAULT 0,
    next_offset bigint NOT NULL DEFAULT 0,
    compacted_to bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);  -- updated by every append: room for it on the same page

CREATE TABLE IF NOT EXISTS event_log.record (
    topic text NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    key bytea,
    value bytea,
    headers bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, record_offset)
);

CREATE TABLE IF NOT EXISTS event_log.group_offset (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    committed_at timestamptz NOT NULL,
    PRIMARY KEY (consumer_group, topic, partition)
) WITH (fillfactor = 50);

CREATE OR REPLACE FUNCTION event_log.append(
    topics text[], partitions integer[], keys bytea[], bodies bytea[], headings bytea[]
) RETURNS TABLE (topic text, partition integer, next_offset bigint) LANGUAGE plpgsql AS $body$
#variable_conflict use_column
BEGIN
    PERFORM FROM event_log.partition AS p
      WHERE (p.topic, p.partition) IN (SELECT t, n FROM unnest(topics, partitions) AS wanted(t, n))
      ORDER BY p.topic, p.partition
      FOR NO KEY UPDATE;
    RETURN QUERY
    WITH incoming AS (
        SELECT i.*, row_number() OVER (PARTITION BY i.t, i.n ORDER BY i.place) - 1 AS ahead
          FROM unnest(topics, partitions, keys, bodies, headings) WITH ORDINALITY AS i(t, n, k, v, h, place)
    ), stored AS (
        INSERT INTO event_log.record (topic, partition, record_offset, key, value, headers, at)
        SELECT i.t, i.n, p.next_offset + i.ahead, i.k, i.v, i.h, clock_timestamp()
          FROM incoming AS i JOIN event_log.partition AS p ON p.topic = i.t AND p.partition = i.n
    ), counted AS (
        SELECT i.t, i.n, count(*) AS records FROM incoming AS i GROUP BY i.t, i.n
    )
    UPDATE event_log.partition AS p SET next_offset = p.next_offset + c.records
      FROM counted AS c WHERE p.topic = c.t AND p.partition = c.n
    RETURNING p.topic, p.partition, p.next_offset;
END $body$;

-- An offset that is lost in a crash means a redelivery, which every consumer can take: no wait for the disk here.
CREATE OR REPLACE FUNCTION event_log.commit_offsets(
    consumer text, topics text[], partitions integer[], offsets bigint[]
) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO event_log.group_offset AS g (consumer_group, topic, partition, next_offset, committed_at)
    SELECT consumer, t, n, o, clock_timestamp() FROM unnest(topics, partitions, offsets) AS done(t, n, o)
      ORDER BY t, n
    ON CONFLICT (consumer_group, topic, partition)
    DO UPDATE SET next_offset = excluded.next_offset, committed_at = excluded.committed_at;
END $body$;
"""

CREATE_TOPIC: Final = """
WITH made AS (
    INSERT INTO topic (name, partitions, compacted, retention)
    VALUES ($1, $2, $3, make_interval(hours => $4)) ON CONFLICT (name) DO NOTHING RETURNING name, partitions
)
INSERT INTO partition (topic, partition) SELECT name, generate_series(0, partitions - 1) FROM made
"""

TOPICS: Final = "SELECT name, partitions, compacted FROM topic"

HEADS: Final = "SELECT topic, partition, next_offset FROM partition"

HEADS_OF: Final = f"{HEADS} WHERE topic = ANY($1)"

APPEND: Final = "SELECT topic, partition, next_offset FROM append($1, $2, $3, $4, $5)"

COMMIT: Final = "SELECT commit_offsets($1, $2, $3, $4)"

# A position that is past the end belongs to a topic that was made anew: from its beginning. Rows come in order per
# partition; one without a record says only how far the partition goes.
READ: Final = """
SELECT w.topic, w.partition, p.next_offset, r.record_offset, r.key, r.value, r.headers, r.at
  FROM unnest($1::text[], $2::integer[], $3::bigint[]) WITH ORDINALITY AS w(topic, partition, position, place)
  JOIN partition AS p ON p.topic = w.topic AND p.partition = w.partition
  LEFT JOIN LATERAL (
      SELECT r.record_offset, r.key, r.value, r.headers, r.at FROM record AS r
       WHERE r.topic = w.topic AND r.partition = w.partition
         AND r.record_offset >= CASE WHEN w.position > p.next_offset THEN 0 ELSE w.position END
       ORDER BY r.record_offset LIMIT $4
  ) AS r ON true
 ORDER BY w.place, r.record_offset
"""

COMMITTED: Final = """
SELECT p.topic, p.partition, p.next_offset, greatest(coalesce(g.next_offset, 0), p.first_offset) AS position
  FROM partition AS p
  LEFT JOIN group_offset AS g ON g.consumer_group = $1 AND g.topic = p.topic AND g.partition = p.partition
 WHERE p.topic = ANY ($2)
"""

# Offsets grow with time, so the oldest records are the first of the primary key; if the first is not expired, none is.
EXPIRE: Final = """
WITH first AS MATERIALIZED (
    SELECT r.at < clock_timestamp() - t.retention AS expired
      FROM topic AS t, record AS r
     WHERE t.name = $1 AND r.topic = $1 AND r.partition = $2 ORDER BY r.record_offset LIMIT 1
), oldest AS (
    SELECT r.record_offset, r.at FROM record AS r
     WHERE (SELECT expired FROM first) AND r.topic = $1 AND r.partition = $2 ORDER BY r.record_offset LIMIT $3
), expired AS (
    DELETE FROM record AS r USING oldest AS o, topic AS t
     WHERE r.topic = $1 AND r.partition = $2 AND r.record_offset = o.record_offset
       AND t.name = $1 AND o.at < clock_timestamp() - t.retention
    RETURNING r.record_offset
), moved AS (
    UPDATE partition AS p SET first_offset = e.last + 1
      FROM (SELECT max(record_offset) AS last FROM expired) AS e
     WHERE p.topic = $1 AND p.partition = $2 AND e.last IS NOT NULL
)
SELECT count(*) FROM expired
"""

# The last record of a partition always stays, so that a reader that is at the end sees that it is.
COMPACT: Final = """
WITH latest AS (
    SELECT key, max(record_offset) AS record_offset FROM record WHERE topic = $1 AND partition = $2 GROUP BY key
)
DELETE FROM record AS r USING latest AS l, partition AS p
 WHERE r.topic = $1 AND r.partition = $2 AND p.topic = $1 AND p.partition = $2 AND r.key = l.key
   AND (r.record_offset < l.record_offset
        OR (r.value IS NULL AND r.record_offset < p.next_offset - 1
            AND r.at < clock_timestamp() - make_interval(secs => $3)))
"""

COMPACTED: Final = "UPDATE partition SET compacted_to = $3 WHERE topic = $1 AND partition = $2"

TO_MAINTAIN: Final = """
SELECT p.topic, p.partition, p.next_offset, p.compacted_to, t.compacted
  FROM partition AS p JOIN topic AS t ON t.name = p.topic ORDER BY p.topic, p.partition
"""


async def make_schema(connection: Connection) -> None:
    """Make what is missing; safe when several processes start at once."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
    await connection.execute(DDL)
