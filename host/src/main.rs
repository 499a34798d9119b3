//! The binary: parses, runs, prints the error, chooses the exit code. Everything else is the
//! library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(etl_host::cli::main(std::env::args_os()))
}
