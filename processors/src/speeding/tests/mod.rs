//! `schedules` holds the rules and their file against written-out numbers, `topology` drives the whole as production does.

mod schedules;
mod topology;

use super::*;
