//! The same names where there is no Linux: nothing can be held back there, and `require` says so.

use super::{Attempt, Entered, Grants, Mode, SandboxError, support};
use std::io;
use std::os::fd::AsFd;

/// There is none here.
#[derive(Debug)]
pub enum Listener {}

/// Watches nothing, since there is no [`Listener`].
pub struct Watch(Listener);

/// Gives nothing up; fails with [`Mode::Require`].
pub fn enter(mode: Mode, _: &Grants, _: Option<u64>) -> Result<Entered, SandboxError> {
    match (mode, support().lacking()) {
        (Mode::Require, Some(what)) => Err(SandboxError::Lacking { what }),
        _ => Ok(Entered::default()),
    }
}

/// Nothing is handed over.
pub fn hand_over(_: impl AsFd, _: &mut Entered) -> io::Result<()> {
    Ok(())
}

/// Nothing is taken over.
pub fn take_over(_: impl AsFd) -> io::Result<Option<Listener>> {
    Ok(None)
}

impl Watch {
    /// Never called.
    pub fn start(listener: Listener, _: &Grants) -> io::Result<Self> {
        Ok(Watch(listener))
    }

    /// Never called.
    pub fn attempts(&self) -> Vec<Attempt> {
        match self.0 {}
    }
}
