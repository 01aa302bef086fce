//! The one place where chance comes in: names that nobody else may have drawn. Nothing that is computed depends on them.
#![allow(clippy::disallowed_methods, reason = "the shell around the pure core: it may draw")]

use crate::changelog::History;
use crate::error::{Error, Result};

/// A name for the history of a task that may begin now.
pub(crate) fn history() -> Result<History> {
    let drawn = getrandom::u64().map_err(|error| Error::Storage {
        what: "could not draw a random number from the system".to_owned(),
        cause: Box::new(error),
    })?;
    Ok(History(drawn))
}
