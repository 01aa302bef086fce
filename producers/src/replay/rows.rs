//! The records of a CSV file (RFC 4180), each with the number and the text of its lines.
//!
//! Guarantees: a record that spans several lines counts as one long line, so an unclosed quotation mark does not take the whole file into
//! memory. Numbers count the lines of the file, whatever ends them.

use std::path::Path;

use csv_core::{ReadRecordResult, Reader};

use super::lines::{Lines, ReplayBounds};
use super::{Misfit, ReplayError};

/// Reads a file record by record.
pub(super) struct Rows {
    lines: Lines,
    line_bytes: usize,
    parser: Reader,
    /// The lines of the record, with LF between them.
    text: Vec<u8>,
    /// The record's fields, one behind the other, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
    number: u64,
    /// What is wrong with a line that the record before it ended at.
    pending: Option<ReplayError>,
}

impl Rows {
    pub(super) fn open(file: &Path, bounds: ReplayBounds) -> Result<Rows, ReplayError> {
        Ok(Rows {
            lines: Lines::open(file, bounds)?,
            line_bytes: bounds.line_bytes,
            parser: Reader::new(),
            text: Vec::new(),
            fields: Vec::new(),
            ends: vec![0; 16],
            count: 0,
            number: 0,
            pending: None,
        })
    }

    /// Reads the next record, past empty lines; false at the end of the file. Errors as those of [`Lines::advance`].
    pub(super) fn advance(&mut self, file: &Path) -> Result<bool, ReplayError> {
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        self.text.clear();
        while self.text.is_empty() {
            if !self.lines.advance()? {
                return Ok(false);
            }
            self.text.extend_from_slice(self.lines.text());
        }
        self.number = self.lines.number();
        self.parser.reset();
        self.count = 0;
        let (mut parsed, mut filled) = (0, 0);
        loop {
            self.text.push(b'\n');
            let is_whole = self.parse(&mut parsed, &mut filled);
            self.text.pop();
            if is_whole {
                // A carriage return ends a record too: of the text behind it nothing would be read.
                let rest = self.text.get(parsed..).unwrap_or_default();
                if rest.iter().any(|byte| *byte != b'\r') {
                    let remedy = "expected no carriage return inside a line";
                    return Err(self.misfit(remedy).at(file, self.number, &self.text));
                }
                return Ok(true);
            }
            if self.text.len() > self.line_bytes || !self.advance_within()? {
                let remedy = "expected a second quotation mark behind the first";
                return Err(self.misfit(remedy).at(file, self.number, &self.text));
            }
            self.text.push(b'\n');
            self.text.extend_from_slice(self.lines.text());
        }
    }

    fn misfit(&self, remedy: &'static str) -> Misfit {
        Misfit::new("the record", self.text.clone(), remedy)
    }

    /// Reads the next line of a record; false if it has none. A line that is too long ends the record, and is a bad line of its own.
    fn advance_within(&mut self) -> Result<bool, ReplayError> {
        match self.lines.advance() {
            Err(error @ ReplayError::Value { .. }) => {
                self.pending = Some(error);
                Ok(false)
            }
            advanced => advanced,
        }
    }

    /// True once the record is complete; otherwise all of its text has been taken so far.
    fn parse(&mut self, parsed: &mut usize, filled: &mut usize) -> bool {
        // Fields are never longer than their text.
        self.fields.resize(self.text.len().max(self.fields.len()), 0);
        loop {
            let (result, taken, written, ended) = self.parser.read_record(
                &self.text[*parsed..],
                &mut self.fields[*filled..],
                &mut self.ends[self.count..],
            );
            *parsed += taken;
            *filled += written;
            self.count += ended;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => return true,
                ReadRecordResult::InputEmpty => return false,
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2 + 16, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
        }
    }

    /// The record's fields as text.
    pub(super) fn fields<const N: usize>(&self) -> Result<[&str; N], Misfit> {
        if self.count != N {
            return Err(Misfit::new("number of fields", self.count.to_string(), "expected 8"));
        }
        let mut fields = [""; N];
        for (index, field) in fields.iter_mut().enumerate() {
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            let bytes = &self.fields[start..self.ends[index]];
            let not_text = |_| Misfit::new("the text", bytes, "expected UTF-8: convert the file");
            *field = std::str::from_utf8(bytes).map_err(not_text)?;
        }
        Ok(fields)
    }

    /// The record's lines as they stand in the file.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The number of its first line.
    pub(super) fn number(&self) -> u64 {
        self.number
    }
}
