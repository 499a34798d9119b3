//! Ends that are not ours to choose: a plugin that calls `exit`, and a run that can't be waited for.
//!
//! `exit` ends the process with a code of the caller's choosing, and 0 would look like a good end.
//! So from before a plugin is loaded to the run's own end, a handler says what happened and puts
//! our code in the place of the plugin's. It runs on the thread that called, whatever that thread
//! and the others hold: it takes no lock, and all it says was written down before. `_exit` is not
//! heard of here, nor by anyone in this process.
//!
//! The traps: each `exit` takes one handler from the list and runs it, so a second thread that
//! calls meanwhile must find another one. And the last to be registered is the first to run: a
//! plugin's own handlers (the destructors of C++) may crash, so ours are registered again once it
//! is loaded.

use super::shown;
use crate::error::{Error, PluginExited};
use crate::stop::Stop;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stderr;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread;
use std::time::Duration;

/// Threads of a plugin that call `exit` in the same moment, and more.
const HANDLERS: usize = 64;

/// What to make of an `exit` in this moment; null: nothing, it is ours. What was there is never
/// freed, since another thread may be about to look at it: a few hundred bytes a run.
static ENDING: AtomicPtr<Ending> = AtomicPtr::new(ptr::null_mut());

struct Ending {
    /// A child that the plugin has forked may exit as it likes.
    process: u32,
    code: u8,
    text: String,
    stop: Stop,
    /// Said instead where the run is past stopping and may have published.
    text_of_late: String,
}

/// While this lives, `exit` was called by the plugin.
pub(super) struct Watch {
    state: Option<String>,
    stop: Stop,
}

impl Watch {
    /// `state`: what is on disk where the run ends then; `None` where no file would be published.
    pub(super) fn new(state: Option<String>, stop: &Stop) -> Self {
        Watch { state, stop: stop.clone() }
    }

    /// An `exit` from now on is this plugin's, and happened while this was done. To be called before
    /// one is opened, and again whenever it may have registered handlers of its own.
    pub(super) fn during(&self, plugin: &Path, during: &'static str) {
        let text = |state| {
            let source = PluginExited { during };
            let error = Error::Exited { path: plugin.to_owned(), source, state };
            (error.report(), error.exit_code())
        };
        let (text_of_late, _) =
            text(self.state.as_ref().map(|_| "each output is whole, or as it was".to_owned()));
        let (text, code) = text(self.state.clone());
        self.set(code, text, text_of_late);
        (0..HANDLERS).for_each(|_| register());
    }

    /// The run has ended, and its end stands, though the model may still exit while it is unloaded.
    pub(super) fn settle(&self, result: &Result<u8, Error>) {
        let (code, text) = match result {
            Ok(code) => (*code, String::new()),
            Err(error) => (error.exit_code(), error.report()),
        };
        self.set(code, text.clone(), text);
    }

    fn set(&self, code: u8, text: String, text_of_late: String) {
        let [text, text_of_late] = [text, text_of_late].map(|text| shown(&text));
        let (process, stop) = (std::process::id(), self.stop.clone());
        let ending = Box::new(Ending { process, code, text, stop, text_of_late });
        ENDING.store(Box::into_raw(ending), Ordering::Release);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        ENDING.store(ptr::null_mut(), Ordering::Release);
    }
}

#[expect(unsafe_code, reason = "what `exit` calls is registered with the C library")]
fn register() {
    // SAFETY: it takes the address of a function that lives as long as the process. Should it find
    // no memory, there is one handler fewer.
    unsafe { libc::atexit(handle) };
}

extern "C" fn handle() {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    #[expect(unsafe_code, reason = "what a handler may look at is static")]
    // SAFETY: null, or made by `Watch::set` from a box that is never freed.
    let ending = unsafe { ENDING.load(Ordering::Acquire).as_ref() };
    let Some(ending) = ending.filter(|ending| ending.process == std::process::id()) else { return };
    register(); // in the place of the one that runs now, for a thread that calls `exit` meanwhile
    while IS_SAID.swap(true, Ordering::AcqRel) {
        thread::sleep(Duration::from_secs(1)); // another thread is about to end the process
    }
    let text = if ending.stop.is_ending() { &ending.text_of_late } else { &ending.text };
    end_now(text, ending.code)
}

/// Says something to people and ends the process, on whatever thread and in whatever state. Runs no
/// destructors of plugins: their code may still be running, and may be what hangs.
#[expect(unsafe_code, reason = "the one end that waits for nobody")]
pub(super) fn end_now(text: &str, code: u8) -> ! {
    // Without std's lock, which another thread may hold. And where stderr is a pipe that nobody
    // empties, saying it would hang.
    let is_ready = poll(&mut [PollFd::new(&stderr(), PollFlags::OUT)], Some(&Timespec::default()));
    if is_ready.is_ok_and(|ready| ready > 0) {
        let mut rest = text.as_bytes();
        while let Ok(written @ 1..) = rustix::io::write(stderr(), rest) {
            rest = &rest[written..];
        }
    }
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(code.into()) }
}
