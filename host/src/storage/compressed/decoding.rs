//! Decodes gzip (RFC 1952, any number of members) and zstd (RFC 8878, any number of frames) in a thread
//! of its own, so that whoever cuts the text into records does not wait for it.
//!
//! Blocks of text go round between the thread and its input, as batches do in a run: so many and never
//! more, so that a megabyte that becomes a gigabyte takes no more memory than any other. The thread ends
//! when the input is dropped, also while it waits for a pipe.
//!
//! A stream that is cut off or damaged is an error ([`is_damaged`]) behind the last text that could be
//! had of it. Only that a checksum does not fit is found later, when its text went on already. Cut off
//! exactly between two members it is a shorter stream, and nobody can tell.

use super::super::Input;
use crate::format::Compression;
use crate::record::RecordPosition;
use crate::stop::Stop;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How much text a block holds, and how many there are: enough for both sides to have one, and some
/// between them where one is slow for a moment.
const BLOCK_BYTES: usize = 64 * 1024;
const BLOCKS: usize = 6;
/// How much to read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// How often to look whether anybody still wants the text, while nothing comes.
const STOP_POLL: Duration = Duration::from_millis(50);

/// The text of a compressed input.
pub struct Decoding {
    compressed: Arc<Mutex<Box<dyn Input>>>,
    compression: Compression,
    version: Option<String>,
    /// Of the compressed bytes, what was read to tell that they are.
    first: Vec<u8>,
    /// How much of the text is not wanted, from where the thread is to begin.
    skip: u64,
    thread: Option<Thread>,
    /// The block that is being given on, and how much of it is.
    block: Vec<u8>,
    given: usize,
    is_ended: bool,
}

/// What the thread tells: the next block, which is empty at the end.
type Message = io::Result<Vec<u8>>;

struct Thread {
    stop: Stop,
    blocks: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    handle: JoinHandle<()>,
}

impl Decoding {
    /// Decodes what `first` and `compressed` hold, one behind the other.
    pub fn new(compressed: Box<dyn Input>, compression: Compression, first: Vec<u8>) -> Self {
        Decoding {
            version: compressed.version(),
            compressed: Arc::new(Mutex::new(compressed)),
            compression,
            first,
            skip: 0,
            thread: None,
            block: Vec::new(),
            given: 0,
            is_ended: false,
        }
    }

    /// The thread, which begins when somebody wants the first byte: until then nobody knows which one
    /// that is.
    fn thread(&mut self) -> io::Result<&Thread> {
        if self.thread.is_none() {
            let first = std::mem::take(&mut self.first);
            let compressed = self.compressed.clone();
            self.thread = Some(Thread::start(compressed, self.compression, first, self.skip)?);
        }
        Ok(self.thread.as_ref().expect("it was started"))
    }

    /// Takes the next block, if one comes in time. The one before it is used up.
    fn next(&mut self, timeout: Duration) -> io::Result<bool> {
        let block = std::mem::take(&mut self.block);
        self.given = 0;
        let thread = self.thread()?;
        if block.capacity() > 0 {
            let _ = thread.empty.send(block); // fails where the thread has ended
        }
        match thread.blocks.recv_timeout(timeout) {
            Err(RecvTimeoutError::Timeout) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other(
                    "a bug in etl-host: its decoder ended without a word",
                ));
            }
            Ok(Err(error)) => {
                self.is_ended = true;
                return Err(error);
            }
            Ok(Ok(block)) => self.block = block,
        }
        self.is_ended = self.block.is_empty();
        Ok(true)
    }

    fn is_ready(&self) -> bool {
        self.is_ended || self.given < self.block.len()
    }
}

impl Input for Decoding {
    fn read(&mut self, buf: &mut Vec<u8>) -> io::Result<usize> {
        while !self.is_ready() {
            self.next(STOP_POLL)?;
        }
        let rest = &self.block[self.given..];
        let len = rest.len().min(buf.capacity() - buf.len());
        buf.extend_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        if self.is_ready() { Ok(true) } else { self.next(timeout) }
    }

    /// Of the text nobody knows.
    fn bytes_total(&self) -> Option<u64> {
        None
    }

    fn version(&self) -> Option<String> {
        self.version.clone()
    }

    /// Decodes from the beginning, and drops all text before `position`.
    fn seek(&mut self, position: RecordPosition) -> io::Result<()> {
        if let Some(Thread { stop, blocks, empty, handle }) = self.thread.take() {
            stop.set();
            drop((blocks, empty));
            let _ = handle.join(); // what became of it was told in a message
            let mut compressed = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
            compressed.seek(RecordPosition::default())?;
        }
        (self.block, self.given, self.is_ended) = (Vec::new(), 0, false);
        self.skip = position.byte;
        Ok(())
    }
}

impl Drop for Decoding {
    fn drop(&mut self) {
        if let Some(thread) = &self.thread {
            thread.stop.set(); // where it waits for a block, it ends because there will be none
        }
    }
}

impl Thread {
    fn start(
        compressed: Arc<Mutex<Box<dyn Input>>>,
        compression: Compression,
        first: Vec<u8>,
        skip: u64,
    ) -> io::Result<Self> {
        let stop = Stop::default();
        let (empty, empties) = bounded(BLOCKS);
        let (sender, blocks) = bounded(BLOCKS + 1); // and the end
        for _ in 0..BLOCKS {
            let _ = empty.send(Vec::new());
        }
        let feed = Feed { compressed, bytes: first, used: 0, failed: false, stop: stop.clone() };
        let handle = thread::Builder::new().name("decoder".to_owned()).spawn(move || {
            let end = match Decoder::new(feed, compression) {
                Ok(decoder) => decode(decoder, &empties, &sender, skip),
                Err(error) => Err(error),
            };
            let _ = sender.send(end.map(|()| Vec::new())); // fails where nobody wants it any more
        })?;
        Ok(Thread { stop, blocks, empty, handle })
    }
}

/// Fills blocks until the text ends, or nobody gives any more.
fn decode(
    mut decoder: Decoder,
    empties: &Receiver<Vec<u8>>,
    blocks: &Sender<Message>,
    mut skip: u64,
) -> io::Result<()> {
    for mut block in empties {
        block.resize(BLOCK_BYTES, 0);
        let len = loop {
            let len = decoder.read(&mut block)?;
            let skipped = skip.min(len as u64);
            skip -= skipped;
            if skipped == 0 || len as u64 > skipped {
                block.drain(..skipped as usize);
                break len - skipped as usize;
            }
        };
        block.truncate(len);
        if len == 0 || blocks.send(Ok(block)).is_err() {
            break;
        }
    }
    Ok(())
}

/// A stream of text that could not be decoded to its end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Damaged(String);

/// Whether the input itself could be read, and what was read is no whole compressed stream.
pub fn is_damaged(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Damaged>())
}

fn damaged(compression: Compression, error: &io::Error) -> io::Error {
    let name = compression.name();
    io::Error::other(Damaged(match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("its {name} stream is cut off before its end"),
        _ => format!("its {name} stream is damaged: {error}"),
    }))
}

/// Makes text of compressed bytes, and knows whose fault an error is.
struct Decoder {
    compression: Compression,
    codec: Codec,
}

enum Codec {
    Gzip(Box<Members>),
    Zstd(zstd::stream::read::Decoder<'static, Feed>),
}

impl Decoder {
    fn new(feed: Feed, compression: Compression) -> io::Result<Self> {
        let codec = match compression {
            Compression::Gzip => Codec::Gzip(Box::new(Members(Some(GzDecoder::new(feed))))),
            Compression::Zstd => Codec::Zstd(zstd::stream::read::Decoder::with_buffer(feed)?),
        };
        Ok(Decoder { compression, codec })
    }

    /// As much text as there is without waiting for more; nothing at the end.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.codec {
            Codec::Gzip(members) => members.read(buf),
            Codec::Zstd(frames) => frames.read(buf),
        };
        let has_failed = match &self.codec {
            Codec::Gzip(members) => members.0.as_ref().is_some_and(|it| it.get_ref().failed),
            Codec::Zstd(frames) => frames.get_ref().failed,
        };
        read.map_err(|error| match has_failed {
            true => error,
            false => damaged(self.compression, &error),
        })
    }
}

/// The members of a gzip stream, one behind the other.
struct Members(Option<GzDecoder<Feed>>);

impl Members {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let len = member.read(buf)?;
            if len > 0 {
                return Ok(len);
            }
            if !find_member(member.get_mut())? {
                return Ok(0);
            }
            self.0 = self.0.take().map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }
}

/// Whether a member follows. Zeros behind the last one are no harm: tapes and disks are filled up with
/// them, and gzip(1) takes them so. Anything else is; it would warn, and we can't.
fn find_member(feed: &mut Feed) -> io::Result<bool> {
    const ID1: u8 = 0x1f;
    let mut any_zero = false;
    loop {
        match feed.fill_buf()? {
            [] => return Ok(false),
            [0, ..] => any_zero = true,
            [ID1, ..] if !any_zero => return Ok(true),
            _ => return Err(io::Error::other("something else stands behind its last member")),
        }
        feed.consume(1);
    }
}

/// The compressed bytes.
struct Feed {
    compressed: Arc<Mutex<Box<dyn Input>>>,
    /// What was read, and how much of it is used.
    bytes: Vec<u8>,
    used: usize,
    /// Whether it was not the decoder that failed.
    failed: bool,
    stop: Stop,
}

impl Feed {
    fn fill(&mut self) -> io::Result<()> {
        let mut compressed = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.stop.is_set() {
            if compressed.wait(STOP_POLL)? {
                self.bytes.clear();
                self.used = 0;
                self.bytes.reserve_exact(PIECE_BYTES);
                return compressed.read(&mut self.bytes).map(drop);
            }
        }
        Err(io::Error::other("nobody wants it any more"))
    }
}

impl BufRead for Feed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.bytes.len() {
            let filled = self.fill();
            self.failed |= filled.is_err();
            filled?;
        }
        Ok(&self.bytes[self.used..])
    }

    fn consume(&mut self, len: usize) {
        self.used += len;
    }
}

impl Read for Feed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(buf)?;
        self.consume(len);
        Ok(len)
    }
}
