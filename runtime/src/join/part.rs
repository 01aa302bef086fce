//! How much is done at once (law 16): [`Part`].

/// How many records are judged again, given up or forgotten before the task can commit. Each writes at most an event and an entry of the
/// changelog, some 600 bytes together, so that a part stays below a megabyte; and a part is long enough to make its own cost vanish.
pub(super) const PART_RECORDS: usize = 1_024;

/// A record that is put into the dead-letter topic counts once more for each so many bytes of its value.
const BYTES_PER_RECORD: usize = 1_024;

/// What is left of a part.
pub(super) struct Part {
    records: usize,
}

impl Part {
    pub(super) fn new(records: usize) -> Part {
        Part { records }
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.records == 0
    }

    /// How many records it has room for.
    pub(super) fn room(&self) -> usize {
        self.records
    }

    /// One record was done, and a value of `dead_letter_bytes` was put into the dead-letter topic.
    pub(super) fn spend(&mut self, dead_letter_bytes: usize) {
        self.records = self.records.saturating_sub(1 + dead_letter_bytes / BYTES_PER_RECORD);
    }
}
