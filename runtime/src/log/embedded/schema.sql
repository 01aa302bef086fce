-- The embedded log's own tables. A change here raises FORMAT in database.rs.

-- One row: tells this log from another that is made later in the same place.
CREATE TABLE identity (id TEXT NOT NULL) STRICT;
INSERT INTO identity (id) VALUES (lower(hex(randomblob(16))));

CREATE TABLE topics (
    name       TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    cleanup    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids are never used again: a reader of a deleted topic cannot slip into its successor.
CREATE TABLE partitions (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    topic  TEXT NOT NULL,
    number INTEGER NOT NULL,
    low    INTEGER NOT NULL DEFAULT 0,
    high   INTEGER NOT NULL DEFAULT 0,
    -- Covers the row: these columns decide what is read.
    checksum INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
) STRICT;

-- A row per batch. The body stands last, so that looking at the other columns never loads it. The checksum's upper half covers the
-- columns without the body, so that they can be trusted without it; format 1 had zeros there.
CREATE TABLE batches (
    partition   INTEGER NOT NULL,
    base_offset INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    min_time    INTEGER NOT NULL,
    max_time    INTEGER NOT NULL,
    checksum    INTEGER NOT NULL,
    body        BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX batches_by_offset ON batches (partition, base_offset);

-- The generation grows with everything that changes who owns what: it is all a member looks at when it is woken.
CREATE TABLE groups (
    name       TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    topics     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE members (
    incarnation  INTEGER PRIMARY KEY AUTOINCREMENT,
    group_name   TEXT NOT NULL,
    member       TEXT NOT NULL,
    lease_end_ms INTEGER NOT NULL,
    UNIQUE (group_name, member)
) STRICT;

-- A row per owned partition number; a number without a row is free.
CREATE TABLE assignments (
    group_name  TEXT NOT NULL,
    number      INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    PRIMARY KEY (group_name, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE offsets (
    group_name  TEXT NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (group_name, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE producers (
    transactional_id TEXT PRIMARY KEY,
    epoch            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE schemas (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    normalised TEXT NOT NULL UNIQUE,
    schema     TEXT NOT NULL
) STRICT;

CREATE TABLE versions (
    subject   TEXT NOT NULL,
    version   INTEGER NOT NULL,
    schema_id INTEGER NOT NULL,
    PRIMARY KEY (subject, version)
) STRICT, WITHOUT ROWID;
