//! Rows of a database as records. What makes the rows makes lines of JSON of them, so that they are
//! read as LDJSON is, and a record's place is the number of its row, and a byte in that text.

use super::{Source, SourceError, ldjson};
use crate::batch::Batch;
use crate::columns::Column;
use crate::stop::Stop;
use crate::storage::database::{Database, Selection};
use crate::storage::{postgres, sqlite};
use std::io;

/// Reads the rows of a query.
pub struct Reader {
    lines: ldjson::Reader,
    columns: Vec<Column>,
}

impl Reader {
    /// `path` stands in rejects and messages.
    pub fn open(
        path: &str,
        database: &Database,
        selection: &Selection,
        options: ldjson::Options,
    ) -> io::Result<Self> {
        let ((rows, columns), name) = match database {
            Database::Postgres(address) => {
                (postgres::rows::rows(address, selection)?, "PostgresReader")
            }
            Database::Sqlite(file) => (sqlite::rows::rows(file, selection)?, "SqliteReader"),
        };
        let lines = ldjson::Reader::named(name, path, Box::new(rows), options);
        Ok(Reader { lines, columns })
    }
}

impl Source for Reader {
    fn name(&self) -> &'static str {
        self.lines.name()
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
        self.lines.read_batch(batch, bytes_wanted, stop)
    }
}
