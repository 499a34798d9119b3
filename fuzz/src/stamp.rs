//! A plugin's file is looked at before anything of it runs: whatever the file, the look ends soon,
//! takes little memory, and says either what the file is or one sentence of why it is refused.

use crate::memory;
use etl_host::plugin::look::{Looked, Refusal, look};
use model_abi::stamp::Stamp;
use model_abi_layout::stamp::{HEAD_BYTES, MAGIC};
use std::cell::LazyCell;
use std::error::Error;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A small file may name 4,096 libraries, each with the same 4 KiB; three times that where none of
/// it is UTF-8. And its stamp may be 1 MiB, or be called so.
const MEMORY_BYTES_MAX: i64 = 64 << 20;
/// It takes a millisecond; this machine may be busy.
const TIME_MAX: Duration = Duration::from_secs(10);
/// For a human, in one line.
const MESSAGE_BYTES_MAX: usize = 1000;

thread_local! {
    /// One for all inputs: a new one each time takes longer than the look. It has no name that
    /// could be left behind.
    static PLACE: LazyCell<File> =
        LazyCell::new(|| tempfile::tempfile().expect("a temporary file"));
}

/// Looks at the file and checks what is said of it.
pub fn run(file: &[u8]) {
    PLACE.with(|place| {
        let written = place.set_len(file.len() as u64).and_then(|()| place.write_all_at(file, 0));
        written.expect("there is room for it");
        check(Path::new(&format!("/dev/fd/{}", place.as_raw_fd())), file);
    });
}

fn check(path: &Path, file: &[u8]) {
    let began = Instant::now();
    let (looked, bytes) = memory::peak(|| look(path));
    assert!(began.elapsed() < TIME_MAX, "it took {:?}", began.elapsed());
    assert!(bytes < MEMORY_BYTES_MAX, "it took {bytes} bytes");
    match looked {
        Ok(looked) => check_looked(&looked, file),
        Err(refusal) => check_refusal(&refusal, file),
    }
}

/// All that is said of the file stands in it.
fn check_looked(looked: &Looked, file: &[u8]) {
    let stamps = file.windows(MAGIC.len()).enumerate().filter(|(_, bytes)| *bytes == MAGIC);
    let mut stamps = stamps.filter_map(|(at, _)| {
        let (head, text) = file[at..].split_at_checked(HEAD_BYTES)?;
        let len = u32::from_le_bytes(*head.last_chunk()?);
        serde_json::from_slice::<Stamp>(text.get(..len as usize)?).ok()
    });
    assert!(stamps.any(|stamp| stamp == looked.stamp), "no such stamp: {:?}", looked.stamp);
    assert!(looked.stamp.abi.starts_with("1."), "{}", looked.stamp.abi);
    assert!(looked.stamp.requires.is_empty(), "{:?}", looked.stamp.requires);
    let holds = |text: &str| file.windows(text.len().max(1)).any(|part| part == text.as_bytes());
    for name in looked.needed.iter().filter(|name| !name.contains('\u{fffd}')) {
        assert!(name.is_empty() || holds(name), "no such name: {name:?}");
    }
    assert!(looked.glibc_newest.is_none() || holds("GLIBC_"), "{:?}", looked.glibc_newest);
}

fn check_refusal(refusal: &Refusal, file: &[u8]) {
    match refusal {
        // The file can be read to its end, so this would be a read beyond it.
        Refusal::Unreadable(error) => panic!("{error}"),
        Refusal::Truncated { needs, has, .. } => {
            assert!(*has == file.len() as u64 && needs > has, "{refusal}");
        }
        _ => {}
    }
    let mut message = refusal.to_string();
    let mut cause = refusal.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    assert!(message.len() <= MESSAGE_BYTES_MAX, "{} bytes: {message:.200}", message.len());
    assert!(!message.contains(char::is_control), "fit for no terminal: {message:?}");
}
