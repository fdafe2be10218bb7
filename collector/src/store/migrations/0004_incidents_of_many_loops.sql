-- The loops of an incident, the one that opened it in the first place.
CREATE TABLE incident_loops (
    incident_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    loop_id TEXT NOT NULL,
    -- Ids of its functions, and their names along the cycle, as lists of JSON.
    function_ids TEXT NOT NULL,
    names TEXT NOT NULL,
    -- When the last known lap began, by the clock of the instance that ran it, and how many laps there were.
    last_lap_at INTEGER NOT NULL,
    laps INTEGER NOT NULL,
    PRIMARY KEY (incident_id, loop_id)
) STRICT;

INSERT INTO incident_loops
SELECT id, 0, loop_id, coalesce(json_extract(evidence, '$.function_ids'), '[]'),
    coalesce(json_extract(evidence, '$.functions'), '[]'), last_lap_at, laps
FROM incidents;

ALTER TABLE incidents DROP COLUMN last_lap_at;
ALTER TABLE incidents DROP COLUMN laps;

-- How often it began again, and what people know of it.
ALTER TABLE incidents ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN told_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN told_multiplies INTEGER NOT NULL DEFAULT 0 CHECK (told_multiplies IN (0, 1));
ALTER TABLE incidents ADD COLUMN told_next_24h REAL NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
UPDATE incidents SET told_at = opened_at,
    told_multiplies = coalesce(json_extract(evidence, '$.state') = 'growing', 0),
    told_next_24h = coalesce(json_extract(evidence, '$.cost.next_24h'), 0);
