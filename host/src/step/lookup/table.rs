//! A small table, read whole into memory before the first record is: of each row only what is to go into
//! a record, as text, ready to be spliced, and found by its key.
//!
//! All of it is sound, or there is no table: a row that can't be read, or has no key, is an error with
//! its place. A table that was read in part would be wrong of the records that miss the rest.

use super::key;
use crate::batch::Batch;
use crate::causes::chain;
use crate::json::{Member, Scanner, Shape};
use crate::record::RecordPosition;
use crate::source::Source;
use crate::spec::LookupSpec;
use crate::step::Step;
use crate::stop::Stop;
use crate::storage::names;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Bound on what a table holds.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// What a key takes in memory besides its own text, about.
const KEY_BYTES: usize = 96;
/// How much is read at once.
const BATCH_BYTES: usize = 256 * 1024;

const MEND_ROW: &str = "mend this row, or leave it out: a table is whole, or it is not used at all";
const TOO_LARGE: &str = "a table is held in memory: name the `columns` that are wanted of it, or have a database join the two";

/// Rows by their keys.
#[derive(Debug, Default)]
pub struct Table {
    /// Objects whose members go into records, one behind the other.
    text: String,
    rows: HashMap<Box<str>, Rows>,
    /// What goes into a record that has no row.
    none: String,
    /// What it holds, about.
    bytes: usize,
}

/// The rows with one key.
#[derive(Clone, Copy, Debug)]
struct Rows {
    count: u32,
    /// Where in the text the first of them is. Nobody asks for the others.
    start: u32,
    len: u32,
}

/// Why a table can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct TableError {
    /// What is wrong, and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl TableError {
    fn new(message: impl Into<String>) -> Self {
        TableError { message: message.into(), hint: None }
    }

    fn at((source, position): (&str, RecordPosition), why: &str, hint: &str) -> Self {
        let RecordPosition { line, byte } = position;
        let message = format!("{source}: line {line}, byte {byte}: {why}");
        TableError { message, hint: Some(hint.to_owned()) }
    }
}

impl Table {
    /// Reads all rows. To be told to stop meanwhile is an error, too.
    pub fn read(
        source: Box<dyn Source>,
        spec: &LookupSpec,
        stop: &Stop,
    ) -> Result<Self, TableError> {
        Table::read_up_to(BYTES_MAX, source, spec, stop)
    }

    pub(super) fn read_up_to(
        bytes_max: usize,
        mut source: Box<dyn Source>,
        spec: &LookupSpec,
        stop: &Stop,
    ) -> Result<Self, TableError> {
        let mut builder = Builder::new(spec, &*source)?;
        let (mut batch, mut decoder) = (Batch::default(), source.decoder());
        let mut name = Arc::from("the table");
        loop {
            let read = source.read_batch(&mut batch, BATCH_BYTES, stop);
            read.map_err(|error| TableError::new(chain(&error)))?;
            if stop.is_set() {
                return Err(TableError::new("interrupted"));
            }
            if batch.read() == 0 {
                return builder.complete(&name);
            }
            decode(&mut batch, source.name(), decoder.as_deref_mut())?;
            for (row, (source, position)) in batch.places().enumerate() {
                let text = std::str::from_utf8(batch.record(row)).expect("that was checked");
                let place = (&**source, position);
                builder.add(text).map_err(|why| TableError::at(place, &why, MEND_ROW))?;
                if builder.table.bytes > bytes_max {
                    let (so_far, most) =
                        ("up to this row the table takes more than", bytes_max >> 20);
                    let why = format!("{so_far} {most} MiB of memory, which is the bound");
                    return Err(TableError::at(place, &why, TOO_LARGE));
                }
                if *source != name {
                    name = source.clone();
                }
            }
        }
    }

    /// How many rows have this key, and what goes into a record of the first of them.
    pub(super) fn find(&self, key: &str) -> Option<(u32, &str)> {
        let Rows { count, start, len } = *self.rows.get(key)?;
        Some((count, &self.text[start as usize..][..len as usize]))
    }

    /// What goes into a record that has no row.
    pub(super) fn none(&self) -> &str {
        &self.none
    }
}

/// Makes JSON of what was read. A row that none can be made of is an error.
fn decode(
    batch: &mut Batch,
    reader: &str,
    decoder: Option<&mut (dyn Step + 'static)>,
) -> Result<(), TableError> {
    batch.reject_invalid_utf8(reader);
    if let Some(decoder) = decoder {
        decoder.apply(batch).map_err(|error| TableError::new(chain(&error)))?;
    }
    match batch.rejects().first() {
        Some(reject) => {
            Err(TableError { message: reject.to_string(), hint: Some(MEND_ROW.to_owned()) })
        }
        None => Ok(()),
    }
}

/// Makes a table of rows.
struct Builder<'a> {
    spec: &'a LookupSpec,
    /// The field that a row becomes, its name as JSON.
    into: Option<String>,
    /// The columns that are wanted, each as it is written where a row has none; none: all.
    wanted: Vec<(&'a str, String)>,
    /// All columns that there are, in the order in which they came.
    known: Vec<String>,
    are_known: HashSet<String>,
    scanner: Scanner,
    table: Table,
}

impl<'a> Builder<'a> {
    fn new(spec: &'a LookupSpec, source: &dyn Source) -> Result<Self, TableError> {
        let columns = source.columns().unwrap_or_default().into_iter();
        let known: Vec<String> = columns.map(|column| column.name).collect();
        for (at, name) in spec.columns.iter().enumerate() {
            if spec.columns[..at].contains(name) {
                return Err(TableError::new(format!("the column `{name}` is wanted twice")));
            }
        }
        Ok(Builder {
            spec,
            into: spec.into.as_deref().map(json),
            wanted: spec.columns.iter().map(|name| (name.as_str(), null(name))).collect(),
            are_known: known.iter().cloned().collect(),
            known,
            scanner: Scanner::inside(usize::from(spec.into.is_some())),
            table: Table::default(),
        })
    }

    /// Adds a row. An error says what is wrong with it.
    fn add(&mut self, row: &str) -> Result<(), String> {
        let shape = self.scanner.scan(row).map_err(|fault| fault.to_string())?;
        if shape != Shape::Object {
            return Err("the row is not an object".to_owned());
        }
        self.learn_columns(row);
        let column = &self.spec.key;
        let members = self.scanner.members();
        let Some(member) = find(members, column, row) else {
            let names: Vec<_> = members.iter().map(|it| it.name(row).into_owned()).collect();
            return Err(format!("the row has no `{column}`{}", names::nearest(column, &names)));
        };
        let key = key::key(member.value.of(row));
        let key = key.map_err(|it| format!("`{column}` is {}, which is no key", it.name()))?;
        let Some(rows) = self.table.rows.get_mut(&*key) else {
            // Both fit: there is a bound on all of it.
            let start = self.table.text.len() as u32;
            self.write(row);
            let len = self.table.text.len() as u32 - start;
            self.table.bytes += len as usize + key.len() + KEY_BYTES;
            self.table.rows.insert(key.into(), Rows { count: 1, start, len });
            return Ok(());
        };
        rows.count = rows.count.saturating_add(1);
        Ok(())
    }

    fn learn_columns(&mut self, row: &str) {
        for (at, member) in self.scanner.members().iter().enumerate() {
            // Nearly always they are those of the row before.
            if self.known.get(at).is_some_and(|name| member.is_named(name, row)) {
                continue;
            }
            let name = member.name(row);
            if !self.are_known.contains(&*name) {
                self.are_known.insert(name.to_string());
                self.known.push(name.into_owned());
            }
        }
    }

    /// Appends what of the row that was scanned last goes into records.
    fn write(&mut self, row: &str) {
        let members = self.scanner.members();
        let parts: Vec<&str> = if self.wanted.is_empty() {
            let is_wanted =
                |member: &&Member| self.into.is_some() || !member.is_named(&self.spec.key, row);
            members.iter().filter(is_wanted).map(|member| member.whole(row)).collect()
        } else {
            let wanted = self.wanted.iter();
            let found = wanted.map(|(name, null)| (find(members, name, row), null));
            found.map(|(member, null)| member.map_or(&**null, |it| it.whole(row))).collect()
        };
        let row = format!("{{{}}}", parts.join(","));
        let text = match &self.into {
            Some(into) => format!("{{{into}:{row}}}"),
            None => row,
        };
        self.table.text.push_str(&text);
    }

    /// All rows are in it.
    fn complete(mut self, name: &str) -> Result<Table, TableError> {
        let (key, into) = (&self.spec.key, &self.into);
        let asked_for = self.wanted.iter().map(|(name, _)| *name).chain([key.as_str()]);
        // Of a table without rows nothing may be known.
        if !self.known.is_empty()
            && let Some(why) = names::missing(asked_for, &self.known)
        {
            return Err(TableError::new(format!("{name}: {why}")));
        }
        let nulls: Vec<String> = match &self.wanted[..] {
            [] => self.known.iter().filter(|name| *name != key).map(|name| null(name)).collect(),
            some => some.iter().map(|(_, null)| null.clone()).collect(),
        };
        self.table.none = match into {
            Some(into) => format!("{{{into}:null}}"),
            None => format!("{{{}}}", nulls.join(",")),
        };
        Ok(self.table)
    }
}

fn find<'m>(members: &'m [Member], name: &str, text: &str) -> Option<&'m Member> {
    members.iter().find(|member| member.is_named(name, text))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A column that a row does not have.
fn null(name: &str) -> String {
    json(name) + ":null"
}
