//! The folder in a store that a commit is made in, and what is done there. Everything may be done twice.

use crate::error::Error;
use crate::sink::publish::OpenError;
use crate::storage::location::{Location, Remote};
use crate::storage::services::Services;
use crate::storage::upload::{Sent, Ticket, Upload};
use crate::storage::{Input, Pending, Trouble};
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

/// All that is to be done, and who does it.
pub(super) const MANIFEST: &str = "_manifest.ldjson";
/// Says that all is done.
pub(super) const SUCCESS: &str = "_SUCCESS";
/// Where jobs write what is nobody's to read.
pub(super) const TEMPORARY: &str = "_temporary/";
/// Put twice, to see whether a store refuses the second.
const PROBE: &str = "_temporary/_only_once";

/// How long to wait, again and again, for an object that another may be making.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(300)];

/// A folder in a store.
pub(super) struct Place<'a> {
    services: &'a Services,
    /// Ends with `/`.
    folder: Remote,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.folder)
    }
}

impl<'a> Place<'a> {
    pub(super) fn of(text: &OsStr, services: &'a Services) -> Result<Self, Error> {
        let location = services.resolve(text)?;
        match &location {
            Location::Remote(remote) if services.database(&location).is_none() => {
                let slash = if remote.whole().ends_with('/') { "" } else { "/" };
                let place = Place { services, folder: remote.followed_by(slash) };
                place.upload(PROBE, None)?; // asks nobody, and says what can only be read from
                Ok(place)
            }
            other => Err(Error::Usage {
                message: format!("a commit is made in a store, and `{other}` is in none"),
                hint: Some("s3://BUCKET/FOLDER/; files appear in one step already".to_owned()),
            }),
        }
    }

    /// What a location is called in this folder; `None` where it is not in it.
    pub(super) fn name<'b>(&self, location: &'b str) -> Option<&'b str> {
        location.strip_prefix(self.folder.whole())
    }

    fn object(&self, name: &str) -> Remote {
        self.folder.followed_by(name)
    }

    /// What could not be written.
    pub(super) fn failed(&self, name: &str, error: io::Error) -> Error {
        let path = self.object(name).to_string().into();
        Error::Output { what: "the object", path, source: OpenError::Remote(error) }
    }

    fn unread(&self, name: &str, source: io::Error) -> Error {
        Error::Input { path: self.object(name).to_string().into(), source }
    }

    /// A manifest that can't be done.
    pub(super) fn damaged(&self, error: &Error) -> Error {
        let hint = "was it made by a newer etl-host? then that one ends it";
        let trouble = Trouble::error(io::ErrorKind::InvalidData, error.to_string(), Some(hint));
        self.unread(MANIFEST, trouble)
    }

    fn upload(&self, name: &str, sent: Option<Sent>) -> Result<Box<dyn Upload>, Error> {
        let upload = self.services.upload(&self.object(name), sent);
        upload.map_err(|error| self.failed(name, error))
    }

    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let put = self.upload(name, None)?.put(bytes);
        put.map(drop).map_err(|error| self.failed(name, error))
    }

    /// Puts it where nothing is: whether that was so.
    pub(super) fn put_new(&self, name: &str, bytes: Vec<u8>) -> Result<bool, Error> {
        self.upload(name, None)?.put_new(bytes).map_err(|error| self.failed(name, error))
    }

    pub(super) fn remove(&self, object: &Location) -> Result<(), Error> {
        let Location::Remote(remote) = object else { return Ok(()) };
        let removed = self.services.upload(remote, None).and_then(|mut it| it.remove());
        removed.map_err(|source| Error::Output {
            what: "the object",
            path: object.to_string().into(),
            source: OpenError::Remote(source),
        })
    }

    /// Begins to write an object that may be large.
    pub(super) fn create(&self, name: &str) -> Result<Box<dyn Pending>, Error> {
        self.services.create(&self.object(name)).map_err(|error| self.failed(name, error))
    }

    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Input>, Error> {
        let location = Location::Remote(self.object(name));
        self.services.open(&location).map_err(|error| self.unread(name, error))
    }

    /// What an object holds; `None` where there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read_up_to(name, |_| false)
    }

    /// The same, as far as to where it is enough.
    fn read_up_to(
        &self,
        name: &str,
        is_enough: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, Error> {
        if !self.is_there(name)? {
            return Ok(None);
        }
        let (mut input, mut text) = (self.open(name)?, Vec::new());
        while !is_enough(&text) {
            text.reserve(64 * 1024);
            if input.read(&mut text).map_err(|error| self.unread(name, error))? == 0 {
                break;
            }
        }
        Ok(Some(text))
    }

    pub(super) fn is_there(&self, name: &str) -> Result<bool, Error> {
        match self.services.version(&Location::Remote(self.object(name))) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.unread(name, error)),
        }
    }

    /// The job whose commit was begun here.
    pub(super) fn job(&self) -> Result<Option<String>, Error> {
        let text = self.read_up_to(MANIFEST, |text| text.contains(&b'\n'))?;
        let Some(text) = text else { return Ok(None) };
        let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let told: Value = serde_json::from_slice(first).unwrap_or_default();
        Ok(Some(told["job"].as_str().unwrap_or_default().to_owned()))
    }

    /// Something that lies here, but for what is temporary.
    pub(super) fn found(&self) -> Result<Option<String>, Error> {
        let names = self.services.names(&self.folder).map_err(|error| self.unread("", error))?;
        Ok(names.into_iter().find(|name| name != TEMPORARY))
    }

    /// The objects that lie in a folder in this one.
    pub(super) fn objects(&self, folder: &str) -> Result<Vec<Location>, Error> {
        match self.services.list(&Location::Remote(self.object(&format!("{folder}*")))) {
            Ok(objects) => Ok(objects.unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.unread(folder, error)),
        }
    }

    /// Refuses a store that takes a second object in the place of the first where it was told not to: of
    /// two jobs, both would be told that they have the folder.
    pub(super) fn check_conditions(&self) -> Result<(), Error> {
        if !self.put_new(PROBE, b"1".to_vec())? {
            return Ok(());
        }
        let is_refused = !self.put_new(PROBE, b"2".to_vec())?;
        let _ = self.remove(&Location::Remote(self.object(PROBE))); // harmless where it stays
        if is_refused {
            return Ok(());
        }
        let what = "this store writes over an object where it was told to do so only if there is none \
                    (If-None-Match: *), so a commit could not be made only once";
        let hint = "use a store, or a newer version of this one, that knows conditional writes";
        Err(self.failed(PROBE, Trouble::error(io::ErrorKind::Unsupported, what, Some(hint))))
    }

    /// Makes an object that was held back.
    pub(super) fn join(&self, ticket: &Ticket) -> Result<(), Error> {
        let Ticket { location, upload, parts, bytes } = ticket;
        let name = self.name(location).unwrap_or_default();
        if parts.is_empty() {
            return self.put(name, Vec::new());
        }
        let sent = Sent { upload: upload.clone(), parts: parts.clone() };
        let Err(error) = self.upload(name, Some(sent))?.join(*bytes) else { return Ok(()) };
        // Somebody did it: whoever died here, or is at it too, perhaps in this moment; or we did, and the
        // answer was lost.
        for pause in PAUSES {
            if self.services.bytes_total(&Location::Remote(self.object(name))) == Some(*bytes) {
                return Ok(());
            }
            thread::sleep(pause);
        }
        if error.kind() != io::ErrorKind::NotFound {
            return Err(self.failed(name, error));
        }
        let what = "the store has neither the object nor what was sent of it";
        let hint = "somebody gave it up, or removed it, perhaps a rule of the bucket: this commit can't be \
                    ended. Remove the folder, and run the job again";
        Err(self.failed(name, Trouble::error(io::ErrorKind::NotFound, what, Some(hint))))
    }

    /// Has the store forget an object that was held back.
    pub(super) fn give_up(&self, ticket: &Ticket) -> Result<(), Error> {
        if ticket.parts.is_empty() {
            return Ok(());
        }
        let name = self.name(&ticket.location).unwrap_or_default();
        let sent = Sent { upload: ticket.upload.clone(), parts: Vec::new() };
        let given_up = self.upload(name, Some(sent))?.give_up();
        given_up.map_err(|error| self.failed(name, error))
    }
}
