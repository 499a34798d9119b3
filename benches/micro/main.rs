//! The host's parts, each for itself: how long it takes to cut a block into records, to splice
//! predictions, to run a jq program, to bring batches back into order, to cross the border. `make bench-micro`.
//!
//! For questions of the kind "did this change cost anything, and where"; what a user gets is
//! measured by `bench.py`. Each works on batches as a run has them, and shows its throughput.
//! Everything goes through the public API, as the host itself uses it.
//!
//! One program, so that it is linked once. Arguments choose: `make bench-micro ONLY=framing`.

use std::process::ExitCode;

mod border;
mod data;
mod framing;
mod jq;
mod order;
mod ring;
mod splice;

fn main() -> ExitCode {
    // The host starts its own program again for a worker, and that is this one.
    if std::env::args().nth(1).as_deref() == Some(etl_host::isolation::COMMAND) {
        return etl_host::cli::main(std::env::args_os()).into();
    }
    divan::main();
    ExitCode::SUCCESS
}
