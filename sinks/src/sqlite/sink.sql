-- What the sink keeps of itself, beside the tables of the read store.

CREATE TABLE IF NOT EXISTS sink_identity (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  sink TEXT NOT NULL,
  log TEXT NOT NULL
) STRICT;

-- The next offset to read, written in the transaction of the rows before it. `until_offset` is the end of `--until-end`, while it is under way.
CREATE TABLE IF NOT EXISTS sink_offsets (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL,
  until_offset INTEGER,
  PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

-- Records that are no rows, whole: `time` is their time in the log, in UTC milliseconds.
CREATE TABLE IF NOT EXISTS sink_rejects (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  time INTEGER NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  key BLOB,
  value BLOB,
  PRIMARY KEY (topic, partition, offset)
) STRICT;

-- The topics that are written here. `topic_id` tells a topic from another one that was made later under its name; NULL where the log has no such id.
-- `shape` is the topic of the table of topics that has the same columns.
CREATE TABLE IF NOT EXISTS sink_topics (
  topic TEXT NOT NULL PRIMARY KEY,
  topic_id TEXT,
  shape TEXT NOT NULL,
  table_name TEXT NOT NULL UNIQUE COLLATE NOCASE
) STRICT;
