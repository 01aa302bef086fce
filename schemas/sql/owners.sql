-- The only table of the topics with personal data. To erase a person: PRAGMA secure_delete = ON, then DELETE FROM owners WHERE
-- owner_id = '…', and if owners' records were ever rejected, DELETE FROM sink_rejects WHERE topic = 'owners' AND key = CAST('…' AS BLOB).
CREATE TABLE IF NOT EXISTS owners (
  owner_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  address TEXT NOT NULL,
  valid_from INTEGER NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS owners_by_source ON owners (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS owners_by_id ON owners (owner_id, valid_from, source_offset);
