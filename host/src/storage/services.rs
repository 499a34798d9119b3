//! Where data lives is injected: what a location is opened on is decided here, from flags, a file of
//! services and the environment, and nobody else knows.
//!
//! To add a kind of service: a row in [`kinds`], an implementation of [`Service`], an arm in
//! `Services::of`.

pub mod file;
pub mod kinds;

use super::database::Database;
use super::location::{Location, Remote};
use super::objects::Bucket;
use super::secret::Secret;
use super::upload::{Sent, Upload};
use super::{Input, Pending, Trouble, open, version};
use crate::stop::Stop;
use kinds::{Definition, KNOWN, Kind};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Somewhere that data lives, other than in files of this machine.
pub trait Service: Send + Sync {
    /// Opens it for reading. Errors are told as [`Trouble`].
    fn open(self: Arc<Self>, at: &Remote) -> io::Result<Box<dyn Input>>;

    /// Which content it has, as [`Input::version`] says it; `None` where that can't be known.
    fn version(&self, at: &Remote) -> io::Result<Option<String>>;

    /// How many bytes it has, where that is known.
    fn bytes_total(&self, at: &Remote) -> Option<u64>;

    /// All that it names, where it names several, sorted; without what is hidden, or only marks
    /// something. Not found: there is none. `None`: it names one.
    fn list(&self, at: &Remote) -> io::Result<Option<Vec<Remote>>> {
        let _ = at;
        Ok(None)
    }

    /// The names of all that lies directly in a folder, hidden or not; those of folders end with `/`.
    fn names(&self, at: &Remote) -> io::Result<Vec<String>> {
        let _ = at;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Begins to write it. Whatever can be seen to be wrong is told now.
    fn create(self: Arc<Self>, at: &Remote) -> io::Result<Box<dyn Pending>>;

    /// Begins to write it so that another process can go on, or goes on behind what was sent. Asks
    /// nobody.
    fn upload(self: Arc<Self>, at: &Remote, sent: Option<Sent>) -> io::Result<Box<dyn Upload>> {
        let _ = (at, sent);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// A text that is the same for the same place, however it is spelled.
    fn identity(&self, at: &Remote) -> String {
        at.whole().to_owned()
    }
}

/// All services of a command line.
#[derive(Default)]
pub struct Services {
    named: BTreeMap<String, Definition>,
    trust: Option<PathBuf>,
    /// In which bucket paths are keys, where one was given.
    bucket: Option<String>,
    stop: Stop,
    /// Those that were asked for, so that a connection is used again.
    open: Mutex<HashMap<(String, String), Arc<Bucket>>>,
}

/// What was given on a command line.
#[derive(Debug, Default)]
pub struct Given {
    /// The services of a file, by name.
    pub named: BTreeMap<String, Definition>,
    /// The file of trust that is named there.
    pub trust: Option<PathBuf>,
    /// The bucket in which paths are keys.
    pub bucket: Option<String>,
    /// Options of S3, which go before those of the file.
    pub s3: BTreeMap<String, Secret>,
}

/// Why a command line's services can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ServicesError {
    /// What is wrong, without any secret.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ServicesError {
    /// Without a hint.
    pub fn new(message: impl Into<String>) -> Self {
        ServicesError { message: message.into(), hint: None }
    }
}

impl Services {
    /// Those that were given. Where `stop` is set, nobody is waited for any more.
    pub fn new(given: Given, stop: Stop) -> Self {
        let Given { mut named, trust, bucket, s3 } = given;
        for scheme in Kind::S3.known().schemes {
            let given = named.entry((*scheme).to_owned());
            given.or_insert_with(|| Definition::new(Kind::S3)).options.extend(s3.clone());
        }
        Services { named, trust, bucket, stop, open: Mutex::default() }
    }

    /// The file that says which plugins may be loaded, where a file of services names one: it is not
    /// read here.
    pub fn trust(&self) -> Option<&Path> {
        self.trust.as_deref()
    }

    /// What a text on the command line means. Asks nobody.
    pub fn resolve(&self, text: &OsStr) -> Result<Location, ServicesError> {
        let location = Location::of(text);
        let remote = match location {
            Location::Stream => return Ok(location),
            Location::Local(path) => {
                let Some(bucket) = &self.bucket else { return Ok(Location::Local(path)) };
                let key = path.to_str().ok_or_else(|| {
                    ServicesError::new(format!("the key `{}` is not UTF-8", path.display()))
                })?;
                Remote::of(&format!("s3://{bucket}/{}", key.trim_start_matches('/')))
                    .expect("it has a scheme")
            }
            Location::Remote(remote) => remote,
        };
        let definition = self.definition(&remote)?;
        match (definition.kind, definition.option("root")) {
            (Kind::Local, Some(root)) => Ok(Location::Local(Path::new(root).join(remote.rest()))),
            (Kind::Postgres | Kind::Sqlite, _) => {
                Database::of(&remote, &definition).map(|_| Location::Remote(remote))
            }
            _ => Ok(Location::Remote(remote)),
        }
    }

    /// Opens it for reading; a stream is stdin.
    pub fn open(&self, location: &Location) -> io::Result<Box<dyn Input>> {
        match location {
            Location::Stream => open(Path::new("-")),
            Location::Local(path) => open(path),
            Location::Remote(remote) => self.of(remote)?.open(remote),
        }
    }

    /// Which content it has, as [`Input::version`] says it. Waits for no pipe.
    pub fn version(&self, location: &Location) -> io::Result<Option<String>> {
        match location {
            Location::Stream => Ok(None),
            Location::Local(path) => version(path),
            Location::Remote(remote) => self.of(remote)?.version(remote),
        }
    }

    /// How many bytes it has, where that is known.
    pub fn bytes_total(&self, location: &Location) -> Option<u64> {
        match location {
            Location::Stream => None,
            Location::Local(path) => {
                let metadata = path.metadata().ok()?;
                metadata.is_file().then_some(metadata.len())
            }
            Location::Remote(remote) => self.of(remote).ok()?.bytes_total(remote),
        }
    }

    /// All that it names, where it names several that are elsewhere, sorted.
    pub fn list(&self, location: &Location) -> io::Result<Option<Vec<Location>>> {
        let Location::Remote(remote) = location else { return Ok(None) };
        let named = self.of(remote)?.list(remote)?;
        Ok(named.map(|named| named.into_iter().map(Location::Remote).collect()))
    }

    /// The names of all that lies directly in a folder, hidden or not; those of folders end with `/`.
    pub fn names(&self, remote: &Remote) -> io::Result<Vec<String>> {
        self.of(remote)?.names(remote)
    }

    /// Begins to write it.
    pub fn create(&self, remote: &Remote) -> io::Result<Box<dyn Pending>> {
        self.of(remote)?.create(remote)
    }

    /// Begins to write it so that another process can go on, or goes on behind what was sent. Asks
    /// nobody.
    pub fn upload(&self, remote: &Remote, sent: Option<Sent>) -> io::Result<Box<dyn Upload>> {
        self.of(remote)?.upload(remote, sent)
    }

    /// A text that is the same for the same place, however it is spelled; `None` for what can't be
    /// compared so.
    pub fn identity(&self, location: &Location) -> Option<String> {
        let Location::Remote(remote) = location else { return None };
        // A database may be read and written at once.
        self.database(location)
            .is_none()
            .then(|| self.of(remote).ok())?
            .map(|it| it.identity(remote))
    }

    /// The database that it is, where it is one.
    pub fn database(&self, location: &Location) -> Option<Database> {
        let Location::Remote(remote) = location else { return None };
        Database::of(remote, &self.definition(remote).ok()?).ok()
    }

    /// The service that it is opened on.
    fn of(&self, remote: &Remote) -> io::Result<Arc<dyn Service>> {
        let definition = self.definition(remote).map_err(unsupported)?;
        match definition.kind {
            Kind::S3 | Kind::Gs | Kind::Az | Kind::Http => {
                let bucket = Bucket::name(remote, &definition)?;
                let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                let known = (remote.scheme().to_owned(), bucket.clone());
                if let Some(bucket) = open.get(&known) {
                    return Ok(bucket.clone());
                }
                let made = Arc::new(Bucket::new(bucket, definition, self.stop.clone())?);
                if made.is_shared() {
                    open.insert(known, made.clone());
                }
                Ok(made)
            }
            Kind::Postgres | Kind::Sqlite => {
                let database = Database::of(remote, &definition);
                database.map(|it| Arc::new(it) as Arc<dyn Service>).map_err(unsupported)
            }
            Kind::Local => Err(io::ErrorKind::Unsupported.into()), // `resolve` has made a path of it
        }
    }

    fn definition(&self, remote: &Remote) -> Result<Definition, ServicesError> {
        let scheme = remote.scheme();
        if let Some(definition) = self.named.get(scheme) {
            return Ok(definition.clone());
        }
        Kind::of_scheme(scheme).map(Definition::new).ok_or_else(|| {
            let schemes = KNOWN.iter().flat_map(|known| known.schemes).copied();
            let mut known: Vec<&str> = schemes.collect();
            let others = self.named.keys().map(String::as_str);
            known.extend(others.filter(|name| Kind::of_scheme(name).is_none()));
            ServicesError {
                message: format!("there is no service `{scheme}`, as `{remote}` wants it"),
                hint: Some(format!(
                    "known are {}; others are named in a file that --services gives",
                    known.join(", ")
                )),
            }
        })
    }
}

fn unsupported(ServicesError { message, hint }: ServicesError) -> io::Error {
    Trouble::error(io::ErrorKind::Unsupported, message, hint.as_deref())
}

/// A database has no bytes: whoever asks for them was not told to ask for rows.
impl Service for Database {
    fn open(self: Arc<Self>, _: &Remote) -> io::Result<Box<dyn Input>> {
        Err(Trouble::error(io::ErrorKind::Unsupported, NO_BYTES, None))
    }

    fn version(&self, _: &Remote) -> io::Result<Option<String>> {
        Ok(None)
    }

    fn bytes_total(&self, _: &Remote) -> Option<u64> {
        None
    }

    fn create(self: Arc<Self>, _: &Remote) -> io::Result<Box<dyn Pending>> {
        Err(Trouble::error(io::ErrorKind::Unsupported, NO_BYTES, None))
    }
}

const NO_BYTES: &str = "it is a database, and what is wanted here is a file";

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(services: &Services, text: &str) -> Result<String, String> {
        let resolved = services.resolve(text.as_ref());
        resolved.map(|it| format!("{it:?}")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_is_a_path_a_key_or_a_url() {
        let mut local = Definition::new(Kind::Local);
        local.options.insert("root".to_owned(), Secret::new("/data"));
        let named = BTreeMap::from([("lake".to_owned(), local)]);
        let services = Services::new(Given { named, ..Given::default() }, Stop::default());
        for (text, expected) in [
            ("-", "Stream"),
            ("a/b", "Local(\"a/b\")"),
            ("lake://a/b", "Local(\"/data/a/b\")"),
            ("LAKE://a", "Local(\"/data/a\")"),
            ("s3://bucket/a", "Remote(s3://bucket/a)"),
            ("https://host/a?token=x", "Remote(https://host/a)"),
        ] {
            assert_eq!(resolve(&services, text).as_deref(), Ok(expected));
        }
        let unknown = services.resolve("ftp://me:hush@host/a?b=hush".as_ref()).unwrap_err();
        assert_eq!(unknown.message, "there is no service `ftp`, as `ftp://me@host/a` wants it");
        assert!(unknown.hint.unwrap().contains(
            "s3, s3a, gs, gcs, az, azure, http, https, postgres, postgresql, sqlite, lake;"
        ));

        let given = Given { bucket: Some("b".to_owned()), ..Given::default() };
        let services = Services::new(given, Stop::default());
        for (text, expected) in [
            ("-", "Stream"),
            ("a/b", "Remote(s3://b/a/b)"),
            ("/a", "Remote(s3://b/a)"),
            ("s3://other/a", "Remote(s3://other/a)"),
        ] {
            assert_eq!(resolve(&services, text).as_deref(), Ok(expected));
        }
    }
}
