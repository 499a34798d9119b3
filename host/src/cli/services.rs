//! The flags of services: where data lives, where the locations don't tell.

use crate::error::Error;
use crate::storage::services::{Services, ServicesError};
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;

// No doc comment here: clap would take it for what the command is for.
#[derive(Args, Debug)]
pub(super) struct ServiceArgs {
    /// Find services in this file: `NAME://path` is a path in the one that is called NAME there
    #[arg(long, value_name = "FILE")]
    pub(super) services: Option<PathBuf>,
}

impl ServiceArgs {
    /// All services, made once for a command.
    pub(super) fn open(&self) -> Result<Arc<Services>, Error> {
        Ok(Arc::new(Services::default()))
    }
}

impl From<ServicesError> for Error {
    fn from(ServicesError { message, hint }: ServicesError) -> Self {
        Error::Usage { message, hint }
    }
}
