//! The rejects of all parts as the one object that a run on a single machine would have left, byte for byte.
//!
//! A range does not know on which line of the input it begins, so its rejects say `range_line`, from 1. Who
//! has all parts can add up the lines before: a number is put in, and nothing else of a reject is touched. A
//! line in which that number can't be found is an error and never passed on as it is.

use super::document::Rejects;
use super::place::Place;
use crate::error::Error;
use memchr::memrchr;
use std::io;

/// How much of a part is read at once; more where a line is longer.
const READ_BYTES: usize = 1024 * 1024;

/// Writes the rejects of parts, one behind the other.
pub(super) fn join(place: &Place<'_>, name: &str, parts: &[Rejects]) -> Result<(), Error> {
    let mut all = place.create(name)?;
    for part in parts {
        copy(place, part, |lines| all.write(lines).map_err(|error| place.failed(name, error)))?;
    }
    let made = all.prepare().and_then(|()| all.commit());
    made.map(drop).map_err(|error| place.failed(name, error))
}

fn copy(
    place: &Place<'_>,
    Rejects { name, lines_before, rejects }: &Rejects,
    mut write: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let damaged = |what: String| {
        let source = io::Error::new(io::ErrorKind::InvalidData, what);
        Error::Input { path: name.into(), source }
    };
    let mut input = place.open(name)?;
    let (mut read, mut written, mut count) = (Vec::with_capacity(READ_BYTES), Vec::new(), 0);
    loop {
        read.reserve(READ_BYTES);
        let taken =
            input.read(&mut read).map_err(|source| Error::Input { path: name.into(), source })?;
        let end = match taken {
            0 => read.len(),
            _ => memrchr(b'\n', &read).map_or(0, |at| at + 1),
        };
        for line in read[..end].split_inclusive(|byte| *byte == b'\n') {
            count += 1;
            match lines_before {
                None => written.extend_from_slice(line),
                Some(before) => on_line_of_the_input(line, *before, &mut written)
                    .ok_or_else(|| damaged(format!("reject {count} tells no line of its range")))?,
            }
        }
        write(&written)?;
        written.clear();
        read.drain(..end);
        if taken == 0 {
            break;
        }
    }
    match count == *rejects {
        true => Ok(()),
        false => Err(damaged(format!("it holds {count} rejects, and its part had {rejects}"))),
    }
}

/// Appends a reject with the line of its input in the place of that of its range; `None` where it tells none.
fn on_line_of_the_input(reject: &[u8], before: u64, to: &mut Vec<u8>) -> Option<()> {
    const KEY: &[u8] = b"\"range_line\":";
    let mut at = behind(reject, 0, b'{')?;
    // What stands before it are texts and numbers only, so no record can look like it.
    while !reject.get(at..)?.starts_with(KEY) {
        at = behind(reject, behind_text(reject, at)?, b':')?;
        at = match reject.get(at)? {
            b'"' => behind_text(reject, at)?,
            _ => behind_plain(reject, at)?,
        };
        at = behind(reject, at, b',')?;
    }
    let digits = &reject[at + KEY.len()..];
    let digits = &digits[..digits.iter().position(|byte| !byte.is_ascii_digit())?];
    let line: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    to.extend_from_slice(&reject[..at]);
    to.extend_from_slice(format!("\"line\":{}", before.checked_add(line)?).as_bytes());
    to.extend_from_slice(&reject[at + KEY.len() + digits.len()..]);
    Some(())
}

/// Where it goes on behind this byte, if that is here.
fn behind(json: &[u8], at: usize, byte: u8) -> Option<usize> {
    (json.get(at) == Some(&byte)).then_some(at + 1)
}

/// Where a number or a null that begins here has ended.
fn behind_plain(json: &[u8], at: usize) -> Option<usize> {
    let rest = json.get(at..)?;
    let value = &rest[..rest.iter().position(|byte| *byte == b',')?];
    let is_plain = value == b"null" || value.iter().all(u8::is_ascii_digit);
    is_plain.then_some(at + value.len())
}

/// Where a text in JSON that begins here has ended.
fn behind_text(json: &[u8], at: usize) -> Option<usize> {
    let mut bytes = json.get(at..)?.iter().enumerate();
    bytes.next().filter(|(_, byte)| **byte == b'"')?;
    while let Some((behind, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + behind + 1),
            b'\\' => drop(bytes.next()?),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reject: &str, expected: Option<&str>) {
        let mut found = Vec::new();
        let done = on_line_of_the_input(reject.as_bytes(), 40, &mut found);
        let found = done.map(|()| String::from_utf8(found).unwrap());
        assert_eq!(found.as_deref(), expected, "{reject}");
    }

    #[test]
    fn a_line_of_a_range_becomes_that_of_the_input_and_nothing_else_changes() {
        check(r#"{"range_line":2,"b":1}"#, Some(r#"{"line":42,"b":1}"#));
        check(
            r#"{"source":"a\"},\\","byte":7,"at":null,"range_line":1,"record":"\"range_line\":5"}"#,
            Some(
                r#"{"source":"a\"},\\","byte":7,"at":null,"line":41,"record":"\"range_line\":5"}"#,
            ),
        );
    }

    #[test]
    fn a_reject_that_tells_no_line_is_never_passed_on() {
        for reject in [
            "",
            "{",
            "{}",
            r#"{"line":3}"#,
            r#"{"record":"\"range_line\":5"}"#,
            r#"{"range_line":}"#,
            r#"{"range_line":99999999999999999999,"a":1}"#,
            r#"{"range_line":5"#,
            r#"{"a":"b\"#,
            r#"{"record":{"a":1,"range_line":5}}"#,
            "no reject",
        ] {
            check(reject, None);
        }
    }
}
