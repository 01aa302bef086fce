CREATE TABLE IF NOT EXISTS radars (
  radar_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  radar_kind TEXT NOT NULL,
  speed_limit_kmh INTEGER NOT NULL,
  place TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS radars_by_source ON radars (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS radars_by_id ON radars (radar_id, valid_from);
