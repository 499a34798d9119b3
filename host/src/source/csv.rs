//! CSV and TSV, as RFC 4180 has it: rows of fields, a header with the columns' names, quotes around
//! fields that hold delimiters, quotes or line breaks. TSV is CSV with tabs.
//!
//! Where we leave RFC 4180 on purpose: rows may end in `\n` alone (and `\r` alone ends none), blank
//! lines are skipped, a byte-order mark is too, and a row with more or fewer fields than there are
//! columns is a reject and not the end.
//!
//! The reader looks for the ends of rows alone (`rows`); the workers split them, and make of each an
//! object whose values have the types that the model's input schema gives the columns (`decode`,
//! `value`). A record is the row as it stood.

pub(super) mod decode;
pub(super) mod rows;
mod value;

use super::framed::Framed;
use super::{Decoding, Source, SourceError};
use crate::batch::Batch;
use crate::columns::{Column, Kind};
use crate::format::Format;
use crate::record::RecordPosition;
use crate::schema;
use crate::step::Step;
use crate::stop::Stop;
use crate::storage::Input;
use decode::{Decoder, Table};
use rows::Rows;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// How much longer a row is about as JSON, with the names of its columns: a batch is to fit the cache as
/// that, and reads less for it.
const GROWTH: usize = 4;

/// How tables of text are read.
#[derive(Clone, Debug)]
pub struct Options {
    /// What stands between fields: one ASCII character [default: `,`, and a tab in TSV].
    pub delimiter: Option<u8>,
    /// What stands around fields; `None`: nothing ever does [default: `"`].
    pub quote: Option<u8>,
    /// The columns, where no header is to name them [default: the first row names them].
    pub fields: Option<Vec<String>>,
    /// Whether there is a header all the same, which is skipped [default: there is none].
    pub has_header: bool,
    /// A field that is this, or empty, is null or missing [default: one that is empty].
    pub null_value: String,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            delimiter: None,
            quote: Some(b'"'),
            fields: None,
            has_header: false,
            null_value: String::new(),
        }
    }
}

/// What a text means that names what stands between fields.
pub fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "tab" || text == "\\t" => Ok(b'\t'),
        [byte] if !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\r' | b'\n') => {
            Ok(*byte)
        }
        _ => {
            Err("one ASCII character is wanted that is no letter, digit or quote, or `tab`".into())
        }
    }
}

/// What a text means that names what stands around fields, if anything does.
pub fn quote(text: &str) -> Result<Option<u8>, String> {
    match text.as_bytes() {
        b"none" => Ok(None),
        [byte] if byte.is_ascii_punctuation() => Ok(Some(*byte)),
        _ => Err("one ASCII character is wanted that is no letter or digit, or `none`".into()),
    }
}

/// What tells fields and rows apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
}

impl Options {
    /// What stands between fields in this of the two formats.
    pub fn delimiter_of(&self, format: Format) -> u8 {
        self.delimiter.unwrap_or(if format == Format::Tsv { b'\t' } else { b',' })
    }

    pub(super) fn dialect(&self, format: Format) -> Dialect {
        Dialect { delimiter: self.delimiter_of(format), quote: self.quote }
    }
}

/// The reader's name, in rejects and in the lines of a run.
fn name(format: Format) -> &'static str {
    if format == Format::Tsv { "TsvReader" } else { "CsvReader" }
}

/// Reads rows from any input.
pub struct Reader {
    rows: Framed<Rows>,
    table: Arc<Table>,
    columns: Vec<Column>,
}

impl Reader {
    /// Reads the header, where there is one, and goes on where `options` say that it begins. `path`
    /// stands in rejects and messages. `input` is at its beginning.
    pub fn open(
        format: Format,
        path: &str,
        mut input: Box<dyn Input>,
        options: super::Options,
    ) -> io::Result<Self> {
        let (csv, start) = (&options.csv, options.text.start);
        let dialect = csv.dialect(format);
        let range = options.text.range.clone();
        let text = options.text.clone();
        let text = super::framed::Options { start: RecordPosition::default(), ..text };
        if range.is_some() {
            input.expect_end(0); // a header is short
        }
        let mut rows = Framed::new(name(format), Rows::new(dialect), path, input, text);
        let header = match csv.fields.is_none() || csv.has_header {
            true => rows.take_first()?,
            false => None,
        };
        let names = match (&csv.fields, header) {
            (Some(names), _) => checked(names.clone())?,
            (None, Some(header)) => names_of(&header, dialect)?,
            (None, None) => return Err(no_header("there is none: the input is empty")),
        };
        match range {
            Some(range) => rows.enter(range, start)?,
            None if start != RecordPosition::default() => rows.go_to(start)?,
            None => {}
        }
        let columns = columns(&names, &options);
        let table = Arc::new(Table::new(dialect, &names, &options));
        Ok(Reader { rows, table, columns })
    }
}

impl Source for Reader {
    fn name(&self) -> &'static str {
        self.rows.name()
    }

    fn decoder(&self) -> Option<Box<dyn Step>> {
        Some(Box::new(Decoder::new(self.rows.name().into(), self.table.clone())))
    }

    fn columns(&self) -> Option<Vec<Column>> {
        Some(self.columns.clone())
    }

    fn read_batch(
        &mut self,
        batch: &mut Batch,
        bytes_wanted: usize,
        stop: &Stop,
    ) -> Result<(), SourceError> {
        self.rows.read_batch(batch, (bytes_wanted / GROWTH).max(1), stop)
    }
}

/// Of rows that come from elsewhere, without a header.
pub(super) fn decoding(format: Format, options: &super::Options) -> io::Result<Decoding> {
    let Some(names) = options.csv.fields.clone() else {
        return Err(no_header("these rows have none, so that their columns must be named"));
    };
    let names = checked(names)?;
    let table = Table::new(options.csv.dialect(format), &names, options);
    let name = name(format);
    Ok(Decoding {
        name,
        decoder: Some(Box::new(Decoder::new(name.into(), Arc::new(table)))),
        columns: Some(columns(&names, options)),
    })
}

fn columns(names: &[String], options: &super::Options) -> Vec<Column> {
    let known: Vec<_> = schema::fields(&options.input_schema, &options.input_schema).collect();
    let column = |name: &String| {
        let field = known.iter().find(|field| field.name == name);
        let kind = field.map_or(Kind::String, |it| Kind::of(&options.input_schema, it.own));
        Column { name: name.clone(), kind }
    };
    names.iter().map(column).collect()
}

/// The names in a header.
fn names_of(header: &[u8], dialect: Dialect) -> io::Result<Vec<String>> {
    if let Some(byte) = rows::unclosed(dialect, header) {
        return Err(no_header(&format!("the quote at byte {byte} of it is never closed")));
    }
    let names = decode::split(dialect, header).into_iter().map(String::from_utf8);
    checked(names.collect::<Result<_, _>>().map_err(|_| no_header("it is not UTF-8"))?)
}

/// The names of columns, if they can be those of an object's fields.
fn checked(names: Vec<String>) -> io::Result<Vec<String>> {
    match fault_of_names(&names) {
        Some(why) => Err(no_header(&why)),
        None => Ok(names),
    }
}

/// Why columns can't have these names.
pub fn fault_of_names(names: &[String]) -> Option<String> {
    let mut seen = HashSet::new();
    (1..).zip(names).find_map(|(index, name)| match name.is_empty() {
        true => Some(format!("column {index} has no name")),
        false => (!seen.insert(name)).then(|| format!("two columns are named `{name}`")),
    })
}

fn no_header(why: &str) -> io::Error {
    let message = format!(
        "the columns have no names to go by: {why} (--fields names them, and with --header the \
         first row is skipped)"
    );
    io::Error::other(message)
}

#[cfg(test)]
mod tests;
