//! `--config JSON|@FILE`, wherever a command has it.

use crate::error::Error;
use std::path::PathBuf;

/// The config as a JSON text.
pub(super) fn read(given: Option<&str>) -> Result<String, Error> {
    let text = match given.map(|given| given.strip_prefix('@').ok_or(given)) {
        None => return Ok("{}".to_owned()),
        Some(Err(text)) => text.to_owned(),
        Some(Ok(path)) => std::fs::read_to_string(path)
            .map_err(|error| Error::usage(format!("the config `{path}` can't be read: {error}")))?,
    };
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Error::usage(format!("the config is not JSON: {error}"))),
    }
}

/// The file that it is in, if it is in one.
pub(super) fn file(given: Option<&str>) -> Option<PathBuf> {
    given.and_then(|given| given.strip_prefix('@')).map(PathBuf::from)
}
