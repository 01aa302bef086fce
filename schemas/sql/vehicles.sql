CREATE TABLE IF NOT EXISTS vehicles (
  plate TEXT NOT NULL,
  kind TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS vehicles_by_source ON vehicles (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS vehicles_by_plate ON vehicles (plate, valid_from);
