-- A window's result comes more than once under `--emit updates`, or when the processor was reset and runs again: the last one replaces those before
-- it. The key holds the whole window, so windows of several sizes stand side by side. All results of a key stand in one partition of the topic; if
-- another producer puts them into several, the last one of the greatest partition counts, whichever is read first.
CREATE TABLE IF NOT EXISTS customer_totals (
  customer_id TEXT NOT NULL,
  currency TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  window_end INTEGER NOT NULL,
  count INTEGER NOT NULL,
  amount_minor INTEGER NOT NULL,
  source_partition INTEGER NOT NULL,
  source_offset INTEGER NOT NULL,
  PRIMARY KEY (customer_id, currency, window_start, window_end)
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS customer_totals_by_source ON customer_totals (source_partition, source_offset);
CREATE INDEX IF NOT EXISTS customer_totals_by_window ON customer_totals (window_start, customer_id);
