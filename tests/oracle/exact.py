"""Exact arithmetic and pinned randomness: what both oracles stand on. No floats anywhere."""

from fractions import Fraction


def half_away(value: Fraction) -> int:
    """The nearest integer; of two as near, the one further from zero."""
    floor = value.numerator // value.denominator
    rest = value - floor
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and value > 0):
        return floor + 1
    return floor


class SplitMix64:
    """Steele, Lea and Flood's generator, as published with Java 8: 64 bits of state, one addition and three mixes.

    Picked because it fits in six lines, so anybody can check that the derivative is what its seed says.
    """

    MASK = (1 << 64) - 1

    def __init__(self, seed: int):
        self.state = seed & self.MASK

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & self.MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """An integer in [0, bound). The bias of the modulo (below 2**-40 for our bounds) does not matter here."""
        return self.next() % bound

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + self.below(high - low + 1)

    def chance(self, per_mille: int) -> bool:
        """True in `per_mille` of 1000 cases."""
        return self.below(1000) < per_mille
