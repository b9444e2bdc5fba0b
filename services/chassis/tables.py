"""The tables of the plumbing, as SQL for each service's first migration. Text here never changes once released.

A change is a new constant (`OUTBOX_V2`) for a new migration. Tables that only grow are partitioned by a `date` column,
have a default partition as a net, and get their partitions from `partitions.maintain`.
"""

from typing import Final

# Column names as Debezium's event router expects them: id, aggregatetype (topic), aggregateid (key), type, payload.
# `position` orders the rows of a key: whoever writes events of a key holds a lock on what the key names until the
# commit. It is a plain sequence: identity columns on partitioned tables work only from PostgreSQL 17.
# The two indexes are partial: they hold only what is unpublished, the second (see OUTBOX_V2) only the bulk lane.
# There is no other, because this table is on the hot path.
# `refused` says why the log will never take a row; such a row waits for an operator and keeps its partition.
# `outbox_rewind` asks the relay that owns a bucket to publish a key again from a position on (see relay.py).
OUTBOX_V1: Final = """
CREATE SEQUENCE outbox_position;
CREATE TABLE outbox (
    id uuid NOT NULL,
    aggregatetype text NOT NULL,
    aggregateid text,
    type text NOT NULL,
    payload bytea,
    headers jsonb NOT NULL,
    key_version bigint NOT NULL,
    bucket smallint NOT NULL CHECK (bucket BETWEEN 0 AND 63),
    lane smallint NOT NULL CHECK (lane IN (0, 1)),
    position bigint NOT NULL DEFAULT nextval('outbox_position'),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_on date NOT NULL DEFAULT (clock_timestamp() AT TIME ZONE 'UTC')::date,
    published_at timestamptz,
    refused text
) PARTITION BY RANGE (created_on);
CREATE TABLE outbox_default PARTITION OF outbox DEFAULT;
CREATE INDEX outbox_unpublished ON outbox (lane, position, bucket) WHERE published_at IS NULL;
CREATE INDEX outbox_unpublished_bulk ON outbox (aggregateid, aggregatetype, position)
    WHERE published_at IS NULL AND lane = 1;
CREATE TABLE outbox_rewind (
    bucket smallint NOT NULL,
    aggregatetype text NOT NULL,
    aggregateid text NOT NULL,
    from_position bigint NOT NULL,
    created_on date NOT NULL
);
"""

# What waits in the bulk lane for a key. The condition says "not published" in words of its own, which imply that of no
# other index: so this one serves the look-up by key, and nothing else does, whatever the planner thinks of their sizes.
OUTBOX_V2: Final = """
CREATE INDEX outbox_bulk_of_key ON outbox (aggregateid, aggregatetype, position)
    WHERE lane = 1 AND num_nulls(published_at) = 1;
DROP INDEX outbox_unpublished_bulk;
"""

# One row per thing that one process at a time may do, and one per process that takes part (see leases.py). `fence`
# grows with every change of owner; `session` numbers the advisory lock that shows that the owner's connection lives.
LEASE_V1: Final = """
CREATE TABLE lease (
    resource text PRIMARY KEY,
    owner text NOT NULL,
    session bigint NOT NULL,
    fence bigint NOT NULL CHECK (fence >= 0),
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
"""

INBOX_V1: Final = """
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id text NOT NULL,
    seen_on date NOT NULL,
    PRIMARY KEY (consumer, event_id, seen_on)
) PARTITION BY RANGE (seen_on);
CREATE TABLE inbox_default PARTITION OF inbox DEFAULT;
"""

IDEMPOTENCY_V1: Final = """
CREATE TABLE idempotency (
    caller text NOT NULL,
    key text NOT NULL,
    stored_on date NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    body bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, key, stored_on)
) PARTITION BY RANGE (stored_on);
CREATE TABLE idempotency_default PARTITION OF idempotency DEFAULT;
"""

# How far a projection has read each partition of its topics; written in the transaction that applies the events.
PROJECTION_V1: Final = """
CREATE TABLE projection_offset (
    projection text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, topic, partition)
) WITH (fillfactor = 50);
"""

# The secret itself is never stored. Null channels or account groups mean all of them.
API_KEY_V1: Final = """
CREATE TABLE api_key (
    id text PRIMARY KEY,
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    subject text NOT NULL,
    scopes text[] NOT NULL,
    channels text[],
    account_groups text[],
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz
);
"""

# The audit trail (see audit/): what was changed, its chain, and how far both go. `audit_head` is locked last in a
# transaction. The digest at the start is that of `audit.chain.GENESIS`.
AUDIT_V1: Final = """
CREATE TABLE audit (
    position bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    author text NOT NULL,
    action text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    detail jsonb NOT NULL
);
CREATE TABLE audit_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    position bigint NOT NULL
);
INSERT INTO audit_head (position) VALUES (0);
"""

# For trails that were begun before they were chained, and for new ones after AUDIT_V1. Links are a table of their own
# because entries are append-only, and those of an older version are chained later.
AUDIT_CHAIN_V1: Final = """
CREATE TABLE audit_link (
    position bigint PRIMARY KEY,
    digest bytea NOT NULL CHECK (length(digest) = 32)
);
ALTER TABLE audit_head
    ADD COLUMN linked bigint NOT NULL DEFAULT 0,
    ADD COLUMN digest bytea NOT NULL CHECK (length(digest) = 32)
        DEFAULT '\\x0edc878a90840d17df825bd427eb39a194e4c5130cec5a2adfcc039572e9f5bb';
"""

# Entries are never changed by a service; whoever forces it is found by the chain.
AUDIT_APPEND_ONLY_V1: Final = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


def statements(script: str) -> list[str]:
    """The statements of one of the texts above, for drivers that take one at a time."""
    found: list[str] = []
    for piece in script.split(";\n"):
        if found and found[-1].count("$$") % 2:  # inside of a function's body
            found[-1] += ";\n" + piece
        elif piece.strip():
            found.append(piece)
    return found
