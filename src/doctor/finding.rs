//! One line of the doctor's: what was looked at, what was found, and the remedy where there is one.

use std::fmt;

use serde_json::{Value, json};

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Ok,
    /// It could not be looked at, because something before it failed or was not asked for.
    Skip,
    /// It works, and will surprise or hurt one day.
    Warn,
    /// It does not work, or loses data.
    Fail,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) what: String,
    pub(super) found: String,
    pub(super) remedy: Option<String>,
}

/// A line that does not know yet what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) level: Level,
    pub(super) found: String,
    pub(super) remedy: Option<String>,
}

impl Verdict {
    pub(super) fn ok(found: impl Into<String>) -> Verdict {
        Verdict { level: Level::Ok, found: found.into(), remedy: None }
    }

    pub(super) fn skip(why: impl Into<String>) -> Verdict {
        Verdict { level: Level::Skip, found: why.into(), remedy: None }
    }

    pub(super) fn warn(found: impl Into<String>, remedy: impl Into<String>) -> Verdict {
        Verdict { level: Level::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(found: impl Into<String>, remedy: impl Into<String>) -> Verdict {
        Verdict { level: Level::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn about(self, what: impl Into<String>) -> Finding {
        let Verdict { level, found, remedy } = self;
        Finding { level, what: what.into(), found, remedy }
    }
}

impl Finding {
    pub(super) fn ok(what: impl Into<String>, found: impl Into<String>) -> Finding {
        Verdict::ok(found).about(what)
    }

    pub(super) fn skip(what: impl Into<String>, why: impl Into<String>) -> Finding {
        Verdict::skip(why).about(what)
    }

    pub(super) fn warn(
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Verdict::warn(found, remedy).about(what)
    }

    pub(super) fn fail(
        what: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Verdict::fail(found, remedy).about(what)
    }

    pub(super) fn as_json(&self) -> Value {
        json!({ "level": self.level.word(), "what": self.what, "found": one_line(&self.found), "remedy": self.remedy })
    }
}

impl Level {
    /// What failed stands out in a page of lines.
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Skip => "skip",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<4}  {}: {}", self.level.word(), self.what, one_line(&self.found))?;
        self.remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// A cause may bring lines of its own: one finding is one line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_in_either_form() {
        let finding = Finding::fail("topic readings", "two\n  lines", "mend it");
        assert_eq!(finding.to_string(), "FAIL  topic readings: two lines; mend it");
        let ok = Finding::ok("registry", "reached");
        assert_eq!(ok.to_string(), "ok    registry: reached");
        assert_eq!(
            ok.as_json().to_string(),
            r#"{"level":"ok","what":"registry","found":"reached","remedy":null}"#
        );
        assert_eq!(finding.as_json()["found"], "two lines");
    }
}
