//! What models tried that the sandbox stopped: different attempts, each with how often.
//!
//! However many different things a plugin tries, only so many are told apart, so that it can't fill
//! the host's memory; the rest is counted together.

use serde::Serialize;
use std::fmt;

/// How many different attempts are told apart.
const DIFFERENT_MAX: usize = 100;
/// What the rest is called.
const OTHERS: &str = "do other things that are forbidden";

/// Something that was tried. As a text: `open a network socket (3 times)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// What, as words behind "tried to": `open a network socket`, `` read the file `/etc/passwd` ``.
    pub tried: String,
    /// How often.
    pub times: u64,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            1 => f.write_str(&self.tried),
            times => write!(f, "{} ({times} times)", self.tried),
        }
    }
}

/// All that was tried, in the order of each one's first time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempts(Vec<Attempt>);

impl Attempts {
    /// It was tried once more, or so many times.
    pub fn add(&mut self, attempt: Attempt) {
        let known = |tried: &str| self.0.iter().position(|known| known.tried == tried);
        let place = known(&attempt.tried);
        match place.or_else(|| if self.0.len() < DIFFERENT_MAX { None } else { known(OTHERS) }) {
            Some(place) => self.0[place].times += attempt.times,
            None if self.0.len() < DIFFERENT_MAX => self.0.push(attempt),
            None => self.0.push(Attempt { tried: OTHERS.to_owned(), ..attempt }),
        }
    }

    /// Each of them.
    pub fn list(&self) -> &[Attempt] {
        &self.0
    }
}

/// Of several workers, put together.
impl Extend<Attempt> for Attempts {
    fn extend<T: IntoIterator<Item = Attempt>>(&mut self, attempts: T) {
        attempts.into_iter().for_each(|attempt| self.add(attempt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_again_is_counted_and_the_rest_is_counted_together() {
        let mut attempts = Attempts::default();
        let tries = (0..1000).flat_map(|number| [number, 7]).map(|number| number.to_string());
        attempts.extend(tries.map(|tried| Attempt { tried, times: 1 }));
        let list = attempts.list();
        assert_eq!(list.len(), 101);
        assert_eq!(list.iter().map(|attempt| attempt.times).sum::<u64>(), 2000);
        let told: Vec<_> = list.iter().map(Attempt::to_string).collect();
        assert_eq!(told[0], "0");
        assert!(told.contains(&"7 (1001 times)".to_owned()), "{told:?}");
        assert_eq!(told[100], "do other things that are forbidden (900 times)");
    }
}
