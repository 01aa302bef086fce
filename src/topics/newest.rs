//! The newest records of a partition, found backwards.
//!
//! Offsets are no records: transaction markers take offsets, and so do records of aborted transactions, any number of them. So the records
//! are counted, from the end backwards, in stretches that grow: at most twice as many offsets are read as needed, whatever stands there.

use std::collections::VecDeque;

use tidegate_runtime::Result;
use tidegate_runtime::log::{Offset, RangeReader, TopicPartition};

/// However few records are wanted, a question costs more than so many offsets.
const FIRST_STRETCH: i64 = 100;

/// The stretches of a partition, the last one first, each twice as long as the one behind it.
pub(crate) fn stretches(low: Offset, end: Offset, first: i64) -> impl Iterator<Item = (Offset, Offset)> {
    let (mut to, mut length) = (end, first.max(1));
    std::iter::from_fn(move || {
        if to <= low {
            return None;
        }
        let from = low.max(Offset(to.0.saturating_sub(length)));
        let stretch = (from, to);
        (to, length) = (from, length.saturating_mul(2));
        Some(stretch)
    })
}

/// Where the last `count` records before `end` begin; `low` if there are fewer.
pub(super) async fn start_of_last(
    reader: &mut RangeReader,
    partition: &TopicPartition,
    low: Offset,
    end: Offset,
    count: u64,
) -> Result<Offset> {
    let mut missing = usize::try_from(count).unwrap_or(usize::MAX);
    if missing == 0 {
        return Ok(end);
    }
    let first = i64::try_from(count).unwrap_or(i64::MAX).max(FIRST_STRETCH);
    for (from, to) in stretches(low, end, first) {
        // The offsets of the last records of this stretch: no more than are wanted.
        let mut last = VecDeque::new();
        reader
            .read(partition, from, to, |chunk| {
                for record in chunk.records().filter(|record| record.offset() < to) {
                    if last.len() == missing {
                        last.pop_front();
                    }
                    last.push_back(record.offset());
                }
                Ok::<_, tidegate_runtime::Error>(())
            })
            .await?;
        missing -= last.len();
        if missing == 0 {
            return Ok(last.front().copied().unwrap_or(from));
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(low: i64, end: i64, first: i64) -> Vec<(i64, i64)> {
        stretches(Offset(low), Offset(end), first).map(|(from, to)| (from.0, to.0)).collect()
    }

    #[test]
    fn stretches_grow_backwards_and_end_at_the_beginning() {
        assert_eq!(all(3, 100, 10), [(90, 100), (70, 90), (30, 70), (3, 30)]);
        assert_eq!(all(0, 5, 10), [(0, 5)]);
        assert_eq!(all(7, 7, 10), []);
        assert_eq!(all(0, i64::MAX, i64::MAX), [(0, i64::MAX)]);
    }
}
