//! Every operation on files the CSV sink does, so that the tests can end the process at each of them.
//!
//! Promise: what was synced and then linked is there after a power cut, and a finished file is never replaced: a link fails where a
//! name is taken, atomically, which a rename would not. Broken by a file system that cannot link.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use tidegate_runtime::{Error, Result};

use crate::place::storage;

/// A file being written.
pub(super) struct Sheet(File);

/// Makes a file that is not there yet.
pub(super) fn create(path: &Path) -> Result<Sheet> {
    let made = fault::point().and_then(|()| OpenOptions::new().write(true).create_new(true).open(path));
    made.map(Sheet).map_err(|cause| storage("create", path, cause))
}

/// Makes a folder, unless it is there.
pub(super) fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fault::point().and_then(|()| fs::create_dir(path)).map_err(|cause| storage("create", path, cause))
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(fault) = fault::point() {
            // A process that ends in the middle of a write leaves part of it.
            let _ = self.0.write(&bytes[..fault::torn(bytes.len())]);
            return Err(fault);
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sheet {
    /// On the disk when it returns.
    pub(super) fn sync(&self, path: &Path) -> Result<()> {
        fault::point().and_then(|()| sync(&self.0)).map_err(|cause| storage("sync", path, cause))
    }
}

/// Gives the file `open` its final name as well. If that is taken by the same content, a crash had come between this step and the
/// next; any other content is not ours to replace.
pub(super) fn link(open: &Path, finished: &Path) -> Result<()> {
    let linked = fault::point().and_then(|()| fs::hard_link(open, finished));
    let what = format!("finish `{}` as", open.display());
    match linked {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            if same_content(open, finished).map_err(|cause| storage(&what, finished, cause))? {
                return Ok(());
            }
            Err(Error::Refused {
                what: format!("`{}` is there already, with other content", finished.display()),
                remedy:
                    "a finished file is never replaced: move it away, or start a sink in another directory"
                        .into(),
            })
        }
        linked => linked.map_err(|cause| storage(&what, finished, cause)),
    }
}

fn same_content(left: &Path, right: &Path) -> io::Result<bool> {
    if fs::metadata(left)?.len() != fs::metadata(right)?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (io::BufReader::new(File::open(left)?), File::open(right)?);
    let (mut of_left, mut of_right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = right.read(&mut of_right)?;
        if count == 0 {
            return Ok(true);
        }
        left.read_exact(&mut of_left[..count])?;
        if of_left[..count] != of_right[..count] {
            return Ok(false);
        }
    }
}

/// Takes a name away.
pub(super) fn remove(path: &Path) -> Result<()> {
    fault::point().and_then(|()| fs::remove_file(path)).map_err(|cause| storage("remove", path, cause))
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<()> {
    let synced = fault::point().and_then(|()| sync(&File::open(path)?));
    synced.map_err(|cause| storage("sync", path, cause))
}

/// Replaces the content of `path` at once: the old one stands until the new one is durable.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let aside = path.with_extension("new");
    let written = fault::point().and_then(|()| File::create(&aside)).and_then(|mut file| {
        file.write_all(content)?;
        fault::point()?;
        sync(&file)
    });
    written.map_err(|cause| storage("write", &aside, cause))?;
    fault::point()
        .and_then(|()| fs::rename(&aside, path))
        .map_err(|cause| storage("replace", path, cause))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// The tests end the process thousands of times, and the power never.
fn sync(file: &File) -> io::Result<()> {
    if cfg!(test) { Ok(()) } else { file.sync_all() }
}

#[cfg(not(test))]
mod fault {
    #[expect(clippy::unnecessary_wraps, reason = "the tests' twin of this fails")]
    pub(super) fn point() -> std::io::Result<()> {
        Ok(())
    }

    pub(super) fn torn(length: usize) -> usize {
        length
    }
}

/// Lets the process "end" at one operation: it and every later one fail, as nothing happens after a kill.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
        static ENDED: Cell<bool> = const { Cell::new(false) };
    }

    /// The process ends instead of its operation number `count`, from 0.
    pub(crate) fn end_at(count: u32) {
        LEFT.set(Some(count));
    }

    /// True if the process had ended; it lives again.
    pub(crate) fn clear() -> bool {
        LEFT.set(None);
        ENDED.replace(false)
    }

    pub(super) fn point() -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => {
                ENDED.set(true);
                Err(io::Error::other("the test ends the process here"))
            }
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }

    pub(super) fn torn(length: usize) -> usize {
        length / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_file_is_never_replaced() {
        let place = tempfile::TempDir::new().unwrap();
        let (open, finished) = (place.path().join("a.csv.open"), place.path().join("a.csv"));
        fs::write(&open, "ours").unwrap();
        for theirs in ["theirs, longer", "hers"] {
            fs::write(&finished, theirs).unwrap();
            let error = link(&open, &finished).unwrap_err();
            assert_eq!(error.reaction(), tidegate_runtime::Reaction::Stop);
            assert!(error.to_string().contains("with other content"), "{error}");
            assert_eq!(fs::read_to_string(&finished).unwrap(), theirs);
        }
    }

    #[test]
    fn a_file_that_was_finished_before_the_crash_is_finished() {
        let place = tempfile::TempDir::new().unwrap();
        let (open, finished) = (place.path().join("a.csv.open"), place.path().join("a.csv"));
        fs::write(&finished, "the same".repeat(20_000)).unwrap();
        fs::write(&open, "the same".repeat(20_000)).unwrap();
        link(&open, &finished).unwrap();
        remove(&open).unwrap();
        assert_eq!(fs::read_to_string(&finished).unwrap().len(), 160_000);
    }
}
