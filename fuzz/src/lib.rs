//! What must hold for any input, whoever made it: one file a target, one function in it that takes
//! bytes and panics where it does not hold. Each compares the host with something slow and obvious.
//!
//! The fuzzer (`make fuzz`) and the tests call the same functions; the tests with every file of
//! `corpus/`, so a finding becomes a test when its file is put there.
//!
//! A new target is a file here, a line in [`TARGETS`] and a folder in `corpus/` with one input or
//! more. Inputs that are texts can be read and written by hand: settings up to the first line feed,
//! then what is tested.

pub mod frame;
pub mod journal;
mod json;
mod memory;
pub mod predictions;
pub mod splice;
pub mod stamp;

/// What takes an input and panics where something does not hold.
pub type Target = fn(&[u8]);

/// All targets, by the names of their folders in `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("frame", frame::run),
    ("journal", journal::run),
    ("predictions", predictions::run),
    ("splice", splice::run),
    ("stamp", stamp::run),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(found, _)| *found == name).map(|(_, target)| *target)
}

/// What stands between two texts of one input.
const SEPARATOR: u8 = 0x1e;

/// The settings before the first line feed, and what stands behind it.
fn settings(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

/// One byte of the settings as a number; `0` where there is none. A digit is what it says, so that
/// settings can be typed; other characters are numbers too.
fn number(settings: &[u8], index: usize) -> u8 {
    settings.get(index).map_or(0, |byte| byte.wrapping_sub(b'0'))
}

/// A length out of one byte: its square, so that there are small ones and such over 4 KiB.
fn length(settings: &[u8], index: usize) -> usize {
    usize::from(number(settings, index)).pow(2)
}
