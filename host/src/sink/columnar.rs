//! What the sinks of tables share: a step that makes of each record a row, and the rows that are
//! gathered into tables.
//!
//! The step does what takes time, and says which records don't fit; a row is what is left to be put
//! behind the others. Tables are cut after so many rows, or bytes of them: where depends on the rows
//! alone, and so does what is written.

mod build;
mod encode;

use crate::batch::Batch;
use crate::columns::{Column, VALUE};
use crate::json::{Scanner, Shape};
use crate::step::{Step, StepError, Why, rewrite_each};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use build::Builder;
use encode::{ROW_BYTES_MAX, Unfit, Values};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// A table is cut once it has so many rows, or so many bytes of them.
pub(super) const ROWS_MAX: usize = 8 * 1024;
pub(super) const BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most that a value takes in a row, beside its text.
const VALUE_BYTES: usize = 9;
/// The most by which a row may be over [`ROW_BYTES_MAX`] before that is seen: a struct of nulls.
const ROW_BYTES_OVER: usize = 1024 * 1024;
/// How much of a value a message repeats, in characters.
const SHOWN_CHARS: usize = 64;

/// The schema of a table with these columns, of which each may be null.
pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(build::fields(columns)))
}

/// Makes rows of records.
pub(super) struct Encoder {
    name: Arc<str>,
    columns: Arc<[Column]>,
    index: Arc<HashMap<String, usize>>,
    scanner: Scanner,
    /// The text of each column's value.
    found: Vec<Option<(u32, u32)>>,
    values: Values,
}

impl Encoder {
    pub(super) fn new(name: &str, columns: &[Column]) -> Self {
        let index = columns.iter().enumerate().map(|(n, column)| (column.name.clone(), n));
        Encoder::with(name.into(), columns.into(), Arc::new(index.collect()))
    }

    fn with(name: Arc<str>, columns: Arc<[Column]>, index: Arc<HashMap<String, usize>>) -> Self {
        let (scanner, values) = (Scanner::default(), Values::new(ROW_BYTES_MAX));
        Encoder { name, columns, index, scanner, found: Vec::new(), values }
    }

    /// Appends the row.
    fn encode(&mut self, record: &str, out: &mut Vec<u8>) -> Result<(), Unfit> {
        let shape = self.scanner.scan(record).map_err(|fault| Unfit::record(fault.to_string()))?;
        self.found.clear();
        self.found.resize(self.columns.len(), None);
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
            self.found[0] = Some((start as u32, (start + text.len()) as u32));
        } else if shape != Shape::Object {
            let message = "it is no object, and a table's row has fields";
            return Err(Unfit::record(message.to_owned()));
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
                return Err(Unfit::no_column(member.name(record).into_owned()));
            };
            self.found[column] = Some((member.value.start, member.value.end));
        }
        self.values.begin(out);
        for (column, value) in self.columns.iter().zip(&self.found) {
            let text = value.map(|(start, end)| &record[start as usize..end as usize]);
            self.values.put_column(column, text, out)?;
        }
        Ok(())
    }

    /// The most that a record's row may take.
    fn room(&self, record: &[u8]) -> usize {
        match self.columns.iter().any(|column| column.kind.is_nested()) {
            true => ROW_BYTES_MAX + ROW_BYTES_OVER,
            false => record.len() + VALUE_BYTES * self.columns.len(),
        }
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
        let name = self.name.clone();
        rewrite_each(batch, &name, |batch, record, rows| {
            let text = batch.record(record);
            let encoded = match std::str::from_utf8(text) {
                _ if !rows.has_room_for(self.room(text)) => {
                    Err(Unfit::record("the output of one batch is over 4 GiB long".to_owned()))
                }
                Ok(text) => self.encode(text, rows.buffer()),
                Err(error) => Err(Unfit::record(error.to_string())),
            };
            encoded.map_err(|unfit| Why {
                kind: unfit.kind(),
                message: unfit.message(),
                path: unfit.path,
            })
        });
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

impl Rows {
    pub(super) fn new(columns: &[Column]) -> Self {
        let builders = columns.iter().map(|column| Builder::new(&column.kind)).collect();
        Rows { schema: schema(columns), columns: builders, len: 0, bytes: 0 }
    }

    /// Appends a row that the encoder made.
    pub(super) fn push(&mut self, row: &[u8]) {
        self.len += 1;
        self.bytes += row.len();
        let mut rest = row;
        self.columns.iter_mut().for_each(|column| column.push(&mut rest));
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
        let columns = self.columns.iter_mut().map(Builder::finish);
        RecordBatch::try_new(self.schema.clone(), columns.collect())
            .expect("all columns have a value of each row")
    }
}

#[cfg(test)]
mod tests;
