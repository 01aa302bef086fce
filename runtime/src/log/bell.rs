//! How a waiting thread is woken. Rings are kept until heard, so that none is lost between a look and the wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a thread was woken by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rung {
    /// Something: a command, a credit, a commit.
    pub(super) any: bool,
    /// A commit: the log must be looked at.
    pub(super) committed: bool,
}

/// One thread's bell.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    heard: Condvar,
}

impl Bell {
    pub(super) fn ring(&self, committed: bool) {
        let mut rung = self.hold();
        rung.any = true;
        rung.committed |= committed;
        drop(rung);
        self.heard.notify_one();
    }

    /// What has rung since the last look; waits for it at most `timeout`.
    pub(super) fn wait(&self, timeout: Duration) -> Rung {
        let rung = self.hold();
        let waited = self.heard.wait_timeout_while(rung, timeout, |rung| !rung.any);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn hold(&self) -> MutexGuard<'_, Rung> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
