//! What a user should know while the program works on: faults that are tried again, tasks that went elsewhere.
//!
//! It is not a log of events and no error: an error ends what it belongs to and is told by whoever called it.

use std::fmt;
use std::sync::Arc;

type Listener = dyn Fn(&str) + Send + Sync;

/// Where notices go, a line each; nowhere by default.
#[derive(Clone, Default)]
pub struct Notice(Option<Arc<Listener>>);

impl Notice {
    /// Notices go to `to`, from whichever thread has something to say.
    pub fn new(to: impl Fn(&str) + Send + Sync + 'static) -> Notice {
        Notice(Some(Arc::new(to)))
    }

    /// Says one line.
    pub fn say(&self, line: impl fmt::Display) {
        if let Some(to) = &self.0 {
            to(&line.to_string());
        }
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Notice(heard)" } else { "Notice(unheard)" })
    }
}
