//! Compresses what is written to an output: gzip (RFC 1952) or zstd (RFC 8878), one member or frame
//! behind the other, each begun by the first text that goes into it.
//!
//! The same text gives the same bytes: members hold no name and no time, and codecs are given text in
//! chunks of one size, counted from where a frame began. What a codec makes of a text may depend on how
//! it is cut; so it depends neither on batches nor on threads.
//!
//! It knows no target: compressed bytes gather in `Compressor::compressed`, for an output to take.

use crate::format::Compression;
use flate2::{Compress, Crc, FlushCompress, Status};
use std::io;
use std::time::{Duration, Instant};
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// What gzip(1) and zstd(1) take where nobody says otherwise.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// How much text a codec is given at once.
const CHUNK_BYTES: usize = 128 * 1024;
/// Room for compressed bytes, made before a codec is asked for some.
const ROOM_BYTES: usize = 32 * 1024;

/// What makes text small.
pub(super) struct Compressor {
    codec: Codec,
    /// Text that no codec was given yet: less than a chunk.
    text: Vec<u8>,
    /// Whether a frame has begun that has not ended.
    is_open: bool,
    /// Since when there is text that can't be had of the compressed bytes.
    waits_since: Option<Instant>,
    /// What came of it, to be taken from here.
    pub(super) compressed: Vec<u8>,
}

enum Codec {
    Gzip(Box<Member>),
    Zstd(Encoder<'static>),
}

impl Compressor {
    /// Begins with the first frame.
    pub(super) fn new(compression: Compression) -> io::Result<Self> {
        let codec = match compression {
            Compression::Gzip => Codec::Gzip(Box::new(Member {
                deflate: Compress::new(flate2::Compression::new(GZIP_LEVEL), false),
                crc: Crc::new(),
            })),
            Compression::Zstd => {
                let mut encoder = Encoder::new(ZSTD_LEVEL)?;
                encoder.set_parameter(CParameter::ChecksumFlag(true))?;
                Codec::Zstd(encoder)
            }
        };
        let (text, compressed) = (Vec::with_capacity(CHUNK_BYTES), Vec::new());
        Ok(Compressor { codec, text, is_open: false, waits_since: None, compressed })
    }

    /// Whether nothing of what was written is still in here.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.is_open && self.compressed.is_empty()
    }

    /// Takes all of the text.
    pub(super) fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let mut text = text;
        if !text.is_empty() && self.waits_since.is_none() {
            self.waits_since = Some(Instant::now());
        }
        while !text.is_empty() {
            // What is a chunk already need not become one.
            if self.text.is_empty() && text.len() >= CHUNK_BYTES {
                let (chunk, rest) = text.split_at(CHUNK_BYTES);
                self.begin();
                self.codec.write(chunk, &mut self.compressed)?;
                text = rest;
                continue;
            }
            let (now, rest) = text.split_at(text.len().min(CHUNK_BYTES - self.text.len()));
            self.text.extend_from_slice(now);
            text = rest;
            if self.text.len() == CHUNK_BYTES {
                self.give()?;
            }
        }
        Ok(())
    }

    /// Whether the first text that can't be had of the compressed bytes has waited so long.
    pub(super) fn has_waited(&self, time: Duration) -> bool {
        self.waits_since.is_some_and(|since| since.elapsed() >= time)
    }

    /// All text that was written can be had of the compressed bytes, and the frame goes on.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.waits_since.take().is_some() {
            self.give()?;
            self.codec.flush(&mut self.compressed)?;
        }
        Ok(())
    }

    /// Ends the frame, if one has begun.
    pub(super) fn end_frame(&mut self) -> io::Result<()> {
        self.give()?;
        self.waits_since = None;
        if self.is_open {
            self.is_open = false;
            self.codec.end(&mut self.compressed)?;
        }
        Ok(())
    }

    /// A frame without text, where none has begun.
    pub(super) fn write_empty_frame(&mut self) -> io::Result<()> {
        self.begin();
        self.end_frame()
    }

    fn begin(&mut self) {
        if !self.is_open {
            self.is_open = true;
            self.codec.begin(&mut self.compressed);
        }
    }

    /// Gives the codec what it was not given yet.
    fn give(&mut self) -> io::Result<()> {
        if !self.text.is_empty() {
            self.begin();
            self.codec.write(&self.text, &mut self.compressed)?;
            self.text.clear();
        }
        Ok(())
    }
}

impl Codec {
    fn begin(&mut self, out: &mut Vec<u8>) {
        match self {
            Codec::Gzip(member) => member.begin(out),
            Codec::Zstd(_) => {} // with its first byte
        }
    }

    fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::Gzip(member) => member.write(text, out),
            Codec::Zstd(encoder) => {
                let mut text = InBuffer::around(text);
                while text.pos() < text.src.len() {
                    out.reserve(ROOM_BYTES);
                    encoder.run(&mut text, &mut behind(out))?;
                }
                Ok(())
            }
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::Gzip(member) => member.deflate(&[], out, FlushCompress::Sync),
            Codec::Zstd(encoder) => until_done(out, |out| encoder.flush(out)),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Codec::Gzip(member) => member.end(out),
            Codec::Zstd(encoder) => {
                until_done(out, |out| encoder.finish(out, true))?;
                encoder.reinit()
            }
        }
    }
}

/// Room behind what there is.
fn behind(out: &mut Vec<u8>) -> OutBuffer<'_, Vec<u8>> {
    let len = out.len();
    OutBuffer::around_pos(out, len)
}

/// Makes room until there is nothing left to write.
fn until_done(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
) -> io::Result<()> {
    loop {
        out.reserve(ROOM_BYTES);
        if write(&mut behind(out))? == 0 {
            return Ok(());
        }
    }
}

/// A member of a gzip stream.
struct Member {
    deflate: Compress,
    /// Of the text, and how long that is.
    crc: Crc,
}

/// RFC 1952 §2.3: deflate, no flags, no time, no extra flags, an unknown system. So that it is the same
/// whenever and wherever it is written.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

impl Member {
    fn begin(&mut self, out: &mut Vec<u8>) {
        self.deflate.reset();
        self.crc.reset();
        out.extend_from_slice(&HEADER);
    }

    fn write(&mut self, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.crc.update(text);
        self.deflate(text, out, FlushCompress::None)
    }

    fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.deflate(&[], out, FlushCompress::Finish)?;
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes()); // modulo 2^32
        Ok(())
    }

    fn deflate(&mut self, text: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> io::Result<()> {
        let mut text = text;
        loop {
            out.reserve(ROOM_BYTES);
            let taken = self.deflate.total_in();
            let status = self.deflate.compress_vec(text, out, flush)?;
            text = &text[(self.deflate.total_in() - taken) as usize..];
            // With room left, it has nothing more to say.
            let is_done = text.is_empty() && out.len() < out.capacity();
            if is_done || status == Status::StreamEnd {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::MultiGzDecoder;
    use std::io::Read;

    const CODECS: [Compression; 2] = [Compression::Gzip, Compression::Zstd];

    /// What other people's decoders make of it.
    fn text(compression: Compression, bytes: &[u8]) -> String {
        let mut text = String::new();
        match compression {
            Compression::Gzip => MultiGzDecoder::new(bytes).read_to_string(&mut text),
            Compression::Zstd => {
                zstd::stream::read::Decoder::new(bytes).unwrap().read_to_string(&mut text)
            }
        }
        .unwrap();
        text
    }

    fn lines(count: usize) -> String {
        (0..count).map(|n| format!("{{\"n\": {}}}\n", n * n)).collect()
    }

    /// Compressed when written in pieces of this length, with frames that end behind these bytes.
    fn compressed(compression: Compression, text: &str, piece: usize, ends: &[usize]) -> Vec<u8> {
        let mut compressor = Compressor::new(compression).unwrap();
        let mut start = 0;
        for &end in ends {
            for piece in text.as_bytes()[start..end].chunks(piece) {
                compressor.write(piece).unwrap();
            }
            compressor.end_frame().unwrap();
            start = end;
        }
        compressor.compressed
    }

    #[test]
    fn the_bytes_depend_on_the_text_and_its_frames_alone() {
        let text = lines(50_000);
        let ends = [0, 1, 1, 300_000, 300_001, 300_001 + CHUNK_BYTES, text.len(), text.len()];
        for compression in CODECS {
            let whole = compressed(compression, &text, text.len(), &ends);
            assert_eq!(self::text(compression, &whole), text);
            for piece in [999, 4096, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1] {
                assert!(compressed(compression, &text, piece, &ends) == whole, "{piece}");
            }
            // A frame stands for itself: what is gone on with begins a new one.
            let (front, back) = (&ends[..4], [text.len() - 300_000]);
            let front = compressed(compression, &text, 1000, front);
            let back = compressed(compression, &text[300_000..], 1000, &back);
            let both = [front, back].concat();
            assert!(compressed(compression, &text, 7, &[1, 300_000, text.len()]) == both);
        }
    }

    #[test]
    fn a_frame_without_text_is_written_only_where_it_is_wanted() {
        for compression in CODECS {
            let mut compressor = Compressor::new(compression).unwrap();
            compressor.write(b"").unwrap();
            compressor.flush().unwrap();
            compressor.end_frame().unwrap();
            assert_eq!(compressor.compressed, b"");
            compressor.write_empty_frame().unwrap();
            assert!(!compressor.compressed.is_empty());
            assert_eq!(text(compression, &compressor.compressed), "");
        }
    }

    #[test]
    fn what_is_flushed_can_be_read_before_its_frame_has_ended() {
        let text = lines(20_000);
        for compression in CODECS {
            let mut compressor = Compressor::new(compression).unwrap();
            let mut seen = 0;
            for line in text.split_inclusive('\n').step_by(1_000) {
                assert!(!compressor.has_waited(Duration::ZERO));
                compressor.write(line.as_bytes()).unwrap();
                assert!(compressor.has_waited(Duration::ZERO));
                compressor.flush().unwrap();
                seen += line.len();
                let mut read = vec![0; seen];
                let bytes = &compressor.compressed[..];
                match compression {
                    Compression::Gzip => MultiGzDecoder::new(bytes).read_exact(&mut read).unwrap(),
                    Compression::Zstd => zstd::stream::read::Decoder::new(bytes)
                        .and_then(|mut it| it.read_exact(&mut read))
                        .unwrap(),
                }
                assert!(read.ends_with(line.as_bytes()));
            }
        }
    }

    #[test]
    fn a_member_names_neither_a_file_nor_a_time() {
        let compressed = compressed(Compression::Gzip, "text", 4, &[4]);
        assert_eq!(compressed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }
}
