//! The name of this process among an application's: stable over restarts, unique while it runs.
//!
//! Each is a locked file `instances/<app>.<id>.lock` in the data directory; an id has no `.`, so no two pairs share a file. The kernel lets go of the lock however a process ends, so
//! that a restart takes the same number and fences its former self, and a second process takes the next.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::exit::Exit;

/// More processes of one application than a machine has room for.
const MAX_INSTANCES: u32 = 1_024;

/// An instance's name; somebody else's again when dropped.
#[derive(Debug)]
pub(crate) struct Instance {
    id: String,
    _lock: File,
}

impl Instance {
    /// The instance `id` of `app`, or the first free number.
    pub(crate) fn take(data: &Path, app: &str, id: Option<&str>) -> Result<Instance> {
        let directory = data.join("instances");
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("could not make the directory `{}`", directory.display()))?;
        let place = |id: &str| directory.join(format!("{app}.{id}.lock"));
        if let Some(id) = id {
            let lock = try_lock(&place(id))?.ok_or_else(|| in_use(app, id))?;
            return Ok(Instance { id: id.to_owned(), _lock: lock });
        }
        for number in 0..MAX_INSTANCES {
            let id = number.to_string();
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
        let first = Instance::take(data.path(), "app", None).unwrap();
        let second = Instance::take(data.path(), "app", None).unwrap();
        assert_eq!((first.id(), second.id()), ("0", "1"));
        drop(first);
        assert_eq!(Instance::take(data.path(), "app", None).unwrap().id(), "0");
    }

    #[test]
    fn an_id_that_runs_already_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let _held = Instance::take(data.path(), "app", Some("blue")).unwrap();
        let refused = Instance::take(data.path(), "app", Some("blue")).unwrap_err();
        assert_eq!(Exit::of(&refused), Exit::Refused);
        assert!(Instance::take(data.path(), "other", Some("blue")).is_ok());
    }
}
