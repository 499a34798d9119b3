//! Takes a worker's rights away, one kind after the other, and cannot give any back.
//!
//! The order matters: limits while they may still be set, capabilities before the calls that could
//! raise them again are gone, files while they may still be opened, calls last.
//!
//! Refuses: threads beside the caller, which nothing here would hold.

use super::handing::Listener;
use super::{Entered, Grants, Mode, SandboxError, Support, calls, files, filter, kernel, support};
use rustix::process::{Resource, Rlimit, getpid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs,
};
use std::io;

/// Gives up what a model does not need, in this process, for ever. To be called before any thread
/// starts and any plugin is loaded. `memory_bytes_max`: no file may become larger, files in memory
/// included.
///
/// With [`Mode::Off`] it does nothing; with [`Mode::Require`] it fails where the kernel can't hold
/// files or calls. When it fails, some rights may be gone already: the process is to end then.
///
/// Behind it, [`super::hand_over`] is the next thing to do.
pub fn enter(
    mode: Mode,
    grants: &Grants,
    memory_bytes_max: Option<u64>,
) -> Result<Entered, SandboxError> {
    if mode == Mode::Off {
        return Ok(Entered::default());
    }
    // Where there is no `/proc`, the caller is believed.
    let count = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if count > 1 {
        return Err(SandboxError::Threads { count });
    }
    hold_this_thread(mode, grants, memory_bytes_max, &support())
}

/// The same for the calling thread, and what it starts, alone; with what there is.
pub(super) fn hold_this_thread(
    mode: Mode,
    grants: &Grants,
    memory_bytes_max: Option<u64>,
    support: &Support,
) -> Result<Entered, SandboxError> {
    if mode == Mode::Require
        && let Some(what) = support.lacking()
    {
        return Err(SandboxError::Lacking { what });
    }
    let refused = |what| move |source| SandboxError::Kernel { what, source };
    let at_most = |most| Rlimit { current: Some(most), maximum: Some(most) };
    let limit = |resource, most| setrlimit(resource, at_most(most)).map_err(io::Error::from);
    limit(Resource::Core, 0).map_err(refused("forbid core files"))?;
    if let Some(bytes) = memory_bytes_max {
        // Else a file in memory would be a way past the bound.
        kernel::survive_large_files();
        limit(Resource::Fsize, bytes).map_err(refused("limit files"))?;
    }
    set_no_new_privs(true).map_err(|error| refused("forbid new rights")(error.into()))?;
    drop_capabilities().map_err(refused("take capabilities"))?;
    let landlock = if support.landlock.is_some() { files::hold(grants)? } else { None };
    let mut entered = Entered { landlock, ..Entered::default() };
    if !support.seccomp {
        return Ok(entered);
    }
    let files_held = landlock.is_some();
    let own = getpid().as_raw_nonzero().get() as u32;
    let table = calls::table(own, files_held);
    let listens = support.notifications;
    let told = kernel::set_filter(&mut filter::program(&table, listens), listens);
    // Somebody else listens to us already, as in some containers: there can be but one.
    let untold = || kernel::set_filter(&mut filter::program(&table, false), false);
    match if listens { told.or_else(|_| untold()) } else { told } {
        Ok(fd) => {
            entered.seccomp = true;
            entered.listener = fd.map(|fd| Listener { fd, files_held });
        }
        Err(_) if mode == Mode::On => {}
        Err(error) => return Err(refused("filter calls (seccomp)")(error)),
    }
    Ok(entered)
}

/// Of root's rights one stays: to read what was granted, whoever owns it.
fn drop_capabilities() -> io::Result<()> {
    let kept = capabilities(None)?.permitted & CapabilitySet::DAC_READ_SEARCH;
    let sets =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}
