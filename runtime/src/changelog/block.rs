//! A block's head: what it is, before what it holds.

use serde::{Deserialize, Serialize};

use super::{BoundedRun, History, Progress};
use crate::error::{Error, Result};
use crate::log::{Coordinates, Offset, put_varint, take_varint};
use crate::processor::Counters;
use crate::time::StreamTime;

/// The format of a block; a newer program must still read older ones.
const FORMAT_VERSION: u8 = 3;

/// The format that knew no history.
const WITHOUT_HISTORY: u8 = 1;
/// The format that did not say to which application the state belongs.
const WITHOUT_IDENTITY: u8 = 2;

/// Which block it is, among all there ever were: no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockId {
    history: History,
    number: u64,
    /// A log that lost what it had confirmed holds other blocks under the same numbers.
    checksum: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) number: u64,
    /// Missing in blocks of an older version.
    pub(super) history: Option<History>,
    pub(super) progress: Option<Progress>,
}

/// What stood in its place before blocks named their history.
#[derive(Serialize, Deserialize)]
struct HeaderWithoutHistory {
    number: u64,
    progress: Option<ProgressWithoutIdentity>,
}

/// What stood in its place before the progress named its application.
#[derive(Serialize, Deserialize)]
struct HeaderWithoutIdentity {
    number: u64,
    history: Option<History>,
    progress: Option<ProgressWithoutIdentity>,
}

/// The progress as it was then.
#[derive(Default, Serialize, Deserialize)]
struct ProgressWithoutIdentity {
    parameters: String,
    inputs: Vec<(String, u32, Offset)>,
    clock: StreamTime,
    counters: Counters,
    bounded: Option<BoundedRun>,
    outcomes: Vec<bool>,
    stopped: bool,
}

/// The progress in a block, if it closes a commit: for those who only want to know how far a task has come.
///
/// # Errors
/// [`Error::Corrupt`] if the block is damaged.
pub fn progress_of(at: &Coordinates, block: &[u8]) -> Result<Option<Progress>> {
    let (header, _) = Header::split(block).map_err(|detail| Error::Corrupt { at: at.clone(), detail })?;
    Ok(header.progress)
}

/// Which block this is; nothing for one that is damaged or of a version that named no history.
#[must_use]
pub fn block_id(block: &[u8]) -> Option<BlockId> {
    let (header, _) = Header::split(block).ok()?;
    Some(BlockId { history: header.history?, number: header.number, checksum: crc32fast::hash(block) })
}

impl Header {
    pub(super) fn write(&self, entries: &[u8]) -> Vec<u8> {
        let header = postcard::to_stdvec(self).expect("plain data always has a postcard form");
        let mut block = Vec::with_capacity(header.len() + entries.len() + 8);
        block.push(FORMAT_VERSION);
        put_varint(&mut block, header.len() as u64);
        block.extend_from_slice(&header);
        block.extend_from_slice(entries);
        block
    }

    /// The head of a block, and its entries.
    pub(super) fn split(block: &[u8]) -> Result<(Header, &[u8]), String> {
        let version = *block.first().ok_or("the block is empty")?;
        if !(WITHOUT_HISTORY..=FORMAT_VERSION).contains(&version) {
            return Err(format!(
                "block format `{version}` is not known to this version, which writes `{FORMAT_VERSION}`"
            ));
        }
        let mut at = 1;
        let header = take_bytes(block, &mut at)?;
        let header = match version {
            WITHOUT_HISTORY => postcard::from_bytes(header).map(HeaderWithoutHistory::upgraded),
            WITHOUT_IDENTITY => postcard::from_bytes(header).map(HeaderWithoutIdentity::upgraded),
            _ => postcard::from_bytes(header),
        };
        let header = header.map_err(|error| format!("its header cannot be read: {error}"))?;
        Ok((header, &block[at..]))
    }
}

impl HeaderWithoutHistory {
    fn upgraded(self) -> Header {
        let progress = self.progress.map(ProgressWithoutIdentity::upgraded);
        Header { number: self.number, history: None, progress }
    }
}

impl HeaderWithoutIdentity {
    fn upgraded(self) -> Header {
        let progress = self.progress.map(ProgressWithoutIdentity::upgraded);
        Header { number: self.number, history: self.history, progress }
    }
}

impl ProgressWithoutIdentity {
    fn upgraded(self) -> Progress {
        let ProgressWithoutIdentity { parameters, inputs, clock, counters, bounded, outcomes, stopped } =
            self;
        let (identity, earlier_output) = (None, Vec::new());
        Progress { parameters, inputs, clock, counters, bounded, outcomes, stopped, identity, earlier_output }
    }
}

/// Bytes with their length before them.
pub(super) fn take_bytes<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], &'static str> {
    let len = take_varint(bytes, at)?;
    let end = usize::try_from(len).ok().and_then(|len| at.checked_add(len)).ok_or("a length is too great")?;
    let taken = bytes.get(*at..end).ok_or("it ends early")?;
    *at = end;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A newer program reads what an older one has written.
    #[test]
    fn a_block_that_names_no_history_is_read() {
        let header = HeaderWithoutHistory { number: 7, progress: Some(before_identities()) };
        let block = block(WITHOUT_HISTORY, &postcard::to_stdvec(&header).unwrap());
        let expected = Header { number: 7, history: None, progress: Some(before_identities().upgraded()) };
        assert_eq!(Header::split(&block), Ok((expected, b"entries".as_slice())));
        assert_eq!(block_id(&block), None, "nobody can tell which history it is of");
    }

    #[test]
    fn a_block_that_names_no_application_is_read() {
        let (number, history) = (7, Some(History(3)));
        let header = HeaderWithoutIdentity { number, history, progress: Some(before_identities()) };
        let block = block(WITHOUT_IDENTITY, &postcard::to_stdvec(&header).unwrap());
        let progress = before_identities().upgraded();
        assert_eq!((&*progress.parameters, progress.stopped, &progress.identity), ("size=5", true, &None));
        let expected = Header { number, history, progress: Some(progress) };
        assert_eq!(Header::split(&block), Ok((expected, b"entries".as_slice())));
        assert!(block_id(&block).is_some());
    }

    /// A block that version 2 wrote, byte by byte.
    #[test]
    fn a_block_of_an_earlier_release_is_read() {
        let header = [5, 1, 9, 1, 1, b'p', 1, 1, b't', 2, 8, 0, 0, 0, 0, 0];
        let block = block(WITHOUT_IDENTITY, &header);
        let (header, entries) = Header::split(&block).unwrap();
        let progress = header.progress.unwrap();
        assert_eq!(
            (progress.parameters, progress.inputs),
            ("p".to_owned(), vec![("t".to_owned(), 2, Offset(4))])
        );
        assert_eq!((header.number, header.history, entries), (5, Some(History(9)), b"entries".as_slice()));
    }

    fn before_identities() -> ProgressWithoutIdentity {
        ProgressWithoutIdentity { parameters: "size=5".to_owned(), stopped: true, ..Default::default() }
    }

    fn block(version: u8, header: &[u8]) -> Vec<u8> {
        let mut block = vec![version, u8::try_from(header.len()).unwrap()];
        block.extend(header);
        block.extend(b"entries");
        block
    }

    #[test]
    fn a_block_is_told_from_any_other() {
        let block = |history, number, entries: &[u8]| {
            Header { number, history: Some(History(history)), progress: None }.write(entries)
        };
        let (one, id) = (block(1, 2, b"one"), block_id);
        assert_eq!(id(&one), id(&block(1, 2, b"one")));
        assert_ne!(id(&one), id(&block(1, 3, b"one")));
        assert_ne!(id(&one), id(&block(3, 2, b"one")));
        assert_ne!(id(&one), id(&block(1, 2, b"two")));
        assert_eq!(id(&one[..4]), None);
        assert_eq!(block_id(&[]), None);
    }
}
