//! The core of windowing: open windows by end, which records they take, when they close, and how they survive.
//!
//! Promises, given the stream time: a record counts in a window only before the window is closed (law 2); a window is handed out once,
//! in `(end, key)` order, however far time jumped (law 4); what was handed out stays known, so that no restart hands it out twice or
//! lets a record into it (law 3). Broken by: a stream time that goes back, or taking closed windows without committing.
//!
//! Its changelog entries are one per changed key of a window that is still open, under the window's number and the key, and one
//! marker: the last window handed out. The marker stands for the deletion of everything up to it, which is why closing a
//! window of ten thousand keys costs the changelog a dozen bytes.

use std::collections::VecDeque;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::table::{Order, Table, UNSAVED, UNSENT, hash_of};
use super::time_windows::{Span, TimeWindows, Window};
use crate::store::{Entries, StateError, Store, overwrite, shard_of};
use crate::time::EventTime;

/// How many emptied tables are kept for the next windows: closing one usually opens one. A jump of time closes many, which
/// must not be held for ever.
const SPARE_TABLES: usize = 2;

/// The entry that holds the last window handed out: no window has this number, as none starts that far back.
const MARKER: i64 = i64::MIN;

/// The shard it stands in. Every other entry stands in the shard of its key, whatever its window.
const MARKER_SHARD: u32 = 0;

/// The open windows of a task.
#[derive(Debug)]
pub(super) struct WindowStore<A> {
    name: String,
    windows: TimeWindows,
    /// What a change is tracked for: [`UNSAVED`], [`UNSENT`].
    marks: u8,
    /// By number, which is the order of their ends.
    open: VecDeque<(i64, Box<Table<A>>)>,
    /// When the first open window closes; the end of time without one.
    next_close: EventTime,
    /// The last window handed out.
    emitted_through: Option<i64>,
    emitted_saved: bool,
    /// The last record's windows, and where the last one of them stands: most records are of the same.
    span: Span,
    hint: usize,
    /// The last record's entries.
    found: Vec<Option<u32>>,
    #[expect(clippy::vec_box, reason = "the boxes come from `open` and go back there")]
    spare: Vec<Box<Table<A>>>,
    /// Used by whoever hands entries out.
    order: Order,
}

/// A closed window on its way out.
#[derive(Debug)]
pub(super) struct Closed<A> {
    pub(super) window: Window,
    pub(super) table: Box<Table<A>>,
    /// What is to be handed out of it.
    pub(super) order: Order,
}

impl<A: Default> WindowStore<A> {
    pub(super) fn new(name: impl Into<String>, windows: TimeWindows, marks: u8) -> WindowStore<A> {
        WindowStore {
            name: name.into(),
            windows,
            marks,
            open: VecDeque::new(),
            next_close: EventTime(i64::MAX),
            emitted_through: None,
            emitted_saved: true,
            span: Span::NONE,
            hint: 0,
            found: Vec::new(),
            spare: Vec::new(),
            order: Order::default(),
        }
    }

    pub(super) fn windows(&self) -> TimeWindows {
        self.windows
    }

    /// Adds a record to every window of `time` that is open at stream time `now`; how many of the windows, from the first
    /// on, it missed. `now` is the stream time *after* the record.
    ///
    /// `check` sees every accumulator before `add` changes the first one: if it refuses, nothing has changed.
    pub(super) fn add<E>(
        &mut self,
        now: EventTime,
        time: EventTime,
        key: &[u8],
        check: impl Fn(&A) -> Result<(), E>,
        mut add: impl FnMut(&mut A),
    ) -> Result<usize, E> {
        if !self.span.covers(time) {
            self.span = self.windows.span(time);
        }
        let (first, last) = (self.first_admitted(now), self.span.last);
        let hash = hash_of(key);
        self.found.clear();
        for number in first..=last {
            let table = self.place(number).ok().map(|at| &self.open[at].1);
            let entry = table.and_then(|table| Some((table, table.find(hash, key)?)));
            match entry {
                Some((table, at)) => check(table.accumulator(at))?,
                None => check(&A::default())?,
            }
            self.found.push(entry.map(|(_, at)| at));
        }
        for (index, number) in (first..=last).enumerate() {
            let (known, marks) = (self.found[index], self.marks);
            let table = self.opened(number);
            let at = known.unwrap_or_else(|| table.insert(hash, key, A::default()));
            add(table.change(at, marks));
        }
        Ok((first - self.span.first) as usize)
    }

    /// The next window that is closed at stream time `now`.
    pub(super) fn pop_due(&mut self, now: EventTime) -> Option<Closed<A>> {
        if now < self.next_close { None } else { self.pop_first() }
    }

    /// The next window, due or not.
    pub(super) fn pop_first(&mut self) -> Option<Closed<A>> {
        let (number, mut table) = self.open.pop_front()?;
        self.hint = self.hint.saturating_sub(1);
        self.note_next_close();
        // Left behind by a restore that met the marker before the entry: it was handed out long ago.
        if Some(number) <= self.emitted_through {
            self.recycle(table);
            return self.pop_first();
        }
        self.emitted_through = Some(number);
        self.emitted_saved = false;
        let mut order = std::mem::take(&mut self.order);
        match self.marks & UNSENT {
            0 => table.select(|_| true, &mut order),
            _ => table.take_marked(UNSENT, &mut order),
        }
        Some(Closed { window: self.windows.window(number), table, order })
    }

    /// Takes back the memory of a closed window.
    pub(super) fn finish(&mut self, closed: Closed<A>) {
        self.order = closed.order;
        self.recycle(closed.table);
    }

    /// Hands out every entry changed since it was last handed out, in `(end, key)` order; `each` gets it by reference.
    pub(super) fn take_updates(&mut self, mut each: impl FnMut(Window, &[u8], &A)) {
        for (number, table) in &mut self.open {
            table.take_marked(UNSENT, &mut self.order);
            let window = self.windows.window(*number);
            for at in &mut self.order {
                each(window, table.key(at), table.accumulator(at));
            }
        }
    }

    /// The first window of the last record's that is open at `now`. Windows close in order, so those missed come first.
    fn first_admitted(&self, now: EventTime) -> i64 {
        let span = self.span;
        if span.first_closes_at > now && Some(span.first) > self.emitted_through {
            return span.first;
        }
        let missed = |number: &i64| {
            self.windows.closes_at(self.windows.window(*number)) <= now
                || Some(*number) <= self.emitted_through
        };
        (span.first..=span.last).find(|number| !missed(number)).unwrap_or(span.last + 1)
    }

    /// Where a window stands, or where it would.
    #[inline]
    fn place(&self, number: i64) -> Result<usize, usize> {
        match self.open.get(self.hint) {
            Some((hinted, _)) if *hinted == number => Ok(self.hint),
            _ => self.open.binary_search_by_key(&number, |(number, _)| *number),
        }
    }

    fn opened(&mut self, number: i64) -> &mut Table<A> {
        let at = self.place(number).unwrap_or_else(|at| {
            let table = self.spare.pop().unwrap_or_default();
            self.open.insert(at, (number, table));
            self.note_next_close();
            at
        });
        self.hint = at;
        &mut self.open[at].1
    }

    fn note_next_close(&mut self) {
        let first = self.open.front().map(|(number, _)| self.windows.window(*number));
        self.next_close = first.map_or(EventTime(i64::MAX), |window| self.windows.closes_at(window));
    }

    fn recycle(&mut self, mut table: Box<Table<A>>) {
        if self.spare.len() < SPARE_TABLES {
            table.clear();
            self.spare.push(table);
        }
    }
}

impl<A: Default + Serialize + DeserializeOwned + Send> WindowStore<A> {
    fn put(&self, number: i64, table: &Table<A>, at: u32, entry: &mut Coded, out: &mut dyn Entries) {
        entry.code(number, table.key(at), table.accumulator(at));
        out.put(&entry.key, &entry.value);
    }

    fn put_marker(&self, entry: &mut Coded, out: &mut dyn Entries) {
        if let Some(number) = self.emitted_through {
            entry.code(MARKER, &[], &number);
            out.put(&entry.key, &entry.value);
        }
    }

    /// Drops what a marker says was handed out.
    fn drop_emitted(&mut self) {
        while self.open.front().is_some_and(|(number, _)| Some(*number) <= self.emitted_through) {
            self.open.pop_front();
        }
        self.hint = 0;
        self.note_next_close();
    }

    fn unreadable(&self, cause: impl std::fmt::Display) -> StateError {
        StateError(format!("`{}`: {cause}", self.name))
    }
}

impl<A: Default + Serialize + DeserializeOwned + Send> Store for WindowStore<A> {
    fn name(&self) -> &str {
        &self.name
    }

    fn drain_changes(&mut self, out: &mut dyn Entries) {
        let mut entry = Coded::default();
        if !std::mem::replace(&mut self.emitted_saved, true) {
            self.put_marker(&mut entry, out);
        }
        let (mut open, mut order) = (std::mem::take(&mut self.open), std::mem::take(&mut self.order));
        for (number, table) in &mut open {
            table.take_marked(UNSAVED, &mut order);
            order.by_ref().for_each(|at| self.put(*number, table, at, &mut entry, out));
        }
        (self.open, self.order) = (open, order);
    }

    fn snapshot(&self, shard: u32, out: &mut dyn Entries) {
        let (mut entry, mut order) = (Coded::default(), Order::default());
        if shard == MARKER_SHARD {
            self.put_marker(&mut entry, out);
        }
        let live = self.open.iter().filter(|(number, _)| Some(*number) > self.emitted_through);
        for (number, table) in live {
            table.select(|key| shard_of(key) == shard, &mut order);
            order.by_ref().for_each(|at| self.put(*number, table, at, &mut entry, out));
        }
    }

    fn clear(&mut self, shard: u32) {
        if shard == MARKER_SHARD {
            (self.emitted_through, self.emitted_saved) = (None, true);
        }
        for (_, table) in &mut self.open {
            table.retain(|key| shard_of(key) != shard);
        }
        self.open.retain(|(_, table)| table.len() > 0);
        self.hint = 0;
        self.note_next_close();
    }

    fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let (number, key) = postcard::take_from_bytes::<i64>(key).map_err(|error| self.unreadable(error))?;
        let value = value.ok_or_else(|| self.unreadable("no entry of a window store is ever deleted"))?;
        if number == MARKER {
            let through = postcard::from_bytes(value).map_err(|error| self.unreadable(error))?;
            self.emitted_through = Some(through);
            self.drop_emitted();
            return Ok(());
        }
        let accumulator = postcard::from_bytes(value).map_err(|error| self.unreadable(error))?;
        let hash = hash_of(key);
        let table = self.opened(number);
        match table.find(hash, key) {
            Some(at) => *table.change(at, 0) = accumulator,
            None => {
                table.insert(hash, key, accumulator);
            }
        }
        Ok(())
    }

    fn size_bytes(&self) -> usize {
        // A number takes five bytes, most accumulators less than they do in memory.
        let per_entry = 5 + size_of::<A>();
        self.open.iter().map(|(_, table)| table.key_bytes() + table.len() * per_entry).sum()
    }

    fn count_entries(&self) -> usize {
        self.open.iter().map(|(_, table)| table.len()).sum()
    }
}

/// An entry's changelog form, in buffers used again.
#[derive(Default)]
struct Coded {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Coded {
    fn code(&mut self, number: i64, key: &[u8], value: &impl Serialize) {
        overwrite(&mut self.key, &number);
        self.key.extend_from_slice(key);
        overwrite(&mut self.value, value);
    }
}
