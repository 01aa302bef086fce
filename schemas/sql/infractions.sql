-- The infractions in force: for each infraction_id the last event in infraction_history, unless that event voids it. So count(*) and
-- sum(fine_minor) need no condition, and are the same after a correction that changed nothing or a `reset` and another run.
-- Only the trigger below writes this table.
CREATE TABLE IF NOT EXISTS infractions (
  infraction_id TEXT NOT NULL PRIMARY KEY,
  radar_id TEXT NOT NULL,
  plate TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  measured_at INTEGER NOT NULL,
  measured_speed_kmh INTEGER NOT NULL,
  retained_speed_kmh INTEGER NOT NULL,
  speed_limit_kmh INTEGER NOT NULL,
  excess_kmh INTEGER NOT NULL,
  fine_minor INTEGER NOT NULL,
  currency TEXT NOT NULL,
  points INTEGER NOT NULL,
  rule TEXT NOT NULL,
  revision INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS infractions_by_source ON infractions (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS infractions_by_owner ON infractions (owner_id, measured_at);
CREATE INDEX IF NOT EXISTS infractions_by_plate ON infractions (plate, measured_at);
CREATE INDEX IF NOT EXISTS infractions_by_time ON infractions (measured_at);

-- Every event of the topic, revised and voided ones included.
CREATE TABLE IF NOT EXISTS infraction_history (
  infraction_id TEXT NOT NULL,
  radar_id TEXT NOT NULL,
  plate TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  measured_at INTEGER NOT NULL,
  measured_speed_kmh INTEGER NOT NULL,
  retained_speed_kmh INTEGER NOT NULL,
  speed_limit_kmh INTEGER NOT NULL,
  excess_kmh INTEGER NOT NULL,
  fine_minor INTEGER NOT NULL,
  currency TEXT NOT NULL,
  points INTEGER NOT NULL,
  rule TEXT NOT NULL,
  revision INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS infraction_history_by_source ON infraction_history (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS infraction_history_by_id ON infraction_history (infraction_id, source_partition, source_offset);

-- The last event of an id is the one with the greatest source_offset in its partition, not the one with the greatest revision. All events of
-- an id have the same key, so they stand in one partition. If another producer puts an id into several partitions, the last event of the
-- greatest of them counts: that depends on the topic alone, not on the order in which its partitions are read.
CREATE TRIGGER IF NOT EXISTS infractions_follow_history AFTER INSERT ON infraction_history
BEGIN
  DELETE FROM infractions WHERE infraction_id = NEW.infraction_id;
  INSERT INTO infractions
  SELECT * FROM (
    SELECT * FROM infraction_history
    WHERE infraction_id = NEW.infraction_id
    ORDER BY source_partition DESC, source_offset DESC
    LIMIT 1
  )
  WHERE state <> 'VOIDED';
END;

-- The infractions in force with the owner's name and address as of now: those of the owner's latest event. NULL once the owner is removed,
-- erased, or not yet here; the infraction itself stays.
CREATE VIEW IF NOT EXISTS infractions_with_owners AS
SELECT infractions.*, owners.name AS owner_name, owners.address AS owner_address
FROM infractions
LEFT JOIN owners ON owners.rowid = (
    SELECT latest.rowid FROM owners AS latest
    WHERE latest.owner_id = infractions.owner_id
    ORDER BY latest.valid_from DESC, latest.source_offset DESC
    LIMIT 1
  ) AND owners.kind <> 'REMOVED';
