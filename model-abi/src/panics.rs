//! Catches a panic and keeps its words, so that it can be made one record's error.
//!
//! A plugin has its own copy of std and so its own panic hook: installing one here changes nothing
//! for the host. Inside [`catch`] a panic prints nothing (a thousand bad records must not be a
//! thousand backtraces on the terminal), unless it is about to end the process; anywhere else in
//! the plugin the hook that was there before still speaks.
//!
//! The traps: a payload's `drop` may panic too, outside of any catch; so it is forgotten, unless
//! it is a text. And the hook sees panics that the model goes on to catch itself, and does not see
//! `resume_unwind`; so a place is only believed with the text it came with.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// Text and place of the last panic that the hook saw.
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Runs `f`; a panic in it comes back as its message and place.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(install_hook);
    CATCHING.set(CATCHING.get() + 1);
    // Whoever calls throws away what `f` was changing, so a broken state is never looked at.
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|payload| {
        let text = text(payload.as_ref());
        let message = match LAST.take() {
            Some((last, place)) if last == text => format!("panicked at {place}: {text}"),
            _ => format!("panicked: {text}"),
        };
        discard(payload);
        message
    })
}

/// std's words where a panic can't be caught and the process is about to abort: a panic in a `drop`
/// while another unwinds, or one that reaches an `extern "C"` edge of the model's own.
const THE_END: [&str; 2] =
    ["panic in a destructor during cleanup", "panic in a function that cannot unwind"];

fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        // `try_with`: a panic while the thread's locals are torn down must not become two.
        let catching = CATCHING.try_with(Cell::get).is_ok_and(|depth| depth > 0);
        let text = text(info.payload());
        if !catching {
            return previous(info);
        }
        if THE_END.contains(&text) {
            // Nobody will catch this one: the panic that led here was kept, and is said now.
            if let Ok(Some((text, place))) = LAST.try_with(RefCell::take) {
                let _ = writeln!(io::stderr(), "panicked at {place}: {text}");
            }
            return previous(info);
        }
        let last = info.location().map(|place| (text.to_owned(), place.to_string()));
        let _ = LAST.try_with(|slot| slot.replace(last));
    }));
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message: the payload is not a text")
}

/// A million bad records must not be a million lost strings; nobody throws a million of others.
fn discard(payload: Box<dyn Any + Send>) {
    if !payload.is::<&str>() && !payload.is::<String>() {
        std::mem::forget(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, f: impl FnOnce()) {
        let message = catch(f).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_panic_keeps_its_words_and_its_place() {
        check("src/panics.rs:", || panic!("no weights"));
        check(": no weights", || panic!("no weights"));
        check(": row 7", || panic!("row {}", 7));
        check("index out of bounds", || assert_eq!([0; 2][std::hint::black_box(5)], 0));
    }

    #[test]
    fn a_payload_that_is_no_text_is_said_to_be_none() {
        check("not a text", || panic::panic_any(7));
        check("panicked: thrown", || panic::resume_unwind(Box::new("thrown")));
    }

    #[test]
    fn a_payload_whose_drop_panics_is_never_dropped() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        check("not a text", || panic::panic_any(Bomb));
    }

    #[test]
    fn a_message_belongs_to_its_own_panic() {
        check(": first", || panic!("first"));
        assert_eq!(catch(|| 5), Ok(5));
        check("panicked: second", || panic::resume_unwind(Box::new("second")));
    }

    #[test]
    fn a_panic_that_the_model_caught_itself_lends_no_words_to_a_later_one() {
        check("panicked: later", || {
            let _ = panic::catch_unwind(|| panic!("caught"));
            panic::resume_unwind(Box::new("later"));
        });
    }
}
