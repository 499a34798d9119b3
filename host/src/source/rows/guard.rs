//! Has a panic on a damaged file be an error of its source, and say nothing else.
//!
//! The crates that decode tables panic on some damaged files, and Rust prints each panic before
//! anybody can catch it: a user would read of a bug of ours where a file is broken. So the process has
//! a hook that is silent inside of [`guarded`], on that thread, and leaves all else to the hook before
//! it: any other panic is a bug, and must be seen.

use super::damaged;
use std::any::Any;
use std::cell::Cell;
use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// std's words where nobody can catch a panic: the process is about to end, and must say why.
const THE_END: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

/// Does what may panic on a damaged file.
pub(in crate::source) fn guarded<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(install_hook);
    let was_guarded = IS_GUARDED.replace(true);
    // Nothing of what it held is used again: an error is a source's end.
    let read = catch_unwind(AssertUnwindSafe(read));
    IS_GUARDED.set(was_guarded);
    read.unwrap_or_else(|panic| Err(damaged(words(&*panic).unwrap_or("a panic"))))
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

fn words(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let told = |read: fn() -> io::Result<()>| guarded(read).unwrap_err().to_string();
        let damaged = "it is damaged, or of a kind that is not known: ";
        assert_eq!(told(|| panic!("no page")), format!("{damaged}no page"));
        assert_eq!(told(|| panic!("page {}", 7)), format!("{damaged}page 7"));
        assert_eq!(told(|| panic::panic_any(7)), format!("{damaged}a panic"));
        assert_eq!(told(|| Err(io::Error::other("the line is down"))), "the line is down");
        assert!(!IS_GUARDED.get(), "whatever panics from here on is told");
    }

    #[test]
    fn a_guard_inside_of_another_does_not_end_it() {
        let inside = guarded(|| {
            let _ = guarded::<()>(|| panic!("inside"));
            Ok(IS_GUARDED.get())
        });
        assert!(inside.unwrap());
    }
}
