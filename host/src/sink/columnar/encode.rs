//! JSON values into values of a row, by the kind of their column.
//!
//! A value is a one and what it is, a null is a zero. A text and a list begin with their length; a
//! struct is its fields in the order of its columns. A struct that is null has a null for each of them
//! all the same: so a row is as long as what it takes in the arrays that are built of it, and a short
//! text can't become a table that nobody has the memory for.
//!
//! The texts have passed the scanner: here it is not checked once more that they are JSON.

use super::shown;
use crate::columns::{Column, Kind};
use crate::record::RejectKind;
use memchr::memchr2;
use std::borrow::Cow;

/// The longest row: offsets into a column have 31 bits, and this is the last that goes into a table.
pub(super) const ROW_BYTES_MAX: usize = 1 << 30;

/// Why a record is no row: where in it, and why.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) path: String,
    why: Why,
}

#[derive(Debug)]
enum Why {
    /// The whole record, and not a value of it.
    Record(String),
    NoColumn,
    Takes {
        /// The value, as a message repeats it.
        value: String,
        takes: &'static str,
    },
    Long,
}

impl Unfit {
    pub(super) fn record(message: String) -> Self {
        Unfit { path: String::new(), why: Why::Record(message) }
    }

    pub(super) fn no_column(name: String) -> Self {
        Unfit { path: name, why: Why::NoColumn }
    }

    fn takes(value: &str, takes: &'static str) -> Self {
        Unfit { path: String::new(), why: Why::Takes { value: shown(value).into_owned(), takes } }
    }

    /// The same, where the value stands in this field.
    pub(super) fn in_field(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, dot);
        self.path.insert_str(0, name);
        self
    }

    fn in_item(mut self, index: usize) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path.insert_str(0, &format!("[{index}]{dot}"));
        self
    }

    pub(super) fn kind(&self) -> RejectKind {
        match self.why {
            Why::NoColumn => RejectKind::NoColumn,
            Why::Record(_) | Why::Takes { .. } | Why::Long => RejectKind::NotWritable,
        }
    }

    pub(super) fn message(&self) -> String {
        let path = &self.path;
        match &self.why {
            Why::Record(message) => message.clone(),
            Why::NoColumn => format!("there is no column for the field `{}`", shown(path)),
            Why::Takes { value, takes } => {
                format!("`{path}` is {value}, and its column takes {takes}")
            }
            Why::Long => {
                format!("with `{path}` the row is over {ROW_BYTES_MAX} bytes long in its columns")
            }
        }
    }
}

/// Appends values to a row.
pub(super) struct Values {
    row_bytes_max: usize,
    /// Where the row begins.
    start: usize,
    /// Of all structs that this is inside of, innermost last: the column of each field, and where its
    /// value begins and ends.
    fields: Vec<(usize, usize, usize)>,
    /// A struct that is being put into order.
    ordered: Vec<u8>,
}

impl Values {
    pub(super) fn new(row_bytes_max: usize) -> Self {
        Values { row_bytes_max, start: 0, fields: Vec::new(), ordered: Vec::new() }
    }

    /// A row begins here.
    pub(super) fn begin(&mut self, out: &[u8]) {
        self.start = out.len();
        self.fields.clear();
    }

    /// Appends the value of a column; `None`: there is none.
    pub(super) fn put_column(
        &mut self,
        column: &Column,
        text: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        let put = match (text, &column.kind) {
            (None, kind) => {
                put_null(kind, out);
                Ok(())
            }
            (Some(text), kind) if kind.is_nested() => {
                self.put(kind, &mut Cursor { text, at: 0 }, out)
            }
            (Some(text), kind) => self.put_flat(kind, text, out),
        };
        put.map_err(|unfit| unfit.in_field(&column.name))
    }

    fn put(
        &mut self,
        kind: &Kind,
        cursor: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        match (kind, cursor.peek()) {
            (Kind::List(items), Some(b'[')) => self.put_list(items, cursor, out),
            (Kind::Struct(columns), Some(b'{')) => self.put_struct(columns, cursor, out),
            (kind, _) => self.put_flat(kind, cursor.value(), out),
        }
    }

    fn put_list(
        &mut self,
        items: &Kind,
        cursor: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        out.push(1);
        let len_at = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut len = 0;
        cursor.at += 1;
        while cursor.goes_on(b']') {
            self.put(items, cursor, out).map_err(|unfit| unfit.in_item(len))?;
            self.check_room(0, out)?;
            len += 1;
        }
        out[len_at..len_at + 4].copy_from_slice(&(len as u32).to_le_bytes());
        Ok(())
    }

    fn put_struct(
        &mut self,
        columns: &[Column],
        cursor: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unfit> {
        out.push(1);
        let (start, first) = (out.len(), self.fields.len());
        let mut guess = 0; // fields come in the order of the columns, nearly always
        cursor.at += 1;
        while cursor.goes_on(b'}') {
            let name = unquoted(cursor.value());
            let is_it = |column: &Column| column.name == name;
            let found = match columns.get(guess).is_some_and(is_it) {
                true => Some(guess),
                false => columns.iter().position(is_it),
            };
            let Some(column) = found else {
                return Err(Unfit::no_column(name.into_owned()));
            };
            cursor.peek();
            cursor.at += 1; // the colon
            let value = out.len();
            self.put(&columns[column].kind, cursor, out).map_err(|unfit| unfit.in_field(&name))?;
            self.fields.push((column, value, out.len()));
            guess = column + 1;
        }
        let fields = &mut self.fields[first..];
        let is_whole = fields.len() == columns.len();
        if !is_whole || !fields.is_sorted() {
            fields.sort_unstable();
            self.ordered.clear();
            let mut rest = fields.iter().peekable();
            for (index, column) in columns.iter().enumerate() {
                match rest.next_if(|(column, ..)| *column == index) {
                    Some((_, from, to)) => self.ordered.extend_from_slice(&out[*from..*to]),
                    None => put_null(&column.kind, &mut self.ordered),
                }
            }
            out.truncate(start);
            out.extend_from_slice(&self.ordered);
        }
        self.fields.truncate(first);
        self.check_room(0, out)
    }

    /// Appends a value that holds no others.
    fn put_flat(&self, kind: &Kind, text: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
        if text == "null" {
            put_null(kind, out);
            return Ok(());
        }
        let is_text = text.starts_with('"');
        let unfit = |takes| Err(Unfit::takes(text, takes));
        out.push(1);
        match kind {
            Kind::Number => match text.parse::<f64>() {
                Ok(number) if !is_text && number.is_finite() => {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                _ => return unfit("numbers of 64 bits"),
            },
            Kind::Integer => match integer(text) {
                Some(number) => out.extend_from_slice(&number.to_le_bytes()),
                None => return unfit("integers of 64 bits"),
            },
            Kind::Boolean => match text {
                "true" | "false" => out.push(u8::from(text == "true")),
                _ => return unfit("true and false"),
            },
            Kind::String if !is_text => return unfit("texts"),
            Kind::String | Kind::Json => {
                let text = if is_text { unquoted(text) } else { text.into() };
                self.check_room(text.len(), out)?;
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Kind::List(_) => return unfit("arrays"),
            Kind::Struct(_) => return unfit("objects"),
        }
        Ok(())
    }

    fn check_room(&self, more: usize, out: &[u8]) -> Result<(), Unfit> {
        match out.len() - self.start + more <= self.row_bytes_max {
            true => Ok(()),
            false => Err(Unfit { path: String::new(), why: Why::Long }),
        }
    }
}

fn put_null(kind: &Kind, out: &mut Vec<u8>) {
    out.push(0);
    if let Kind::Struct(columns) = kind {
        columns.iter().for_each(|column| put_null(&column.kind, out));
    }
}

/// An integer of 64 bits, also where it is written as `3.0` or `1e3`.
fn integer(text: &str) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // doubles up to here are the integers they look like
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let is_decimal = text.contains(['.', 'e', 'E']) && !text.starts_with('"');
    let number = text.parse::<f64>().ok().filter(|_| is_decimal)?;
    (number.fract() == 0.0 && number.abs() < EXACT_MAX).then_some(number as i64)
}

/// What a JSON text says.
fn unquoted(text: &str) -> Cow<'_, str> {
    match text.contains('\\') {
        false => text[1..text.len() - 1].into(),
        true => serde_json::from_str::<String>(text).expect("the scanner has passed it").into(),
    }
}

/// A place in a text that is JSON.
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Cursor<'t> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        let spaces = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += spaces;
        rest.get(spaces).copied()
    }

    /// Whether another item or field follows; if not, the container's `end` is behind us.
    fn goes_on(&mut self, end: u8) -> bool {
        let next = self.peek();
        let is_end = next == Some(end);
        if is_end || next == Some(b',') {
            self.at += 1;
        }
        !is_end && self.peek().is_some()
    }

    /// The next value, which is behind us then.
    fn value(&mut self) -> &'t str {
        let next = self.peek();
        let (start, bytes) = (self.at, self.text.as_bytes());
        match next {
            Some(b'"') => self.pass_string(),
            Some(b'[' | b'{') => {
                let mut depth = 0_usize;
                while let Some(&byte) = bytes.get(self.at) {
                    match byte {
                        b'"' => {
                            self.pass_string();
                            continue;
                        }
                        b'[' | b'{' => depth += 1,
                        b']' | b'}' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                let is_inside =
                    |byte: &&u8| !matches!(byte, b',' | b']' | b'}') && !byte.is_ascii_whitespace();
                self.at += bytes[start..].iter().take_while(is_inside).count();
            }
        }
        &self.text[start..self.at]
    }

    fn pass_string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(found) = memchr2(b'"', b'\\', &bytes[self.at..]) {
            self.at += found + 1;
            match bytes[self.at - 1] {
                b'"' => return,
                _ => self.at += 1, // whatever is escaped
            }
        }
    }
}
