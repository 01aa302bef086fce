//! Radar and invoice simulators, and replay of real files.
