//! Rows as lines of JSON that the database makes itself: `COPY (SELECT row_to_json(…)) TO STDOUT`.
//!
//! COPY's text format writes a backslash twice and a line feed as `\n`; JSON's own text holds no raw
//! line feed but for one between the tokens of a `json` column, where a space is as good. So a line
//! that is taken out of that form is one record on one line.

use super::super::database::Selection;
use super::super::feed::{Fed, Feed, Gone, feed};
use super::super::names::{named_twice, twice};
use super::{Address, failed, failed_query, no_table};
use crate::columns::{Column, Kind};
use crossbeam_channel::{Sender, bounded};
use memchr::memchr;
use postgres::error::SqlState;
use postgres::types::{Kind as TypeKind, Type};
use postgres::{Client, Statement};
use std::io::{self, BufRead};

/// Begins to read: all rows as they are at this moment, in one transaction that can't write.
pub fn rows(address: &Address, selection: &Selection) -> io::Result<(Fed, Vec<Column>)> {
    let mut client = address.connect()?;
    let query = selection.sql();
    let prepared = client.prepare(&query).map_err(|error| match selection {
        Selection::Table(name) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
            no_table(&mut client, name, None)
        }
        Selection::Table(_) => failed(&error),
        Selection::Query(_) => failed_query(&error, &query),
    })?;
    let columns = columns(&prepared)?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(begin).map_err(|error| failed(&error))?;
    // A line of its own, should the query end in a comment; `.*`, should a column be called so too.
    let copy =
        format!("COPY (SELECT row_to_json(etl_host.*) FROM (\n{query}\n) etl_host) TO STDOUT");
    let (started, starts) = bounded(1);
    let address = address.clone();
    let run = move |feed: &mut Feed| copy_out(&address, client, &copy, &started, feed);
    let fed = feed("postgres", run)?;
    match starts.recv() {
        Ok(Ok(())) => Ok((fed, columns)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the thread that reads the database ended")),
    }
}

/// Copies all rows. `started` is told whether it goes well.
fn copy_out(
    address: &Address,
    mut client: Client,
    copy: &str,
    started: &Sender<io::Result<()>>,
    feed: &mut Feed,
) -> io::Result<()> {
    let cancel = client.cancel_token();
    let mut reader = match client.copy_out(copy) {
        Ok(reader) => reader,
        Err(error) => {
            let _ = started.send(Err(failed(&error)));
            return Ok(());
        }
    };
    let _ = started.send(Ok(()));
    loop {
        let row = reader.fill_buf().map_err(unread)?;
        let len = row.len();
        if len == 0 {
            drop(reader);
            return client.batch_execute("COMMIT").map_err(|error| failed(&error));
        }
        plain(row, feed.row());
        reader.consume(len);
        if let Err(Gone) = feed.complete() {
            // Else the end of the session would wait for the last row.
            address.cancel(&cancel);
            return Ok(());
        }
    }
}

/// The client wraps what the database said.
fn unread(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<postgres::Error>());
    inner.map(failed).unwrap_or(error)
}

/// Takes a row out of COPY's text format.
fn plain(row: &[u8], out: &mut Vec<u8>) {
    let mut rest = row;
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            Some(b'n' | b'r') => out.push(b' '),
            Some(b't') => out.push(b'\t'),
            Some(&itself) => out.push(itself),
            None => {}
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// The columns that a query gives.
fn columns(prepared: &Statement) -> io::Result<Vec<Column>> {
    let refused = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    if !prepared.params().is_empty() {
        return refused("the query has parameters ($1), and nobody gives them values".to_owned());
    }
    if prepared.columns().is_empty() {
        return refused("the query gives no columns".to_owned());
    }
    let columns = prepared.columns().iter().map(|column| {
        let (name, kind) = (column.name().to_owned(), kind(column.type_()));
        Column { name, kind }
    });
    let columns: Vec<Column> = columns.collect();
    match named_twice(&columns).map(twice) {
        Some(message) => refused(message),
        None => Ok(columns),
    }
}

/// What JSON the database makes of a type.
fn kind(of: &Type) -> Kind {
    match *of {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Kind::Integer,
        Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => Kind::Number,
        Type::BOOL => Kind::Boolean,
        Type::JSON | Type::JSONB => Kind::Json,
        _ => match of.kind() {
            TypeKind::Array(_) | TypeKind::Composite(_) => Kind::Json,
            TypeKind::Domain(base) => kind(base),
            _ => Kind::String,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_taken_out_of_the_text_format_of_copy() {
        for (row, expected) in [
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (r#"{"a":"\\n\\\\\\""}"#, r#"{"a":"\n\\\""}"#),
            (r#"{"a":{\n"b":\t[\r\n]}}"#, "{\"a\":{ \"b\":\t[  ]}}"),
            ("", ""),
        ] {
            let mut out = Vec::new();
            plain(row.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
