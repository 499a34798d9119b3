//! What the sinks of tables share: a step that makes of each record a row, and the rows that are
//! gathered into tables.
//!
//! The step does what takes time, and says which records don't fit; a row is what is left to be put
//! behind the others. Tables are cut after so many rows, or bytes of them: where depends on the rows
//! alone, and so does what is written.

use crate::batch::{Batch, Rejection};
use crate::columns::{Column, Kind, VALUE};
use crate::json::{Scanner, Shape};
use crate::record::RejectKind;
use crate::step::{Step, StepError};
use arrow::array::{ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A table is cut once it has so many rows, or so many bytes of them.
pub(super) const ROWS_MAX: usize = 8 * 1024;
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest text: a table's column of texts has offsets of 31 bits, and this is the last that goes
/// into it.
const TEXT_BYTES_MAX: usize = 1 << 30;
/// The most that a value takes in a row, beside its text.
const VALUE_BYTES: usize = 9;
/// How much of a value a message repeats, in characters.
const SHOWN_CHARS: usize = 64;

/// The schema of a table with these columns, of which each may be null.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let fields = columns.iter().map(|column| {
        let data_type = match column.kind {
            Kind::Number => DataType::Float64,
            Kind::Integer => DataType::Int64,
            Kind::Boolean => DataType::Boolean,
            Kind::String | Kind::Json => DataType::Utf8,
        };
        Field::new(&column.name, data_type, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Makes rows of records.
pub(super) struct Encoder {
    name: Arc<str>,
    columns: Arc<[Column]>,
    index: Arc<HashMap<String, usize>>,
    scanner: Scanner,
    /// The text of each column's value.
    values: Vec<Option<(u32, u32)>>,
}

/// Why a record is no row: where in it, and why.
type Unfit = (String, String);

impl Encoder {
    pub(super) fn new(name: &str, columns: &[Column]) -> Self {
        let index = columns.iter().enumerate().map(|(n, column)| (column.name.clone(), n));
        Encoder::with(name.into(), columns.into(), Arc::new(index.collect()))
    }

    fn with(name: Arc<str>, columns: Arc<[Column]>, index: Arc<HashMap<String, usize>>) -> Self {
        Encoder { name, columns, index, scanner: Scanner::default(), values: Vec::new() }
    }

    /// Appends the row.
    fn encode(&mut self, record: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let whole = |message: String| (String::new(), message);
        let shape = self.scanner.scan(record).map_err(|fault| whole(fault.to_string()))?;
        self.values.clear();
        self.values.resize(self.columns.len(), None);
        let members = self.scanner.members();
        let is_value = match &*self.columns {
            // The column of what is written as it is: but some model may well call a field so.
            [only] => {
                let is_field = matches!(members, [one] if one.is_named(VALUE, record));
                only.name == VALUE && !is_field
            }
            _ => false,
        };
        if is_value {
            let text = record.trim_ascii();
            let start = record.len() - record.trim_ascii_start().len();
            self.values[0] = Some((start as u32, (start + text.len()) as u32));
        } else if shape != Shape::Object {
            return Err(whole("it is no object, and a table's row has fields".to_owned()));
        }
        for (n, member) in members.iter().enumerate().filter(|_| !is_value) {
            // Nearly always the fields stand in the order of the columns.
            let is_next =
                self.columns.get(n).is_some_and(|column| member.is_named(&column.name, record));
            let column = match is_next {
                true => Some(n),
                false => self.index.get(&*member.name(record)).copied(),
            };
            let Some(column) = column else {
                let name = member.name(record).into_owned();
                let message = format!("there is no column for the field `{}`", shown(&name));
                return Err((name, message));
            };
            self.values[column] = Some((member.value.start, member.value.end));
        }
        for (column, value) in self.columns.iter().zip(&self.values) {
            let text = value.map(|(start, end)| &record[start as usize..end as usize]);
            match text.filter(|text| *text != "null") {
                None => out.push(0),
                Some(text) => put(column, text, out)?,
            }
        }
        Ok(())
    }
}

/// Appends a value: a one, and what it is.
fn put(column: &Column, text: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
    let is_text = text.starts_with('"');
    let unfit = |takes: &str| {
        let message = format!("`{}` is {}, and its column takes {takes}", column.name, shown(text));
        Err((column.name.clone(), message))
    };
    out.push(1);
    match column.kind {
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
            if text.len() > TEXT_BYTES_MAX {
                return unfit("texts of 1 GiB at most");
            }
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
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

fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

impl Step for Encoder {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(Encoder::with(self.name.clone(), self.columns.clone(), self.index.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let (mut rows, mut rejections) = (batch.new_text(), Vec::new());
        for record in 0..batch.len() {
            let text = batch.record(record);
            let room = text.len() + VALUE_BYTES * self.columns.len();
            let encoded = match std::str::from_utf8(text) {
                _ if !rows.has_room_for(room) => {
                    Err((String::new(), "the output of one batch is over 4 GiB long".to_owned()))
                }
                Ok(text) => self.encode(text, rows.buffer()),
                Err(error) => Err((String::new(), error.to_string())),
            };
            match encoded {
                Ok(()) => rows.complete(record),
                Err((path, message)) => {
                    rows.take_back();
                    let (kind, step) = (RejectKind::NotWritable, self.name.clone());
                    rejections.push(Rejection { record, kind, path, message, step });
                }
            }
        }
        batch.rewrite(rows, &mut rejections);
        Ok(())
    }
}

/// Rows that are gathered into a table.
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Builder>,
    len: usize,
    bytes: usize,
}

/// A column that grows.
enum Builder {
    Number(Float64Builder),
    Integer(Int64Builder),
    Boolean(BooleanBuilder),
    Text(StringBuilder),
}

impl Rows {
    pub(super) fn new(columns: &[Column]) -> Self {
        let builders = columns.iter().map(|column| match column.kind {
            Kind::Number => Builder::Number(Float64Builder::new()),
            Kind::Integer => Builder::Integer(Int64Builder::new()),
            Kind::Boolean => Builder::Boolean(BooleanBuilder::new()),
            Kind::String | Kind::Json => Builder::Text(StringBuilder::new()),
        });
        Rows { schema: schema(columns), columns: builders.collect(), len: 0, bytes: 0 }
    }

    /// Appends a row that the encoder made.
    pub(super) fn push(&mut self, row: &[u8]) {
        self.len += 1;
        self.bytes += row.len();
        let mut rest = row;
        for column in &mut self.columns {
            let is_there = take(&mut rest, 1) == [1];
            match column {
                Builder::Number(it) => {
                    it.append_option(is_there.then(|| f64::from_le_bytes(fixed(&mut rest))));
                }
                Builder::Integer(it) => {
                    it.append_option(is_there.then(|| i64::from_le_bytes(fixed(&mut rest))));
                }
                Builder::Boolean(it) => {
                    it.append_option(is_there.then(|| take(&mut rest, 1) == [1]));
                }
                Builder::Text(it) => {
                    it.append_option(is_there.then(|| {
                        let len = u32::from_le_bytes(fixed(&mut rest)) as usize;
                        std::str::from_utf8(take(&mut rest, len)).expect("it was text")
                    }));
                }
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How long they are together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is time to make a table of them.
    pub(super) fn is_full(&self) -> bool {
        self.len >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    /// A table of them; there are none from then on.
    pub(super) fn cut(&mut self) -> RecordBatch {
        (self.len, self.bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(|column| match column {
            Builder::Number(it) => Arc::new(it.finish()) as ArrayRef,
            Builder::Integer(it) => Arc::new(it.finish()),
            Builder::Boolean(it) => Arc::new(it.finish()),
            Builder::Text(it) => Arc::new(it.finish()),
        });
        RecordBatch::try_new(self.schema.clone(), columns.collect())
            .expect("all columns have a value of each row")
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, behind) = rest.split_at(len);
    *rest = behind;
    taken
}

fn fixed<const LEN: usize>(rest: &mut &[u8]) -> [u8; LEN] {
    take(rest, LEN).try_into().expect("it has this length")
}

#[cfg(test)]
mod tests;
