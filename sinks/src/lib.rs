//! Sinks: a topic into CSV files or a SQLite read store, exactly once.
