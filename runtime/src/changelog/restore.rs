//! Reading a changelog back: blocks in, state and the writer that continues it out.

use super::block::{Header, take_bytes};
use super::{CLEAR, Changelog, DELETE, FIRST_PART, History, LAST_PART, NEXT_PART, PUT, Progress};
use crate::error::{Error, Result};
use crate::log::{Coordinates, Offset};
use crate::store::{SHARDS, StateError, Store};

/// Reads a changelog back, block by block.
#[derive(Debug, Default)]
pub struct Restore {
    history: Option<History>,
    first_number: Option<u64>,
    next_number: u64,
    cleared_at: [Option<Offset>; SHARDS as usize],
    progress: Option<Progress>,
    entries_bytes: usize,
    /// What has been read of an entry that is written in parts.
    parts: Option<Vec<u8>>,
    /// A whole entry or a first part has been read.
    has_begun: bool,
}

impl Restore {
    /// True before the first block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_number.is_none()
    }

    /// Applies one block to the stores.
    ///
    /// # Errors
    /// [`Error::Corrupt`] with the block's coordinates if it is damaged, does not follow the one before, or does not fit the
    /// stores.
    pub fn apply(&mut self, at: &Coordinates, block: &[u8], stores: &mut [&mut dyn Store]) -> Result<()> {
        let corrupt = |detail: String| Error::Corrupt { at: at.clone(), detail };
        let (header, entries) = Header::split(block).map_err(corrupt)?;
        if self.first_number.is_some() && header.number != self.next_number {
            return Err(corrupt(format!(
                "block `{}` follows block `{}`: what stood between is missing",
                header.number,
                self.next_number - 1
            )));
        }
        // Blocks of an older version name none.
        if header.history != self.history && self.history.is_some() {
            return Err(corrupt("it belongs to another history than the block before".to_owned()));
        }
        self.history = header.history;
        self.first_number.get_or_insert(header.number);
        self.next_number = header.number + 1;
        self.entries_bytes += entries.len();
        self.apply_entries(at.offset, entries, stores).map_err(|error| corrupt(error.0))?;
        if header.progress.is_some() {
            self.progress = header.progress;
        }
        Ok(())
    }

    /// The changelog has been read to its end: the progress of the last commit and the writer that continues it; nothing if there
    /// never was a block. One that names no history yet goes on as `unnamed`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when its beginning is gone and some shard has no snapshot since: never taken for an empty state.
    pub fn finish(
        self,
        end: &Coordinates,
        stores: &mut [&mut dyn Store],
        unnamed: History,
    ) -> Result<Option<(Progress, Changelog)>> {
        let corrupt = |detail: &str| Error::Corrupt { at: end.clone(), detail: detail.to_owned() };
        let Some(first_number) = self.first_number else { return Ok(None) };
        if first_number != 0 && self.cleared_at.contains(&None) {
            return Err(corrupt("the changelog's beginning is missing; `reset --app` starts anew"));
        }
        let progress = self.progress.ok_or_else(|| corrupt("the changelog holds no whole commit"))?;
        // In steady state the log holds a cycle of snapshots and as many bytes of deltas; what is beyond that is owed, or
        // lives that end before their first snapshot would make it grow for ever.
        let size_bytes: usize = stores.iter().map(|store| store.size_bytes()).sum();
        let changelog = Changelog {
            next_number: self.next_number,
            snapshot_at: self.cleared_at,
            debt_bytes: self.entries_bytes.saturating_sub(2 * size_bytes),
            ..Changelog::new(self.history.unwrap_or(unnamed))
        };
        Ok(Some((progress, changelog)))
    }

    fn apply_entries(
        &mut self,
        offset: Offset,
        entries: &[u8],
        stores: &mut [&mut dyn Store],
    ) -> Result<(), StateError> {
        let mut at = 0;
        while at < entries.len() {
            let entry = take_entry(entries, &mut at).map_err(|what| StateError(what.to_owned()))?;
            if !matches!(entry, Entry::Part(..)) && self.parts.is_some() {
                return Err(StateError("another entry stands between the parts of one".to_owned()));
            }
            match entry {
                Entry::Part(tag, part) => {
                    if let Some(whole) = self.join_part(tag, part)? {
                        self.apply_entries(offset, &whole, stores)?;
                    }
                    continue;
                }
                Entry::Clear(shard) => {
                    stores.iter_mut().for_each(|store| store.clear(shard));
                    let slot = self.cleared_at.get_mut(shard as usize);
                    *slot.ok_or_else(|| StateError(format!("there is no shard `{shard}`")))? = Some(offset);
                }
                Entry::Set { store, key, value } => {
                    let found = stores.get_mut(store as usize);
                    found
                        .ok_or_else(|| StateError(format!("there is no store `{store}`")))?
                        .load(key, value)?;
                }
            }
            self.has_begun = true;
        }
        Ok(())
    }

    /// The whole entry, if this is its last part.
    fn join_part(&mut self, tag: u8, part: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let damaged = |what: &str| Err(StateError(what.to_owned()));
        match (tag, &mut self.parts) {
            (FIRST_PART, None) => self.parts = Some(part.to_vec()),
            (FIRST_PART, Some(_)) => return damaged("an entry begins within the parts of another"),
            (_, Some(parts)) => parts.extend_from_slice(part),
            // The blocks before were trimmed, and what this entry says has been said again since.
            (_, None) if !self.has_begun => return Ok(None),
            (_, None) => return damaged("the first part of an entry is missing"),
        }
        self.has_begun = true;
        Ok(if tag == LAST_PART { self.parts.take() } else { None })
    }
}

enum Entry<'a> {
    Clear(u32),
    Part(u8, &'a [u8]),
    Set { store: u8, key: &'a [u8], value: Option<&'a [u8]> },
}

fn take_entry<'a>(entries: &'a [u8], at: &mut usize) -> Result<Entry<'a>, &'static str> {
    let tag = take_byte(entries, at)?;
    let number = take_byte(entries, at)?;
    match tag {
        CLEAR => Ok(Entry::Clear(u32::from(number))),
        DELETE => Ok(Entry::Set { store: number, key: take_bytes(entries, at)?, value: None }),
        PUT => {
            let key = take_bytes(entries, at)?;
            Ok(Entry::Set { store: number, key, value: Some(take_bytes(entries, at)?) })
        }
        FIRST_PART | NEXT_PART | LAST_PART => Ok(Entry::Part(tag, take_bytes(entries, at)?)),
        _ => Err("an entry's tag is unknown"),
    }
}

fn take_byte(bytes: &[u8], at: &mut usize) -> Result<u8, &'static str> {
    let byte = *bytes.get(*at).ok_or("it ends early")?;
    *at += 1;
    Ok(byte)
}
