//! The fuzzer of one target, the one that `FUZZ_TARGET` names. `make fuzz` builds it, with
//! libFuzzer inside. Built in any other way it only runs the target on the files that it is given,
//! which libFuzzer does as well: for a debugger.
#![cfg_attr(fuzzing, no_main, allow(unsafe_code, reason = "libFuzzer's entry, out of a macro"))]

use etl_host_fuzz::{TARGETS, Target, target};
use std::sync::LazyLock;

static CHOSEN: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    target(&name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        panic!("FUZZ_TARGET is {name:?}, and should be one of {names:?}")
    })
});

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| CHOSEN(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        CHOSEN(&std::fs::read(file)?);
    }
    Ok(())
}
