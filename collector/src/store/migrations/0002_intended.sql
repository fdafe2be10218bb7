-- Loops that somebody declared as intended through the API; those of a file are not here.
CREATE TABLE intended (
    id TEXT NOT NULL PRIMARY KEY,
    declared_at INTEGER NOT NULL,
    -- The declaration, as JSON.
    body TEXT NOT NULL
) STRICT;

-- What somebody said of a loop, the last word only.
CREATE TABLE verdicts (
    loop_id TEXT NOT NULL PRIMARY KEY,
    verdict TEXT NOT NULL CHECK (verdict IN ('expected', 'runaway')),
    -- Laps of one chain that are expected.
    max_depth INTEGER CHECK ((max_depth IS NOT NULL) = (verdict = 'expected')),
    said_at INTEGER NOT NULL
) STRICT;
