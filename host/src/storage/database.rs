//! A database that holds tables: which one it is, and what of it is meant.

use super::names::TableName;
use super::postgres::Address;
use std::fmt;
use std::path::PathBuf;

/// A database.
#[derive(Clone, Debug)]
pub enum Database {
    /// A PostgreSQL server's.
    Postgres(Box<Address>),
    /// A file of SQLite.
    Sqlite(PathBuf),
}

/// As a URL, without its password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Database::Postgres(address) => write!(f, "{address}"),
            Database::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
        }
    }
}

/// The rows that are to be read.
#[derive(Clone, Debug)]
pub enum Selection {
    /// All of a table or a view.
    Table(TableName),
    /// What a query gives.
    Query(String),
}

impl Selection {
    /// As a query that can stand in another one: without what ends it.
    pub fn sql(&self) -> String {
        match self {
            Selection::Table(name) => format!("SELECT * FROM {}", name.sql()),
            Selection::Query(query) => {
                query.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_a_query_that_nothing_ends() {
        let query = |text: &str| Selection::Query(text.to_owned()).sql();
        assert_eq!(query("SELECT 1 ;\n ; "), "SELECT 1");
        assert_eq!(query("SELECT ';' -- x"), "SELECT ';' -- x");
        let table = Selection::Table("a.\"b\"\"c\"".parse().unwrap());
        assert_eq!(table.sql(), "SELECT * FROM \"a\".\"b\"\"c\"");
    }
}
