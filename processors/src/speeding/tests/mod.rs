//! `schedules` holds the rules and their file against written-out numbers, `topology` drives the whole as production does. `registries` has small
//! inputs whose registries came behind their readings, or in another order than their times, and `resets` what a first start finds.

mod registries;
mod resets;
mod schedules;
mod topology;

use super::*;
