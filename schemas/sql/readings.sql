CREATE TABLE IF NOT EXISTS readings (
  radar_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  plate TEXT NOT NULL,
  measured_at INTEGER NOT NULL,
  speed_kmh INTEGER NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS readings_by_source ON readings (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS readings_by_plate ON readings (plate, measured_at);
