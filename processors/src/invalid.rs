//! An invalid value as the bad record it makes of its record (law 14).

use tidegate_runtime::quote::quoted;
use tidegate_runtime::{BadRecord, Reason};
use tidegate_schemas::validity::{Invalid, Why};

/// Returns the reason and the message.
pub(crate) fn bad_record(invalid: Invalid) -> BadRecord {
    let reason = match invalid.why {
        Why::EventTime(_) => Reason::EventTime,
        Why::Key(_) | Why::Rule(_) => Reason::Rule,
    };
    BadRecord::new(reason, invalid.message(|text| quoted(text).to_string()))
}
