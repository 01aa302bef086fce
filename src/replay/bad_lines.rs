//! `--skip-bad FILE`: the lines of a replayed file that are not written to the log, with the reason of each.
//!
//! Guarantees: the file is complete before the first record is written, and appears by a rename. It is CSV with the columns `line`,
//! `reason` and `text`; `text` is the line as it stands in the file. The sound lines of an invoice that is left out follow the bad lines. A file that is something else is never overwritten.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};
use tidegate_producers::ReplayError;
use tidegate_runtime::quote::quoted;

use crate::exit::Exit;

const COLUMNS: [&str; 3] = ["line", "reason", "text"];

/// The bad lines of one file.
pub(super) struct BadLines {
    file: PathBuf,
    part: Part,
    writer: csv::Writer<File>,
    count: u64,
    numbers: Sha256,
}

/// The file until it is complete. It is removed if the replayed file is refused after all.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is none. An error leaves a file that the next run overwrites.
        let _ = fs::remove_file(&self.0);
    }
}

impl BadLines {
    /// Begins the file beside its place.
    pub(super) fn begin(file: &Path) -> Result<BadLines> {
        refuse_other(file)?;
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        refuse_other(&part)?;
        let part = Part(part);
        let unwritten = || format!("could not write `{}`", part.0.display());
        let mut writer = csv::Writer::from_path(&part.0).map_err(io::Error::from).with_context(unwritten)?;
        writer.write_record(COLUMNS).map_err(io::Error::from).with_context(unwritten)?;
        Ok(BadLines { file: file.to_owned(), part, writer, count: 0, numbers: Sha256::new() })
    }

    /// Takes a bad line; hands back any other error.
    pub(super) fn take(&mut self, error: ReplayError) -> Result<(), ReplayError> {
        let ReplayError::Value { line, field, value, remedy, text, .. } = &error else { return Err(error) };
        let reason = format!("{field} is {}; {remedy}", quoted(value));
        let number = line.to_string();
        self.writer
            .write_record([number.as_bytes(), reason.as_bytes(), text.as_slice()])
            .map_err(|cause| ReplayError::BadLines { file: self.file.clone(), cause: cause.into() })?;
        self.count += 1;
        self.numbers.update(line.to_be_bytes());
        Ok(())
    }

    /// Puts the file into its place; how many lines it has, and what tells them from others.
    pub(super) fn finish(self) -> Result<(u64, String)> {
        let BadLines { file, part, writer, count, numbers } = self;
        let finish = || {
            let written = writer.into_inner().map_err(|error| error.into_error())?;
            written.sync_all()?;
            fs::rename(&part.0, &file)
        };
        finish().with_context(|| format!("could not write `{}`", file.display()))?;
        let digest = numbers.finalize();
        Ok((count, digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()))
    }
}

fn refuse_other(file: &Path) -> Result<()> {
    let found = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("could not open `{}`", file.display()))?,
    };
    let mut header = Vec::new();
    io::Read::take(BufReader::new(found), 64)
        .read_until(b'\n', &mut header)
        .with_context(|| format!("could not read `{}`", file.display()))?;
    if header.is_empty() || header.trim_ascii_end() == COLUMNS.join(",").as_bytes() {
        return Ok(());
    }
    Err(Exit::Refused.because(format!(
        "`{}` is there already and holds no bad lines; give --skip-bad another file",
        file.display()
    )))
}
