//! Where a value was given: what wins when it was given twice, and what an error about it names.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value stands. The greater one wins: a flag before a variable before a file before our default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The `--config` file.
    File(Place),
    /// The `--properties` file: made for this one purpose, so it counts more.
    Properties(Place),
    /// A variable of the environment.
    Variable(String),
    /// What was typed.
    CommandLine,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) line: usize,
}

impl Source {
    /// The greater one wins; two of the same rank that differ contradict each other.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Source::File(_) => 0,
            Source::Properties(_) => 1,
            Source::Variable(_) => 2,
            Source::CommandLine => 3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(place) | Source::Properties(place) => place.fmt(f),
            Source::Variable(name) => write!(f, "the variable `{name}`"),
            Source::CommandLine => f.write_str("the command line"),
        }
    }
}

impl Place {
    pub(crate) fn new(path: &Path, line: usize) -> Place {
        Place { path: path.to_owned(), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, line {}", self.path.display(), self.line)
    }
}
