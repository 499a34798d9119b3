//! A range of an input: the records whose first byte lies in it, the last of them whole. So ranges that
//! cover an input give each of its records once, and whoever reads one need not know the others.
//!
//! Of CSV that holds line breaks in quotes, nobody can tell from the middle where a row begins. So whoever
//! reads a range takes the first line break as the end of a row, and refuses its own end where that would
//! be wrong for whoever reads the next: of ranges that cover a file, one is refused rather than that a
//! record is given twice or never.

use crate::record::Lines;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

/// No file is longer: places in one are signed.
const BYTES_MAX: u64 = i64::MAX as u64;

/// Bytes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Offset of the first.
    pub offset: u64,
    /// How many there are; the input may end before.
    pub length: u64,
    /// On which line of the input the first line stands that begins in the range, where that is known.
    pub line: Option<u64>,
}

impl Range {
    /// Offset of the first byte behind it.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }

    /// How many bytes of an input that has so many lie in it.
    pub fn bytes_of(&self, total: u64) -> u64 {
        self.end().min(total).saturating_sub(self.offset)
    }

    /// Where the lines of its records are counted from.
    pub fn lines(&self) -> Lines {
        if self.offset == 0 || self.line.is_some() { Lines::Source } else { Lines::Range }
    }

    /// The number of the first line that begins in it, counted from there.
    pub fn first_line(&self) -> u64 {
        self.line.unwrap_or(1)
    }
}

impl FromStr for Range {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "OFFSET:LENGTH is wanted, in bytes, or OFFSET:LENGTH:LINE";
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| wanted),
            false => Err(wanted),
        };
        let mut numbers = text.splitn(3, ':').map(number);
        let (Some(offset), Some(length)) = (numbers.next(), numbers.next()) else {
            return Err(wanted);
        };
        let (offset, length, line) = (offset?, length?, numbers.next().transpose()?);
        match line {
            Some(0) => Err("lines count from 1"),
            Some(2..) if offset == 0 => Err("what begins at byte 0 begins on line 1"),
            _ if offset > BYTES_MAX || offset.checked_add(length).is_none() => {
                Err("no input is so long")
            }
            _ => Ok(Range { offset, length, line }),
        }
    }
}

/// As it is read.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.offset, self.length)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// A range that is to be read, and what is told of it then.
#[derive(Clone, Debug)]
pub struct Ranged {
    /// The range.
    pub range: Range,
    /// How many lines begin in it: known once it was read to its end.
    pub lines_read: Arc<OnceLock<u64>>,
}

#[cfg(test)]
mod tests;
