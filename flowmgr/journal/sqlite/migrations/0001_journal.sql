-- What the journal is as a whole: one row.
CREATE TABLE journal (
    number INTEGER PRIMARY KEY CHECK (number = 1),
    database_id TEXT NOT NULL,          -- random; tells one database from another
    epoch INTEGER NOT NULL,             -- one more at every opening: the fencing token of its owner
    position INTEGER NOT NULL,          -- of the last change that is not an event; never goes back
    padding BLOB,                       -- written to find out whether there is room again
    crc INTEGER NOT NULL
) STRICT;

-- What has happened: one row for each batch, only ever appended.
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL,         -- its number
    first_seq INTEGER NOT NULL,         -- position of the first event in the execution's log
    events BLOB NOT NULL,               -- a JSON array
    epoch INTEGER NOT NULL,             -- of the owner that has written it
    crc INTEGER NOT NULL                -- chained to that of the execution's row before
) STRICT;

CREATE UNIQUE INDEX event_in_order ON event (execution, first_seq);

-- How each execution stands: a projection of its events, changed in their transaction.
CREATE TABLE execution (
    number INTEGER PRIMARY KEY,
    execution_id TEXT NOT NULL,
    flow_id TEXT NOT NULL,
    flow_version INTEGER NOT NULL,
    status TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,
    had_failures INTEGER NOT NULL,
    metadata TEXT NOT NULL,             -- a JSON object
    recoveries INTEGER NOT NULL,
    damage TEXT,                        -- why what is stored of it cannot be relied on
    is_timed INTEGER NOT NULL,          -- whether its id sorts by its times (see listing)
    last_seq INTEGER NOT NULL,          -- of the last event, when this row was last written
    last_crc INTEGER NOT NULL,          -- of that event's row
    crc INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX execution_by_id ON execution (execution_id);

-- An execution belongs to the group of its status, failures and version, and to that of its flow;
-- a list is merged from the groups that match, each of which is in the order of the ids.
CREATE INDEX execution_by_group
    ON execution (status, had_failures, flow_version, execution_id);

CREATE INDEX execution_by_flow
    ON execution (flow_id, status, had_failures, flow_version, execution_id);

CREATE INDEX execution_untimed ON execution (execution_id) WHERE is_timed = 0;

-- What executions can be looked up by; `execution.metadata` holds the same.
CREATE TABLE execution_metadata (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    PRIMARY KEY (name, value, execution_id)
) STRICT, WITHOUT ROWID;

-- What makes one of several equal requests to start an execution the only one that does.
CREATE TABLE start_key (
    number INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    execution INTEGER NOT NULL,         -- its number
    execution_id TEXT NOT NULL,
    expires_at REAL NOT NULL,
    crc INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX start_key_once ON start_key (scope, key);

CREATE INDEX start_key_by_execution ON start_key (execution);

-- The versions of flows. A deleted flow stays, for the executions that are pinned to it.
CREATE TABLE flow (
    number INTEGER PRIMARY KEY,
    flow_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    definition BLOB,                    -- NULL: it was damaged when the flow was deleted
    registered_at REAL NOT NULL,
    is_deleted INTEGER NOT NULL,
    crc INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX flow_version ON flow (flow_id, version);
