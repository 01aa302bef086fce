//! Numbers out of few rounds: medians and quartiles, which one disturbed round does not move.

/// The middle of some values, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) most: f64,
    pub(crate) count: usize,
}

impl Spread {
    /// None of no values.
    pub(crate) fn of(values: &[u64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        Some(Spread {
            least: *sorted.first()? as f64,
            lower_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper_quartile: quantile(&sorted, 0.75),
            most: *sorted.last()? as f64,
            count: sorted.len(),
        })
    }

    /// Half the distance of the quartiles, as a share of the median.
    pub(crate) fn noise(&self) -> f64 {
        if self.median > 0.0 { (self.upper_quartile - self.lower_quartile) / 2.0 / self.median } else { 0.0 }
    }

    /// From the least to the most, as a share of the median.
    pub(crate) fn range(&self) -> f64 {
        if self.median > 0.0 { (self.most - self.least) / self.median } else { 0.0 }
    }
}

/// The value below which this share of the sorted values lies, interpolated.
pub(crate) fn quantile(sorted: &[u64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] as f64 + (sorted[above] as f64 - sorted[below] as f64) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&[7], 0.99), 7.0);
        assert_eq!(quantile(&[1, 2, 3, 4], 0.5), 2.5);
        assert_eq!(quantile(&[0, 100], 0.99), 99.0);
        assert_eq!(quantile(&[1, 2, 3], 2.0), 3.0);
    }

    #[test]
    fn one_disturbed_round_moves_the_range_and_not_the_noise() {
        let spread = Spread::of(&[100, 101, 99, 100, 180]).unwrap();
        assert_eq!((spread.median, spread.count), (100.0, 5));
        assert!(spread.noise() < 0.01 && spread.range() > 0.8, "{spread:?}");
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[0, 0]).unwrap().noise(), 0.0);
    }
}
