//! What makes an object of each row. Its fields stand in the order of the columns; columns that
//! nobody reads are left out.

use super::value::Type;
use super::{Dialect, rows};
use crate::batch::Batch;
use crate::json::Scanner;
use crate::record::{RecordPosition, RejectKind};
use crate::schema;
use crate::step::{self, Step, StepError, rewrite_each};
use csv_core::{ReadFieldResult, ReaderBuilder, Terminator};
use memchr::{memchr, memchr_iter};
use std::sync::Arc;

/// A byte takes up to six where JSON escapes it.
const JSON_BYTES_FOR_A_BYTE: usize = 6;

/// What is known of a table before its first row.
pub(in crate::source) struct Table {
    dialect: Dialect,
    null_value: Vec<u8>,
    columns: Vec<ColumnType>,
    /// How long the names of all columns are, as they are written.
    keys_bytes: usize,
}

/// How one column's fields are written.
struct ColumnType {
    name: String,
    /// `,"name":`
    key: Vec<u8>,
    /// Whether anybody reads it.
    is_read: bool,
    of: Type,
}

impl Table {
    pub(super) fn new(dialect: Dialect, names: &[String], options: &super::super::Options) -> Self {
        let schema = &options.input_schema;
        let known: Vec<_> = schema::fields(schema, schema).collect();
        let column = |name: &String| {
            let field = known.iter().find(|field| field.name == name);
            let quoted = serde_json::to_string(name).expect("a text is JSON");
            ColumnType {
                name: name.clone(),
                key: format!(",{quoted}:").into_bytes(),
                is_read: options.fields.as_ref().is_none_or(|fields| fields.contains(name)),
                of: field.map_or_else(Type::text, |field| Type::of(schema, field.schema)),
            }
        };
        let columns: Vec<_> = names.iter().map(column).collect();
        Table {
            dialect,
            null_value: options.csv.null_value.clone().into_bytes(),
            keys_bytes: columns.iter().map(|column| column.key.len()).sum(),
            columns,
        }
    }
}

/// Why a row can't go on.
pub(super) enum Why {
    /// It has so many fields.
    Ragged(usize),
    /// The quote at this byte of it is never closed.
    Unclosed(usize),
    /// A field does not fit its column: which, and why.
    Field(usize, String),
}

/// Makes objects of rows.
pub(super) struct Decoder {
    name: Arc<str>,
    table: Arc<Table>,
    fields: Fields,
    scanner: Scanner,
}

impl Decoder {
    pub(super) fn new(name: Arc<str>, table: Arc<Table>) -> Self {
        let fields = Fields::new(table.dialect);
        Decoder { name, table, fields, scanner: Scanner::inside(1) }
    }

    /// Appends the object of a row. `has_quote`: a quote stands in it, wherever.
    fn decode(&mut self, row: &[u8], has_quote: bool, out: &mut Vec<u8>) -> Result<(), Why> {
        let start = out.len();
        let (table, scanner) = (&*self.table, &mut self.scanner);
        let mut columns = table.columns.iter().enumerate();
        let mut count = 0;
        let mut write = |field: &[u8], is_quoted: bool| {
            count += 1;
            let Some((index, column)) = columns.next().filter(|(_, column)| column.is_read) else {
                return Ok(());
            };
            let is_null = match field {
                [] => true,
                field => !table.null_value.is_empty() && field == table.null_value,
            };
            let before = out.len();
            out.extend_from_slice(&column.key);
            match column.of.write(field, is_quoted, is_null, scanner, out) {
                Ok(true) => {}
                Ok(false) => out.truncate(before),
                Err(why) => return Err(Why::Field(index, why)),
            }
            Ok(())
        };
        match has_quote {
            true => self.fields.split(row, write)?,
            false => row
                .split(|byte| *byte == table.dialect.delimiter)
                .try_for_each(|field| write(field, false))?,
        }
        if count != table.columns.len() {
            return Err(Why::Ragged(count));
        }
        match out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
        Ok(())
    }

    fn why(&self, batch: &Batch, record: usize, why: Why) -> step::Why {
        let row = batch.record(record);
        let (kind, path, message) = match why {
            Why::Ragged(count) => {
                let columns = self.table.columns.len();
                let (fields, columns) = (told(count, "field"), told(columns, "column"));
                let message = format!("the row has {fields}, and the table has {columns}");
                (RejectKind::InvalidCsv, "", message)
            }
            Why::Unclosed(opened) => {
                let RecordPosition { line, byte } = batch.position(record);
                let line = line + memchr_iter(b'\n', &row[..opened]).count() as u64;
                let place = RecordPosition { line, byte: byte + opened as u64 };
                let place = batch.lines_of(record).place(place);
                let message = format!("the quote that opens at {place} is never closed");
                (RejectKind::InvalidCsv, "", message)
            }
            Why::Field(index, why) => (RejectKind::Schema, &*self.table.columns[index].name, why),
        };
        step::Why { path: path.to_owned(), ..step::Why::new(kind, message) }
    }
}

fn told(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl Step for Decoder {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(Decoder::new(self.name.clone(), self.table.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let quote = self.table.dialect.quote;
        let has_quote = |text: &[u8]| quote.is_some_and(|quote| memchr(quote, text).is_some());
        let any_quote = has_quote(batch.bytes()); // in most batches there is none
        let name = self.name.clone();
        rewrite_each(batch, &name, |batch, record, text| {
            let row = batch.record(record);
            if !text.has_room_for(row.len() * JSON_BYTES_FOR_A_BYTE + self.table.keys_bytes + 2) {
                let message = "the rows of one batch are over 4 GiB long as JSON";
                return Err(step::Why::new(RejectKind::LineTooLong, message));
            }
            let decoded = self.decode(row, any_quote && has_quote(row), text.buffer());
            decoded.map_err(|why| self.why(batch, record, why))
        });
        Ok(())
    }
}

/// The fields of one row that is whole.
pub(super) fn split(dialect: Dialect, row: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Vec::new();
    // What is not closed ends with the row.
    let _ = Fields::new(dialect).split(row, |field, _| {
        fields.push(field.to_vec());
        Ok(())
    });
    fields
}

/// Splits rows in which there are quotes.
struct Fields {
    dialect: Dialect,
    core: csv_core::Reader,
    /// The row, with the line feed that ends it.
    row: Vec<u8>,
    /// A field without its quotes.
    field: Vec<u8>,
}

impl Fields {
    fn new(dialect: Dialect) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(dialect.delimiter).terminator(Terminator::Any(b'\n'));
        match dialect.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let mut core = builder.build();
        // It skips a byte-order mark in the first bytes that it is shown: those are not to be a row's.
        let _ = core.read_field(b"\n", &mut [0]);
        Fields { dialect, core, row: Vec::new(), field: Vec::new() }
    }

    /// Gives each field, and whether quotes stood around it.
    fn split(
        &mut self,
        row: &[u8],
        mut give: impl FnMut(&[u8], bool) -> Result<(), Why>,
    ) -> Result<(), Why> {
        if let Some(opened) = rows::unclosed(self.dialect, row) {
            return Err(Why::Unclosed(opened));
        }
        self.row.clear();
        self.row.extend_from_slice(row);
        self.row.push(b'\n');
        self.field.resize(self.row.len(), 0); // it is never longer than what it is made from
        let (mut rest, mut given) = (&self.row[..], Ok(()));
        while !rest.is_empty() {
            let is_quoted = self.dialect.quote.is_some_and(|quote| rest[0] == quote);
            let (result, read, written) = self.core.read_field(rest, &mut self.field);
            rest = &rest[read..];
            if let ReadFieldResult::Field { .. } = result
                && given.is_ok()
            {
                // Read to the end all the same: the next row must find it as at a beginning.
                given = give(&self.field[..written], is_quoted);
            }
        }
        given
    }
}
