//! Rows of tables as records: one JSON object a row, with all columns that are read, in their order.
//! A null stands as `null`. What a format has to bring is its tables, one after the other.
//!
//! A row's line is its number, from 1; its byte the place in the JSON text of all rows before it. Both
//! depend on the table and on which columns are read, and on nothing else.
//!
//! The crates that decode tables may panic on damaged files. Here that is an error like any other.

mod guard;
mod times;
mod values;

pub(super) use guard::guarded;

use super::frame::Checkpoints;
use super::{Source, SourceError, ldjson};
use crate::batch::{Batch, Block, Oversized, Rejection};
use crate::columns::{Column, Kind, LEVELS_MAX};
use crate::record::RecordPosition;
use crate::stop::Stop;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use model_abi_layout::Span;
use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use values::{Encoder, Fault, Out};

/// How much of a row over the cap a reject holds.
const HEAD_BYTES: usize = 4096;

/// Tables with the same columns, one after the other.
pub(super) trait Tables: Send {
    /// The columns that are read.
    fn schema(&self) -> SchemaRef;

    /// The next one. `None`: there is none, or it was told to stop.
    fn next(&mut self, stop: &Stop) -> io::Result<Option<RecordBatch>>;
}

/// Reads the rows of tables.
pub(super) struct Reader {
    name: &'static str,
    step: Arc<str>,
    path: Arc<str>,
    options: ldjson::Options,
    tables: Box<dyn Tables>,
    schema: SchemaRef,
    keys: Vec<Vec<u8>>,
    table: Table,
    /// Where the next row is.
    position: RecordPosition,
}

/// The table that is being read.
#[derive(Default)]
struct Table {
    columns: Vec<Encoder>,
    rows: usize,
    /// The next row.
    next: usize,
}

impl Reader {
    /// `tables` are there where `options` say that the first row is.
    pub(super) fn new(
        name: &'static str,
        path: &str,
        tables: Box<dyn Tables>,
        options: ldjson::Options,
    ) -> Self {
        let line_bytes_max = options.line_bytes_max.min(ldjson::LINE_BYTES_MAX);
        let schema = tables.schema();
        Reader {
            name,
            step: name.into(),
            path: path.into(),
            position: options.start,
            options: ldjson::Options { line_bytes_max, ..options },
            tables,
            keys: values::keys(schema.fields().iter().map(|field| &**field.name())),
            schema,
            table: Table::default(),
        }
    }

    /// Leaves the block without a record where there is none, or where it was told to stop. Ends it
    /// with its table: of the next it is not known when it comes.
    fn fill(
        &mut self,
        block: &mut Block,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> io::Result<Vec<Rejection>> {
        while self.table.next == self.table.rows {
            let Some(table) = self.tables.next(stop)? else { return Ok(Vec::new()) };
            let columns = table.columns().iter().map(|column| values::encoder(column)).collect();
            self.table = Table { columns, rows: table.num_rows(), next: 0 };
        }
        block.source = self.path.clone();
        block.start = self.position;
        block.is_one_a_line = true;
        let interval = self.options.checkpoint_bytes.map(|it| it.get());
        let mut checkpoints = interval.map(|it| Checkpoints::new(it, self.position.byte));
        let bytes_wanted = checkpoints.map_or(bytes_wanted, |it| it.bytes_wanted(bytes_wanted));
        let mut rejections = Vec::new();
        let mut out = Out { bytes: std::mem::take(&mut block.bytes), fault: None };
        let mut is_checkpoint = false;
        while self.table.next < self.table.rows && out.bytes.len() < bytes_wanted && !is_checkpoint
        {
            let start = out.bytes.len();
            let fault = self.write_row(&mut out);
            let len = out.bytes.len() - start;
            if len > self.options.line_bytes_max {
                if block.spans.is_empty() {
                    block.oversized = Some(self.oversized(&out.bytes));
                    out.bytes = Vec::new();
                    self.position.byte += len as u64 + 1;
                    self.position.line += 1;
                    self.table.next += 1;
                    is_checkpoint = checkpoints.is_some_and(|mut it| it.pass(len as u64 + 1));
                } else {
                    out.bytes.truncate(start); // it begins the next block
                }
                break;
            }
            let record = block.spans.len();
            if let Some((path, Fault { kind, message })) = fault {
                let step = self.step.clone();
                rejections.push(Rejection { record, kind, path, message, step });
            }
            block.spans.push(Span { start: start as u32, len: len as u32 });
            out.bytes.push(b'\n');
            self.table.next += 1;
            is_checkpoint = checkpoints.as_mut().is_some_and(|it| it.pass(out.bytes.len() as u64));
        }
        block.bytes = out.bytes;
        self.position.byte += block.bytes.len() as u64;
        self.position.line += block.spans.len() as u64;
        block.checkpoint = is_checkpoint.then_some(self.position);
        Ok(rejections)
    }

    /// The next row as JSON. What it returns says why it is none, and the name of the column.
    fn write_row(&self, out: &mut Out) -> Option<(String, Fault)> {
        let mut found = None;
        if self.keys.is_empty() {
            out.bytes.push(b'{');
        }
        for (index, (key, encode)) in self.keys.iter().zip(&self.table.columns).enumerate() {
            out.bytes.extend_from_slice(key);
            encode(self.table.next, out);
            if let Some(fault) = out.fault.take() {
                found.get_or_insert_with(|| (self.schema.field(index).name().clone(), fault));
            }
        }
        out.bytes.push(b'}');
        found
    }

    fn oversized(&self, row: &[u8]) -> Oversized {
        let (length, max) = (row.len(), self.options.line_bytes_max);
        let text = String::from_utf8_lossy(row);
        let head = text[..text.floor_char_boundary(HEAD_BYTES)].as_bytes().to_vec();
        let message = format!("the row is {length} bytes long as JSON, the most is {max}");
        Oversized { length: length as u64, head, step: self.step.clone(), message }
    }
}

impl Source for Reader {
    fn name(&self) -> &'static str {
        self.name
    }

    fn columns(&self) -> Option<Vec<Column>> {
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| Column { name: field.name().clone(), kind: kind(field.data_type()) });
        Some(columns.collect())
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        let mut rejections = Vec::new();
        let filled = batch.refill(|block| {
            let filled = guarded(|| self.fill(block, bytes_wanted, stop));
            filled.map(|found| rejections = found)
        });
        filled.map_err(|source| {
            let (RecordPosition { line, byte }, path) = (self.position, self.path.to_string());
            SourceError { path, line: Some(line), byte, source }
        })?;
        batch.refine(|_| rejections);
        Ok(())
    }
}

/// What a decoder has to say.
pub(super) fn damaged(error: impl Display) -> io::Error {
    io::Error::other(format!("it is damaged, or of a kind that is not known: {error}"))
}

/// Which columns are to be read of a table, by their index: those among `fields`, if that is given.
/// What is not among them may be of any kind.
pub(super) fn wanted(schema: &Schema, fields: Option<&[String]>) -> io::Result<Vec<usize>> {
    let is_wanted = |name: &String| fields.is_none_or(|fields| fields.contains(name));
    let (mut names, mut wanted) = (HashSet::new(), Vec::new());
    for (index, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if !is_wanted(name) {
            continue;
        }
        if !names.insert(name) {
            return Err(io::Error::other(format!("it has two columns `{name}`")));
        }
        if let Some(why) = values::refusal(field.data_type()) {
            let message = format!("its column `{name}` can't be read: {why}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        wanted.push(index);
    }
    Ok(wanted)
}

/// What the JSON of a type is in an output that is a table. A decimal keeps its digits as a text, and
/// a map has no names that are known.
fn kind(of: &DataType) -> Kind {
    kind_inside(of, 0)
}

fn kind_inside(of: &DataType, level: usize) -> Kind {
    let deeper = |of: &Field| kind_inside(of.data_type(), level + 1);
    match of {
        DataType::Boolean => Kind::Boolean,
        of if of.is_integer() => Kind::Integer,
        of if of.is_floating() => Kind::Number,
        DataType::Dictionary(_, values) => kind_inside(values, level),
        DataType::RunEndEncoded(_, values) => kind_inside(values.data_type(), level),
        DataType::Null => Kind::Json,
        of if of.is_decimal() => Kind::Json,
        of if of.is_nested() && level >= LEVELS_MAX => Kind::Json,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => Kind::List(Box::new(deeper(item))),
        DataType::Struct(fields) if !fields.is_empty() => {
            let columns =
                fields.iter().map(|it| Column { name: it.name().clone(), kind: deeper(it) });
            Kind::Struct(columns.collect())
        }
        of if of.is_nested() => Kind::Json,
        _ => Kind::String,
    }
}

#[cfg(test)]
mod tests;
