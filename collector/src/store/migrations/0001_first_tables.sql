-- Times are nanoseconds since 1970-01-01 UTC.

-- One row for each incident: a loop that somebody was told of, from its opening to its end.
CREATE TABLE incidents (
    id TEXT NOT NULL PRIMARY KEY,
    loop_id TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    state TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
    opened_at INTEGER NOT NULL,
    closed_at INTEGER CHECK ((closed_at IS NULL) = (state = 'open')),
    -- When the last known lap began, by the clock of the instance that ran it, and how many laps there were.
    last_lap_at INTEGER NOT NULL,
    laps INTEGER NOT NULL,
    -- The loop as it stood at the last change, as JSON.
    evidence TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX one_open_incident_per_loop ON incidents (loop_id) WHERE state = 'open';

-- What was told: the history that the page shows. The newest row has the highest sequence.
CREATE TABLE alerts (
    sequence INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- One row for each message and target. The body stands here again because the history may forget it earlier.
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL,
    target TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    last_error TEXT,
    UNIQUE (message_id, target)
) STRICT;

CREATE INDEX outbox_due ON outbox (target, state, next_attempt_at);

-- Where the nodes of the graph stand on the map.
CREATE TABLE places (
    sequence INTEGER PRIMARY KEY,
    node_id INTEGER NOT NULL UNIQUE,
    x REAL NOT NULL,
    y REAL NOT NULL,
    pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1))
) STRICT;
