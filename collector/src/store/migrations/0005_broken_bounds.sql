-- True when the loop broke a bound that was declared for it, and people know.
ALTER TABLE incident_loops ADD COLUMN broke_bound INTEGER NOT NULL DEFAULT 0 CHECK (broke_bound IN (0, 1));
UPDATE incident_loops SET broke_bound = 1 WHERE EXISTS (
    SELECT 1 FROM incidents
    WHERE incidents.id = incident_loops.incident_id
        AND coalesce(json_extract(evidence, '$.id'), '') = incident_loops.loop_id
        AND json_extract(evidence, '$.intended.is_broken') = 1
);
