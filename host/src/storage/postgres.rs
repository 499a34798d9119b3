//! PostgreSQL: where a database is, a session in it, and what it says when something is wrong.
//!
//! Whoever reads or writes tables gets a [`Client`] whose session writes values in one way, whatever
//! the server's settings are. No password is ever in a message: [`Address`] shows none.

pub mod rows;
mod tls;

use super::Trouble;
use super::names::{TableName, marked, nearest};
use crate::causes::chain;
use postgres::config::{Host, SslMode};
use postgres::error::{DbError, ErrorPosition};
use postgres::{CancelToken, Client, Config, NoTls};
use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use tls::Tls;

/// What every session is told, so that the text of a value depends on the value alone.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; \
    SET IntervalStyle = 'iso_8601'; SET bytea_output = 'hex'; SET extra_float_digits = 1; \
    SET client_encoding = 'UTF8'; SET standard_conforming_strings = on";

/// Where a database is, and who asks.
#[derive(Clone)]
pub struct Address {
    config: Config,
    /// Whether the way there is encrypted.
    is_encrypted: bool,
    /// The certificates that are trusted then; `None`: those that this machine trusts.
    roots: Option<PathBuf>,
}

/// Why a text is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no address of a PostgreSQL database, postgres://USER:PASSWORD@HOST:PORT/DATABASE: {0}"
)]
pub struct AddressError(String);

/// What `sslmode` says, of which our client does not know all: whether the way is encrypted.
const MODES: [(&str, bool); 5] = [
    ("disable", false),
    ("prefer", false), // libpq would encrypt, but to anybody
    ("require", true),
    ("verify-ca", true),
    ("verify-full", true),
];

impl Address {
    /// Of `postgres://…`. What it lacks, the variables of libpq say: `PGHOST`, `PGPORT`, `PGUSER`,
    /// `PGPASSWORD`, `PGDATABASE`; `variable` looks them up.
    pub fn of_url(
        url: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, AddressError> {
        let (before, options) = url.split_once('?').unwrap_or((url, ""));
        let (mut ours, mut others) = ((false, None), Vec::new());
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("sslmode", mode)) => ours.0 = encrypts(mode)?,
                Some(("sslrootcert", _)) => {
                    let path = url::form_urlencoded::parse(option.as_bytes()).next();
                    ours.1 = path.map(|(_, path)| PathBuf::from(path.into_owned()));
                }
                _ => others.push(option),
            }
        }
        let rest = match others.is_empty() {
            true => before.to_owned(),
            false => format!("{before}?{}", others.join("&")),
        };
        let config = Config::from_str(&rest).map_err(|error| AddressError(chain(&error)))?;
        Self::completed(config, ours, variable)
    }

    /// Of single values, as a file of services has them.
    pub fn of_parts<'a>(
        parts: impl IntoIterator<Item = (&'a str, &'a str)>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, AddressError> {
        let (mut config, mut ours) = (Config::new(), (false, None));
        for (name, value) in parts {
            match name {
                "sslmode" => {
                    ours.0 = encrypts(value)?;
                    &mut config
                }
                "sslrootcert" => {
                    ours.1 = Some(PathBuf::from(value));
                    &mut config
                }
                "host" => config.host(value),
                "port" => {
                    let port = value.parse().map_err(|_| AddressError(no_port()))?;
                    config.port(port)
                }
                "user" => config.user(value),
                "password" => config.password(value),
                "dbname" => config.dbname(value),
                other => {
                    return Err(AddressError(format!("there is no option `{other}`")));
                }
            };
        }
        Self::completed(config, ours, variable)
    }

    fn completed(
        mut config: Config,
        (is_encrypted, roots): (bool, Option<PathBuf>),
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, AddressError> {
        config.ssl_mode(if is_encrypted { SslMode::Require } else { SslMode::Disable });
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host(variable("PGHOST").as_deref().unwrap_or("localhost"));
        }
        if config.get_ports().is_empty()
            && let Some(port) = variable("PGPORT")
        {
            config.port(port.parse().map_err(|_| AddressError(no_port()))?);
        }
        if config.get_user().is_none()
            && let Some(user) = variable("PGUSER")
        {
            config.user(&user);
        }
        if config.get_password().is_none()
            && let Some(password) = variable("PGPASSWORD")
        {
            config.password(password);
        }
        if config.get_dbname().is_none()
            && let Some(name) = variable("PGDATABASE")
        {
            config.dbname(&name);
        }
        if config.get_application_name().is_none() {
            config.application_name("etl-host");
        }
        Ok(Address { config, is_encrypted, roots })
    }

    /// A session in the database.
    pub fn connect(&self) -> io::Result<Client> {
        let mut config = self.config.clone();
        config.notice_callback(|_| ()); // notices are no news to whoever runs a job
        let client = match self.tls()? {
            Some(tls) => config.connect(tls),
            None => config.connect(NoTls),
        };
        let mut client = client.map_err(|error| unconnected(&error))?;
        client.batch_execute(SETTINGS).map_err(|error| failed(&error))?;
        Ok(client)
    }

    fn tls(&self) -> io::Result<Option<Tls>> {
        self.is_encrypted.then(|| Tls::new(self.roots.as_deref())).transpose()
    }

    /// Ends what a session is doing, as far as the server hears of it.
    fn cancel(&self, session: &CancelToken) {
        let _ = match self.tls() {
            Ok(Some(tls)) => session.cancel_query(tls),
            _ => session.cancel_query(NoTls),
        };
    }
}

fn no_port() -> String {
    "a port is a number up to 65535".to_owned()
}

/// Whether the way is encrypted.
fn encrypts(mode: &str) -> Result<bool, AddressError> {
    let known = MODES.iter().find(|(name, _)| *name == mode).map(|(_, encrypts)| *encrypts);
    known.ok_or_else(|| {
        let names = MODES.map(|(name, _)| name);
        AddressError(format!("sslmode is one of {}", names.join(", ")))
    })
}

/// As a URL without its password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(host) => write!(f, "{comma}{host}")?,
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            let ports = self.config.get_ports();
            if let Some(port) = ports.get(index).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        if self.config.get_hosts().is_empty() {
            let addresses = self.config.get_hostaddrs().iter().map(ToString::to_string);
            f.write_str(&addresses.collect::<Vec<_>>().join(","))?;
        }
        self.config.get_dbname().map_or(Ok(()), |name| write!(f, "/{name}"))
    }
}

/// The same: an address is printed nowhere with its password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the database said, or what became of the way to it, as an error of the run.
pub fn failed(error: &postgres::Error) -> io::Error {
    match error.as_db_error() {
        Some(said) => io::Error::other(format!("the database says: {}", words(said))),
        None if error.is_closed() => io::Error::new(
            io::ErrorKind::ConnectionAborted,
            "the connection to the database is gone",
        ),
        // What is read and written goes wrong in a way of the system's; to connect is another matter.
        None => match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
            Some(cause) if !error.to_string().contains("connecting") => {
                let message = format!("the connection to the database is lost: {cause}");
                io::Error::new(cause.kind(), message)
            }
            _ => io::Error::other(chain(error)),
        },
    }
}

/// The same where there is no session yet, with what to look at.
fn unconnected(error: &postgres::Error) -> io::Error {
    let is_of_password = match error.code() {
        Some(code) => code.code().starts_with("28"), // who asks is not let in
        None => error.to_string().contains("configuration"), // it would be asked for, and there is none
    };
    let hint = match is_of_password {
        true => Some(
            "user and password stand in the location, in the file that --services gives, or in \
             PGUSER and PGPASSWORD",
        ),
        false if error.to_string().contains("connecting") => {
            Some("check host and port, and that the server is up")
        }
        false => None,
    };
    let failed = failed(error);
    Trouble::error(failed.kind(), failed.to_string(), hint)
}

/// The database's own words.
pub fn words(said: &DbError) -> String {
    let mut words = said.message().to_owned();
    if let Some(detail) = said.detail() {
        words += &format!(": {detail}");
    }
    if let Some(hint) = said.hint() {
        words += &format!(" (hint: {hint})");
    }
    words
}

/// The same for a query that somebody wrote: its line that is wrong, with a mark below the place.
pub fn failed_query(error: &postgres::Error, query: &str) -> io::Error {
    let Some(said) = error.as_db_error() else { return failed(error) };
    let Some(ErrorPosition::Original(position)) = said.position() else { return failed(error) };
    let place = (*position as usize).saturating_sub(1); // they count characters, from 1
    io::Error::other(format!("the database says: {}{}", words(said), marked(query, place)))
}

/// That there is no such table, with the name of the one that may be meant.
pub fn no_table(client: &mut Client, table: &TableName, hint: Option<&str>) -> io::Error {
    let tables = client.query(
        "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text
                     ELSE n.nspname || '.' || c.relname END
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f')
           AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
         ORDER BY 1 LIMIT 10000",
        &[],
    );
    let names: Vec<String> =
        tables.map(|rows| rows.iter().map(|row| row.get(0)).collect()).unwrap_or_default();
    let message =
        format!("the database has no table `{table}`{}", nearest(&table.to_string(), &names));
    Trouble::error(io::ErrorKind::NotFound, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_variables(_: &str) -> Option<String> {
        None
    }

    fn address(url: &str) -> Result<String, AddressError> {
        Address::of_url(url, no_variables).map(|address| format!("{address} {address:?}"))
    }

    #[test]
    fn an_address_shows_all_but_its_password() {
        for (url, shown) in [
            (
                "postgres://me:se%40cret@db.example:5433/sales",
                "postgres://me@db.example:5433/sales",
            ),
            ("postgresql://me:secret@a,b:1/x", "postgres://me@a:5432,b:1/x"),
            ("postgres:///x?host=/run/pg&password=secret&user=me", "postgres://me@/run/pg/x"),
            ("postgres://", "postgres://localhost"),
        ] {
            assert_eq!(address(url), Ok(format!("{shown} {shown}")), "{url}");
        }
    }

    #[test]
    fn what_an_address_lacks_the_environment_says() {
        let variable = |name: &str| {
            let value = match name {
                "PGHOST" => "/run/pg",
                "PGPORT" => "6000",
                "PGUSER" => "me",
                "PGPASSWORD" => "secret",
                "PGDATABASE" => "",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let address = Address::of_url("postgres://", variable).unwrap();
        assert_eq!(address.to_string(), "postgres://me@/run/pg:6000");
        assert_eq!(address.config.get_password(), Some(&b"secret"[..]));
        let given = Address::of_url("postgres://you:other@h:1/db", variable).unwrap();
        assert_eq!(given.to_string(), "postgres://you@h:1/db");
        assert_eq!(given.config.get_password(), Some(&b"other"[..]));
        let parts = [("host", "h"), ("user", "u"), ("password", "secret"), ("dbname", "d")];
        let parts = Address::of_parts(parts, no_variables).unwrap();
        assert_eq!(parts.to_string(), "postgres://u@h/d");
    }

    #[test]
    fn whether_the_way_is_encrypted_is_said_by_the_address() {
        let of = |url| {
            let address = Address::of_url(url, no_variables).unwrap();
            (address.config.get_ssl_mode(), address.roots.map(|path| path.display().to_string()))
        };
        assert_eq!(of("postgres://h/db"), (SslMode::Disable, None));
        assert_eq!(of("postgres://h/db?sslmode=prefer"), (SslMode::Disable, None));
        let url = "postgres://h/db?connect_timeout=1&sslmode=verify-full&sslrootcert=/a%20b.pem";
        assert_eq!(of(url), (SslMode::Require, Some("/a b.pem".to_owned())));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_with_words() {
        let said = |url| address(url).unwrap_err().to_string();
        assert!(said("postgres://me:secret@h:x/db").contains("postgres://USER:PASSWORD@"));
        assert!(!said("postgres://me:secret@h:x/db").contains("secret"));
        assert!(said("postgres://h/db?sslmode=allow").contains("sslmode is one of disable"));
        assert!(said("postgres://h/db?colour=red").contains("colour"));
        let part = Address::of_parts([("colour", "red")], no_variables).unwrap_err();
        assert!(part.to_string().contains("`colour`"));
    }
}
