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
