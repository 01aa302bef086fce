//! Chance without surprise: ChaCha8 of rand_chacha (8 rounds, 64-bit counter, 64-bit stream), keyed by seed and purpose.
//!
//! Promise: what is drawn for item `i` of a purpose depends on the seed, the purpose and `i` only: not on the machine, not on
//! what was drawn before, not on how many items there are. The key is the seed, then the purpose, eight bytes each, least
//! significant first, then zeros; the stream is the item's number; numbers are 32-bit words in order. What breaks it: another
//! generator, another order of draws, another purpose number. `tests/golden/simulate.py` draws the same from this text.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What numbers are drawn for. The numbers are part of the promise: a new purpose takes a new one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Where the plates begin.
    Plates = 1,
    /// An owner's name and address.
    Owner = 2,
    /// A vehicle's owners.
    Vehicle = 3,
    /// A radar's limit and kind.
    Radar = 4,
    /// A simulated reading.
    Reading = 5,
    /// A simulated invoice.
    Invoice = 6,
    /// Which vehicle passed in a row of a replayed file.
    ReplayedPlate = 7,
    /// What happens to a simulated record on its way: late, doubled, malformed.
    Disorder = 8,
}

/// The numbers drawn for one item.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    /// The numbers for item `item`.
    pub(crate) fn new(seed: u64, purpose: Purpose, item: u64) -> Dice {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(item);
        Dice(generator)
    }

    /// A number below `bound`, each as likely as any other (Lemire's multiplication: the rare words that would favour some
    /// numbers are drawn again).
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u64::from(self.0.next_u32()) * u64::from(bound);
            if (product & 0xffff_ffff) >= u64::from(threshold) {
                // Below `bound`, which is 32 bits.
                return (product >> 32) as u32;
            }
        }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// The smaller of two numbers below `bound`: small ones come more often, as frequent customers and small excesses do.
    pub(crate) fn small_below(&mut self, bound: u32) -> u32 {
        let first = self.below(bound);
        first.min(self.below(bound))
    }

    /// One of `all`.
    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        let index = self.below(u32::try_from(all.len()).unwrap_or(u32::MAX));
        &all[index as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_for_an_item_depends_on_nothing_else() {
        let draw = |seed, item| {
            let mut dice = Dice::new(seed, Purpose::Reading, item);
            [dice.below(1_000_000), dice.below(1_000_000)]
        };
        assert_eq!(draw(1, 5), draw(1, 5));
        assert_ne!(draw(1, 5), draw(2, 5));
        assert_ne!(draw(1, 5), draw(1, 6));
    }

    #[test]
    fn numbers_are_even_and_within_bounds() {
        let mut dice = Dice::new(7, Purpose::Owner, 0);
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[dice.below(6) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert!((0..1_000).all(|_| (3..=5).contains(&dice.between(3, 5))));
        assert_eq!(dice.below(1), 0);
    }
}
