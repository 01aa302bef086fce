//! The embedded log: may it be written, is there room, is it ours, and does its file system do what SQLite asks of it?
//!
//! Promise: nothing is made, not even a file; a directory that is not there is judged by the one it would be made in.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::finding::{Finding, Verdict};

/// A commit that finds no room ends the process (law 15).
const LEAST_ROOM_BYTES: u64 = 100 << 20;
/// A day's work of a small deployment.
const LITTLE_ROOM_BYTES: u64 = 1 << 30;
/// The log is cut back to a quarter of that after every checkpoint: beyond, something keeps a snapshot open.
const LONG_WAL_BYTES: u64 = 256 << 20;
/// Where SQLite's file formats for writing and reading stand in its header: 2 is a write-ahead log.
const FORMATS_AT: usize = 18;

/// File systems between machines: processes on two of them do not share the memory a write-ahead log stands on.
const SHARED: [&str; 8] = ["nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "fuse.s3fs"];

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The directory, or the nearest one above it that exists.
    pub(super) nearest: PathBuf,
    pub(super) exists: bool,
    pub(super) is_directory: bool,
    /// Why it may not be written, if so.
    pub(super) unwritable: Option<String>,
    pub(super) free_bytes: Option<u64>,
    /// The file system's name, where the system tells.
    pub(super) file_system: Option<String>,
    /// The log's file, if it is there.
    pub(super) file: Option<File>,
}

/// The log's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: u64,
    pub(super) wal_bytes: u64,
    pub(super) has_wal: bool,
}

impl Place {
    /// Looks, and touches nothing.
    pub(super) fn look(directory: &Path) -> Place {
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        let nearest = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned();
        let is_directory = nearest.is_dir();
        let file = nearest.join("log.sqlite3");
        let exists = nearest == absolute;
        let writable = |path: &Path, how: Access| {
            access(path, how).err().map(|error| format!("`{}`: {error}", path.display()))
        };
        let unwritable = writable(&nearest, Access::WRITE_OK | Access::EXEC_OK).or_else(|| {
            if exists && file.exists() { writable(&file, Access::READ_OK | Access::WRITE_OK) } else { None }
        });
        let room = statvfs(&nearest).ok();
        Place {
            free_bytes: room.map(|room| room.f_bavail.saturating_mul(room.f_frsize)),
            file_system: fs::read_to_string("/proc/self/mountinfo")
                .ok()
                .and_then(|mounts| file_system(&mounts, &nearest)),
            file: if exists { look_at(&file) } else { None },
            nearest,
            exists,
            is_directory,
            unwritable,
        }
    }
}

fn look_at(file: &Path) -> Option<File> {
    let bytes = fs::metadata(file).ok()?.len();
    let wal_bytes = fs::metadata(file.with_extension("sqlite3-wal")).map_or(0, |wal| wal.len());
    let mut header = [0; FORMATS_AT + 2];
    let read = fs::File::open(file).and_then(|mut file| file.read_exact(&mut header));
    Some(File { bytes, wal_bytes, has_wal: read.is_ok() && header[FORMATS_AT..] == [2, 2] })
}

/// The type of the mount that `path` lies in: the deepest one, and of several at one place the last.
fn file_system(mounts: &str, path: &Path) -> Option<String> {
    let mount = |line: &str| {
        let (mounted, system) = line.split_once(" - ")?;
        // A blank in a path is written in octal.
        let point = mounted.split(' ').nth(4)?.replace("\\040", " ");
        path.starts_with(&point)
            .then(|| (point.len(), system.split(' ').next().unwrap_or_default().to_owned()))
    };
    mounts.lines().filter_map(mount).max_by_key(|(depth, _)| *depth).map(|(_, system)| system)
}

/// The directory and the file, before the log is opened.
pub(super) fn judge(directory: &Path, place: &Place) -> Vec<Finding> {
    let what = format!("directory {}", directory.display());
    if place.exists && !place.is_directory {
        return vec![Finding::fail(what, "it is a file", "name a directory with --data")];
    }
    let mut findings = vec![writable(place).about(what), room(place.free_bytes).about("free space")];
    findings.extend(place.file_system.as_deref().map(|system| shared(system).about("file system")));
    findings.push(Finding::ok("SQLite", format!("{}, compiled in", rusqlite::version())));
    match place.file {
        Some(file) if file.bytes > 0 => findings.push(write_ahead(file).about("write-ahead log")),
        _ => {}
    }
    findings
}

fn writable(place: &Place) -> Verdict {
    match (&place.unwritable, place.exists) {
        (Some(reason), _) => Verdict::fail(
            format!("this user may not write there ({reason})"),
            "change its owner or its mode, or name another one with --data",
        ),
        (None, true) => Verdict::ok("can be written"),
        (None, false) => Verdict::ok(format!("not there, and can be made in `{}`", place.nearest.display())),
    }
}

fn room(free_bytes: Option<u64>) -> Verdict {
    let Some(free) = free_bytes else {
        return Verdict::skip("the system does not tell");
    };
    let found = format!("{} MB", free >> 20);
    let remedy = "make room, or name a directory on another disk with --data";
    match free {
        free if free < LEAST_ROOM_BYTES => {
            Verdict::fail(format!("{found}: the next commits may fail, and then the process ends"), remedy)
        }
        free if free < LITTLE_ROOM_BYTES => Verdict::warn(found, remedy),
        _ => Verdict::ok(found),
    }
}

fn shared(system: &str) -> Verdict {
    match SHARED.contains(&system) {
        true => Verdict::fail(
            format!(
                "`{system}`, which lies on another machine: processes here do not share memory through it"
            ),
            "name a directory on a local disk with --data",
        ),
        false => Verdict::ok(system),
    }
}

fn write_ahead(file: File) -> Verdict {
    let found = format!("{} MB beside a log of {} MB", file.wal_bytes >> 20, file.bytes >> 20);
    if !file.has_wal {
        return Verdict::fail(
            "off: whoever writes would keep all others waiting",
            "see who has changed the file: tidegate makes it with one",
        );
    }
    match file.wal_bytes > LONG_WAL_BYTES {
        true => Verdict::warn(
            format!("{found}: somebody keeps reading an old state of it"),
            "end programs that have the file open and are not tidegate",
        ),
        false => Verdict::ok(found),
    }
}

/// A log that cannot be opened.
pub(super) fn unreadable(error: &anyhow::Error) -> Finding {
    match error.downcast_ref() {
        Some(tidegate_runtime::Error::Refused { what, remedy }) => Finding::fail("log", what, remedy),
        _ => Finding::fail(
            "log",
            format!("{error:#}"),
            "restore it from a backup, or name another directory with --data",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn place() -> Place {
        Place {
            nearest: PathBuf::from("/data"),
            exists: true,
            is_directory: true,
            unwritable: None,
            free_bytes: Some(2 << 30),
            file_system: Some("ext4".to_owned()),
            file: Some(File { bytes: 1 << 20, wal_bytes: 0, has_wal: true }),
        }
    }

    fn levels(place: &Place) -> Vec<(String, Level)> {
        judge(Path::new("data"), place).into_iter().map(|one| (one.what, one.level)).collect()
    }

    /// The only line that is not good.
    fn fault(place: &Place) -> (String, Level) {
        let mut faults: Vec<_> = levels(place).into_iter().filter(|(_, level)| *level != Level::Ok).collect();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    }

    #[test]
    fn a_good_place_is_all_good() {
        assert!(levels(&place()).iter().all(|(_, level)| *level == Level::Ok), "{:?}", levels(&place()));
        let new = Place { exists: false, file: None, ..place() };
        assert!(levels(&new).iter().all(|(_, level)| *level == Level::Ok));
        assert!(judge(Path::new("data"), &new)[0].found.contains("can be made in `/data`"));
    }

    #[test]
    fn every_fault_of_a_place_is_found() {
        let good = File { bytes: 1 << 20, wal_bytes: 0, has_wal: true };
        for (place, what, level) in [
            (Place { is_directory: false, ..place() }, "directory data", Level::Fail),
            (Place { unwritable: Some("denied".to_owned()), ..place() }, "directory data", Level::Fail),
            (Place { free_bytes: Some(99 << 20), ..place() }, "free space", Level::Fail),
            (Place { free_bytes: Some(1_023 << 20), ..place() }, "free space", Level::Warn),
            (Place { free_bytes: None, ..place() }, "free space", Level::Skip),
            (Place { file_system: Some("nfs4".to_owned()), ..place() }, "file system", Level::Fail),
            (
                Place { file: Some(File { has_wal: false, ..good }), ..place() },
                "write-ahead log",
                Level::Fail,
            ),
            (
                Place { file: Some(File { wal_bytes: 257 << 20, ..good }), ..place() },
                "write-ahead log",
                Level::Warn,
            ),
        ] {
            assert_eq!(fault(&place), (what.to_owned(), level));
        }
    }

    #[test]
    fn a_path_lies_in_the_deepest_mount_above_it() {
        let mounts = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      30 21 0:40 / /mnt/a\\040b rw,noatime shared:1 - nfs4 server:/x rw\n\
                      31 21 0:41 / /mnt rw - tmpfs tmpfs rw\n";
        let of = |path: &str| file_system(mounts, Path::new(path)).unwrap();
        assert_eq!(of("/home/x"), "ext4");
        assert_eq!(of("/mnt/a b/log"), "nfs4");
        assert_eq!(of("/mnt/ab"), "tmpfs");
    }

    #[test]
    fn looking_makes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("a/b");
        let place = Place::look(&missing);
        assert_eq!((place.exists, place.nearest.as_path()), (false, directory.path()));
        assert_eq!((place.unwritable, place.file), (None, None));
        assert!(place.free_bytes.is_some() && place.file_system.is_some());
        assert!(!directory.path().join("a").exists());
        let file = directory.path().join("f");
        fs::write(&file, "x").unwrap();
        assert!(!Place::look(&file).is_directory);
    }
}
