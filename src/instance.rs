//! The name of this process among an application's: stable over restarts, unique while it runs.
//!
//! Each is a locked file `instances/<app>.<id>.lock` in the data directory; an id has no `.`, so no two pairs share a file. The kernel
//! lets go of the lock however a process ends, so that a restart takes the same number and fences its former self, and a second
//! process takes the next.
//!
//! Who shares an embedded log shares its directory too: a number is enough. On Kafka every machine counts from 0, and two instances of
//! one name would fence each other for ever; so the number has the name of this directory before it, drawn once and kept in
//! `instances/machine`. Broken by: copying a data directory to another machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::exit::Exit;
use crate::name;

/// More processes of one application than a machine has room for.
const MAX_INSTANCES: u32 = 1_024;

/// The part of a host's name that is kept: enough to know it by in a list of members.
const MAX_HOST_CHARS: usize = 32;

/// How an instance is named that was given no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The first free number in this directory.
    InDirectory,
    /// The same behind a name that no other directory has.
    AmongMachines,
}

/// An instance's name; somebody else's again when dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    id: String,
    _lock: File,
}

impl Instance {
    /// The instance `id` of `app`, or the first free number.
    pub(crate) fn take(data: &Path, app: &str, id: Option<&str>, numbering: Numbering) -> Result<Instance> {
        let directory = data.join("instances");
        fs::create_dir_all(&directory)
            .with_context(|| format!("could not make the directory `{}`", directory.display()))?;
        let place = |id: &str| directory.join(format!("{app}.{id}.lock"));
        if let Some(id) = id {
            let lock = try_lock(&place(id))?.ok_or_else(|| in_use(app, id))?;
            return Ok(Instance { id: id.to_owned(), _lock: lock });
        }
        let prefix = match numbering {
            Numbering::InDirectory => String::new(),
            Numbering::AmongMachines => format!("{}-", machine(&directory)?),
        };
        for number in 0..MAX_INSTANCES {
            let id = format!("{prefix}{number}");
            if let Some(lock) = try_lock(&place(&id))? {
                return Ok(Instance { id, _lock: lock });
            }
        }
        let message = format!("`{MAX_INSTANCES}` instances of `{app}` run here already; stop one first");
        Err(Exit::Refused.because(message))
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

/// The name of this directory among all, drawn by whoever comes first.
fn machine(directory: &Path) -> Result<String> {
    let place = directory.join("machine");
    let unread = || format!("could not read `{}`", place.display());
    if !place.try_exists().with_context(unread)? {
        let aside = directory.join(format!("machine.{}.partial", std::process::id()));
        let appear = || {
            fs::write(&aside, drawn_name(directory))?;
            // A link never replaces a name that somebody else has drawn meanwhile.
            let linked = fs::hard_link(&aside, &place);
            fs::remove_file(&aside)?;
            linked.or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
        };
        appear().with_context(|| format!("could not write `{}`", place.display()))?;
    }
    let kept = fs::read_to_string(&place).with_context(unread)?;
    name::parse_instance(&kept).map_err(|_| {
        let message = format!("`{}` holds no name; delete it, and a new one is drawn", place.display());
        Exit::Refused.because(message)
    })
}

/// The host's name, for people, and something that no other directory draws.
fn drawn_name(directory: &Path) -> String {
    let host =
        fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let legal = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let host: String = host.unwrap_or_default().trim().chars().take(MAX_HOST_CHARS).map(legal).collect();
    let host = if host.is_empty() { "host".to_owned() } else { host };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let place = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let digest = Sha256::digest(format!("{host} {now} {} {}", std::process::id(), place.display()));
    let drawn: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{host}-{drawn}")
}

fn try_lock(path: &PathBuf) -> Result<Option<File>> {
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = open.with_context(|| format!("could not open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(anyhow::Error::new(error).context(format!("could not lock `{}`", path.display())))
        }
    }
}

fn in_use(app: &str, id: &str) -> anyhow::Error {
    let message =
        format!("instance `{id}` of `{app}` runs already; stop it first, or give another --instance-id");
    Exit::Refused.because(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_takes_the_same_number_and_a_second_process_the_next() {
        let data = tempfile::tempdir().unwrap();
        let first = Instance::take(data.path(), "app", None, Numbering::InDirectory).unwrap();
        let second = Instance::take(data.path(), "app", None, Numbering::InDirectory).unwrap();
        assert_eq!((first.id(), second.id()), ("0", "1"));
        drop(first);
        assert_eq!(Instance::take(data.path(), "app", None, Numbering::InDirectory).unwrap().id(), "0");
    }

    #[test]
    fn an_id_that_runs_already_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let _held = Instance::take(data.path(), "app", Some("blue"), Numbering::InDirectory).unwrap();
        let refused = Instance::take(data.path(), "app", Some("blue"), Numbering::InDirectory).unwrap_err();
        assert_eq!(Exit::of(&refused), Exit::Refused);
        assert!(Instance::take(data.path(), "other", Some("blue"), Numbering::InDirectory).is_ok());
    }

    #[test]
    fn two_machines_never_draw_the_same_name_and_a_restart_keeps_its_own() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let take = |data: &tempfile::TempDir| {
            Instance::take(data.path(), "app", None, Numbering::AmongMachines).unwrap()
        };
        let (first, second, elsewhere) = (take(&one), take(&one), take(&other));
        let machine = fs::read_to_string(one.path().join("instances/machine")).unwrap();
        assert_eq!([first.id(), second.id()], [format!("{machine}-0"), format!("{machine}-1")]);
        assert_ne!(first.id(), elsewhere.id());
        let id = first.id().to_owned();
        drop(first);
        assert_eq!(take(&one).id(), id);
        assert!(name::parse_instance(&id).is_ok());
        let mut files: Vec<_> = fs::read_dir(one.path().join("instances"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        files.sort();
        assert_eq!(files.len(), 3, "{files:?}");
        fs::write(one.path().join("instances/machine"), "a/b").unwrap();
        let damaged = Instance::take(one.path(), "app", None, Numbering::AmongMachines).unwrap_err();
        assert_eq!(Exit::of(&damaged), Exit::Refused);
    }
}
