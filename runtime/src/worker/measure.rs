//! Measuring without a history: a histogram of durations, and what happened lately.
//!
//! Both are a few numbers of fixed size: noting something is a handful of additions, and copying one is cheap.

use std::time::{Duration, Instant};

/// The bounds of a [`Histogram`]'s buckets: from the embedded log's commit (about 1 ms) over Kafka's (5 to 100 ms) to a broker that is
/// away (seconds).
pub const BUCKETS: [Duration; 13] = [
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(10),
];

/// How long something took, each time it was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BUCKETS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    /// It took so long once more.
    pub fn note(&mut self, took: Duration) {
        self.count += 1;
        self.sum += took;
        if let Some(bucket) = BUCKETS.iter().position(|bound| took <= *bound) {
            self.counts[bucket] += 1;
        }
    }

    /// How often it was done.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// How long it took together.
    #[must_use]
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// For each of [`BUCKETS`], how often it took that long at most.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BUCKETS.into_iter().zip(sums)
    }
}

/// How long one of the two samples of [`Recent`] lasts: as in Kafka's clients (`metrics.sample.window.ms`, `metrics.num.samples`).
const SAMPLE: Duration = Duration::from_secs(30);

/// What happened in the last half to whole minute: Kafka's way to give averages, maxima and rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    current: Sample,
    before: Sample,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    begun: Option<Instant>,
    count: u64,
    sum: u64,
    max: u64,
}

/// What [`Recent`] knows, in the unit that was noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lately {
    /// How often.
    pub count: u64,
    /// All amounts together.
    pub sum: u64,
    /// The greatest amount.
    pub max: u64,
    /// Over which time: until now.
    pub over: Duration,
}

impl Recent {
    /// `count` more, `sum` together, none of them more than `max`.
    pub fn note(&mut self, now: Instant, count: u64, sum: u64, max: u64) {
        let begun = *self.current.begun.get_or_insert(now);
        if now.saturating_duration_since(begun) >= SAMPLE {
            self.before =
                std::mem::replace(&mut self.current, Sample { begun: Some(now), ..Sample::default() });
        }
        self.current.count += count;
        self.current.sum = self.current.sum.saturating_add(sum);
        self.current.max = self.current.max.max(max);
    }

    /// What happened lately, as of `now`.
    #[must_use]
    pub fn lately(&self, now: Instant) -> Lately {
        let mut lately = Lately::default();
        for sample in [self.before, self.current] {
            let Some(begun) = sample.begun else { continue };
            let age = now.saturating_duration_since(begun);
            if age > SAMPLE * 2 {
                continue;
            }
            lately.count += sample.count;
            lately.sum = lately.sum.saturating_add(sample.sum);
            lately.max = lately.max.max(sample.max);
            // The older one comes first: it is the one that says since when.
            lately.over = lately.over.max(age);
        }
        lately
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_bound_bound_included() {
        let mut histogram = Histogram::default();
        for micros in [400, 500, 501, 2_500, 30_000_000] {
            histogram.note(Duration::from_micros(micros));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]);
        assert_eq!((histogram.count(), histogram.sum()), (5, Duration::from_micros(30_003_901)));
    }

    #[test]
    fn the_bounds_ascend() {
        assert!(BUCKETS.is_sorted());
    }

    #[test]
    fn what_is_older_than_a_minute_is_forgotten() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut recent = Recent::default();
        assert_eq!(recent.lately(start), Lately::default());
        recent.note(at(0), 1, 10, 10);
        recent.note(at(10), 2, 6, 4);
        assert_eq!(
            recent.lately(at(20)),
            Lately { count: 3, sum: 16, max: 10, over: Duration::from_secs(20) }
        );
        recent.note(at(40), 1, 1, 1);
        assert_eq!(
            recent.lately(at(41)),
            Lately { count: 4, sum: 17, max: 10, over: Duration::from_secs(41) }
        );
        assert_eq!(
            recent.lately(at(61)),
            Lately { count: 1, sum: 1, max: 1, over: Duration::from_secs(21) },
            "the first sample is over"
        );
        recent.note(at(200), 1, 5, 5);
        assert_eq!(recent.lately(at(201)), Lately { count: 1, sum: 5, max: 5, over: Duration::from_secs(1) });
    }
}
