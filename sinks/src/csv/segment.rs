//! Which offsets a file holds, and how its name says so.
//!
//! Promise: a segment ends where the offsets reach the next multiple of N, or earlier where it was told to; the next begins there.
//! So files never overlap, and their names in order are the order of their records. Pure arithmetic.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tidegate_runtime::log::Offset;

/// Offsets from `first` up to, not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) first: Offset,
    pub(super) end: Offset,
}

/// The two files of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Rows,
    Rejects,
}

impl Segment {
    /// The segment that begins at `first`: up to the next multiple of `records`.
    pub(super) fn from(first: Offset, records: i64) -> Segment {
        Segment { first, end: Offset((first.0 / records + 1).saturating_mul(records)) }
    }

    /// The segment of `position` when the one before has finished. Whole segments without a record are passed over: they
    /// leave no file.
    pub(super) fn next(self, position: Offset, records: i64) -> Segment {
        let aligned = Offset(position.0 / records * records);
        Segment::from(aligned.max(self.end), records)
    }
}

/// The folder of the rejects: they have other columns than the rows, and whoever reads `*.csv` reads rows only.
pub(super) const REJECTS: &str = "rejects";

/// The folder of the part's files, in the sink's directory. Format 2 of `sink.json` and before had the rejects among the rows.
pub(super) fn folder(directory: &Path, part: Part) -> PathBuf {
    match part {
        Part::Rows => directory.to_owned(),
        Part::Rejects => directory.join(REJECTS),
    }
}

/// The name of a finished file. Offsets have the width of the greatest one, so that names sort.
pub(super) fn finished_name(topic: &str, partition: usize, segment: Segment, part: Part) -> String {
    let mut name = format!("{topic}-{partition}-{:020}-{:020}", segment.first.0, segment.end.0);
    name.push_str(suffix(part));
    name
}

/// The name of the file that is being written.
pub(super) fn open_name(topic: &str, partition: usize, first: Offset, part: Part) -> String {
    let mut name = format!("{topic}-{partition}-{:020}", first.0);
    let _ = write!(name, "{}{OPEN}", suffix(part));
    name
}

/// How the name of a file that is being written ends.
pub(super) const OPEN: &str = ".open";

/// What a finished file of `topic` holds; `None` if `name` is not the name of one.
pub(super) fn parse_finished(topic: &str, name: &str) -> Option<(usize, Segment, Part)> {
    let rest = name.strip_prefix(topic)?.strip_prefix('-')?;
    let (rest, part) = match rest.strip_suffix(suffix(Part::Rejects)) {
        Some(rest) => (rest, Part::Rejects),
        None => (rest.strip_suffix(suffix(Part::Rows))?, Part::Rows),
    };
    let mut numbers = rest.split('-');
    let partition = numbers.next()?.parse().ok()?;
    let (first, end) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    let segment = Segment { first: Offset(first), end: Offset(end) };
    // Only a name that would be given again: nothing that merely looks like one.
    (finished_name(topic, partition, segment, part) == name && first < end)
        .then_some((partition, segment, part))
}

fn suffix(part: Part) -> &'static str {
    match part {
        Part::Rows => ".csv",
        Part::Rejects => "-rejects.csv",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_ends_at_the_next_multiple() {
        for (first, records, end) in [
            (0, 10, 10),
            (3, 10, 10),
            (9, 10, 10),
            (10, 10, 20),
            (25, 10, 30),
            (0, 1, 1),
            (7, 100_000, 100_000),
        ] {
            let segment = Segment::from(Offset(first), records);
            assert_eq!((segment.first.0, segment.end.0), (first, end), "{first} by {records}");
        }
    }

    #[test]
    fn the_next_segment_begins_at_the_end_or_at_the_multiple_before_the_position() {
        for (first, end, position, next) in [
            (0, 10, 10, (10, 20)),
            (0, 10, 13, (10, 20)), // a gap over the end
            (0, 10, 40, (40, 50)), // whole segments without a record
            (0, 10, 47, (40, 50)),
            (0, 7, 7, (7, 10)), // ended early: the next begins there
            (0, 7, 9, (7, 10)),
            (0, 7, 12, (10, 20)),
        ] {
            let segment = Segment { first: Offset(first), end: Offset(end) };
            let next_found = segment.next(Offset(position), 10);
            assert_eq!((next_found.first.0, next_found.end.0), next, "{first}..{end} at {position}");
        }
    }

    #[test]
    fn a_finished_name_is_read_back_and_nothing_else_is() {
        let segment = Segment { first: Offset(0), end: Offset(100_000) };
        let rows = finished_name("customer-totals", 3, segment, Part::Rows);
        assert_eq!(rows, "customer-totals-3-00000000000000000000-00000000000000100000.csv");
        let rejects = finished_name("customer-totals", 3, segment, Part::Rejects);
        assert_eq!(rejects, "customer-totals-3-00000000000000000000-00000000000000100000-rejects.csv");
        assert_eq!(parse_finished("customer-totals", &rows), Some((3, segment, Part::Rows)));
        assert_eq!(parse_finished("customer-totals", &rejects), Some((3, segment, Part::Rejects)));
        for other in [
            "customer-totals-3-00000000000000000000.csv.open",
            "customer-totals-3-0-100000.csv",
            "customer-totals-3-00000000000000000010-00000000000000000010.csv",
            "customer-totals-3-00000000000000000000-00000000000000100000.csv.bak",
            "customer-3-00000000000000000000-00000000000000100000.csv",
            "sink.json",
        ] {
            assert_eq!(parse_finished("customer-totals", other), None, "{other}");
        }
    }
}
