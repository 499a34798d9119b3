//! Cuts an input into ranges that cover it, from its first byte to its last.
//!
//! Lines are cut anywhere, without a look at them. Rows in which quotes mean something are cut where one
//! begins, for which all of them are looked through: in the middle of a file nobody can tell.

use super::csv::{self, rows::Rows};
use super::frame::{Found, Framing as _};
use super::framed::BYTE_ORDER_MARK;
use super::range::Range;
use crate::format::Format;
use crate::record::RecordPosition;
use crate::storage::Input;
use std::io;
use std::num::NonZeroU64;

/// How much to look through at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Ranges of `size` bytes; the last may have fewer. Of an input without bytes, none.
pub fn of_lines(bytes_total: u64, size: NonZeroU64) -> impl Iterator<Item = Range> {
    let size = size.get();
    let offsets = (0..bytes_total.div_ceil(size)).map(move |index| index * size);
    offsets.map(move |offset| {
        let line = (offset == 0).then_some(1);
        Range { offset, length: size.min(bytes_total - offset), line }
    })
}

/// Ranges that begin where a row does: the first one at or behind each multiple of `size`. `input` is at
/// its beginning, and is read to its end.
pub fn of_rows(
    input: &mut dyn Input,
    format: Format,
    options: &csv::Options,
    size: NonZeroU64,
) -> io::Result<Vec<Range>> {
    let mut rows = Rows::new(options.dialect(format));
    let (mut splits, mut piece) = (Vec::new(), Vec::with_capacity(PIECE_BYTES));
    let (mut begin, mut line) = (RecordPosition::default(), 1);
    let mut next = size.get();
    let mut push = |begin: RecordPosition, end: u64| {
        let (offset, length) = (begin.byte, end - begin.byte);
        splits.push(Range { offset, length, line: Some(begin.line) });
    };
    let mut end = 0;
    loop {
        piece.clear();
        // Enough to tell a byte-order mark, behind which a quote may open.
        while piece.len() < BYTE_ORDER_MARK.len() && input.read(&mut piece)? > 0 {}
        if piece.is_empty() {
            break;
        }
        let is_marked = end == 0 && piece.starts_with(BYTE_ORDER_MARK);
        let mut seen = if is_marked { BYTE_ORDER_MARK.len() } else { 0 };
        while let Found::Record(row) = rows.find(&piece[seen..]) {
            rows.pass();
            seen += row.len;
            line += row.line_feeds;
            let byte = end + seen as u64;
            if byte >= next {
                push(begin, byte);
                begin = RecordPosition { line, byte };
                next = (byte / size + 1).saturating_mul(size.get());
            }
        }
        end += piece.len() as u64;
    }
    if end > begin.byte {
        push(begin, end);
    }
    Ok(splits)
}
