//! `etl-host doctor`: what this machine has to run workers in a sandbox with. Asks the kernel, and
//! changes nothing.

use super::{print, shown};
use crate::error::{Error, exit};
use crate::sandbox::{Mode, support};
use clap::Args;
use serde_json::json;

/// Say which of the locks that `--sandbox` uses this machine has
///
/// What the kernel offers, a line each, and then what `--sandbox on` and `--sandbox require` will do
/// here.
///
/// Exit codes: 0 said, whatever there is; 2 wrong command line; 3 stdout can't be written.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Write JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(args: &DoctorArgs) -> Result<u8, Error> {
    let support = support();
    if !args.json {
        print(&shown(&support.to_string()))?;
        return Ok(exit::OK);
    }
    let mut told = serde_json::to_value(&support).expect("its keys are texts");
    told["sandbox"] = json!({
        "on": support.outlook(Mode::On),
        "require": support.outlook(Mode::Require),
        // What `require` refuses for; `null`: nothing.
        "lacking": support.lacking(),
    });
    print(&format!("{told:#}\n"))?;
    Ok(exit::OK)
}
