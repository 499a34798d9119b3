//! Rows as lines of JSON. SQLite has a type for each value, not for each column: what a value is,
//! decides what is written, but that a declared `BOOLEAN` or `JSON` is heeded.

use super::super::database::Selection;
use super::super::feed::{Fed, Feed, Gone, feed};
use super::super::names::{named_twice, twice};
use super::{Affinity, failed, failed_query, no_table, open_to_read};
use crate::columns::{Column, Kind};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::de::IgnoredAny;
use std::io::{self, Write};
use std::path::Path;

/// Begins to read: all rows as they are at this moment.
pub fn rows(path: &Path, selection: &Selection) -> io::Result<(Fed, Vec<Column>)> {
    let connection = open_to_read(path)?;
    let query = selection.sql();
    let declared = declared(&connection, selection, &query)?;
    let columns = declared.iter().map(|(name, affinity)| {
        let kind = kind(*affinity);
        Column { name: name.clone(), kind }
    });
    let columns: Vec<Column> = columns.collect();
    if let Some(name) = named_twice(&columns) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, twice(name)));
    }
    let fed = feed("sqlite", move |feed| write_rows(&connection, &query, &declared, feed))?;
    Ok((fed, columns))
}

/// The columns of a query: their names, and what is declared of them.
fn declared(
    connection: &Connection,
    selection: &Selection,
    query: &str,
) -> io::Result<Vec<(String, Affinity)>> {
    let statement = connection.prepare(query).map_err(|error| match selection {
        Selection::Table(name) if super::words(&error).starts_with("no such table") => {
            no_table(connection, name, None)
        }
        Selection::Table(_) => failed(&error),
        Selection::Query(_) => failed_query(&error, query),
    })?;
    if statement.column_count() == 0 {
        let message = "the query gives no columns";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let columns = statement.columns();
    Ok(columns.map(|it| (it.name().to_owned(), Affinity::of(it.decl_type()))).collect())
}

fn kind(affinity: Affinity) -> Kind {
    match affinity {
        Affinity::Boolean => Kind::Boolean,
        Affinity::Integer => Kind::Integer,
        Affinity::Real | Affinity::Numeric => Kind::Number,
        Affinity::Text | Affinity::Blob => Kind::String,
        Affinity::Json | Affinity::Any => Kind::Json,
    }
}

fn write_rows(
    connection: &Connection,
    query: &str,
    columns: &[(String, Affinity)],
    feed: &mut Feed,
) -> io::Result<()> {
    let keys: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(index, (name, _))| {
            let before = if index == 0 { '{' } else { ',' };
            format!("{before}{}:", serde_json::Value::from(name.as_str()))
        })
        .collect();
    let mut statement = connection.prepare(query).map_err(|error| failed_query(&error, query))?;
    let mut rows = statement.query([]).map_err(|error| failed_query(&error, query))?;
    while let Some(row) = rows.next().map_err(|error| failed(&error))? {
        let line = feed.row();
        for (index, (key, (_, affinity))) in keys.iter().zip(columns).enumerate() {
            line.extend_from_slice(key.as_bytes());
            write_value(row.get_ref(index).map_err(|error| failed(&error))?, *affinity, line)?;
        }
        line.extend_from_slice(b"}\n");
        if let Err(Gone) = feed.complete() {
            break;
        }
    }
    Ok(())
}

fn write_value(value: ValueRef<'_>, affinity: Affinity, out: &mut Vec<u8>) -> io::Result<()> {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(0) if affinity == Affinity::Boolean => out.extend_from_slice(b"false"),
        ValueRef::Integer(1) if affinity == Affinity::Boolean => out.extend_from_slice(b"true"),
        ValueRef::Integer(integer) => write!(out, "{integer}")?,
        ValueRef::Real(real) if real.is_finite() => serde_json::to_writer(out, &real)?,
        // As PostgreSQL does.
        ValueRef::Real(real) => {
            let text = if real > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" };
            out.extend_from_slice(text.as_bytes());
        }
        ValueRef::Text(text) if affinity == Affinity::Json && is_json(text) => {
            // A line break can only stand between tokens.
            out.extend(
                text.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }),
            );
        }
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => serde_json::to_writer(out, text)?,
            Err(_) => write_bytes(text, out)?,
        },
        ValueRef::Blob(blob) => {
            out.push(b'"');
            out.extend_from_slice(STANDARD.encode(blob).as_bytes());
            out.push(b'"');
        }
    }
    Ok(())
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// A text that is not UTF-8, as it is: its record is then rejected for that, whole.
fn write_bytes(text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => write!(out, "\\u{byte:04x}")?,
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Input;

    /// What is read of a query over a table that these statements make.
    fn read(statements: &str, selection: &Selection) -> io::Result<Vec<u8>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.db");
        Connection::open(&path).unwrap().execute_batch(statements).unwrap();
        let (mut fed, _) = rows(&path, selection)?;
        let mut text = Vec::new();
        loop {
            let mut piece = Vec::with_capacity(1000);
            if fed.read(&mut piece)? == 0 {
                return Ok(text);
            }
            text.extend_from_slice(&piece);
        }
    }

    fn query(text: &str) -> Selection {
        Selection::Query(text.to_owned())
    }

    #[test]
    fn a_value_is_written_as_what_it_is() {
        let check = |value: &str, json: &[u8]| {
            let read = read("", &query(&format!("SELECT {value} AS v"))).unwrap();
            let expected = [b"{\"v\":", json, b"}\n"].concat();
            assert_eq!(read.escape_ascii().to_string(), expected.escape_ascii().to_string());
        };
        check("NULL", b"null");
        check("9223372036854775807", b"9223372036854775807");
        check("0.1", b"0.1");
        check("1e300", b"1e+300");
        check("5e-324", b"5e-324");
        check("2.0", b"2.0");
        check("9e999", b"\"Infinity\"");
        check("-9e999", b"\"-Infinity\"");
        check("x'00ff'", b"\"AP8=\"");
        check("'a' || char(10) || '\"\\'", br#""a\n\"\\""#);
        check("CAST(x'ff0161' AS TEXT)", b"\"\xff\\u0001a\"");
    }

    #[test]
    fn declared_booleans_and_json_are_heeded() {
        let table = "CREATE TABLE t (b BOOLEAN, j JSON TEXT);
            INSERT INTO t VALUES (1, '{\"a\":' || char(10) || '[1]}'), (0, 'no'), (2, NULL);";
        let selection = Selection::Table("t".parse().unwrap());
        let expected =
            "{\"b\":true,\"j\":{\"a\": [1]}}\n{\"b\":false,\"j\":\"no\"}\n{\"b\":2,\"j\":null}\n";
        assert_eq!(String::from_utf8(read(table, &selection).unwrap()).unwrap(), expected);
    }

    #[test]
    fn what_can_not_be_read_is_said_in_words() {
        let said = |selection: &Selection| {
            read("CREATE TABLE iris (a); CREATE TABLE other (a)", selection)
                .unwrap_err()
                .to_string()
        };
        let table = |name: &str| Selection::Table(name.parse().unwrap());
        assert_eq!(said(&table("irs")), "the database has no table `irs`; did you mean `iris`?");
        assert!(
            said(&query("SELECT a,\n FROM iris"))
                .contains("\n    line 2:  FROM iris\n             ^")
        );
        assert!(said(&query("SELECT a, a FROM iris")).contains("two columns that are called `a`"));
        assert!(said(&query("DELETE FROM iris")).contains("no columns"));
        let missing = rows("/nonexistent/a.db".as_ref(), &query("SELECT 1"));
        assert_eq!(missing.err().unwrap().kind(), io::ErrorKind::NotFound);
    }
}
