//! Streams of both codecs, whole, in pieces, cut off and damaged.

use super::decoding::is_damaged;
use super::*;
use crate::storage::Memory;
use flate2::write::GzEncoder;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

const CODECS: [Compression; 2] = [Compression::Gzip, Compression::Zstd];
const PATIENCE: Duration = Duration::from_secs(30);

/// One member, or one frame with a checksum.
fn packed(compression: Compression, text: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// What can be had of an input, and why it is not more.
fn read(input: &mut dyn Input) -> (Vec<u8>, io::Result<()>) {
    let mut text = Vec::new();
    loop {
        text.reserve(1_000);
        match input.read(&mut text) {
            Ok(0) => return (text, Ok(())),
            Ok(_) => {}
            Err(error) => return (text, Err(error)),
        }
    }
}

/// Bytes that come in these pieces, and nobody can look at before.
struct Pieces {
    pieces: Vec<Vec<u8>>,
    /// Whether there is a later piece to be waited for.
    waits: bool,
}

impl Pieces {
    fn new(pieces: &[&[u8]]) -> Box<Self> {
        let pieces = pieces.iter().rev().map(|piece| piece.to_vec()).collect();
        Box::new(Pieces { pieces, waits: false })
    }
}

impl Input for Pieces {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        assert!(!self.waits, "it would hang");
        let Some(mut piece) = self.pieces.pop() else { return Ok(0) };
        let len = piece.len().min(buf.capacity() - buf.len());
        buf.extend(piece.drain(..len));
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
        Ok(len)
    }

    /// Told once that nothing comes, before each piece.
    fn wait(&mut self, _: Duration) -> io::Result<bool> {
        self.waits = !self.waits;
        Ok(!self.waits)
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }
}

/// The text of bytes, read from memory and in pieces that are split here.
#[track_caller]
fn check_split(bytes: &[u8], split: usize, expected: &[u8]) {
    let (front, back) = bytes.split_at(split);
    let pieces = [front, back].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>();
    let mut input = decompressed(Pieces::new(&pieces), None).unwrap();
    let mut text = Vec::new();
    loop {
        while !input.wait(Duration::from_millis(1)).unwrap() {}
        text.reserve(7);
        if input.read(&mut text).unwrap() == 0 {
            break;
        }
    }
    assert_eq!(text, expected, "split at {split}");
}

#[track_caller]
fn check(bytes: &[u8], expected: &[u8]) {
    let mut input = decompressed(Box::new(Memory::new(bytes)), None).unwrap();
    let (text, end) = read(&mut *input);
    end.unwrap();
    assert_eq!(text, expected);
    (0..=bytes.len()).for_each(|split| check_split(bytes, split, expected));
}

#[test]
fn text_is_the_same_wherever_its_bytes_are_split() {
    for text in ["", "{", "P", "(", "{}\n", "P*M,a\n1,2\n", "\u{1f}", "\u{feff}{}"] {
        check(text.as_bytes(), text.as_bytes());
    }
    for compression in CODECS {
        let two = [packed(compression, b"{}\n[1"), packed(compression, b"]\n")].concat();
        check(&two, b"{}\n[1]\n");
        check(&packed(compression, b""), b"");
        check(&[packed(compression, b""), two, packed(compression, b"")].concat(), b"{}\n[1]\n");
    }
}

#[test]
fn zeros_behind_the_last_member_and_frames_to_be_skipped_are_no_text() {
    check(&[packed(Compression::Gzip, b"text"), vec![0; 700]].concat(), b"text");
    let skipped = [&[0x57, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"abc"[..]].concat();
    let frame = packed(Compression::Zstd, b"text");
    check(&[&*skipped, &frame, &skipped, &frame].concat(), b"texttext");
}

/// What goes wrong with these bytes, behind which text.
fn failure(bytes: &[u8]) -> (Vec<u8>, String) {
    let mut input = decompressed(Box::new(Memory::new(bytes)), None).unwrap();
    let (text, end) = read(&mut *input);
    let error = end.expect_err("it is no whole stream");
    assert!(is_damaged(&error), "{error}");
    (text, error.to_string())
}

#[test]
fn a_stream_that_is_cut_off_anywhere_is_an_error_behind_the_text_that_there_is() {
    let (front, back) = ("{\"n\":1}\n".repeat(200), "{\"n\":2}\n".repeat(50));
    for compression in CODECS {
        let front_bytes = packed(compression, front.as_bytes());
        let bytes = [&*front_bytes, &packed(compression, back.as_bytes())].concat();
        let whole = front.clone() + &back;
        for len in 4..bytes.len() {
            if len == front_bytes.len() {
                continue; // that is a whole stream, only shorter
            }
            let (text, error) = failure(&bytes[..len]);
            let name = compression.name();
            assert_eq!(error, format!("its {name} stream is cut off before its end"), "{len}");
            assert!(whole.as_bytes().starts_with(&text));
            assert!(len < front_bytes.len() || text.len() >= front.len(), "at {len}");
        }
    }
}

#[test]
fn a_stream_that_was_changed_is_an_error() {
    let text = "{\"n\":1}\n".repeat(100);
    for compression in CODECS {
        let whole = packed(compression, text.as_bytes());
        let checksum = whole.len() - if compression == Compression::Gzip { 8 } else { 4 };
        let mut changed = whole.clone();
        changed[checksum] ^= 1;
        let (read, error) = failure(&changed);
        assert!(compression == Compression::Zstd || read.len() == text.len());
        let damaged = format!("its {} stream is damaged: ", compression.name());
        assert!(error.starts_with(&damaged) && error.contains("checksum"), "{error}");
        let (_, error) = failure(&[&*whole, b"{}\n"].concat());
        assert!(error.starts_with(&damaged), "{error}");
    }
    let (_, error) = failure(&[&*packed(Compression::Gzip, b"text"), &[0, 0, 1]].concat());
    assert!(error.ends_with("something else stands behind its last member"), "{error}");
}

#[test]
fn a_name_that_promises_too_much_is_told_of() {
    let told = |bytes: &[u8]| {
        let at_once = decompressed(Box::new(Memory::new(bytes)), Some(Compression::Gzip));
        let first = at_once.err().map(|error| error.to_string());
        let mut later = decompressed(Pieces::new(&[bytes]), Some(Compression::Gzip)).unwrap();
        let later = read(&mut *later).1.err().map(|error| error.to_string());
        (first, later)
    };
    for bytes in [&b""[..], b"{}\n", b"\x1f"] {
        let (at_once, later) = told(bytes);
        assert!(later.is_some_and(|it| it.starts_with("its name says gzip, but ")), "{bytes:?}");
        assert!(at_once.is_none_or(|it| it.starts_with("its name says gzip, but ")), "{bytes:?}");
    }
    for compression in CODECS {
        assert_eq!(told(&packed(compression, b"")), (None, None));
    }
}

#[test]
fn what_is_not_compressed_keeps_all_that_its_input_can_do() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let open = |bytes: &[u8]| {
        std::fs::write(file.path(), bytes).unwrap();
        decompressed(crate::storage::open(file.path()).unwrap(), None).unwrap()
    };
    let input = open(b"{}\n");
    assert_eq!(input.bytes_total(), Some(3));
    assert!(input.version().is_some());
    assert_eq!(input.random_access().unwrap().unwrap().read_at(1, 2).unwrap(), b"}\n");
    let input = open(&packed(Compression::Gzip, b"{}\n"));
    assert_eq!(input.bytes_total(), None);
    assert!(input.version().is_some());
    assert!(input.random_access().is_none());
}

#[test]
fn it_goes_on_at_any_byte_of_the_text_also_when_some_was_read() {
    let text = (0..40_000).map(|n| format!("{n}\n")).collect::<String>();
    for compression in CODECS {
        let bytes = packed(compression, text.as_bytes());
        let mut input = decompressed(Box::new(Memory::new(bytes)), None).unwrap();
        for byte in [100_000, 0, 3, 65_536, text.len(), 200_001] {
            input.seek(RecordPosition { line: 1, byte: byte as u64 }).unwrap();
            let mut some = Vec::with_capacity(10);
            input.read(&mut some).unwrap();
            assert_eq!(some, &text.as_bytes()[byte..text.len().min(byte + some.len())]);
            assert_eq!(some.is_empty(), byte == text.len());
        }
        let (rest, end) = read(&mut *input);
        end.unwrap();
        assert!(text.as_bytes().ends_with(&rest));
    }
}

/// A thousandfold of what is read; never more of it is held than a few blocks.
#[test]
fn a_bomb_is_decoded_no_further_than_somebody_reads() {
    let bytes = packed(Compression::Gzip, &vec![b' '; 50_000_000]);
    assert!(bytes.len() < 60_000);
    let taken = Arc::new(Mutex::new(0));
    let pieces = bytes.chunks(64).collect::<Vec<_>>();
    let counted = Counted { pieces: Pieces::new(&pieces), taken: taken.clone() };
    let mut input = decompressed(Box::new(counted), None).unwrap();
    let mut some = Vec::with_capacity(10);
    input.read(&mut some).unwrap();
    // Seeking waits for the thread, which can't be further than the blocks that there are.
    let failed = input.seek(RecordPosition { line: 1, byte: 1 });
    assert!(failed.is_err(), "pieces are read once");
    assert!(*taken.lock().unwrap() < bytes.len() / 10);
}

struct Counted {
    pieces: Box<Pieces>,
    taken: Arc<Mutex<usize>>,
}

impl Input for Counted {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        let read = self.pieces.read(buf)?;
        *self.taken.lock().unwrap() += read;
        Ok(read)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.pieces.wait(timeout)
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }
}

/// A pipe that says when nobody reads it any more.
struct Pipe {
    input: Box<dyn Input>,
    _dropped: Sender<()>,
}

impl Input for Pipe {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        self.input.read(buf)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        self.input.wait(timeout)
    }

    fn bytes_total(&self) -> Option<u64> {
        None
    }
}

#[test]
fn a_slow_pipe_gives_its_text_at_once_and_the_thread_ends_with_its_input() {
    for compression in CODECS {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let (_dropped, gone) = channel();
        let file = std::fs::File::from(OwnedFd::from(reader));
        let input = Box::new(super::super::LocalFile { file, opened: None });
        let mut input = decompressed(Box::new(Pipe { input, _dropped }), None).unwrap();
        assert!(!input.wait(Duration::from_millis(1)).unwrap());
        writer.write_all(&packed(compression, b"one\n")).unwrap();
        let mut text = Vec::with_capacity(100);
        assert!(input.wait(PATIENCE).unwrap());
        input.read(&mut text).unwrap();
        assert_eq!(text, b"one\n");
        assert!(!input.wait(Duration::from_millis(1)).unwrap());
        drop(input);
        // The writer is still there: nothing but the end of the input ends the thread.
        assert!(
            gone.recv_timeout(PATIENCE)
                .is_err_and(|it| it == std::sync::mpsc::RecvTimeoutError::Disconnected)
        );
        drop(writer);
    }
}
