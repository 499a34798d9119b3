//! `etl-host __describe FILE`: the child's side of [`judge`]. Hidden: it loads a plugin and writes
//! what that says of itself, for the process that started it.

use super::outputs::Outputs;
use crate::child;
use crate::error::{Error, exit};
use crate::plugin::judge;
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct DescribeArgs {
    file: PathBuf,
}

pub(super) fn describe(args: &DescribeArgs) -> Result<u8, Error> {
    child::enter();
    let stdout = Outputs::take_stdout()?.into_stdout();
    judge::describe(&args.file, stdout).map_err(super::unwritable)?;
    Ok(exit::OK)
}
