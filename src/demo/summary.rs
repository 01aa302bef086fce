//! The summary: what was checked, where everything is, and what to try next.

use std::fmt::Write as _;
use std::path::Path;

use tidegate_runtime::quote::printable;

use super::Scenario;
use super::check::Check;
use super::place::{Place, words};
use super::view::Palette;

/// A line is broken before this column: it is read on terminals of 80.
const WIDTH: usize = 78;

/// Where the words of a check begin, behind `ok` or `MISMATCH`.
const INDENT: usize = 10;

/// The summary of a demo that ran to its end.
pub(super) fn text(place: &Place, scenario: Scenario, checks: &[Check], palette: Palette) -> String {
    let Palette { bold, good, bad, end, .. } = palette;
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        text,
        "{bold}Does it add up?{end} Recomputed from the topics by code of its own ({}):\n",
        words(scenario)
    );
    for check in checks {
        let (colour, word) = if check.ok { (good, "ok") } else { (bad, "MISMATCH") };
        let _ = writeln!(text, "{colour}{word:<INDENT$}{end}{}", folded(&printable(&check.what)));
    }
    let wrong = checks.iter().filter(|check| !check.ok).count();
    let _ = match wrong {
        0 => writeln!(text, "\n{good}All {} checks are ok.{end}", checks.len()),
        wrong => writeln!(text, "\n{bad}{wrong} of {} checks found a mismatch.{end}", checks.len()),
    };
    let _ = writeln!(text, "\n{bold}Where everything is{end}");
    for (what, path) in [
        ("log", place.directory().to_owned()),
        ("CSV files", place.directory().join("csv")),
        ("read store", place.read_store()),
        ("discounts", place.discounts()),
        ("this summary", place.summary()),
    ] {
        let _ = writeln!(text, "  {what:<14}{}", printable(&path.display().to_string()));
    }
    let _ = writeln!(text, "\n{bold}What to try next{end}");
    for command in commands(place) {
        let _ = writeln!(text, "  {command}");
    }
    text
}

/// Three commands that work as they stand.
fn commands(place: &Place) -> [String; 3] {
    let (program, log) = (program(), quoted(place.directory()));
    let question = "SELECT plate, owner_name, excess_kmh, fine_minor / 100 AS fine FROM infractions_with_owners \
                    ORDER BY excess_kmh DESC LIMIT 5";
    [
        format!("sqlite3 -header -column {} \\\n    \"{question}\"", quoted(&place.read_store())),
        format!("{program} topics tail customer-totals --data {log}"),
        format!("{program} topics tail speeding-dead-letters -n 3 --data {log}"),
    ]
}

/// The commands that go on with an interrupted demo, and that start it over.
pub(super) fn ways_on(place: &Place, scenario: Scenario) -> (String, String) {
    let again = format!("{} demo --data {} {}", program(), quoted(place.directory()), words(scenario));
    (again.clone(), format!("{again} --fresh"))
}

/// The program as it was called: it need not be on the path.
fn program() -> String {
    std::env::args_os().next().map_or_else(|| "tidegate".to_owned(), |name| quoted(Path::new(&name)))
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = printable(&path.display().to_string()).into_owned();
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-');
    if !text.is_empty() && text.chars().all(harmless) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Words in lines, those after the first indented.
fn folded(words: &str) -> String {
    let (mut text, mut column) = (String::new(), INDENT);
    for word in words.split(' ') {
        let width = word.chars().count();
        if column > INDENT {
            if column + 1 + width > WIDTH {
                let _ = write!(text, "\n{:INDENT$}", "");
                column = INDENT;
            } else {
                text.push(' ');
                column += 1;
            }
        }
        text.push_str(word);
        column += width;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_under_their_first_word() {
        let text = folded(&"word ".repeat(40));
        assert!(text.lines().count() > 2);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("          word")));
    }

    #[test]
    fn a_path_survives_a_shell() {
        assert_eq!(quoted(Path::new("./tidegate-demo")), "./tidegate-demo");
        assert_eq!(quoted(Path::new("my demo's")), r"'my demo'\''s'");
    }
}
