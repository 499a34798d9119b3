//! The flag that says which plugins may be loaded, for every command that loads some.

use crate::error::Error;
use crate::plugin::{Image, Trust, TrustError};
use clap::Args;
use std::path::{Path, PathBuf};

// No doc comment here: clap would take it for what the command is for.
#[derive(Args, Debug, Default)]
pub(super) struct TrustArgs {
    /// Load only plugins that this file trusts: by their SHA-256, or by a signature of minisign
    ///
    /// TOML: in a table `keys` public keys, NAME = "RW…", whose signature of a plugin lies beside it as
    /// PLUGIN.minisig; in a table `sha256` digests, DIGEST = "what it is". Files that a model declares
    /// are verified too. What is verified is what is loaded. docs/security.md tells all of it.
    #[arg(id = "trust", long = "trust", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

impl TrustArgs {
    /// Reads the file, where one is named.
    pub(super) fn read(&self) -> Result<Option<Trust>, Error> {
        Ok(self.file.as_deref().map(Trust::read).transpose()?)
    }

    /// The plugin, where it may be loaded.
    pub(super) fn admit(&self, path: &Path) -> Result<Image, Error> {
        let Some(trust) = self.read()? else { return Ok(path.into()) };
        let admitted = trust.admit(path);
        let admitted =
            admitted.map_err(|source| Error::Plugin { path: path.to_owned(), source })?;
        Ok(admitted.image)
    }
}

/// As with a file of services: the command line asks for what can't be.
impl From<TrustError> for Error {
    fn from(TrustError { message, hint }: TrustError) -> Self {
        Error::Usage { message, hint }
    }
}
