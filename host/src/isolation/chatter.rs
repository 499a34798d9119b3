//! What a worker says on its stdout and stderr: shown to people with the model's name before it, as far
//! as that is bounded, and its end kept for whoever asks what its last words were.
//!
//! It is read on a thread of its own, so that no worker is held up by a full pipe. The trap: what the
//! plugin has started may hold the pipe open for ever, so its end is waited for only so long.

use std::io::{self, PipeReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How much of what all workers of a model say is shown.
const SHOWN_BYTES_MAX: usize = 64 * 1024;
/// A longer line is cut.
const LINE_BYTES_MAX: usize = 1024;
/// How much of the end is kept.
const LAST_WORDS_BYTES_MAX: usize = 2 * 1024;
/// How long its pipe may stay open when a worker has ended.
const PATIENCE: Duration = Duration::from_millis(200);

/// Says something to people.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Shows what the workers of one model say, up to a bound.
pub(super) struct Shown {
    model: String,
    tell: Tell,
    bytes: AtomicUsize,
}

impl Shown {
    pub(super) fn new(model: &str, tell: Tell) -> Self {
        Shown { model: model.to_owned(), tell, bytes: AtomicUsize::new(0) }
    }

    fn line(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        if is_nothing(&line) {
            return;
        }
        let before = self.bytes.fetch_add(line.len() + 1, Ordering::Relaxed);
        let model = &self.model;
        if before + line.len() < SHOWN_BYTES_MAX {
            (self.tell)(&format!("worker of {model}: {}\n", line.trim_end()));
        } else if before < SHOWN_BYTES_MAX {
            (self.tell)(&format!("worker of {model}: it says more, which is not shown\n"));
        }
    }
}

/// What one worker says.
pub(super) struct Chatter {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Chatter {
    /// Begins to listen.
    pub(super) fn listen(pipe: PipeReader, shown: Arc<Shown>) -> io::Result<Self> {
        let kept = Arc::<Mutex<Vec<u8>>>::default();
        let (sender, ended) = mpsc::channel();
        let chatter = Chatter { kept: kept.clone(), ended };
        thread::Builder::new().name("chatter".to_owned()).spawn(move || {
            listen(pipe, &kept, &shown);
            let _ = sender.send(());
        })?;
        Ok(chatter)
    }

    /// What is said from now on is what the last words may be.
    pub(super) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What a worker that has ended said at last.
    pub(super) fn last_words(&self) -> LastWords {
        let _ = self.ended.recv_timeout(PATIENCE);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        LastWords(String::from_utf8_lossy(&kept).into_owned())
    }
}

/// Some lines.
pub(super) struct LastWords(String);

impl LastWords {
    /// The last line that says something, or nothing.
    pub(super) fn line(&self) -> &str {
        self.lines().next_back().unwrap_or_default()
    }

    /// That of a failed allocation: Rust's own words, those of C++ and of Python, and the system's.
    pub(super) fn about_memory(&self) -> Option<&str> {
        const SAID: [&str; 5] = [
            "memory allocation of",
            "bad_alloc",
            "MemoryError",
            "annot allocate memory",
            "ut of memory",
        ];
        self.lines().rfind(|line| SAID.iter().any(|said| line.contains(said)))
    }

    /// Those that say something; how to see more of a panic is nothing that people here can do.
    fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        let lines = self.0.lines().map(str::trim);
        lines.filter(|line| !is_nothing(line))
    }
}

fn is_nothing(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("note: run with `RUST_BACKTRACE")
}

fn listen(mut pipe: PipeReader, kept: &Mutex<Vec<u8>>, shown: &Shown) {
    let mut piece = [0; 8192];
    let mut line = Vec::new();
    loop {
        let read = match pipe.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => &piece[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(read);
            let too_many = kept.len().saturating_sub(LAST_WORDS_BYTES_MAX);
            kept.drain(..too_many);
        }
        for part in read.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(line.len());
            line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                shown.line(&line);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        shown.line(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// What people see of this, and what the last words are.
    fn heard(said: &[u8]) -> (String, String) {
        let seen = Arc::<Mutex<String>>::default();
        let to = seen.clone();
        let tell: Tell = Arc::new(move |text| to.lock().unwrap().push_str(text));
        let (reader, mut writer) = io::pipe().unwrap();
        let chatter = Chatter::listen(reader, Arc::new(Shown::new("m", tell))).unwrap();
        writer.write_all(said).unwrap();
        drop(writer);
        let last = chatter.last_words().line().to_owned();
        let seen = seen.lock().unwrap().clone();
        (seen, last)
    }

    #[test]
    fn each_line_is_shown_with_the_name_of_the_model() {
        let (shown, last) = heard(b"one\ntwo\xff\n\nthree");
        assert_eq!(shown, "worker of m: one\nworker of m: two\u{fffd}\nworker of m: three\n");
        assert_eq!(last, "three");
    }

    #[test]
    fn who_talks_without_end_is_not_listened_to_without_end() {
        let (shown, last) = heard(&b"0123456789\n".repeat(100_000));
        assert!(shown.len() < 4 * SHOWN_BYTES_MAX, "{}", shown.len());
        assert_eq!(shown.matches("it says more, which is not shown").count(), 1);
        assert!(shown.ends_with("it says more, which is not shown\n"));
        assert_eq!(last, "0123456789");
        let (shown, last) = heard(&vec![b'x'; 1_000_000]);
        assert!(shown.len() < 2 * LINE_BYTES_MAX && last.len() == LAST_WORDS_BYTES_MAX);
    }

    #[test]
    fn what_is_said_of_memory_is_found_behind_other_words() {
        let said = LastWords(
            "memory allocation of 7 bytes failed\nnote: run with `RUST_BACKTRACE=1`\n".to_owned(),
        );
        assert_eq!(said.about_memory(), Some("memory allocation of 7 bytes failed"));
        assert_eq!(said.line(), "memory allocation of 7 bytes failed");
        assert_eq!(LastWords("thanks for the memory".to_owned()).about_memory(), None);
    }

    #[test]
    fn nothing_said_is_no_words() {
        assert_eq!(heard(b""), (String::new(), String::new()));
    }
}
