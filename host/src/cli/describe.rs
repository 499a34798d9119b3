//! `etl-host __describe FILE`: the child's side of [`judge`]. Hidden: it loads a plugin and writes
//! what that says of itself, for the process that started it.

use super::outputs::Outputs;
use crate::child;
use crate::error::{Error, exit};
use crate::plugin::{Image, judge};
use clap::Args;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(super) struct DescribeArgs {
    /// What [`Image::lend`] gave
    #[arg(long)]
    held: Option<String>,
    file: PathBuf,
}

pub(super) fn describe(args: &DescribeArgs) -> Result<u8, Error> {
    child::enter();
    let stdout = Outputs::take_stdout()?.into_stdout();
    let image = Image::borrowed(&args.file, args.held.as_deref());
    let image = image.map_err(|source| Error::Input { path: args.file.clone(), source })?;
    judge::describe(&image, stdout).map_err(super::unwritable)?;
    Ok(exit::OK)
}
