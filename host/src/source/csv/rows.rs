//! Where rows end: at a line feed that does not stand in quotes.
//!
//! A quote opens only where a field begins, and what stands behind the one that closes is part of the
//! field, as csv-core has it, which splits the rows: both must agree on where a row ends.

use super::Dialect;
use crate::source::frame::{Found, Framing, Stretch};
use memchr::{memchr, memchr_iter, memchr2};

/// A record is a row.
pub(in crate::source) struct Rows {
    dialect: Dialect,
    state: State,
    /// Where in the row the quote stands that opened last.
    opened: usize,
    /// How much of the row was seen before.
    seen: usize,
    /// Those in quotes.
    line_feeds: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A field begins: a quote here opens.
    Begins,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes, unless another follows: two stand for one, and close nothing.
    Closed,
    /// In a field: quotes mean nothing.
    Within,
}

impl Rows {
    pub(in crate::source) fn new(dialect: Dialect) -> Self {
        Rows { dialect, state: State::Begins, opened: 0, seen: 0, line_feeds: 0 }
    }

    fn next_special(&self, bytes: &[u8]) -> Option<usize> {
        match self.dialect.quote {
            Some(quote) => memchr2(quote, b'\n', bytes),
            None => memchr(b'\n', bytes),
        }
    }

    /// On to the quote that closes, or to the end.
    fn close(&mut self, bytes: &[u8], quote: u8) -> usize {
        let closed = memchr(quote, bytes);
        let len = closed.unwrap_or(bytes.len());
        self.line_feeds += memchr_iter(b'\n', &bytes[..len]).count() as u64;
        if closed.is_some() {
            self.state = State::Closed;
            return len + 1;
        }
        len
    }
}

impl Framing for Rows {
    const RECORD: &'static str = "row";

    #[inline]
    fn find(&mut self, bytes: &[u8]) -> Found {
        let mut at = 0;
        while at < bytes.len() {
            if self.state == State::Quoted
                && let Some(quote) = self.dialect.quote
            {
                at += self.close(&bytes[at..], quote);
                continue;
            }
            let Some(found) = self.next_special(&bytes[at..]) else {
                let is_behind_delimiter = bytes.last() == Some(&self.dialect.delimiter);
                self.state = if is_behind_delimiter { State::Begins } else { State::Within };
                break;
            };
            let here = at + found;
            if bytes[here] == b'\n' {
                return Found::Record(Stretch { len: here + 1, line_feeds: self.line_feeds + 1 });
            }
            let before = if found == 0 { self.state } else { State::Within };
            let is_behind_delimiter = found > 0 && bytes[here - 1] == self.dialect.delimiter;
            if before == State::Begins || is_behind_delimiter {
                self.opened = self.seen + here;
                self.state = State::Quoted;
            } else if before == State::Closed {
                self.state = State::Quoted;
            } else {
                self.state = State::Within;
            }
            at = here + 1;
        }
        self.seen += bytes.len();
        Found::Nothing
    }

    #[inline]
    fn pass(&mut self) {
        self.go_back();
    }

    #[inline]
    fn go_back(&mut self) {
        (self.state, self.seen, self.line_feeds) = (State::Begins, 0, 0);
    }

    #[inline]
    fn record(row: &[u8]) -> Option<usize> {
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        (!row.is_empty()).then_some(row.len())
    }
}

/// Where in a row the quote stands that opens and is never closed.
pub(super) fn unclosed(dialect: Dialect, row: &[u8]) -> Option<usize> {
    let mut rows = Rows::new(dialect);
    rows.find(row);
    (rows.state == State::Quoted).then_some(rows.opened)
}
