//! Has a panic on a damaged file be an error of its source: the crates that decode tables panic on some.

use super::damaged;
use crate::caught::{caught, words};
use std::io;

/// Does what may panic on a damaged file. An error is a source's end.
pub(in crate::source) fn guarded<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    caught(read).unwrap_or_else(|panic| Err(damaged(words(&*panic).unwrap_or("a panic"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let told = |read: fn() -> io::Result<()>| guarded(read).unwrap_err().to_string();
        let damaged = "it is damaged, or of a kind that is not known: ";
        assert_eq!(told(|| panic!("no page")), format!("{damaged}no page"));
        assert_eq!(told(|| panic::panic_any(7)), format!("{damaged}a panic"));
        assert_eq!(told(|| Err(io::Error::other("the line is down"))), "the line is down");
    }
}
