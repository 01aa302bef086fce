//! `--from`: where a tail begins, as written and as an offset of each partition.

use tidegate_runtime::Result;
use tidegate_runtime::log::{Log, Offset, RangeReader, TopicPartition, Watermarks};
use tidegate_runtime::time::EventTime;

use super::newest::start_of_last;
use crate::moment;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The first record that is kept.
    Beginning,
    /// Behind the last one.
    End,
    /// This offset of each partition.
    At(Offset),
    /// The last so many records of each partition.
    Last(u64),
    /// The first record of this time or later.
    Time(EventTime),
}

impl Start {
    /// Reads `start`, `end`, `42`, `-5`, `2010-12-01T08:26:00Z` or `@1291191960000`.
    pub(super) fn parse(text: &str) -> std::result::Result<Start, String> {
        match text {
            "start" => return Ok(Start::Beginning),
            "end" => return Ok(Start::End),
            _ => {}
        }
        if let Some(ms) = text.strip_prefix('@') {
            return moment::parse(ms).map(Start::Time);
        }
        if let Ok(number) = text.parse::<i64>() {
            return Ok(if text.starts_with('-') {
                Start::Last(number.unsigned_abs())
            } else {
                Start::At(Offset(number))
            });
        }
        moment::parse(text).map(Start::Time).map_err(|_| {
            format!("`{text}` is no place to begin; write `start`, `end`, an offset, `-5`, a moment in RFC 3339 or `@` and milliseconds")
        })
    }

    /// The offset it means in one partition; an offset outside is moved to the nearer end. `readable` is where readers stand still now.
    pub(super) async fn resolve(
        self,
        log: &dyn Log,
        reader: &mut RangeReader,
        partition: &TopicPartition,
        marks: Watermarks,
        readable: Offset,
    ) -> Result<Offset> {
        let offset = match self {
            Start::Beginning => marks.low,
            Start::End => marks.high,
            Start::At(offset) => offset,
            Start::Last(count) => start_of_last(reader, partition, marks.low, readable, count).await?,
            Start::Time(time) => log.offset_at_time(partition, time)?,
        };
        Ok(offset.clamp(marks.low, marks.high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_an_offset_or_a_moment() {
        let moment = Start::Time(EventTime(1_291_191_960_000));
        for (text, start) in [
            ("start", Start::Beginning),
            ("end", Start::End),
            ("42", Start::At(Offset(42))),
            ("-5", Start::Last(5)),
            ("2010-12-01T08:26:00Z", moment),
            ("@1291191960000", moment),
        ] {
            assert_eq!(Start::parse(text), Ok(start), "{text}");
        }
        for text in ["", "@", "begin", "2010-12-01", "4x"] {
            assert!(Start::parse(text).is_err(), "{text}");
        }
    }
}
