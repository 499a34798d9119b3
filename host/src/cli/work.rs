//! `etl-host __work`: a worker process, which the host that started it talks to over stdin. Hidden.

use crate::child;
use crate::error::{Error, exit};
use crate::isolation::serve;
use crate::pipeline::RunError;

pub(super) fn work() -> Result<u8, Error> {
    child::enter();
    child::close_others();
    serve::serve().map_err(RunError::Thread)?;
    Ok(exit::OK)
}
