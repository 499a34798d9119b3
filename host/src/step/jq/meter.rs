//! What a program may take of one record: steps and stack. jaq bounds neither.
//!
//! The interpreter asks its data for the table of terms each time it runs one: so that is where steps are
//! counted, and where it shows how deep the stack has become. There is no way to refuse the table, so
//! what is exceeded leaves as a panic, with [`Exceeded`] in it, which `program.rs` catches: without a
//! word, and beyond the reach of the program's own `try`.

use jaq_core::data::HasLut;
use jaq_core::{DataT, Lut};
use jaq_json::Val;
use std::cell::Cell;
use std::panic::resume_unwind;

/// What jaq is used with.
pub(super) struct Jq;

impl DataT for Jq {
    type V<'a> = Val;
    type Data<'a> = &'a Meter<'a>;
}

/// The bounds of what a program does with one record.
#[derive(Clone, Copy, Debug)]
pub(in crate::step) struct Limits {
    /// Steps of the interpreter.
    pub(super) steps: u64,
    /// And so many more for each byte of the record.
    pub(super) steps_per_byte: u64,
    /// How much of the stack, in bytes, it takes on top of the step's caller.
    pub(super) stack_bytes: usize,
    /// How many outputs there are.
    pub(super) outputs: u64,
    /// How long they are together.
    pub(super) output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            steps: 100_000_000, // some seconds
            steps_per_byte: 1000,
            stack_bytes: super::super::STACK_BYTES / 4,
            outputs: 1_000_000,
            output_bytes: 256 * 1024 * 1024,
        }
    }
}

/// What a program took too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    Steps,
    Stack,
}

/// Of one program on one thread.
pub(super) struct Meter<'a> {
    lut: &'a Lut<Jq>,
    limits: Limits,
    /// The address below which the stack must not grow.
    stack_end: usize,
    steps_left: Cell<u64>,
}

impl<'a> Meter<'a> {
    /// The caller's frame is where the stack is measured from.
    #[inline(always)]
    pub(super) fn new(lut: &'a Lut<Jq>, limits: Limits) -> Self {
        let stack_end = stack_address().saturating_sub(limits.stack_bytes);
        Meter { lut, limits, stack_end, steps_left: Cell::new(0) }
    }

    /// Begins with a record of so many bytes.
    pub(super) fn restart(&self, record_bytes: usize) {
        let more = (record_bytes as u64).saturating_mul(self.limits.steps_per_byte);
        self.steps_left.set(self.limits.steps.saturating_add(more));
    }

    /// Takes so many steps.
    #[inline]
    pub(super) fn step(&self, steps: u64) {
        match self.steps_left.get().checked_sub(steps) {
            Some(left) => self.steps_left.set(left),
            None => exceed(Exceeded::Steps),
        }
    }
}

impl<'a> HasLut<'a, Jq> for &'a Meter<'a> {
    #[inline]
    fn lut(&self) -> &'a Lut<Jq> {
        if stack_address() < self.stack_end {
            exceed(Exceeded::Stack);
        }
        self.step(1);
        self.lut
    }
}

/// About where the stack ends now: it grows downwards.
#[inline(always)]
fn stack_address() -> usize {
    let here = 0_u8;
    std::hint::black_box(&raw const here).addr()
}

#[cold]
fn exceed(what: Exceeded) -> ! {
    resume_unwind(Box::new(what))
}
