//! What makes a row of each object. Texts stand in it as they are, numbers with their own spelling,
//! null and what is missing as nothing; arrays and objects are JSON text.
//!
//! A field that no column was foreseen for makes its record a reject: nothing is dropped silently.

use crate::batch::Batch;
use crate::columns::{Column, Kind, VALUE};
use crate::json::{Member, Scanner, Shape};
use crate::record::RejectKind;
use crate::step::{Step, StepError, Why, rewrite_each};
use std::sync::Arc;

const QUOTE: u8 = b'"';

/// What rows look like.
pub(super) struct Layout {
    columns: Vec<Column>,
    delimiter: u8,
    null_value: Vec<u8>,
    /// Bytes that make a field stand in quotes.
    special: [bool; 256],
}

impl Layout {
    pub(super) fn new(columns: Vec<Column>, delimiter: u8, null_value: &str) -> Self {
        let mut special = [false; 256];
        for byte in [delimiter, QUOTE, b'\r', b'\n'] {
            special[byte as usize] = true;
        }
        Layout { columns, delimiter, null_value: null_value.as_bytes().to_vec(), special }
    }

    /// The row of the columns' names.
    pub(super) fn header(&self) -> Vec<u8> {
        let mut row = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            self.separate(index, &mut row);
            self.write_text(column.name.as_bytes(), &mut row);
        }
        row.push(b'\n');
        row
    }

    fn separate(&self, index: usize, out: &mut Vec<u8>) {
        if index > 0 {
            out.push(self.delimiter);
        }
    }

    /// A text, in quotes where it would be taken for something else without.
    fn write_text(&self, text: &[u8], out: &mut Vec<u8>) {
        let is_special = |byte: &u8| self.special[*byte as usize];
        if !text.is_empty() && text != self.null_value && !text.iter().any(is_special) {
            return out.extend_from_slice(text);
        }
        out.push(QUOTE);
        for part in text.split_inclusive(|byte| *byte == QUOTE) {
            out.extend_from_slice(part);
            if part.ends_with(&[QUOTE]) {
                out.push(QUOTE);
            }
        }
        out.push(QUOTE);
    }

    fn write_null(&self, out: &mut Vec<u8>) {
        match self.null_value.is_empty() && self.columns.len() == 1 {
            true => out.extend_from_slice(b"\"\""), // a blank line is no row
            false => out.extend_from_slice(&self.null_value),
        }
    }

    /// A value, by its JSON text.
    fn write_value(&self, json: &str, out: &mut Vec<u8>) {
        match json.as_bytes()[0] {
            b'"' if json.contains('\\') => {
                let text: String = serde_json::from_str(json).expect("it was scanned");
                self.write_text(text.as_bytes(), out);
            }
            b'"' => self.write_text(&json.as_bytes()[1..json.len() - 1], out),
            b'n' => self.write_null(out),
            // A number too may hold what stands between fields.
            _ => self.write_text(json.as_bytes(), out),
        }
    }
}

/// Makes rows of objects.
pub(super) struct Encoder {
    name: Arc<str>,
    layout: Arc<Layout>,
    scanner: Scanner,
    /// Of the record: for each column its member.
    found: Vec<Option<Member>>,
}

impl Encoder {
    pub(super) fn new(name: Arc<str>, layout: Arc<Layout>) -> Self {
        Encoder { name, layout, scanner: Scanner::default(), found: Vec::new() }
    }

    fn encode(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), Why> {
        let not_json = |message: String| Why::new(RejectKind::NotWritable, message);
        let record = std::str::from_utf8(record).map_err(|error| not_json(error.to_string()))?;
        let shape = self.scanner.scan(record).map_err(|fault| not_json(fault.to_string()))?;
        let columns = &self.layout.columns;
        if shape != Shape::Object || self.is_whole() {
            let [_] = &columns[..] else {
                let message = "it is no object, and there are several columns";
                return Err(Why::new(RejectKind::NoColumn, message));
            };
            self.layout.write_value(record.trim_ascii(), out);
            return Ok(());
        }
        self.found.clear();
        self.found.resize(columns.len(), None);
        let mut guess = 0; // fields come in the order of the columns, nearly always
        for member in self.scanner.members() {
            let is_it = |column: &Column| member.is_named(&column.name, record);
            let column = match columns.get(guess).is_some_and(is_it) {
                true => guess,
                false => columns.iter().position(is_it).ok_or_else(|| Why {
                    kind: RejectKind::NoColumn,
                    path: member.name(record).into_owned(),
                    message: "there is no column for this field".to_owned(),
                })?,
            };
            self.found[column] = Some(*member);
            guess = column + 1;
        }
        for (index, member) in self.found.iter().enumerate() {
            self.layout.separate(index, out);
            match member {
                Some(member) => self.layout.write_value(member.value.of(record), out),
                None => self.layout.write_null(out),
            }
        }
        Ok(())
    }

    /// Whether the object goes into the only column whole: its fields have none.
    fn is_whole(&self) -> bool {
        let is_open = |kind: &Kind| matches!(kind, Kind::Json) || kind.is_nested();
        matches!(&self.layout.columns[..], [only] if only.name == VALUE && is_open(&only.kind))
    }
}

impl Step for Encoder {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(Encoder::new(self.name.clone(), self.layout.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let more = self.layout.columns.len() * (self.layout.null_value.len() + 3);
        let name = self.name.clone();
        rewrite_each(batch, &name, |batch, record, text| {
            let json = batch.record(record);
            if !text.has_room_for(2 * json.len() + more) {
                let message = "the output of one batch is over 4 GiB long";
                return Err(Why::new(RejectKind::NotWritable, message));
            }
            self.encode(json, text.buffer())
        });
        Ok(())
    }
}
