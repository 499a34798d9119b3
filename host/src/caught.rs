//! Has a panic be an error of what was done, and say nothing else.
//!
//! Crates that work on what others made panic on some of it, and Rust prints each panic before anybody
//! can catch it: a user would read of a bug of ours where a file or a record is to blame. So the process
//! has a hook that is silent inside of [`caught`], on that thread, and leaves all else to the hook before
//! it: any other panic is a bug, and must be seen.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// std's words where nobody can catch a panic: the process is about to end, and must say why.
const THE_END: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// Does what may panic. Nothing of what it held may be used after that, but for what the caller makes
/// whole again.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(install_hook);
    let was_guarded = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_GUARDED.set(was_guarded);
    done
}

fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        // `try_with`: a panic while the thread's locals are torn down must not become two.
        let is_guarded = IS_GUARDED.try_with(Cell::get).unwrap_or(false);
        if !is_guarded || words(info.payload()).is_some_and(|words| THE_END.contains(&words)) {
            previous(info);
        }
    }));
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let told = |work: fn()| caught(work).unwrap_err();
        assert_eq!(words(&*told(|| panic!("no page"))), Some("no page"));
        assert_eq!(words(&*told(|| panic!("page {}", 7))), Some("page 7"));
        assert_eq!(words(&*told(|| panic::panic_any(7))), None);
        assert_eq!(caught(|| 7).unwrap(), 7);
        assert!(!IS_GUARDED.get(), "whatever panics from here on is told");
    }

    #[test]
    fn a_guard_inside_of_another_does_not_end_it() {
        let inside = caught(|| {
            let _ = caught(|| panic!("inside"));
            IS_GUARDED.get()
        });
        assert!(inside.unwrap());
    }
}
