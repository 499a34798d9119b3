//! A database that holds tables: which one it is, and what of it is meant.

use super::location::Remote;
use super::names::TableName;
use super::postgres::Address;
use super::secret::Secret;
use super::services::ServicesError;
use super::services::kinds::{Definition, Kind};
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

impl Database {
    /// The one that a location means, which its service may say more of. No password is in an error.
    pub fn of(at: &Remote, service: &Definition) -> Result<Self, ServicesError> {
        let failed = |error: &dyn fmt::Display| ServicesError::new(format!("`{at}`: {error}"));
        let is_scheme = service.kind.known().schemes.contains(&at.scheme());
        if service.kind == Kind::Sqlite {
            let path = match service.option("path") {
                Some(path) if at.rest().is_empty() => path,
                Some(_) => return Err(failed(&"the service says which file it is")),
                None => at.rest(),
            };
            return match path {
                "" | ":memory:" => Err(failed(&"it names no file: sqlite:PATH")),
                path => Ok(Database::Sqlite(path.into())),
            };
        }
        let variable = |name: &str| std::env::var(name).ok();
        let address = match service.option("url") {
            Some(url) if service.options.len() == 1 => Address::of_url(url, variable),
            Some(_) => return Err(failed(&"where there is a `url`, it says everything")),
            None if is_scheme && service.options.is_empty() => {
                Address::of_url(at.whole(), variable)
            }
            None if is_scheme && !at.rest().is_empty() => {
                return Err(failed(&"the service says which database it is"));
            }
            None => {
                let options = service.options.iter();
                let options = options.map(|(name, value)| (name.as_str(), Secret::reveal(value)));
                // The database may be named by the location.
                let name = Some(at.rest()).filter(|name| !name.is_empty());
                Address::of_parts(options.chain(name.map(|name| ("dbname", name))), variable)
            }
        };
        address.map(|it| Database::Postgres(Box::new(it))).map_err(|error| failed(&error))
    }
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
