//! A table of SQLite: a prepared statement, and one row after the other.

use super::table::{Options, Refusal, Table};
use crate::columns::Kind;
use crate::json::Scanner;
use crate::storage::Trouble;
use crate::storage::names::{list, missing, quoted};
use crate::storage::sqlite::{Affinity, columns_of, failed, no_table, open_to_write, words};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::Value;
use rusqlite::{Connection, Error, ErrorCode};
use std::io;
use std::path::{Path, PathBuf};

/// Rows of a table, in a transaction.
pub(super) struct Rows {
    connection: Connection,
    insert: String,
    columns: Vec<(String, Affinity)>,
    scanner: Scanner,
    /// The file, where there was none.
    made: Option<PathBuf>,
}

impl Rows {
    /// Begins the transaction, and finds out what can be known before the first record.
    pub(super) fn open(path: &Path, options: &Options) -> io::Result<Self> {
        let made = (!path.exists()).then(|| path.to_owned());
        if made.is_some() && !options.creates {
            return Err(Trouble::error(
                io::ErrorKind::NotFound,
                "there is no such database",
                Some("--create-table makes it, and the table in it"),
            ));
        }
        let connection = open_to_write(path)?;
        let insert = insert(options);
        // From here on a file that was made goes again.
        let scanner = Scanner::default();
        let mut rows = Rows { connection, insert, columns: Vec::new(), scanner, made };
        rows.begin(options)?;
        Ok(rows)
    }

    fn begin(&mut self, options: &Options) -> io::Result<()> {
        let connection = &self.connection;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| failed(&error))?;
        if options.creates {
            connection.execute_batch(&create(options)).map_err(|error| failed(&error))?;
        }
        let declared = columns_of(connection, &options.table)?;
        if declared.is_empty() {
            let hint = "name another with --output-table, or let it be made: --create-table";
            return Err(no_table(connection, &options.table, Some(hint)));
        }
        let there: Vec<String> = declared.iter().map(|(name, _)| name.clone()).collect();
        let wanted = || options.columns.iter().map(|column| column.name.as_str());
        let refused =
            |message, hint| Err(Trouble::error(io::ErrorKind::InvalidInput, message, Some(hint)));
        if let Some(missing) = missing(wanted(), &there) {
            let hint = "--emit and --keep choose what is written";
            return refused(format!("the table can't take the output: {missing}"), hint);
        }
        if let Some(key) = options.upsert.iter().find(|key| !wanted().any(|name| name == *key)) {
            return refused(
                format!("the output has no column `{key}`, which --upsert names"),
                "--keep FIELD writes a field of the record too",
            );
        }
        let columns = wanted().map(|wanted| {
            let declared = declared.iter().find(|(name, _)| name == wanted);
            let declared = declared.and_then(|(_, declared)| declared.as_deref());
            (wanted.to_owned(), Affinity::of(declared))
        });
        self.columns = columns.collect();
        connection.prepare_cached(&self.insert).map(drop).map_err(|error| failed(&error))
    }

    /// The values of a record, in the order of the columns.
    fn values(&mut self, record: &str) -> Result<Vec<Value>, Refusal> {
        let refusal = |column: &str, words| Refusal { column: column.to_owned(), words };
        let scanned = self.scanner.scan(record);
        scanned.map_err(|fault| refusal("", fault.to_string()))?;
        let members = self.scanner.members();
        let values = self.columns.iter().enumerate().map(|(index, (name, affinity))| {
            // Nearly always in the order of the columns.
            let here = members.get(index).filter(|member| member.is_named(name, record));
            let member = here.or_else(|| members.iter().find(|it| it.is_named(name, record)));
            let Some(member) = member else { return Ok(Value::Null) };
            value(member.value.of(record), *affinity).map_err(|words| refusal(name, words))
        });
        values.collect()
    }
}

impl Table for Rows {
    fn rows_at_once(&self) -> usize {
        1 // a statement is a row
    }

    fn insert(&mut self, records: &[&str]) -> io::Result<Option<Refusal>> {
        for record in records {
            let values = match self.values(record) {
                Ok(values) => values,
                Err(refusal) => return Ok(Some(refusal)),
            };
            let inserted = self
                .connection
                .prepare_cached(&self.insert)
                .and_then(|mut insert| insert.execute(rusqlite::params_from_iter(values)));
            let Err(error) = inserted else { continue };
            // A trigger may have taken the whole transaction back.
            if !is_of_a_row(&error) || self.connection.is_autocommit() {
                return Err(failed(&error));
            }
            return Ok(Some(Refusal { column: String::new(), words: words(&error) }));
        }
        Ok(None)
    }

    fn prepare(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        self.connection.execute_batch("COMMIT").map_err(|error| failed(&error))?;
        self.made = None;
        Ok(())
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        if !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        if let Some(path) = &self.made {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn is_of_a_row(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig)
    )
}

/// The statement that makes the table. Types are declared so that they are read again as what they
/// were written as.
fn create(options: &Options) -> String {
    let columns = options.columns.iter().map(|column| {
        let declared = match column.kind {
            Kind::Number => "REAL",
            Kind::Integer => "INTEGER",
            Kind::Boolean => "BOOLEAN",
            Kind::String => "TEXT",
            Kind::Json | Kind::List(_) | Kind::Struct(_) => "JSON TEXT",
        };
        format!("{} {declared}", quoted(&column.name))
    });
    let mut parts: Vec<String> = columns.collect();
    if !options.upsert.is_empty() {
        parts.push(format!("PRIMARY KEY ({})", list(options.upsert.iter().map(String::as_str))));
    }
    format!("CREATE TABLE {} ({})", options.table.sql(), parts.join(", "))
}

fn insert(options: &Options) -> String {
    let names = || options.columns.iter().map(|column| column.name.as_str());
    let marks = vec!["?"; options.columns.len()].join(", ");
    let insert =
        format!("INSERT INTO {} ({}) VALUES ({marks})", options.table.sql(), list(names()));
    if options.upsert.is_empty() {
        return insert;
    }
    let keys = list(options.upsert.iter().map(String::as_str));
    let others = names().filter(|name| !options.upsert.iter().any(|key| key == name));
    let set: Vec<String> = others.map(|name| format!("{0} = excluded.{0}", quoted(name))).collect();
    match set.is_empty() {
        true => format!("{insert} ON CONFLICT ({keys}) DO NOTHING"),
        false => format!("{insert} ON CONFLICT ({keys}) DO UPDATE SET {}", set.join(", ")),
    }
}

/// What is stored of a JSON value.
fn value(json: &str, affinity: Affinity) -> Result<Value, String> {
    let text = || Value::Text(json.to_owned());
    match (json.as_bytes()[0], affinity) {
        (b'n', _) => Ok(Value::Null),
        (_, Affinity::Json) | (b'{' | b'[', _) | (b't' | b'f', Affinity::Text) => Ok(text()),
        (b't', _) => Ok(Value::Integer(1)),
        (b'f', _) => Ok(Value::Integer(0)),
        (b'"', _) => string(json, affinity),
        // Its digits as they are.
        (_, Affinity::Text) => Ok(text()),
        _ => number(json, affinity),
    }
}

fn string(json: &str, affinity: Affinity) -> Result<Value, String> {
    let string: String = serde_json::from_str(json).map_err(|error| error.to_string())?;
    match (affinity, string.as_str()) {
        (Affinity::Blob, text) => {
            let bytes = STANDARD.decode(text);
            bytes.map(Value::Blob).map_err(|_| "a BLOB is given in base64, and this is not".into())
        }
        (Affinity::Real | Affinity::Numeric, "Infinity") => Ok(Value::Real(f64::INFINITY)),
        (Affinity::Real | Affinity::Numeric, "-Infinity") => Ok(Value::Real(f64::NEG_INFINITY)),
        _ => Ok(Value::Text(string)),
    }
}

fn number(json: &str, affinity: Affinity) -> Result<Value, String> {
    let is_integer = !json.contains(['.', 'e', 'E']);
    if is_integer && affinity != Affinity::Real {
        return match (json.parse(), affinity) {
            (Ok(integer), _) => Ok(Value::Integer(integer)),
            (Err(_), Affinity::Any) => Ok(Value::Text(json.to_owned())),
            (Err(_), _) => Err(format!(
                "{json} has more than 64 bits: a column of type TEXT keeps all its digits"
            )),
        };
    }
    match json.parse::<f64>() {
        Ok(real) if real.is_finite() => Ok(Value::Real(real)),
        _ => Err(format!("{json} is no double: a column of type TEXT keeps all its digits")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Column;

    #[test]
    fn a_value_is_stored_by_what_the_column_is_declared_as() {
        let int = Value::Integer;
        let text = |text: &str| Value::Text(text.to_owned());
        for (json, affinity, expected) in [
            ("null", Affinity::Json, Value::Null),
            ("true", Affinity::Boolean, int(1)),
            ("false", Affinity::Any, int(0)),
            ("true", Affinity::Text, text("true")),
            ("9223372036854775807", Affinity::Integer, int(i64::MAX)),
            ("9223372036854775808", Affinity::Text, text("9223372036854775808")),
            ("9223372036854775808", Affinity::Any, text("9223372036854775808")),
            ("9223372036854775808", Affinity::Real, Value::Real(9223372036854775808.0)),
            ("1.50", Affinity::Text, text("1.50")),
            ("1.50", Affinity::Numeric, Value::Real(1.5)),
            ("\"a\\n\\u0000\"", Affinity::Text, text("a\n\0")),
            ("\"a\"", Affinity::Json, text("\"a\"")),
            ("12345678901234567890123", Affinity::Json, text("12345678901234567890123")),
            ("{\"a\":1}", Affinity::Text, text("{\"a\":1}")),
            ("\"AP8=\"", Affinity::Blob, Value::Blob(vec![0, 255])),
            ("\"-Infinity\"", Affinity::Real, Value::Real(f64::NEG_INFINITY)),
        ] {
            assert_eq!(value(json, affinity), Ok(expected), "{json} {affinity:?}");
        }
        for (json, affinity) in [
            ("9223372036854775808", Affinity::Integer),
            ("1e999", Affinity::Real),
            ("\"no\"", Affinity::Blob),
        ] {
            assert!(value(json, affinity).is_err(), "{json} {affinity:?}");
        }
    }

    fn options(upsert: &[&str]) -> Options {
        let kinds = [("id", Kind::Integer), ("n", Kind::Number), ("j", Kind::Json)];
        let columns = kinds.map(|(name, kind)| Column { name: name.to_owned(), kind });
        Options {
            table: "t".parse().unwrap(),
            columns: columns.into(),
            creates: true,
            upsert: upsert.iter().map(|key| key.to_string()).collect(),
        }
    }

    /// Writes records, commits, and tells the refusals and what is in the table then.
    fn written(path: &Path, options: &Options, records: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut rows = Rows::open(path, options).unwrap();
        let refused = records.iter().filter_map(|record| {
            rows.insert(&[record]).unwrap().map(|refusal| format!("{refusal:?}"))
        });
        let refused: Vec<String> = refused.collect();
        rows.commit().unwrap();
        let connection = Connection::open(path).unwrap();
        let mut query = connection.prepare("SELECT concat(id, ' ', n, ' ', j) FROM t").unwrap();
        let table = query.query_map([], |row| row.get(0)).unwrap();
        (refused, table.map(Result::unwrap).collect())
    }

    #[test]
    fn a_row_that_is_refused_is_told_of_in_the_databases_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let records = [
            r#"{"j":[1],"n":0.5,"id":1}"#,
            r#"{"id":1,"n":1,"j":null}"#,
            r#"{"id":123456789012345678901,"n":1}"#,
            r#"{"id":2,"n":2,"j":"x"}"#,
        ];
        let (refused, table) = written(&path, &options(&["id"]), &records);
        assert_eq!(refused.len(), 1, "{refused:?}"); // the key is known, so its row is written over
        assert!(refused[0].contains("column: \"id\"") && refused[0].contains("64 bits"));
        assert_eq!(table, ["1 1.0 ", "2 2.0 \"x\""]);
        let mut again = options(&[]);
        again.creates = false;
        let (refused, table) = written(&path, &again, &[records[0], r#"{"id":3,"n":1,"j":0}"#]);
        assert!(refused[0].contains("UNIQUE constraint failed: t.id"), "{refused:?}");
        assert_eq!(table, ["1 1.0 ", "2 2.0 \"x\"", "3 1.0 0"]);
    }

    #[test]
    fn a_file_that_was_made_for_nothing_goes_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut rows = Rows::open(&path, &options(&[])).unwrap();
        assert_eq!(rows.insert(&[r#"{"id":1}"#]).unwrap(), None);
        drop(rows);
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        written(&path, &options(&[]), &[r#"{"id":1,"n":1,"j":1}"#]);
        let mut there = options(&[]);
        there.creates = false;
        let mut rows = Rows::open(&path, &there).unwrap();
        assert_eq!(rows.insert(&[r#"{"id":2,"n":2,"j":2}"#]).unwrap(), None);
        drop(rows);
        assert_eq!(written(&path, &there, &[]).1, ["1 1.0 1"]);
    }

    #[test]
    fn what_a_table_cannot_take_is_found_before_the_first_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let said = |options: &Options| Rows::open(&path, options).err().unwrap().to_string();
        let mut there = options(&[]);
        there.creates = false;
        assert_eq!(said(&there), "there is no such database");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE tt (id, n)").unwrap();
        assert_eq!(said(&there), "the database has no table `t`; did you mean `tt`?");
        there.table = "tt".parse().unwrap();
        assert!(said(&there).contains("it has no column `j`"));
        there.columns.pop();
        there.upsert = vec!["key".to_owned()];
        assert!(said(&there).contains("no column `key`"));
        there.upsert = vec!["id".to_owned()];
        assert!(said(&there).contains("ON CONFLICT"));
        assert!(path.exists());
    }
}
