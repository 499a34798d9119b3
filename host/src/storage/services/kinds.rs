//! Which kinds of services there are, and what can be said of each in a file of services.

use crate::storage::secret::Secret;
use std::collections::BTreeMap;

/// What a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A folder of this machine.
    Local,
    /// Amazon S3, or what speaks as it does.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// A web server, which is only read from.
    Http,
    /// A database of a PostgreSQL server.
    Postgres,
    /// A file of SQLite.
    Sqlite,
}

/// What is known of a kind.
pub struct Known {
    /// Which.
    pub kind: Kind,
    /// Its name in a file of services.
    pub name: &'static str,
    /// The schemes of its URLs.
    pub schemes: &'static [&'static str],
    /// The options that it has.
    pub options: &'static [&'static str],
}

/// All kinds.
pub const KNOWN: [Known; 7] = [
    Known { kind: Kind::Local, name: "local", schemes: &[], options: &["root"] },
    Known {
        kind: Kind::S3,
        name: "s3",
        schemes: &["s3", "s3a"],
        options: &[
            "bucket",
            "endpoint",
            "region",
            "key",
            "secret",
            "token",
            "anonymous",
            "virtual_hosted",
            "unsigned_payload",
            "certificate",
        ],
    },
    Known {
        kind: Kind::Gs,
        name: "gs",
        schemes: &["gs", "gcs"],
        options: &[
            "bucket",
            "endpoint",
            "service_account",
            "service_account_key",
            "token",
            "anonymous",
            "certificate",
        ],
    },
    Known {
        kind: Kind::Az,
        name: "az",
        schemes: &["az", "azure"],
        options: &[
            "bucket",
            "account",
            "endpoint",
            "key",
            "sas",
            "token",
            "client_id",
            "client_secret",
            "tenant_id",
            "anonymous",
            "certificate",
        ],
    },
    Known {
        kind: Kind::Http,
        name: "http",
        schemes: &["http", "https"],
        options: &["url", "user", "password", "token", "certificate"],
    },
    Known {
        kind: Kind::Postgres,
        name: "postgres",
        schemes: &["postgres", "postgresql"],
        options: &["url", "host", "port", "user", "password", "dbname", "sslmode", "sslrootcert"],
    },
    Known { kind: Kind::Sqlite, name: "sqlite", schemes: &["sqlite"], options: &["path"] },
];

impl Kind {
    /// What is known of it.
    pub fn known(self) -> &'static Known {
        let known = KNOWN.iter().find(|known| known.kind == self);
        known.expect("each kind stands in the table")
    }

    /// The kind that is called so in a file of services.
    pub fn named(name: &str) -> Option<Self> {
        KNOWN.iter().find(|known| known.name == name).map(|known| known.kind)
    }

    /// The kind whose URLs begin so.
    pub fn of_scheme(scheme: &str) -> Option<Self> {
        KNOWN.iter().find(|known| known.schemes.contains(&scheme)).map(|known| known.kind)
    }
}

/// A service: what it is, and what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// What it is.
    pub kind: Kind,
    /// What was said of it, by the option's name.
    pub options: BTreeMap<String, Secret>,
}

impl Definition {
    /// A service of which nothing was said.
    pub fn new(kind: Kind) -> Self {
        Definition { kind, options: BTreeMap::new() }
    }

    /// What was said.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(Secret::reveal)
    }
}
