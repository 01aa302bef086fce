//! The embedded log: one SQLite file, shared by any number of processes on the machine.
