-- What the engine knew at one position of the journal; there is one row at most.
CREATE TABLE engine_state (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    -- The last batch of the journal that it knows.
    position INTEGER NOT NULL,
    written_at INTEGER NOT NULL,
    blob BLOB NOT NULL
) STRICT;
