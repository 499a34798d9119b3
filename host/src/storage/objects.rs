//! Objects in a store: S3, Google Cloud Storage, Azure Blob Storage, or behind a web server.
//!
//! `object_store` speaks to them all, and is asynchronous; nobody outside of this folder sees that.
//! Who asks blocks, and [`bridge`] is the one thread that works on what is under way.
//!
//! The trap: a store's own words may hold a URL with a token, or repeat a request. So no error of
//! `object_store` is ever shown: [`trouble`] takes from it what may be told.

mod bridge;
mod client;
mod read;
mod trouble;
mod upload;
mod write;

use super::location::Remote;
use super::secret::Secret;
use super::services::Service;
use super::services::kinds::{Definition, Kind};
use super::upload::{Sent, Upload};
use super::{Input, Pending, Trouble};
use crate::stop::Stop;
use bridge::{again, block_on};
use client::Clients;
use futures_util::TryStreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _, PutResult};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// A bucket, or a web server.
pub(super) struct Bucket {
    name: String,
    definition: Definition,
    clients: Clients,
    stop: Stop,
    /// What was found out about objects: what is read is what was looked at first.
    known: Mutex<HashMap<String, ObjectMeta>>,
}

impl Bucket {
    /// In which bucket it lies; for a web server, the whole URL.
    pub(super) fn name(at: &Remote, definition: &Definition) -> io::Result<String> {
        if definition.kind == Kind::Http {
            return Ok(match definition.option("url") {
                Some(url) => format!("{}/{}", url.trim_end_matches('/'), at.rest()),
                None => at.whole().to_owned(),
            });
        }
        if let Some(bucket) = definition.option("bucket") {
            return Ok(bucket.to_owned());
        }
        let bucket = at.rest().split('/').next().unwrap_or_default();
        if bucket.contains('@') {
            let hint =
                "credentials come from the environment, --services or --key and --secret-key";
            let what = format!("`{at}` holds credentials, where a bucket should stand");
            return Err(Trouble::error(io::ErrorKind::InvalidInput, what, Some(hint)));
        }
        if bucket.is_empty() {
            let what = format!("`{at}` names no bucket");
            return Err(Trouble::error(io::ErrorKind::InvalidInput, what, None));
        }
        Ok(bucket.to_owned())
    }

    pub(super) fn new(name: String, definition: Definition, stop: Stop) -> io::Result<Self> {
        let clients = Clients::new(&name, &definition)?;
        Ok(Bucket { name, definition, clients, stop, known: Mutex::default() })
    }

    /// Whether it holds more than one object.
    pub(super) fn is_shared(&self) -> bool {
        !self.is_http()
    }

    fn is_http(&self) -> bool {
        self.definition.kind == Kind::Http
    }

    /// Its key.
    fn key<'a>(&self, at: &'a Remote) -> &'a str {
        match self.definition.option("bucket") {
            _ if self.is_http() => "",
            Some(_) => at.rest(),
            None => at.rest().split_once('/').map_or("", |(_, key)| key),
        }
    }

    fn path(&self, at: &Remote) -> io::Result<Path> {
        let wrong = |what: &str| {
            let hint = "a key has no empty part, and none that is `.` or `..`";
            Trouble::error(io::ErrorKind::InvalidInput, format!("`{at}` {what}"), Some(hint))
        };
        let key = self.key(at);
        if key.is_empty() && !self.is_http() {
            return Err(wrong("names no object"));
        }
        Path::parse(key).map_err(|_| wrong("has a key that can't be asked for"))
    }

    /// What went wrong, in words that may be shown.
    fn trouble(&self, at: &str, error: &object_store::Error) -> io::Error {
        let bucket = if self.is_http() { at } else { &self.name };
        let secrets = self.definition.options.values().map(Secret::reveal);
        trouble::told(
            error,
            &trouble::Place { at, bucket, endpoint: &self.clients.endpoint },
            secrets,
        )
    }

    /// What there is to know of an object, asked for once.
    fn look(&self, at: &Remote) -> io::Result<ObjectMeta> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meta) = known.get(at.whole()) {
            return Ok(meta.clone());
        }
        let path = self.path(at)?;
        let asks = &self.clients.asks;
        let looked = block_on(async {
            if self.is_http() {
                // Many a server, and each URL that is signed for reading, knows only GET.
                let get = || asks.get_opts(&path, GetOptions::default());
                return again(get).await.map(|got| got.meta);
            }
            match asks.head(&path).await {
                Ok(meta) => Ok(meta),
                // An answer to HEAD has no words: GET says why.
                Err(_) => match self.first_byte(&path).await {
                    Err(error) if trouble::is_missing_object(&error) => {
                        Err(self.missing_bucket().await.unwrap_or(error))
                    }
                    looked => looked,
                },
            }
        })?;
        let meta = looked.map_err(|error| self.trouble(&at.to_string(), &error))?;
        known.insert(at.whole().to_owned(), meta.clone());
        Ok(meta)
    }

    /// Says that there is no such bucket, where that is why there is no object: not every store tells
    /// one from the other.
    async fn missing_bucket(&self) -> Option<object_store::Error> {
        let listed = self.clients.asks.list(None).try_next().await;
        listed.err().filter(trouble::is_missing_bucket)
    }

    fn check_writable(&self) -> io::Result<()> {
        if !self.is_http() {
            return Ok(());
        }
        let hint = "write to a file, or to a bucket: s3://, gs://, az://";
        let what = "a web server is only read from";
        Err(Trouble::error(io::ErrorKind::Unsupported, what, Some(hint)))
    }

    /// Asks for an object by its first byte.
    async fn first_byte(&self, path: &Path) -> object_store::Result<ObjectMeta> {
        let get = || {
            let range = Some(GetRange::Bounded(0..1));
            let options = GetOptions { range, ..GetOptions::default() };
            self.clients.asks.get_opts(path, options)
        };
        again(get).await.map(|got| got.meta)
    }
}

/// Which content an object has.
fn version_of(meta: &ObjectMeta) -> String {
    let (bytes, time) = (meta.size, meta.last_modified.timestamp());
    match &meta.e_tag {
        Some(tag) => format!("{bytes} bytes, ETag {tag}"),
        None if time == 0 => format!("{bytes} bytes"), // a server that does not say
        None => format!("{bytes} bytes, changed {}", meta.last_modified.to_rfc3339()),
    }
}

/// The same for an object that was made just now, where the store says enough.
fn version_made(bytes: u64, made: &PutResult) -> Option<String> {
    made.e_tag.as_ref().map(|tag| format!("{bytes} bytes, ETag {tag}"))
}

impl Service for Bucket {
    fn open(self: Arc<Self>, at: &Remote) -> io::Result<Box<dyn Input>> {
        let meta = self.look(at)?;
        Ok(Box::new(read::Reader::new(self, at.to_string(), meta)))
    }

    fn version(&self, at: &Remote) -> io::Result<Option<String>> {
        self.look(at).map(|meta| Some(version_of(&meta)))
    }

    fn bytes_total(&self, at: &Remote) -> Option<u64> {
        self.look(at).ok().map(|meta| meta.size)
    }

    /// A folder is what ends with `/`, without what is in folders in it; a glob is as one of files.
    fn list(&self, at: &Remote) -> io::Result<Option<Vec<Remote>>> {
        let key = self.key(at);
        let is_glob = key.contains(['*', '?', '[']) && !self.is_http();
        if self.is_http() || !(is_glob || at.is_folder()) {
            return Ok(None);
        }
        let invalid = |what| Trouble::error(io::ErrorKind::InvalidInput, what, None);
        let (folder, pattern) = match is_glob {
            false => (key, None),
            true => {
                let pattern = glob::Pattern::new(key)
                    .map_err(|error| invalid(format!("`{at}` is no glob: {error}")))?;
                let literal = key.find(['*', '?', '[']).unwrap_or_default();
                (&key[..key[..literal].rfind('/').map_or(0, |slash| slash + 1)], Some(pattern))
            }
        };
        let prefix = Path::parse(folder)
            .map_err(|_| invalid(format!("`{at}` has a key that can't be asked for")))?;
        let asks = &self.clients.asks;
        let list = || async {
            match &pattern {
                None => asks.list_with_delimiter(Some(&prefix)).await.map(|it| it.objects),
                Some(_) => asks.list(Some(&prefix)).try_collect::<Vec<_>>().await,
            }
        };
        let found = block_on(again(list))?;
        let found = found.map_err(|error| self.trouble(&at.to_string(), &error))?;
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let mut keys: Vec<String> = found
            .into_iter()
            .map(|meta| meta.location.to_string())
            .filter(|key| match &pattern {
                Some(pattern) => pattern.matches_with(key, options),
                None => {
                    let name = key.rsplit('/').next().unwrap_or_default();
                    !name.starts_with(['.', '_']) && key.len() > prefix.as_ref().len()
                }
            })
            .collect();
        // As the paths of files: part by part.
        keys.sort_by(|a, b| a.split('/').cmp(b.split('/')));
        if keys.is_empty() {
            let what = if is_glob { "no object matches" } else { "there is no object in it" };
            return Err(Trouble::error(io::ErrorKind::NotFound, what, None));
        }
        // What stands before the key stays as it was given.
        let before = &at.whole()[..at.whole().len() - key.len()];
        let remote = |key: String| Remote::of(&format!("{before}{key}")).expect("it has a scheme");
        Ok(Some(keys.into_iter().map(remote).collect()))
    }

    fn names(&self, at: &Remote) -> io::Result<Vec<String>> {
        self.check_writable()?;
        let prefix = Path::parse(self.key(at))
            .map_err(|_| io::Error::other("its key can't be asked for"))?;
        let asks = &self.clients.asks;
        let found = block_on(again(|| asks.list_with_delimiter(Some(&prefix))))?;
        let found = found.map_err(|error| self.trouble(&at.to_string(), &error))?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        let folders = found.common_prefixes.iter().map(|path| name(path) + "/");
        // The folder itself is an object too, where somebody made it by hand.
        let objects = found.objects.iter().filter(|meta| meta.location != prefix);
        Ok(folders.chain(objects.map(|meta| name(&meta.location))).collect())
    }

    fn create(self: Arc<Self>, at: &Remote) -> io::Result<Box<dyn Pending>> {
        self.check_writable()?;
        let (path, shown) = (self.path(at)?, at.to_string());
        // Nothing is written yet, but who may not write is told now, and not after hours of work.
        let before = match block_on(self.first_byte(&path))? {
            Ok(meta) => write::Before::There(meta),
            Err(error) if trouble::is_missing_object(&error) => write::Before::Missing,
            // Who may write need not be allowed to read.
            Err(error) if trouble::is_unsure(&error) => write::Before::Unknown,
            Err(error) => return Err(self.trouble(&shown, &error)),
        };
        Ok(Box::new(write::Writer::new(self, path, shown, before)))
    }

    fn upload(self: Arc<Self>, at: &Remote, sent: Option<Sent>) -> io::Result<Box<dyn Upload>> {
        self.check_writable()?;
        let (path, shown) = (self.path(at)?, at.to_string());
        Ok(Box::new(upload::Uploading::new(self, path, shown, sent)?))
    }

    fn identity(&self, at: &Remote) -> String {
        match self.is_http() {
            true => self.name.clone(),
            false => {
                let key = self.key(at);
                let key = Path::parse(key).map_or_else(|_| key.to_owned(), |it| it.to_string());
                format!("{}\n{}\n{key}", self.clients.endpoint, self.name)
            }
        }
    }
}
