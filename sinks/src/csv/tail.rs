//! The open segment of one partition: the tail that is visible as `….open`, and how it finishes.
//!
//! Promise: a segment's two files finish together. The rejects take their name first and durably, then the rows: the rows' file is what
//! moves the position. A crash between the two leaves finished rejects without rows; such a segment is read again and made to end where the
//! rejects did, so that both come out as they would have, whatever end was asked for since. A segment with rejects has both
//! files, even without a row.

use std::path::{Path, PathBuf};

use tidegate_runtime::log::Offset;
use tidegate_runtime::{Error, Result};

use super::disk::{self, Sheet};
use super::segment::{Part, Segment, finished_name, folder, open_name};
use super::shape;
use crate::intake::Reject;
use crate::layout::Layout;
use crate::place::storage;
use crate::row::Row;

/// What every tail of a directory shares.
pub(super) struct Shared {
    pub(super) directory: PathBuf,
    pub(super) topic: String,
    pub(super) layout: Layout,
    pub(super) segment_records: i64,
    pub(super) scratch: String,
}

/// One partition's open segment. Its files are made with its first record.
pub(super) struct Tail {
    partition: usize,
    segment: Segment,
    rows: Option<OpenFile>,
    rejects: Option<OpenFile>,
}

struct OpenFile {
    path: PathBuf,
    writer: csv::Writer<Sheet>,
}

impl Tail {
    /// The segment that begins at `first`; `forced_end` is where finished rejects make it end.
    pub(super) fn new(partition: usize, first: Offset, forced_end: Option<Offset>, shared: &Shared) -> Tail {
        let mut segment = Segment::from(first, shared.segment_records);
        segment.end = forced_end.unwrap_or(segment.end);
        Tail { partition, segment, rows: None, rejects: None }
    }

    /// Where the open segment begins: the position a restart goes back to.
    pub(super) fn first(&self) -> Offset {
        self.segment.first
    }

    /// True if reaching `position` would finish the open segment.
    pub(super) fn ends_by(&self, position: Offset) -> bool {
        position >= self.segment.end
    }

    /// Takes note that everything before `position` has been seen, and finishes the segment if it ends there or before; true if so.
    pub(super) fn reach(&mut self, position: Offset, shared: &mut Shared) -> Result<bool> {
        if !self.ends_by(position) {
            return Ok(false);
        }
        self.finish(shared)?;
        self.segment = self.segment.next(position, shared.segment_records);
        Ok(true)
    }

    /// Finishes the segment at `end`, early.
    pub(super) fn end_at(&mut self, end: Offset, shared: &mut Shared) -> Result<()> {
        if end > self.segment.first {
            self.segment.end = end;
            self.reach(end, shared)?;
        }
        Ok(())
    }

    pub(super) fn put(&mut self, row: &Row, shared: &mut Shared) -> Result<()> {
        let file = match &mut self.rows {
            Some(file) => file,
            none => none.insert(open(self.partition, self.segment, Part::Rows, shared)?),
        };
        let written = shape::write_row(&mut file.writer, &shared.layout, row, &mut shared.scratch);
        written.map_err(|cause| unwritten(&file.path, cause))
    }

    pub(super) fn put_aside(&mut self, reject: &Reject<'_>, shared: &mut Shared) -> Result<()> {
        let file = match &mut self.rejects {
            Some(file) => file,
            none => none.insert(open(self.partition, self.segment, Part::Rejects, shared)?),
        };
        let written = shape::write_reject(&mut file.writer, reject);
        written.map_err(|cause| unwritten(&file.path, cause))
    }

    /// Shows readers what has been written so far.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.rows.iter_mut().chain(&mut self.rejects).try_for_each(OpenFile::flush)
    }

    fn finish(&mut self, shared: &Shared) -> Result<()> {
        if self.rejects.is_some() && self.rows.is_none() {
            self.rows = Some(open(self.partition, self.segment, Part::Rows, shared)?);
        }
        let parts = [(Part::Rejects, self.rejects.take()), (Part::Rows, self.rows.take())];
        let mut files: Vec<_> = parts.into_iter().filter_map(|(part, file)| Some((part, file?))).collect();
        for (_, file) in &mut files {
            file.flush()?;
            file.writer.get_ref().sync(&file.path)?;
        }
        for (part, file) in files {
            let folder = self.finished_folder(part, shared);
            disk::link(&file.path, &folder.join(self.finished_name(part, shared)))?;
            // IMPORTANT: the rejects' name, and that of their folder, are on the disk before the rows have theirs.
            disk::sync_directory(&folder)?;
            if folder != shared.directory {
                disk::sync_directory(&shared.directory)?;
            }
            disk::remove(&file.path)?;
        }
        Ok(())
    }

    /// Rejects that finished among the rows, as earlier versions had it, stay there when their segment is read again.
    fn finished_folder(&self, part: Part, shared: &Shared) -> PathBuf {
        let among_rows = shared.directory.join(self.finished_name(part, shared));
        if among_rows.exists() { shared.directory.clone() } else { folder(&shared.directory, part) }
    }

    fn finished_name(&self, part: Part, shared: &Shared) -> String {
        finished_name(&shared.topic, self.partition, self.segment, part)
    }
}

impl OpenFile {
    fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|cause| storage("write", &self.path, cause))
    }
}

fn open(partition: usize, segment: Segment, part: Part, shared: &Shared) -> Result<OpenFile> {
    let folder = folder(&shared.directory, part);
    disk::create_folder(&folder)?;
    let path = folder.join(open_name(&shared.topic, partition, segment.first, part));
    let mut writer = shape::writer(disk::create(&path)?);
    let written = match part {
        Part::Rows => shape::write_header(&mut writer, &shared.layout),
        Part::Rejects => shape::write_reject_header(&mut writer),
    };
    written.map_err(|cause| unwritten(&path, cause))?;
    Ok(OpenFile { path, writer })
}

fn unwritten(path: &Path, cause: csv::Error) -> Error {
    Error::Storage { what: format!("could not write `{}`", path.display()), cause: Box::new(cause) }
}
