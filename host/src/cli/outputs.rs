//! Opens what a run writes to, compressed where it is to be, with stdout out of the plugin's reach:
//! what a plugin prints goes to stderr and never into the data.

use super::files::Files;
use crate::error::Error;
use crate::format::Compression;
use crate::sink::held::Held;
use crate::sink::publish::{OpenError, Output, folder_of, names};
use crate::storage::disk::HoldError;
use crate::storage::location::{Location, is_stderr};
use crate::storage::services::Services;
use rustix::fs::{Access, access};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;
use std::fs::File;
use std::io;
use std::path::Path;

/// Our own stdout; the process's is stderr from now on.
pub(super) struct Outputs {
    stdout: File,
}

impl Outputs {
    /// To be called before the first plugin is loaded.
    pub(super) fn take_stdout() -> Result<Self, Error> {
        let ours = fcntl_dupfd_cloexec(stdio::stdout(), 3)
            .and_then(|ours| stdio::dup2_stdout(stdio::stderr()).map(|()| ours))
            .map_err(|error| closed("stdout", error.into()))?;
        Ok(Outputs { stdout: ours.into() })
    }

    /// Our own stdout, for a command that writes nothing else.
    pub(super) fn into_stdout(self) -> File {
        self.stdout
    }

    /// Opens a path, or stdout where there is none. `what` stands in the error.
    pub(super) fn open(&self, what: &'static str, path: Option<&Path>) -> Result<Output, Error> {
        match path {
            Some(path) if is_stderr(path) => self.stderr(),
            Some(path) => Output::create(path).map_err(|source| Error::Output {
                what,
                path: path.to_owned(),
                source,
            }),
            None => {
                let stdout = self.stdout.try_clone();
                stdout.map(Output::stream).map_err(|error| closed("stdout", error))
            }
        }
    }

    /// Opens what is at a location. A stream is where predictions go.
    pub(super) fn create(
        &self,
        what: &'static str,
        location: &Location,
        services: &Services,
    ) -> Result<Output, Error> {
        let Location::Remote(remote) = location else { return self.open(what, location.local()) };
        let (name, pending) = (remote.to_string(), services.create(remote));
        match pending {
            Ok(pending) => Ok(Output::pending(name, pending)),
            Err(source) => {
                Err(Error::Output { what, path: name.into(), source: OpenError::Remote(source) })
            }
        }
    }

    /// The same of an object that waits for `etl-host commit`, which is told of it in this file.
    pub(super) fn hold(
        &self,
        location: &Location,
        services: &Services,
        file: &Path,
    ) -> Result<Output, Error> {
        let Location::Remote(remote) = location else {
            return Err(Error::usage(format!("`{location}` can't be held back"))); // was refused
        };
        let ticket = self.open("the ticket", Some(file))?;
        let name = remote.to_string();
        let pending = services.create(remote).map_err(|source| Error::Output {
            what: "the output",
            path: name.clone().into(),
            source: OpenError::Remote(source),
        })?;
        let held = Held::new(pending, remote.whole().to_owned(), ticket);
        Ok(Output::pending(name, Box::new(held)))
    }

    /// Where people read.
    pub(super) fn stderr(&self) -> Result<Output, Error> {
        let stderr = fcntl_dupfd_cloexec(stdio::stderr(), 3);
        stderr.map(|fd| Output::stream(fd.into())).map_err(|error| closed("stderr", error.into()))
    }
}

/// Refuses outputs of a run whose folders are not there, or can't be written to, so far as can be seen
/// without writing.
pub(super) fn check_folders(files: &Files) -> Result<(), Error> {
    let outputs = files.outputs.iter().map(|output| ("the output", output));
    for (what, location) in outputs.chain([("the rejects file", &files.rejects)]) {
        let Some(path) = location.local() else { continue };
        let failed = |source| Error::Output { what, path: path.to_owned(), source };
        let Some(names) = names(path).map_err(failed)? else { continue };
        let folder = folder_of(&names.path);
        // A name with `/` behind it is that of a folder only.
        if let Err(error) = access(folder.join(""), Access::WRITE_OK | Access::EXEC_OK) {
            let (action, source) = ("can't write in", error.into());
            return Err(failed(HoldError::Io { action, path: folder, source }.into()));
        }
    }
    Ok(())
}

/// An output, compressed as it is to be.
pub(super) fn compressed(
    output: Output,
    how: Option<Compression>,
    what: &'static str,
    location: &Location,
) -> Result<Output, Error> {
    let Some(how) = how else { return Ok(output) };
    output.compressed(how).map_err(|source| Error::Output {
        what,
        path: location.to_string().into(),
        source: OpenError::Compression(source),
    })
}

fn closed(name: &str, error: io::Error) -> Error {
    let source = OpenError::Stream(error);
    Error::Output { what: "the stream", path: name.into(), source }
}
