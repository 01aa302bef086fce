//! The demo's directory: whose it is, what is in it, and when it may be deleted.
//!
//! Promise: nothing is written into a directory that holds anything else, and nothing is deleted but in a directory that carries
//! the marker, which is put into empty ones only. One demo at a time: the marker is locked while it runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Scenario;
use crate::exit::Exit;

/// The file a demo's directory is recognised by.
const MARKER: &str = "tidegate-demo.marker";

/// Its first line: a file that only has the name is not ours.
const MARKER_LINE: &str =
    "everything beside this file was written by `tidegate demo`; `tidegate demo --fresh` deletes it";

/// A marker is two short lines.
const MARKER_MAX_BYTES: u64 = 1_024;

/// The summary, as printed. It is written last: a directory that has it holds a finished demo.
const SUMMARY: &str = "summary.txt";

/// The directory, this demo's alone until dropped.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    _lock: File,
}

impl Place {
    /// Takes the directory for a demo of `scenario`, emptied first if that was asked for.
    pub(super) fn take(directory: &Path, scenario: Scenario, fresh: bool) -> Result<Place> {
        if directory.exists() && !directory.is_dir() {
            let message = format!("`{}` is a file; name a directory with --data", directory.display());
            return Err(Exit::NoAccess.because(message));
        }
        fs::create_dir_all(directory)
            .with_context(|| format!("could not make the directory `{}`", directory.display()))?;
        let marker = directory.join(MARKER);
        let unopened = || format!("could not open `{}`", marker.display());
        if !is_file(&marker) {
            refuse_foreign(directory)?;
            let mut lock = OpenOptions::new()
                .create_new(true)
                .read(true)
                .write(true)
                .open(&marker)
                .with_context(unopened)?;
            take_lock(&lock, directory)?;
            write_marker(&mut lock, scenario)?;
            return Ok(Place { directory: directory.to_owned(), _lock: lock });
        }
        let mut lock = OpenOptions::new().read(true).write(true).open(&marker).with_context(unopened)?;
        let Some(kept) = read_marker(&mut lock)? else { return Err(foreign(directory)) };
        take_lock(&lock, directory)?;
        if fresh {
            clear(directory)?;
            write_marker(&mut lock, scenario)?;
        } else if directory.join(SUMMARY).exists() {
            let message = format!(
                "`{}` holds a finished demo; `--fresh` deletes it and starts over",
                directory.display()
            );
            return Err(Exit::Refused.because(message));
        } else if kept != words(scenario) {
            let message = format!(
                "`{}` holds an unfinished demo of `{kept}`; give the same to go on, or `--fresh` to start over",
                directory.display()
            );
            return Err(Exit::Refused.because(message));
        }
        Ok(Place { directory: directory.to_owned(), _lock: lock })
    }

    /// Keeps the summary, whole or not at all: from then on the demo is finished.
    pub(super) fn finish(&self, summary: &str) -> Result<()> {
        let (aside, place) = (self.directory.join(".summary.partial"), self.summary());
        let write = || {
            let mut file = File::create(&aside)?;
            file.write_all(summary.as_bytes())?;
            file.sync_all()?;
            fs::rename(&aside, &place)
        };
        write().with_context(|| format!("could not write `{}`", place.display()))
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn summary(&self) -> PathBuf {
        self.directory.join(SUMMARY)
    }

    /// Where the CSV files of `topic` go.
    pub(super) fn csv(&self, topic: &str) -> PathBuf {
        self.directory.join("csv").join(topic)
    }

    pub(super) fn read_store(&self) -> PathBuf {
        self.directory.join("read-store.sqlite3")
    }

    pub(super) fn discounts(&self) -> PathBuf {
        self.directory.join("discounts.sqlite3")
    }

    pub(super) fn discounts_csv(&self) -> PathBuf {
        self.directory.join("csv").join("discounts.csv")
    }
}

/// The scenario as the command line takes it.
pub(super) fn words(scenario: Scenario) -> String {
    format!("--seconds {} --seed {}", scenario.seconds, scenario.seed)
}

/// A symbolic link is none: what it leads to is somebody else's.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file())
}

fn refuse_foreign(directory: &Path) -> Result<()> {
    let mut entries = fs::read_dir(directory).with_context(|| unread(directory))?;
    if entries.next().is_some() { Err(foreign(directory)) } else { Ok(()) }
}

fn foreign(directory: &Path) -> anyhow::Error {
    let message = format!(
        "`{}` holds something that is not a demo's; name a new directory with --data",
        directory.display()
    );
    Exit::Refused.because(message)
}

fn unread(directory: &Path) -> String {
    format!("could not read the directory `{}`", directory.display())
}

fn take_lock(lock: &File, directory: &Path) -> Result<()> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let message = format!(
                "a demo is running in `{}`; let it end, or name another directory with --data",
                directory.display()
            );
            Err(Exit::Refused.because(message))
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("could not lock `{}`", directory.display()))
        }
    }
}

fn write_marker(marker: &mut File, scenario: Scenario) -> Result<()> {
    let text = format!("{MARKER_LINE}\n{}\n", words(scenario));
    let mut write = || {
        marker.set_len(0)?;
        marker.rewind()?;
        marker.write_all(text.as_bytes())?;
        marker.sync_all()
    };
    write().context("could not write the demo's marker")
}

/// The scenario a marker names; none if the file is no marker.
fn read_marker(marker: &mut File) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    marker.take(MARKER_MAX_BYTES).read_to_end(&mut bytes).context("could not read the demo's marker")?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mut lines = text.lines();
    let ours = lines.next() == Some(MARKER_LINE);
    Ok(ours.then(|| lines.next().unwrap_or_default().to_owned()))
}

/// Deletes everything beside the marker, which is what allows it.
fn clear(directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| unread(directory))? {
        let entry = entry.with_context(|| unread(directory))?;
        if entry.file_name() == MARKER {
            continue;
        }
        // The kind of the entry itself: a link is deleted, never followed.
        let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = entry.path();
        let deleted = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        deleted.with_context(|| format!("could not delete `{}`", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: Scenario = Scenario { seed: 1, seconds: 2 };

    fn refused(outcome: Result<Place>) -> String {
        let error = outcome.unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Refused, "{error:#}");
        error.to_string()
    }

    #[test]
    fn an_unfinished_demo_goes_on_with_the_same_scenario_only() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("demo");
        drop(Place::take(&directory, SCENARIO, false).unwrap());
        drop(Place::take(&directory, SCENARIO, false).unwrap());
        let other = Scenario { seed: 2, ..SCENARIO };
        assert!(refused(Place::take(&directory, other, false)).contains("`--seconds 2 --seed 1`"));
    }

    #[test]
    fn a_finished_demo_is_refused_until_it_may_be_deleted() {
        let root = tempfile::tempdir().unwrap();
        let place = Place::take(root.path(), SCENARIO, false).unwrap();
        fs::create_dir_all(place.csv("infractions")).unwrap();
        fs::write(place.read_store(), "rows").unwrap();
        place.finish("all is well").unwrap();
        assert!(refused(Place::take(root.path(), SCENARIO, true)).contains("running"), "two at a time");
        drop(place);
        assert!(refused(Place::take(root.path(), SCENARIO, false)).contains("--fresh"));
        drop(Place::take(root.path(), Scenario { seed: 7, ..SCENARIO }, true).unwrap());
        let left: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [MARKER]);
    }

    #[test]
    fn what_is_not_a_demos_is_never_touched() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("thesis.txt"), "years of work").unwrap();
        for fresh in [false, true] {
            assert!(refused(Place::take(root.path(), SCENARIO, fresh)).contains("not a demo's"));
        }
        // Somebody else's file under the marker's name.
        fs::write(root.path().join(MARKER), "mine").unwrap();
        assert!(refused(Place::take(root.path(), SCENARIO, true)).contains("not a demo's"));
        assert_eq!(fs::read_to_string(root.path().join("thesis.txt")).unwrap(), "years of work");
    }

    #[test]
    fn a_link_in_the_directory_is_deleted_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (demo, other) = (root.path().join("demo"), root.path().join("other"));
        drop(Place::take(&demo, SCENARIO, false).unwrap());
        fs::create_dir(&other).unwrap();
        fs::write(other.join("kept.txt"), "kept").unwrap();
        std::os::unix::fs::symlink(&other, demo.join("link")).unwrap();
        drop(Place::take(&demo, SCENARIO, true).unwrap());
        assert!(!demo.join("link").exists());
        assert!(other.join("kept.txt").exists());
    }
}
