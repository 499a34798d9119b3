//! Catches a panic and keeps its words, so that it can be made one record's error.
//!
//! A plugin has its own copy of std and so its own panic hook: installing one here changes nothing
//! for the host. Inside [`catch`] a panic prints nothing (a thousand bad records must not be a
//! thousand backtraces on the terminal); anywhere else in the plugin the hook that was there
//! before still speaks.
//!
//! The trap: a payload's `drop` may panic too, outside of any catch. It is forgotten, never
//! dropped.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
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
        // Without a message the hook did not run: `resume_unwind` skips it.
        let message = MESSAGE.take().unwrap_or_else(|| describe(payload.as_ref(), None));
        std::mem::forget(payload);
        message
    })
}

fn install_hook() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        // `try_with`: a panic while the thread's locals are torn down must not become two.
        if CATCHING.try_with(Cell::get).is_ok_and(|depth| depth > 0) {
            let place = info.location().map(ToString::to_string);
            let message = describe(info.payload(), place);
            let _ = MESSAGE.try_with(|slot| slot.replace(Some(message)));
        } else {
            previous(info);
        }
    }));
}

fn describe(payload: &(dyn Any + Send), place: Option<String>) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("no message: the payload is not a text");
    match place {
        Some(place) => format!("panicked at {place}: {text}"),
        None => format!("panicked: {text}"),
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
}
