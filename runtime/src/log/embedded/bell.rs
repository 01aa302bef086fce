//! How a waiting consumer thread hears that something was committed.
//!
//! A commit in this process rings every [`Bell`] of the log at once. SQLite tells nobody about commits of *other* processes, and
//! watching the files would need a different system call on every platform, so one thread per open log asks for
//! `PRAGMA data_version`, a look at shared memory, every few milliseconds: only while somebody waits, one question
//! for all of them.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::gate::hold;
use crate::error::{Error, Result};
use crate::log::bell::{Bell, Rung};

/// Half of the 10 ms within which other processes are to wake, less what scheduling takes.
const POLL: Duration = Duration::from_millis(5);
/// After an error there is nothing to see: the consumers meet it themselves, and are not to be hurried.
const POLL_AFTER_ERROR: Duration = Duration::from_millis(100);

/// All bells of one open log, and the thread that rings them for other processes.
pub(super) struct Belfry {
    shared: Arc<Shared>,
    watcher: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bells: Vec<Weak<Bell>>,
    waiting: usize,
    closed: bool,
}

impl Belfry {
    pub(super) fn new() -> Belfry {
        Belfry { shared: Arc::default(), watcher: Mutex::new(None) }
    }

    /// A bell that rings on every commit; the first one starts the watching thread.
    pub(super) fn hang(
        &self,
        file: &Path,
        connect: impl FnOnce() -> Result<Connection>,
        is_sound: impl Fn() -> bool + Send + 'static,
    ) -> Result<Arc<Bell>> {
        let mut watcher = hold(&self.watcher);
        if watcher.is_none() {
            let (shared, connection) = (self.shared.clone(), connect()?);
            let started = std::thread::Builder::new()
                .name("log-doorbell".to_owned())
                .spawn(move || watch(&shared, &connection, is_sound));
            *watcher = Some(started.map_err(|cause| Error::Storage {
                what: format!("could not start a thread to watch `{}`", file.display()),
                cause: Box::new(cause),
            })?);
        }
        let bell = Arc::new(Bell::default());
        let mut state = hold(&self.shared.state);
        state.bells.retain(|bell| bell.strong_count() > 0);
        state.bells.push(Arc::downgrade(&bell));
        Ok(bell)
    }

    /// Tells everybody in this process of a commit.
    pub(super) fn ring(&self) {
        self.shared.ring();
    }

    /// Waits on `bell` for at most `timeout`.
    pub(super) fn wait(&self, bell: &Bell, timeout: Duration) -> Rung {
        self.shared.count_waiting(|waiting| waiting + 1);
        let rung = bell.wait(timeout);
        self.shared.count_waiting(|waiting| waiting - 1);
        rung
    }
}

impl Drop for Belfry {
    fn drop(&mut self) {
        hold(&self.shared.state).closed = true;
        self.shared.changed.notify_all();
        if let Some(watcher) = hold(&self.watcher).take() {
            // It has nothing to report, and its panic would have been ours to avoid.
            let _ = watcher.join();
        }
    }
}

impl Shared {
    fn ring(&self) {
        for bell in &hold(&self.state).bells {
            if let Some(bell) = bell.upgrade() {
                bell.ring(true);
            }
        }
    }

    fn count_waiting(&self, change: impl Fn(usize) -> usize) {
        let mut state = hold(&self.state);
        let before = state.waiting;
        state.waiting = change(before);
        if before == 0 {
            self.changed.notify_all();
        }
    }

    /// Pauses for `poll`, then for as long as nobody waits; false when the log is closed.
    fn pause(&self, poll: Duration) -> bool {
        let until = Instant::now() + poll;
        let mut state = hold(&self.state);
        while !state.closed {
            let left = until.saturating_duration_since(Instant::now());
            if state.waiting == 0 {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else if left.is_zero() {
                return true;
            } else {
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        false
    }
}

fn watch(shared: &Shared, connection: &Connection, is_sound: impl Fn() -> bool) {
    let mut seen = None;
    let mut poll = POLL;
    while shared.pause(poll) {
        let version = connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)));
        poll = if version.is_ok() { POLL } else { POLL_AFTER_ERROR };
        let version = version.ok().filter(|_| is_sound());
        if version.is_none() || version != seen {
            seen = version;
            shared.ring();
        }
    }
}
