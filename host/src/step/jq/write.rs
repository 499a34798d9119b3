//! Writes values as JSON on one line. jaq has more values than JSON, and writes them as what no reader of
//! ours takes: here NaN and the infinite are what jq makes of them, and what has no JSON is refused.
//!
//! A number that was read and not calculated with is written as it was spelled.

use crate::json::DEPTH_MAX;
use jaq_json::{Num, Val};
use std::io::Write as _;

/// Integers up to here are written without a fraction or an exponent, as jq does: `6 / 2` is `3`.
const PLAIN_MAX: f64 = 1e17;

/// A text that grows, up to a length.
pub(super) struct Out<'t> {
    pub(super) text: &'t mut Vec<u8>,
    pub(super) end: usize,
}

/// Why a value can't be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwritable {
    #[error("the key of an object is no string")]
    Key,
    #[error("a byte string is no JSON; `@base64` makes text of it")]
    Bytes,
    #[error("an output nests deeper than {DEPTH_MAX} levels")]
    Depth,
    /// The text has become longer than it may.
    #[error("too long")]
    Length,
}

impl Out<'_> {
    /// Appends it as it is.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Unwritable> {
        if self.text.len() + bytes.len() > self.end {
            return Err(Unwritable::Length);
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends a value. On an error, what was appended is for the caller to take back.
    pub(super) fn value(&mut self, value: &Val) -> Result<(), Unwritable> {
        self.nested(value, 0)
    }

    fn nested(&mut self, value: &Val, depth: usize) -> Result<(), Unwritable> {
        match value {
            Val::Null => self.append(b"null"),
            Val::Bool(true) => self.append(b"true"),
            Val::Bool(false) => self.append(b"false"),
            Val::Num(number) => self.number(number),
            Val::TStr(bytes) => self.string(bytes),
            Val::BStr(_) => Err(Unwritable::Bytes),
            Val::Arr(_) | Val::Obj(_) if depth == DEPTH_MAX => Err(Unwritable::Depth),
            Val::Arr(values) => {
                self.append(b"[")?;
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        self.append(b",")?;
                    }
                    self.nested(value, depth + 1)?;
                }
                self.append(b"]")
            }
            Val::Obj(fields) => {
                self.append(b"{")?;
                for (i, (key, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        self.append(b",")?;
                    }
                    let Val::TStr(key) = key else { return Err(Unwritable::Key) };
                    self.string(key)?;
                    self.append(b":")?;
                    self.nested(value, depth + 1)?;
                }
                self.append(b"}")
            }
        }
    }

    fn number(&mut self, number: &Num) -> Result<(), Unwritable> {
        match number {
            Num::Dec(digits) if is_json(digits.as_bytes()) => self.append(digits.as_bytes()),
            Num::Dec(digits) => self.float(digits.parse().unwrap_or(f64::NAN)),
            Num::Float(float) => self.float(*float),
            Num::Int(_) | Num::BigInt(_) => {
                write!(self.text, "{number}").expect("a buffer takes all");
                self.append(b"")
            }
        }
    }

    fn float(&mut self, float: f64) -> Result<(), Unwritable> {
        if float.is_nan() {
            return self.append(b"null");
        }
        // Of the infinite, the greatest number that there is.
        let float = float.clamp(f64::MIN, f64::MAX);
        let written = if float.fract() == 0. && float.abs() < PLAIN_MAX {
            write!(self.text, "{float}")
        } else {
            serde_json::to_writer(&mut *self.text, &float).map_err(Into::into)
        };
        written.expect("a buffer takes all");
        self.append(b"")
    }

    /// What is no UTF-8 in it becomes U+FFFD.
    fn string(&mut self, bytes: &[u8]) -> Result<(), Unwritable> {
        self.append(b"\"")?;
        match std::str::from_utf8(bytes) {
            Ok(text) => self.escaped(text.as_bytes())?,
            Err(_) => self.escaped(String::from_utf8_lossy(bytes).as_bytes())?,
        }
        self.append(b"\"")
    }

    fn escaped(&mut self, mut bytes: &[u8]) -> Result<(), Unwritable> {
        let is_special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f);
        while let Some(plain) = bytes.iter().position(is_special) {
            self.append(&bytes[..plain])?;
            match bytes[plain] {
                b'"' => self.append(b"\\\""),
                b'\\' => self.append(b"\\\\"),
                b'\n' => self.append(b"\\n"),
                b'\r' => self.append(b"\\r"),
                b'\t' => self.append(b"\\t"),
                0x08 => self.append(b"\\b"),
                0x0c => self.append(b"\\f"),
                control => self.append(format!("\\u{control:04x}").as_bytes()),
            }?;
            bytes = &bytes[plain + 1..];
        }
        self.append(bytes)
    }
}

/// Whether a number is spelled as JSON has it: jaq also reads `+1.5` and `01.5`.
fn is_json(number: &[u8]) -> bool {
    let rest = number.strip_prefix(b"-").unwrap_or(number);
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest[0] == b'0') {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent =
            exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}
