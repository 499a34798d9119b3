//! `etl-host __work`: a worker process, which the host that started it talks to over stdin. Hidden.

use crate::child;
use crate::error::{Error, exit};
use crate::isolation::{LOST, serve};

pub(super) fn work() -> Result<u8, Error> {
    child::enter();
    child::close_others();
    match serve::serve() {
        Ok(()) => Ok(exit::OK),
        Err(_) => Ok(LOST), // the host says so, and of which record
    }
}
