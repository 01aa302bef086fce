-- The read store, to be opened with any SQLite tool: a table per topic, each in a file of its own beside this one. Every statement may be
-- run again on a store that has it.
--
-- A table is named after its topic, with `_` for `-` and `.`. A topic that is another application's output has a table of the same shape under
-- its own name. A row's source_partition and source_offset are the place of its record in the topic; unique, so that a record written twice is an
-- error and not a second row. Times are UTC milliseconds (datetime(measured_at / 1000, 'unixepoch') shows them).
-- An invoice_id comes from outside and is not unique here: a table says what the topic says, and a doubled invoice counts twice.

