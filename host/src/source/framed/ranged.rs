//! The reader of text in a range of its input: where the first record in it begins, where the last one
//! ends, and how many lines that were.
//!
//! A byte-order mark and what was read before the range was entered (the header of CSV) are no records
//! of any range: the first record of all begins behind them.
//!
//! The trap: an error at the range's end must come before any checkpoint behind its last record, else a
//! run that goes on there would never learn of it.

use super::{BYTE_ORDER_MARK, Framed, Framing, SKIP_BYTES};
use crate::record::RecordPosition;
use crate::source::range::{Range, Ranged};
use crate::storage::Trouble;
use memchr::{memchr, memchr_iter};
use std::io;
use std::sync::{Arc, OnceLock};

/// A range that is being read.
pub(super) struct Entered {
    /// Where no record is wanted any more that begins.
    end: u64,
    first_line: u64,
    lines_read: Arc<OnceLock<u64>>,
}

impl<F: Framing> Framed<F> {
    /// From here on reads only the records that begin in the range, or goes on with them at `start`. To
    /// be called where the first record of all may begin.
    pub(in crate::source) fn enter(
        &mut self,
        Ranged { range, lines_read }: Ranged,
        start: RecordPosition,
    ) -> io::Result<()> {
        let (end, first_line) = (range.end(), range.first_line());
        self.input.expect_end(0); // what is read to find the beginning is little
        if start != RecordPosition::default() {
            self.go_to(start)?;
        } else {
            if self.at_start && range.offset <= BYTE_ORDER_MARK.len() as u64 {
                self.position.byte = self.find_mark()?;
                self.begins = self.position.byte;
            }
            let first = self.position.byte;
            if range.offset > first {
                self.find_line(range)?;
            } else {
                let lines = self.lines_begun(range.offset..end.min(first))?;
                self.go_to(RecordPosition { line: first_line + lines, byte: first })?;
            }
        }
        self.input.expect_end(end);
        (self.lines, self.is_open) = (range.lines(), false);
        self.entered = Some(Entered { end, first_line, lines_read });
        Ok(())
    }

    /// Where a byte-order mark ends, or would: what is read here was not before.
    fn find_mark(&mut self) -> io::Result<u64> {
        let mut head = Vec::with_capacity(BYTE_ORDER_MARK.len());
        while head.len() < BYTE_ORDER_MARK.len() && self.input.read(&mut head)? > 0 {
            head.reserve_exact(BYTE_ORDER_MARK.len() - head.len());
        }
        Ok(if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() as u64 } else { 0 })
    }

    /// Goes to the first line that begins in a range: behind the first line break from the byte on that
    /// stands before it.
    fn find_line(&mut self, range: Range) -> io::Result<()> {
        let (line, mut byte) = (range.first_line(), range.offset - 1);
        self.go_to(RecordPosition { line, byte })?;
        self.input.expect_end(range.end());
        let mut piece = Vec::with_capacity(SKIP_BYTES);
        // A line break on the last byte of the range is the beginning of the next one.
        while byte + 1 < range.end() {
            piece.clear();
            if self.input.read(&mut piece)? == 0 {
                self.ended = true;
                break;
            }
            if let Some(found) = memchr(b'\n', &piece) {
                self.position.byte = byte + found as u64 + 1;
                self.carry.extend_from_slice(&piece[found + 1..]);
                return Ok(());
            }
            byte += piece.len() as u64;
        }
        self.position.byte = range.end();
        Ok(())
    }

    /// How many lines begin at these bytes, all of them before the first record.
    fn lines_begun(&mut self, bytes: std::ops::Range<u64>) -> io::Result<u64> {
        let mut lines = u64::from(bytes.contains(&self.begins));
        // One begins behind each line break.
        let (mut at, last) = (bytes.start.max(self.begins + 1) - 1, bytes.end.saturating_sub(1));
        if at >= last {
            return Ok(lines);
        }
        self.input.seek(RecordPosition { line: 1, byte: at })?;
        let mut piece = Vec::with_capacity(SKIP_BYTES);
        while at < last {
            piece.clear();
            if self.input.read(&mut piece)? == 0 {
                break;
            }
            let wanted = piece.len().min(usize::try_from(last - at).unwrap_or(usize::MAX));
            lines += memchr_iter(b'\n', &piece[..wanted]).count() as u64;
            at += piece.len() as u64;
        }
        Ok(lines)
    }

    /// The range's end in a buffer that begins at the position.
    pub(super) fn end_in_buffer(&self) -> usize {
        let left = self.entered.as_ref().map(|it| it.end.saturating_sub(self.position.byte));
        left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX))
    }

    /// At the range's end, which is not the input's: that may have changed all the same, which is told
    /// at its own end.
    pub(super) fn end_range(&mut self) -> io::Result<()> {
        let Some(byte) = self.input.bytes_total().filter(|_| !self.ended) else { return Ok(()) };
        self.input.seek(RecordPosition { byte, ..self.position })?;
        match self.input.read(&mut Vec::with_capacity(1))? {
            0 => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it grew while it was read")),
        }
    }

    /// Refuses a record that ends behind the range, and on its way there holds a line break: who reads
    /// the next range takes that for the record's end. `bytes` are those of records, which begin at `at`,
    /// without the last one's end; that one begins at `last`.
    pub(super) fn check_cut(&self, (at, last): (u64, u64), bytes: &[u8]) -> io::Result<()> {
        let Some(Entered { end, .. }) = self.entered else { return Ok(()) };
        let index = |byte: u64| usize::try_from(byte.saturating_sub(at)).unwrap_or(usize::MAX);
        // Behind the last byte of all, no record begins for anybody.
        let end_of_all =
            self.input.bytes_total().map_or(usize::MAX, |total| index(total.max(1) - 1));
        let (from, to) = (index(end.max(1) - 1), bytes.len().min(end_of_all));
        if memchr(b'\n', bytes.get(from..to).unwrap_or_default()).is_none() {
            return Ok(());
        }
        let what = format!(
            "the range ends at byte {end}, within a {} that begins at byte {last} and holds line breaks in \
             quotes: from there on nobody can tell where the next one begins",
            F::RECORD
        );
        let hint = "let ranges begin where rows do: `etl-host split` prints such";
        Err(Trouble::error(io::ErrorKind::InvalidInput, what, Some(hint)))
    }

    /// All of the range was read: says how many lines begin in it.
    pub(super) fn tell_lines(&self) {
        if let Some(Entered { first_line, lines_read, .. }) = &self.entered {
            let lines = self.position.line + u64::from(self.is_open) - first_line;
            let _ = lines_read.set(lines); // it may be asked at the end more than once
        }
    }
}
