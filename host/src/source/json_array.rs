//! One JSON array: `[`, elements with `,` between them, `]`. Each element is a record. It is read as a
//! stream and never held whole, and its elements may be laid out in any way.
//!
//! The reader looks for the ends of elements alone, by their brackets and strings: an element that is
//! not JSON is a reject as a line would be. Where the array itself is broken, so that no more elements
//! can be found, what came before goes on, and then the source ends with an error that says where.
//!
//! An element may span lines; the decoder puts it on one. A line break inside a string is not JSON,
//! and is not made so: such an element is a reject.

pub use super::framed::Options;

use super::frame::{End, Found, Framing, Stretch};
use super::framed::Framed;
use super::{Source, SourceError};
use crate::batch::Batch;
use crate::record::{RecordPosition, RejectKind};
use crate::step::{Step, StepError, Why, rewrite_each};
use crate::stop::Stop;
use crate::storage::Input;
use memchr::{memchr_iter, memchr2, memchr3};
use std::io;
use std::sync::Arc;

pub(super) const NAME: &str = "JsonArrayReader";

/// Reads the elements of a JSON array from any input.
pub struct Reader(Framed<Elements>);

impl Reader {
    /// `path` stands in rejects and messages. `input` is at its beginning.
    pub fn open(path: &str, mut input: Box<dyn Input>, options: Options) -> io::Result<Self> {
        let is_inside = options.start != RecordPosition::default();
        if is_inside {
            input.seek(options.start)?;
        }
        // A run is resumed behind a comma, and nowhere else.
        let at = if is_inside { At::Comma } else { At::Beginning };
        Ok(Reader(Framed::new(NAME, Elements::new(at), path, input, options)))
    }
}

impl Source for Reader {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decoder(&self) -> Option<Box<dyn Step>> {
        Some(decoder())
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        self.0.read_batch(batch, bytes_wanted, stop)
    }
}

/// What puts elements on one line each.
pub(super) fn decoder() -> Box<dyn Step> {
    Box::new(OneLine { name: NAME.into() })
}

/// A record is an element. What ends it, `,` or `]`, stands at its end.
pub(super) struct Elements {
    /// Behind what the next stretch begins.
    at: At,
    /// Behind what the one after the stretch that was found will begin.
    next: At,
    inside: Inside,
}

/// Behind what something stands in the source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Beginning,
    Bracket,
    Comma,
    End,
}

/// How far an element has been seen.
#[derive(Clone, Copy, Default)]
struct Inside {
    has_begun: bool,
    depth: u32,
    in_string: bool,
    /// Behind a backslash in a string.
    escaped: bool,
    line_feeds: u64,
}

/// The bytes outside of strings that mean something for where an element ends.
const MEANS: [bool; 256] = {
    let mut means = [false; 256];
    let mut n = 0;
    while n < b"\"{}[],".len() {
        means[b"\"{}[],"[n] as usize] = true;
        n += 1;
    }
    means
};

impl Elements {
    fn new(at: At) -> Self {
        Elements { at, next: at, inside: Inside::default() }
    }

    /// Where no element has begun: over the blanks, and to what stands behind them.
    fn begin(&mut self, bytes: &[u8]) -> Option<Found> {
        let len = bytes.iter().position(|byte| !is_blank(*byte)).unwrap_or(bytes.len());
        let stretch = |len| Stretch { len, line_feeds: line_feeds(&bytes[..len]) };
        let broken = |expected: &str| {
            // By its first byte alone: the others of a character may not be there yet.
            let found = match bytes[len] {
                byte if byte.is_ascii() => format!("{:?}", char::from(byte)),
                byte => format!("a character that begins with the byte {byte:#x}"),
            };
            Some(Found::Broken(stretch(len), format!("expected {expected}, and found {found}")))
        };
        self.next = self.at;
        match (self.at, bytes.get(len)) {
            (_, None) if len == 0 => return Some(Found::Nothing),
            (_, None) => {}
            (At::Beginning, Some(b'[')) => {
                self.next = At::Bracket;
                return Some(Found::Between(stretch(len + 1)));
            }
            (At::Bracket, Some(b']')) => {
                self.next = At::End;
                return Some(Found::Between(stretch(len + 1)));
            }
            (At::Beginning, Some(_)) => return broken("`[`, with which an array begins"),
            (At::End, Some(_)) => return broken("nothing behind the `]` that ends the array"),
            (At::Bracket | At::Comma, Some(_)) if len == 0 => {
                self.inside.has_begun = true;
                return None;
            }
            (At::Bracket | At::Comma, Some(_)) => {}
        }
        Some(Found::Between(stretch(len)))
    }

    /// On to the end of the element; where that is, what it ends with.
    fn end_of_element(&mut self, bytes: &[u8]) -> Option<(usize, At)> {
        let inside = &mut self.inside;
        let mut at = 0;
        while at < bytes.len() {
            if inside.escaped {
                inside.escaped = false;
                at += 1;
            } else if inside.in_string {
                at += memchr2(b'"', b'\\', &bytes[at..])?;
                inside.escaped = bytes[at] == b'\\';
                inside.in_string = inside.escaped;
                at += 1;
            } else {
                at += bytes[at..].iter().position(|byte| MEANS[*byte as usize])?;
                match bytes[at] {
                    b'"' => inside.in_string = true,
                    b'{' | b'[' => inside.depth += 1,
                    b',' if inside.depth == 0 => return Some((at + 1, At::Comma)),
                    b']' if inside.depth == 0 => return Some((at + 1, At::End)),
                    b',' => {}
                    // Which bracket closes which is for those to see who read it as JSON.
                    _ => inside.depth = inside.depth.saturating_sub(1),
                }
                at += 1;
            }
        }
        None
    }
}

impl Framing for Elements {
    const RECORD: &'static str = "element";

    fn find(&mut self, bytes: &[u8]) -> Found {
        if !self.inside.has_begun
            && let Some(found) = self.begin(bytes)
        {
            return found;
        }
        let end = self.end_of_element(bytes);
        let len = end.map_or(bytes.len(), |(len, _)| len);
        self.inside.line_feeds += line_feeds(&bytes[..len]);
        match end {
            None => Found::Nothing,
            Some((len, next)) => {
                self.next = next;
                Found::Record(Stretch { len, line_feeds: self.inside.line_feeds })
            }
        }
    }

    fn pass(&mut self) {
        self.at = self.next;
        self.inside = Inside::default();
    }

    fn go_back(&mut self) {
        self.inside = Inside::default();
    }

    /// An element that is missing is a record too: an empty one.
    fn record(stretch: &[u8]) -> Option<usize> {
        let trailing = stretch.iter().rev().take_while(|byte| is_blank(**byte)).count();
        Some(stretch.len() - trailing)
    }

    fn can_resume(&self) -> bool {
        self.at == At::Comma
    }

    fn end(&self, rest: &[u8]) -> End {
        let Inside { has_begun, depth, in_string, .. } = self.inside;
        let (record, broken) = match self.at {
            At::End => (None, None),
            At::Beginning => (None, Some("expected `[`, with which an array begins")),
            At::Bracket | At::Comma if !has_begun => (None, Some("expected an element or `]`")),
            // A number, or a word, may have been longer.
            _ if depth == 0 && !in_string && matches!(rest[0], b'{' | b'[' | b'"') => {
                (Self::record(rest), Some("expected `,` or `]`"))
            }
            _ => (None, Some("the element that begins here does not end")),
        };
        End { record, broken: broken.map(|broken| format!("{broken}, and the text ends")) }
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn line_feeds(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Puts each element on one line.
struct OneLine {
    name: Arc<str>,
}

impl Step for OneLine {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        decoder()
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let is_ready =
            |record: &[u8]| !record.is_empty() && memchr2(b'\n', b'\r', record).is_none();
        if (0..batch.len()).all(|index| is_ready(batch.record(index))) {
            return Ok(());
        }
        rewrite_each(batch, &self.name, |batch, record, text| {
            let put = match batch.record(record) {
                b"" => Err("there is no element here, where one must be".to_owned()),
                element => one_line(element, text.buffer()).map_err(|at| {
                    format!("unescaped line break in a string at byte {at} of the element")
                }),
            };
            put.map_err(|message| Why::new(RejectKind::InvalidJson, message))
        });
        Ok(())
    }
}

/// Appends a JSON text with blanks for the line breaks between its tokens. An error: at this byte one
/// stands in a string.
pub(super) fn one_line(json: &[u8], out: &mut Vec<u8>) -> Result<(), usize> {
    let mut at = 0;
    let mut in_string = false;
    while at < json.len() {
        let rest = &json[at..];
        let found = match in_string {
            false => memchr3(b'"', b'\n', b'\r', rest),
            true => memchr2(b'"', b'\\', rest),
        };
        let len = found.unwrap_or(rest.len());
        if in_string && let Some(line_break) = memchr2(b'\n', b'\r', &rest[..len]) {
            return Err(at + line_break);
        }
        out.extend_from_slice(&rest[..len]);
        at += len;
        match rest.get(len) {
            None => {}
            Some(b'"') => {
                in_string = !in_string;
                out.push(b'"');
                at += 1;
            }
            // An escape is two bytes, of which the second may be a quote.
            Some(b'\\') => {
                let escape = &rest[len..rest.len().min(len + 2)];
                if matches!(escape, [_, b'\n' | b'\r']) {
                    return Err(at + 1);
                }
                out.extend_from_slice(escape);
                at += escape.len();
            }
            Some(_) => {
                out.push(b' ');
                at += 1;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
