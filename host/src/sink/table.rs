//! A table of a database. A run is one transaction: the table is as it was, or has every record that
//! the database takes.
//!
//! A row that the database refuses must cost its neighbours nothing, and a database refuses a whole
//! statement. So a statement that fails is tried again in two halves, down to the row that is to
//! blame. The first half comes before the second, so that the outcome is as if each row had been a
//! statement of its own, whatever the batches were.

use super::publish::Output;
use super::{Sink, postgres, sqlite};
use crate::batch::{Batch, Rejection};
use crate::columns::{Column, VALUE};
use crate::json::{Scanner, Shape};
use crate::record::RejectKind;
use crate::step::{Step, StepError};
use crate::storage::Pending;
use crate::storage::database::Database;
use crate::storage::names::TableName;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How records are written to a table.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which one.
    pub table: TableName,
    /// The columns that are written; others take their defaults.
    pub columns: Vec<Column>,
    /// Whether the table is to be made.
    pub creates: bool,
    /// The columns by which a row that is there already is known, which is then written over. None:
    /// such a row is not looked for.
    pub upsert: Vec<String>,
}

/// A table in a transaction. Dropped before it is committed, it is as it was.
pub(super) trait Table: Send {
    /// How many records one statement may take.
    fn rows_at_once(&self) -> usize;

    /// Inserts records, all of them or none. Why none: one of them is refused.
    fn insert(&mut self, records: &[&str]) -> io::Result<Option<Refusal>>;

    /// Makes sure that the transaction can be committed.
    fn prepare(&mut self) -> io::Result<()>;

    /// Makes all rows visible.
    fn commit(&mut self) -> io::Result<()>;
}

/// Why a database refuses a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The column, where it says so.
    pub(super) column: String,
    /// Its own words.
    pub(super) words: String,
}

/// Writes records to a table.
pub struct Writer {
    name: Arc<str>,
    label: &'static str,
    output: Output,
    columns: Arc<[Column]>,
    table: Shared,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Box<dyn Table>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Box<dyn Table>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Begins a transaction. Whatever can be seen to be wrong is told now.
    pub fn open(database: &Database, name: String, options: Options) -> io::Result<Self> {
        let (table, label): (Box<dyn Table>, _) = match database {
            Database::Postgres(address) => {
                (Box::new(postgres::Rows::open(address, &options)?), "PostgresWriter")
            }
            Database::Sqlite(path) => {
                (Box::new(sqlite::Rows::open(path, &options)?), "SqliteWriter")
            }
        };
        let table = Shared(Arc::new(Mutex::new(table)));
        let output = Output::pending(name, Box::new(table.clone()));
        let columns = options.columns.into();
        Ok(Writer { name: label.into(), label, output, columns, table })
    }
}

impl Sink for Writer {
    fn name(&self) -> &'static str {
        self.label
    }

    fn encoder(&self) -> Option<Box<dyn Step>> {
        Some(Box::new(Fit::new(self.name.clone(), self.columns.clone())))
    }

    fn accept(&mut self, batch: &mut Batch) -> io::Result<()> {
        let texts = (0..batch.len()).map(|index| std::str::from_utf8(batch.record(index)));
        let texts: Vec<&str> = texts.collect::<Result<_, _>>().map_err(io::Error::other)?;
        let mut table = self.table.lock();
        let mut rejections = Vec::new();
        let mut refuse = |record: usize, Refusal { column: path, words: message }: Refusal| {
            let (kind, step) = (RejectKind::Refused, self.name.clone());
            rejections.push(Rejection { record, kind, path, message, step });
        };
        let rows_at_once = table.rows_at_once();
        insert(&texts, rows_at_once, &mut |texts| table.insert(texts), &mut refuse)?;
        batch.remove(&mut rejections);
        Ok(())
    }

    /// They are in the transaction already.
    fn write(&mut self, _: &Batch) -> io::Result<()> {
        Ok(())
    }

    fn output(&self) -> &Output {
        &self.output
    }

    fn output_mut(&mut self) -> &mut Output {
        &mut self.output
    }

    fn finish(self: Box<Self>) -> Output {
        self.output
    }
}

impl Pending for Shared {
    fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into()) // a table takes records
    }

    fn prepare(&mut self) -> io::Result<()> {
        self.lock().prepare()
    }

    fn commit(&mut self) -> io::Result<Option<String>> {
        self.lock().commit().map(|()| None)
    }

    /// Rows that earlier runs wrote stay.
    fn remove(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A statement takes so many bytes of records at most, but for a record that alone is longer: a
/// database has limits of its own.
const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Inserts all that can be, in order, and tells which records can't.
fn insert(
    texts: &[&str],
    rows_at_once: usize,
    try_insert: &mut impl FnMut(&[&str]) -> io::Result<Option<Refusal>>,
    refuse: &mut impl FnMut(usize, Refusal),
) -> io::Result<()> {
    let mut waiting: Vec<Range<usize>> = Vec::new();
    let mut start = 0;
    loop {
        let range = match waiting.pop() {
            Some(range) => range,
            None if start == texts.len() => return Ok(()),
            None => {
                let first = start;
                start = end_of_statement(texts, first, rows_at_once);
                first..start
            }
        };
        let Some(refusal) = try_insert(&texts[range.clone()])? else { continue };
        if range.len() == 1 {
            refuse(range.start, refusal);
        } else {
            let middle = range.start + range.len() / 2;
            waiting.push(middle..range.end);
            waiting.push(range.start..middle);
        }
    }
}

fn end_of_statement(texts: &[&str], first: usize, rows_at_once: usize) -> usize {
    let mut bytes = 0;
    let fits = |text: &&&str| {
        bytes += text.len();
        bytes <= STATEMENT_BYTES_MAX
    };
    let fitting = texts[first..].iter().take(rows_at_once).take_while(fits).count();
    first + fitting.max(1)
}

/// Rejects records with a field that no column was foreseen for, and makes objects of values that
/// are none.
struct Fit {
    name: Arc<str>,
    columns: Arc<[Column]>,
    /// Whether values that are no objects have a column of their own.
    is_value: bool,
    scanner: Scanner,
}

impl Fit {
    fn new(name: Arc<str>, columns: Arc<[Column]>) -> Self {
        let is_value = matches!(&columns[..], [column] if column.name == VALUE);
        Fit { name, columns, is_value, scanner: Scanner::default() }
    }

    /// Whether it is an object already.
    fn fit(&mut self, record: &str) -> Result<bool, (RejectKind, String, String)> {
        let reject = |kind, path: &str, message| Err((kind, path.to_owned(), message));
        let shape = match self.scanner.scan(record) {
            Ok(shape) => shape,
            Err(fault) => {
                return reject(RejectKind::NotWritable, "", format!("it is not JSON: {fault}"));
            }
        };
        let is_column = |name: &str| self.columns.iter().any(|column| column.name == name);
        if shape != Shape::Object {
            let message = "it is not an object, so it has no columns".to_owned();
            return if self.is_value {
                Ok(false)
            } else {
                reject(RejectKind::NoColumn, "", message)
            };
        }
        for member in self.scanner.members() {
            let name = member.name(record);
            if !is_column(&name) {
                if self.is_value {
                    return Ok(false);
                }
                let message = "the output has no column for this field".to_owned();
                return reject(RejectKind::NoColumn, &name, message);
            }
        }
        Ok(true)
    }
}

impl Step for Fit {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(Fit::new(self.name.clone(), self.columns.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let mut text = batch.new_text();
        let mut rejections = Vec::new();
        for record in 0..batch.len() {
            let bytes = batch.record(record);
            let json = std::str::from_utf8(bytes).unwrap_or_default(); // not JSON then
            let fitted = self.fit(json);
            match fitted {
                Ok(is_object) if self.is_value => {
                    let out = text.buffer();
                    if is_object {
                        out.extend_from_slice(bytes);
                    } else {
                        out.extend_from_slice(format!("{{\"{VALUE}\":").as_bytes());
                        out.extend_from_slice(bytes);
                        out.push(b'}');
                    }
                    text.complete(record);
                }
                Ok(_) => {}
                Err((kind, path, message)) => {
                    let step = self.name.clone();
                    rejections.push(Rejection { record, kind, path, message, step });
                }
            }
        }
        match self.is_value {
            true => batch.rewrite(text, &mut rejections),
            false => batch.remove(&mut rejections),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Block;
    use crate::columns::Kind;
    use model_abi_layout::Span;
    use std::collections::BTreeSet;

    /// Inserts into a table that takes each number once, and no negative one. Tells the table, who was
    /// refused, and how many statements it took.
    fn inserted(numbers: &[i64], rows_at_once: usize) -> (Vec<i64>, Vec<usize>, usize) {
        let texts: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (mut table, mut refused, mut statements) = (Vec::new(), Vec::new(), 0);
        let mut try_insert = |texts: &[&str]| {
            statements += 1;
            let mut after = table.clone();
            let mut seen: BTreeSet<i64> = table.iter().copied().collect();
            for text in texts {
                let number = text.parse().unwrap();
                if number < 0 || !seen.insert(number) {
                    return Ok(Some(Refusal { column: String::new(), words: text.to_string() }));
                }
                after.push(number);
            }
            table = after;
            Ok(None)
        };
        let mut refuse = |record: usize, refusal: Refusal| {
            assert_eq!(refusal.words, texts[record]);
            refused.push(record);
        };
        insert(&texts, rows_at_once, &mut try_insert, &mut refuse).unwrap();
        (table, refused, statements)
    }

    #[test]
    fn rows_that_are_refused_cost_their_neighbours_nothing() {
        let n = 1000;
        for bad in [vec![], vec![0], vec![999], vec![500, 501], vec![3, 77, 400, 401, 998]] {
            let mut numbers: Vec<i64> = (0..n).collect();
            bad.iter().for_each(|&record: &usize| numbers[record] = -1 - record as i64);
            let (table, refused, statements) = inserted(&numbers, usize::MAX);
            assert_eq!(refused, bad);
            assert_eq!(table, numbers.iter().copied().filter(|it| *it >= 0).collect::<Vec<_>>());
            let most = 1 + 2 * bad.len() * 10; // 2 k log2(n)
            assert!(statements <= most, "{statements} for {bad:?}");
        }
    }

    #[test]
    fn it_is_as_if_each_row_were_a_statement_of_its_own() {
        let numbers = [1, 2, 1, 3, 2, 2, -1, 4, 1];
        let (table, refused, _) = inserted(&numbers, 1);
        assert_eq!((&table[..], &refused[..]), (&[1, 2, 3, 4][..], &[2, 4, 5, 6, 8][..]));
        for rows_at_once in 2..10 {
            let (other, also, _) = inserted(&numbers, rows_at_once);
            assert_eq!((other, also), (table.clone(), refused.clone()), "{rows_at_once}");
        }
        assert_eq!(inserted(&[], 5).2, 0);
    }

    #[test]
    fn a_statement_takes_so_many_bytes_at_most() {
        let long = "x".repeat(STATEMENT_BYTES_MAX - 1);
        assert_eq!(end_of_statement(&["a", "b"], 0, usize::MAX), 2);
        assert_eq!(end_of_statement(&["a", &long, "c"], 0, usize::MAX), 2);
        assert_eq!(end_of_statement(&["ab", &long, "c"], 0, usize::MAX), 1);
        assert_eq!(end_of_statement(&[&format!("{long}xx"), "c"], 0, usize::MAX), 1);
    }

    /// The records as they go on, and the rejects as `KIND PATH`.
    fn fitted(names: &[&str], records: &[&str]) -> (String, Vec<String>) {
        let columns = names.iter().map(|name| Column { name: name.to_string(), kind: Kind::Json });
        let mut batch = Batch::default();
        let filled = batch.refill(|block: &mut Block| {
            for record in records {
                let (start, len) = (block.bytes.len() as u32, record.len() as u32);
                block.bytes.extend_from_slice(record.as_bytes());
                block.bytes.push(b'\n');
                block.spans.push(Span { start, len });
            }
            Ok::<(), ()>(())
        });
        filled.unwrap();
        Fit::new("sink".into(), columns.collect()).apply(&mut batch).unwrap();
        let rejects = batch.rejects();
        let rejects = rejects.iter().map(|it| format!("{} {}", it.kind.name(), it.path)).collect();
        (String::from_utf8(batch.lines(&mut Vec::new()).to_vec()).unwrap(), rejects)
    }

    #[test]
    fn a_field_without_a_column_makes_its_record_a_reject() {
        let (lines, rejects) = fitted(&["a", "b"], &["{\"a\":1}", "{\"b\":1,\"c\":2}", "3", "{}"]);
        assert_eq!(lines, "{\"a\":1}\n{}\n");
        assert_eq!(rejects, ["no_column c", "no_column "]);
    }

    #[test]
    fn a_value_that_is_no_object_has_a_column_of_its_own() {
        let records = ["\"x\"", "{\"prediction\":1}", "{\"a\":1}", "[]"];
        let (lines, rejects) = fitted(&[VALUE], &records);
        let expected = "{\"prediction\":\"x\"}\n{\"prediction\":1}\n\
                        {\"prediction\":{\"a\":1}}\n{\"prediction\":[]}\n";
        assert_eq!((lines.as_str(), rejects.len()), (expected, 0));
    }
}
