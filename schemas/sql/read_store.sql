-- The read store: a table per topic, opened with any SQLite tool. Every statement may be run again on a store that has it.
--
-- A row's source_partition and source_offset are the place of its record in the topic; unique, so that a record written twice is an
-- error and not a second row. Times are UTC milliseconds (datetime(measured_at / 1000, 'unixepoch') shows them).
-- Ids from outside (infraction_id, invoice_id) are not unique here: a table says what the topic says, and a doubled invoice counts twice.

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

CREATE TABLE IF NOT EXISTS infractions (
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
CREATE UNIQUE INDEX IF NOT EXISTS infractions_by_source ON infractions (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS infractions_by_id ON infractions (infraction_id);
CREATE INDEX IF NOT EXISTS infractions_by_owner ON infractions (owner_id, measured_at);
CREATE INDEX IF NOT EXISTS infractions_by_plate ON infractions (plate, measured_at);
CREATE INDEX IF NOT EXISTS infractions_by_time ON infractions (measured_at);

CREATE TABLE IF NOT EXISTS invoices (
  invoice_id TEXT NOT NULL,
  customer_id TEXT NOT NULL,
  issued_at INTEGER NOT NULL,
  amount_minor INTEGER NOT NULL,
  currency TEXT NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS invoices_by_source ON invoices (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS invoices_by_id ON invoices (invoice_id);
CREATE INDEX IF NOT EXISTS invoices_by_time ON invoices (issued_at);
CREATE INDEX IF NOT EXISTS invoices_by_customer ON invoices (customer_id, issued_at);

-- The lines of an invoice, numbered from 1, found by the place of its record: an invoice's number may occur twice.
CREATE TABLE IF NOT EXISTS invoice_lines (
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL,
  line_number INTEGER NOT NULL,
  stock_code TEXT NOT NULL,
  description TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  unit_price_micros INTEGER NOT NULL,
  PRIMARY KEY (source_partition, source_offset, line_number),
  FOREIGN KEY (source_partition, source_offset) REFERENCES invoices (source_partition, source_offset) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Upserted: under `--emit updates` a window's result comes more than once and the last one stands.
CREATE TABLE IF NOT EXISTS customer_totals (
  customer_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  window_end INTEGER NOT NULL,
  count INTEGER NOT NULL,
  amount_minor INTEGER NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL,
  PRIMARY KEY (customer_id, currency, window_start)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS customer_totals_by_source ON customer_totals (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS customer_totals_by_window ON customer_totals (window_start, customer_id);

-- Infractions with the owner's name and address as of now: those of the owner's latest event. NULL once the owner is removed,
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
