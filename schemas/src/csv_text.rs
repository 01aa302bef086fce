//! Text and times as they stand in the cells of our CSV files, the same in every file.
//!
//! Guarantees: no spreadsheet runs a cell as a formula, and the text can be had back: [`unescaped`] of [`escaped`] is the text, for
//! every text, and two texts never become one. The rule: a text that begins with any number of `'` and then one of `=`, `+`, `-`, `@`,
//! a tab, a carriage return, a line feed, or a full-width `＝`, `＋`, `－`, `＠`, gets one more `'` in front. To read it, take one `'` away
//! from every text that begins with at least one `'` and then one of these. Numbers are not escaped: negative ones begin with `-`.

use std::borrow::Cow;

/// What makes a spreadsheet take a cell for a formula, at its beginning. Some drop the blank characters among them first.
const FORMULA_STARTS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The text as a cell that no spreadsheet runs.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a cell that [`escaped`] made.
#[must_use]
pub fn unescaped(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|_| is_formula(cell)).unwrap_or(cell)
}

/// True if it begins like a formula, quotes in front of it left aside.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(FORMULA_STARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_escaped_and_nothing_else() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+31", "'+31"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\n=1", "'\n=1"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠x", "'＠x"),
            ("'=1", "''=1"),
            ("''=1", "'''=1"),
            ("'quoted'", "'quoted'"),
            ("'", "'"),
            ("a=1", "a=1"),
            ("536365", "536365"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), cell, "{text:?}");
            assert_eq!(unescaped(cell), text, "{cell:?}");
        }
    }

    /// Every text of up to four characters out of those that matter.
    #[test]
    fn no_two_texts_become_one_and_each_can_be_had_back() {
        let alphabet: Vec<char> = FORMULA_STARTS.into_iter().chain(['\'', 'a', '"', ',']).collect();
        let mut texts = vec![String::new()];
        let mut last = texts.clone();
        for _ in 0..4 {
            last = last.iter().flat_map(|text| alphabet.iter().map(move |c| format!("{text}{c}"))).collect();
            texts.extend(last.iter().cloned());
        }
        let mut cells = std::collections::BTreeSet::new();
        for text in &texts {
            let cell = escaped(text);
            assert!(!cell.starts_with(FORMULA_STARTS), "{text:?} would be run");
            assert_eq!(unescaped(&cell), text);
            cells.insert(cell);
        }
        assert_eq!(cells.len(), texts.len());
    }
}
