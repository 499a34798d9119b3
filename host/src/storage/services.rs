//! Where data lives is injected: what a location is opened on is decided here, from flags, a file of
//! services and the environment, and nobody else knows.
//!
//! To add a kind of service: an implementation of [`Service`], a name in [`SCHEMES`], an arm in
//! [`Services::of`].

use super::location::{Location, Remote};
use super::{Input, Pending, Trouble, open, version};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Somewhere that data lives, other than in files of this machine.
pub trait Service: Send + Sync {
    /// Opens it for reading. Errors are told as [`Trouble`].
    fn open(&self, at: &Remote) -> io::Result<Box<dyn Input>>;

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

    /// Begins to write it. Whatever can be seen to be wrong is told now.
    fn create(&self, at: &Remote) -> io::Result<Box<dyn Pending>>;

    /// A text that is the same for the same place, however it is spelled.
    fn identity(&self, at: &Remote) -> String {
        at.whole().to_owned()
    }
}

/// All services of a command line.
#[derive(Default)]
pub struct Services {}

/// Why a command line's services can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ServicesError {
    /// What is wrong, without any secret.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The schemes that are known, for messages.
const SCHEMES: &[&str] = &[];

impl Services {
    /// What a text on the command line means. Asks nobody.
    pub fn resolve(&self, text: &std::ffi::OsStr) -> Result<Location, ServicesError> {
        let location = Location::of(text);
        if let Location::Remote(remote) = &location {
            self.of(remote)?;
        }
        Ok(location)
    }

    /// Opens it for reading; a stream is stdin.
    pub fn open(&self, location: &Location) -> io::Result<Box<dyn Input>> {
        match location {
            Location::Stream => open(Path::new("-")),
            Location::Local(path) => open(path),
            Location::Remote(remote) => self.asked(remote)?.open(remote),
        }
    }

    /// Which content it has, as [`Input::version`] says it. Waits for no pipe.
    pub fn version(&self, location: &Location) -> io::Result<Option<String>> {
        match location {
            Location::Stream => Ok(None),
            Location::Local(path) => version(path),
            Location::Remote(remote) => self.asked(remote)?.version(remote),
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
            Location::Remote(remote) => self.asked(remote).ok()?.bytes_total(remote),
        }
    }

    /// All that it names, where it names several that are elsewhere, sorted.
    pub fn list(&self, location: &Location) -> io::Result<Option<Vec<Location>>> {
        let Location::Remote(remote) = location else { return Ok(None) };
        let named = self.asked(remote)?.list(remote)?;
        Ok(named.map(|named| named.into_iter().map(Location::Remote).collect()))
    }

    /// Begins to write it.
    pub fn create(&self, remote: &Remote) -> io::Result<Box<dyn Pending>> {
        self.asked(remote)?.create(remote)
    }

    /// A text that is the same for the same place, however it is spelled; `None` for what can't be
    /// compared so.
    pub fn identity(&self, location: &Location) -> Option<String> {
        let Location::Remote(remote) = location else { return None };
        Some(self.of(remote).ok()?.identity(remote))
    }

    /// The service that it is opened on.
    fn of(&self, remote: &Remote) -> Result<Arc<dyn Service>, ServicesError> {
        match remote.scheme() {
            scheme => Err(ServicesError {
                message: format!("there is no service `{scheme}`, as `{remote}` wants it"),
                hint: Some(format!("known are {}", SCHEMES.join(", "))),
            }),
        }
    }

    fn asked(&self, remote: &Remote) -> io::Result<Arc<dyn Service>> {
        self.of(remote).map_err(|ServicesError { message, hint }| {
            Trouble::error(io::ErrorKind::Unsupported, message, hint.as_deref())
        })
    }
}
