//! Which lives of a group's members were this process's own.
//!
//! A life is the id a coordinator gave. One that could not say goodbye, because the broker was away when its session ended, is known to
//! the broker for as long as a session lasts after it is back. It must not be taken for another process that runs under our name: that
//! would end this one. What breaks it: two workers under one name on one log, which is not to be done.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Far more than all workers of a process go through while a session lasts.
const REMEMBERED: usize = 1_000;

/// The latest ids that members of this process had.
#[derive(Debug, Default)]
pub(super) struct Lives(Mutex<VecDeque<String>>);

impl Lives {
    /// A member of ours has this id; an empty one is none.
    pub(super) fn note(&self, id: &str) {
        let mut known = self.known();
        if id.is_empty() || known.iter().any(|known| known == id) {
            return;
        }
        if known.len() == REMEMBERED {
            known.pop_front();
        }
        known.push_back(id.to_owned());
    }

    pub(super) fn is_own(&self, id: &str) -> bool {
        self.known().iter().any(|known| known == id)
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_remembered() {
        let lives = Lives::default();
        lives.note("");
        for id in 0..=REMEMBERED {
            lives.note(&id.to_string());
            lives.note(&id.to_string());
        }
        assert!(!lives.is_own("") && !lives.is_own("0") && !lives.is_own("somebody else"));
        assert!(lives.is_own("1") && lives.is_own(&REMEMBERED.to_string()));
    }
}
