//! What a field's text becomes: a value of the type that the model's input schema gives its column.
//!
//! CSV has no types, and no two programs write it alike. So this takes what spreadsheets and
//! dataframes write for a number or a boolean, and makes JSON of it; the digits stay what they are.

use crate::columns::Kind;
use crate::cut::cut;
use crate::json::Scanner;
use crate::schema;
use crate::source::json_array::one_line;
use serde_json::Value;

/// How much of a value a message repeats, in characters.
const SHOWN_CHARS: usize = 64;

/// What the fields of a column become.
#[derive(Debug)]
pub(super) struct Type {
    kind: Kind,
    /// The types that its values may have; none: any.
    names: Vec<&'static str>,
    takes_null: bool,
    takes_text: bool,
}

/// The types that JSON Schema knows.
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];

impl Type {
    /// Of a column that the schema does not name: texts, and nulls.
    pub(super) fn text() -> Self {
        Type { kind: Kind::String, names: Vec::new(), takes_null: true, takes_text: true }
    }

    /// Of values that fit a schema, which is a part of `root`.
    pub(super) fn of(root: &Value, schema: &Value) -> Self {
        let mut names = Vec::new();
        for one in schema::alternatives(root, schema) {
            match schema::listed(one) {
                Some(values) => names.extend(values.into_iter().map(type_of)),
                None => match &schema::types(one)[..] {
                    [] => names.extend(TYPES),
                    some => names.extend(TYPES.iter().filter(|name| some.contains(name))),
                },
            }
        }
        let kind = Kind::of(root, schema);
        let takes = |name| names.contains(&name);
        Type { takes_null: takes("null"), takes_text: takes("string"), kind, names }
    }

    /// Appends a field's value. `is_null`: it is empty, or the text that stands for null. False: there
    /// is no value, and the field is missing. An error says what is wrong.
    #[inline]
    pub(super) fn write(
        &self,
        field: &[u8],
        is_quoted: bool,
        is_null: bool,
        scanner: &mut Scanner,
        out: &mut Vec<u8>,
    ) -> Result<bool, String> {
        // A text that stands in quotes is meant as one. Nothing else can be empty.
        if is_null && !(self.takes_text && (is_quoted || !self.takes_null)) {
            if self.takes_null {
                out.extend_from_slice(b"null");
            }
            return Ok(self.takes_null);
        }
        let no = |what: &str| Err(format!("`{}` is no {what}", shown(field)));
        match &self.kind {
            Kind::String => write_text(field, out),
            Kind::Number if is_plain(field) => out.extend_from_slice(field),
            Kind::Number if !write_number(field.trim_ascii(), out) => return no("number"),
            Kind::Integer if !write_integer(field.trim_ascii(), out) => return no("integer"),
            Kind::Number | Kind::Integer => {}
            Kind::Boolean => match boolean(field.trim_ascii()) {
                Some(boolean) => out.extend_from_slice(boolean),
                None => return no("boolean: neither true nor false"),
            },
            Kind::Json | Kind::List(_) | Kind::Struct(_) => {
                match self.write_json(field, scanner, out) {
                    Ok(()) => {}
                    Err(_) if self.takes_text => write_text(field, out),
                    Err(why) => return Err(format!("`{}` is no JSON: {why}", shown(field))),
                }
            }
        }
        Ok(true)
    }

    /// Nothing is appended where it is an error.
    fn write_json(
        &self,
        field: &[u8],
        scanner: &mut Scanner,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let start = out.len();
        let written = one_line(field.trim_ascii(), out)
            .map_err(|_| "a line break in a string".to_owned())
            .and_then(|()| self.check(&out[start..], scanner));
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn check(&self, json: &[u8], scanner: &mut Scanner) -> Result<(), String> {
        let json = std::str::from_utf8(json).map_err(|error| error.to_string())?;
        scanner.scan(json).map_err(|fault| fault.to_string())?;
        let name = match json.as_bytes()[0] {
            b'{' => "object",
            b'[' => "array",
            b'"' => "string",
            b't' | b'f' => "boolean",
            b'n' => "null",
            _ => "number",
        };
        // Which numbers are integers is for the model to say.
        let fits = |other: &&str| *other == name || name == "number" && *other == "integer";
        match self.names.iter().any(fits) {
            true => Ok(()),
            false => Err(format!("its type is {name}, and may be {}", self.names.join(" or "))),
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn shown(field: &[u8]) -> String {
    cut(&String::from_utf8_lossy(field), SHOWN_CHARS).into_owned()
}

/// As a JSON string.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    if text.iter().all(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    } else {
        let text = String::from_utf8_lossy(text); // the pipeline has checked that it is UTF-8
        serde_json::to_writer(out, &*text).expect("a buffer takes all");
    }
}

fn boolean(text: &[u8]) -> Option<&'static [u8]> {
    let words: [&[u8]; 2] = [b"true", b"false"];
    words.into_iter().find(|word| text.eq_ignore_ascii_case(word))
}

/// Whether it is a number as nearly all are: digits, perhaps with a point among them and a minus before,
/// as JSON has it.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let mut point = None;
    for (index, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {}
            b'.' if point.is_none() => point = Some(index),
            _ => return false,
        }
    }
    let whole = point.unwrap_or(digits.len());
    let is_whole = whole == 1 || whole > 1 && digits[0] != b'0';
    is_whole && point.is_none_or(|point| point + 1 < digits.len())
}

/// The parts of a decimal number.
struct Number<'a> {
    plus: bool,
    minus: bool,
    whole: &'a [u8],
    point: bool,
    fraction: &'a [u8],
    /// With its `e`.
    exponent: &'a [u8],
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

impl<'a> Number<'a> {
    fn of(text: &'a [u8]) -> Option<Self> {
        let (plus, minus) = (text.first() == Some(&b'+'), text.first() == Some(&b'-'));
        let (whole, rest) = digits(&text[usize::from(plus || minus)..]);
        let (point, (fraction, exponent)) = match rest {
            [b'.', rest @ ..] => (true, digits(rest)),
            rest => (false, (&rest[..0], rest)),
        };
        let is_exponent = match exponent {
            [] => true,
            [b'e' | b'E', b'+' | b'-', power @ ..] | [b'e' | b'E', power @ ..] => {
                !power.is_empty() && digits(power).1.is_empty()
            }
            _ => false,
        };
        let is_number = is_exponent && !(whole.is_empty() && fraction.is_empty());
        is_number.then_some(Number { plus, minus, whole, point, fraction, exponent })
    }

    /// Whether JSON spells it so.
    fn is_json(&self) -> bool {
        let is_whole = self.whole.len() == 1 || self.whole.first().is_some_and(|it| *it != b'0');
        !self.plus && is_whole && (!self.point || !self.fraction.is_empty())
    }

    /// Without zeros that lead.
    fn write_whole(&self, out: &mut Vec<u8>) {
        let zeros = self.whole.iter().take_while(|digit| **digit == b'0').count();
        let whole = &self.whole[zeros..];
        out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    }
}

/// False: it is none.
#[inline]
fn write_number(text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(number) = Number::of(text) else { return false };
    if number.is_json() {
        out.extend_from_slice(text);
        return true;
    }
    if number.minus {
        out.push(b'-');
    }
    number.write_whole(out);
    if !number.fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(number.fraction);
    }
    out.extend_from_slice(number.exponent);
    true
}

/// False: it is none. `5.0` is one: so dataframes write integers where some are missing.
fn write_integer(text: &[u8], out: &mut Vec<u8>) -> bool {
    let Some(number) = Number::of(text) else { return false };
    let is_whole = number.exponent.is_empty() && number.fraction.iter().all(|digit| *digit == b'0');
    if !is_whole || number.whole.is_empty() {
        return false;
    }
    if number.minus && number.whole.iter().any(|digit| *digit != b'0') {
        out.push(b'-');
    }
    number.write_whole(out);
    true
}
