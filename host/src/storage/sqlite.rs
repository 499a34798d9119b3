//! SQLite: a database in a file, what it says when something is wrong, and what it takes a type for.

pub mod rows;

use super::Trouble;
use super::names::{TableName, marked, nearest};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long to wait for another process that writes to the same file.
const BUSY: Duration = Duration::from_secs(10);

/// Opens a database that is there, to be read.
pub fn open_to_read(path: &Path) -> io::Result<Connection> {
    // Else it would say nothing but that it can't.
    if path.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a database to be written, which is made where it is missing.
pub fn open_to_write(path: &Path) -> io::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)
}

fn open(path: &Path, flags: OpenFlags) -> io::Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
    connection.busy_timeout(BUSY).map_err(|error| failed(&error))?;
    Ok(connection)
}

/// What the database said, as an error of the run.
pub fn failed(error: &Error) -> io::Error {
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (io::ErrorKind::StorageFull, None),
        Some(ErrorCode::DatabaseBusy) => (
            io::ErrorKind::ResourceBusy,
            Some(
                "another process reads or writes it: run again when that has ended \
                 (of one whose `PRAGMA journal_mode` is `wal`, readers keep nobody waiting)",
            ),
        ),
        _ => (io::ErrorKind::Other, None),
    };
    Trouble::error(kind, format!("SQLite says: {}", words(error)), hint)
}

/// The database's own words.
pub fn words(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// The same for a query that somebody wrote: its line that is wrong, with a mark below the place.
pub fn failed_query(error: &Error, query: &str) -> io::Error {
    let Error::SqlInputError { msg, offset, .. } = error else { return failed(error) };
    let Some(before) = usize::try_from(*offset).ok().and_then(|bytes| query.get(..bytes)) else {
        return failed(error);
    };
    io::Error::other(format!("SQLite says: {msg}{}", marked(query, before.chars().count())))
}

/// The columns of a table, with their declared types.
pub fn columns_of(
    connection: &Connection,
    table: &TableName,
) -> io::Result<Vec<(String, Option<String>)>> {
    let (schema, name) = table.parts();
    let query = "SELECT name, type FROM pragma_table_info(?1, ?2)";
    let columns = connection.prepare(query).and_then(|mut query| {
        let rows = query.query_map((name, schema), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<Vec<_>, _>>()
    });
    columns.map_err(|error| failed(&error))
}

/// That there is no such table, with the name of the one that may be meant.
pub fn no_table(connection: &Connection, table: &TableName, hint: Option<&str>) -> io::Error {
    let query = "SELECT name FROM sqlite_schema
                 WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY 1";
    let names = connection.prepare(query).and_then(|mut query| {
        let rows = query.query_map([], |row| row.get(0))?;
        rows.collect::<Result<Vec<String>, _>>()
    });
    let near = nearest(&table.to_string(), &names.unwrap_or_default());
    let message = format!("the database has no table `{table}`{near}");
    Trouble::error(io::ErrorKind::NotFound, message, hint)
}

/// What a column's declared type makes of what is written to it and read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Declared as `BOOLEAN` or `BOOL`: 0 and 1 are read as `false` and `true`.
    Boolean,
    /// Declared as `JSON…`: its texts are JSON.
    Json,
    /// Whole numbers.
    Integer,
    /// Texts.
    Text,
    /// Declared as `BLOB`: bytes, in base64 in a record.
    Blob,
    /// Doubles.
    Real,
    /// Numbers of either kind, where they are that.
    Numeric,
    /// Anything: nothing is declared.
    Any,
}

impl Affinity {
    /// Of a declared type, by the rules of SQLite (in its order), and two words of our own.
    pub fn of(declared: Option<&str>) -> Self {
        let declared = declared.unwrap_or_default().to_ascii_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
        match &declared[..] {
            "" | "ANY" => Affinity::Any,
            "BOOLEAN" | "BOOL" => Affinity::Boolean,
            json if json.starts_with("JSON") => Affinity::Json,
            _ if has(&["INT"]) => Affinity::Integer,
            _ if has(&["CHAR", "CLOB", "TEXT"]) => Affinity::Text,
            _ if has(&["BLOB"]) => Affinity::Blob,
            _ if has(&["REAL", "FLOA", "DOUB"]) => Affinity::Real,
            _ => Affinity::Numeric,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_type_tells_what_a_column_holds() {
        for (declared, affinity) in [
            ("BIGINT", Affinity::Integer),
            ("varchar(10)", Affinity::Text),
            ("BLOB", Affinity::Blob),
            ("double precision", Affinity::Real),
            ("DECIMAL(10,5)", Affinity::Numeric),
            ("Boolean", Affinity::Boolean),
            ("JSON TEXT", Affinity::Json),
            ("JSON", Affinity::Json),
            ("", Affinity::Any),
        ] {
            assert_eq!(Affinity::of(Some(declared)), affinity, "{declared}");
        }
        assert_eq!(Affinity::of(None), Affinity::Any);
    }
}
