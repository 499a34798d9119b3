//! Flowers by the million, good and bad, the same for the same seed: data for the benchmarks, and
//! an oracle for tests, because it knows the place of each bad record that it wrote.
//!
//! Record `n` is the same flower whatever the other options are: a file with bad records differs
//! from the one without in those records alone. Memory doesn't depend on the size, nor on that of
//! the long line.
//!
//! Lines, bytes and lengths are those of the records as written, so a reader that trims a line
//! may name another length for a truncated one.
#![forbid(unsafe_code)]

pub mod by_hand;

use serde::{Deserialize, Serialize};
use std::io::{self, ErrorKind, Write};

/// Shortest line that [`Options::long_line_bytes`] may ask for: any flower with any id fits.
pub const LONG_LINE_BYTES_MIN: u64 = 128;

const BLOCK_BYTES: usize = 256 << 10; // one write to a pipe or file; stays in L2
const NAMES: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

/// What to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to end.
    pub size: Size,
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// Chance of each record to be bad, 0 to 100. The ways of being bad take turns in random order.
    pub bad_percent: f64,
    /// Gives the record in the middle a text that makes its line this long, newline not counted.
    /// That record is good. At least [`LONG_LINE_BYTES_MIN`].
    pub long_line_bytes: Option<u64>,
    /// Whether each record begins with an `id`, the number of its line.
    pub id: bool,
}

impl Options {
    /// Good records only, without ids, seed 1.
    pub fn new(size: Size) -> Self {
        Options { size, seed: 1, bad_percent: 0.0, long_line_bytes: None, id: false }
    }
}

/// Where to end.
#[derive(Clone, Copy, Debug)]
pub enum Size {
    /// After this many records, bad ones included.
    Records(u64),
    /// After the record that reaches this many bytes.
    Bytes(u64),
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines, bad ones included.
    pub records: u64,
    /// Bytes, newlines included.
    pub bytes: u64,
    /// Bad records.
    pub bad: u64,
    /// Where the long line stands.
    pub long_line: Option<Place>,
}

/// Where a record stands in what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// From 1.
    pub line: u64,
    /// Offset of its first byte, from 0.
    pub byte: u64,
    /// Bytes, newline not counted.
    pub length: u64,
}

/// A line of the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// What is wrong with it.
    pub way: BadWay,
}

/// What is wrong with a bad record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadWay {
    /// The object ends too early.
    Truncated,
    /// A measure is a string.
    WrongType,
    /// A measure is not there.
    MissingField,
    /// A measure is there twice.
    DoubledField,
    /// A field that no model reads has bytes that aren't UTF-8: the measures can be read, and a
    /// parser that skips the field (as serde_json does) sees nothing wrong.
    InvalidUtf8,
    /// A measure is 1e400, which no f64 holds.
    NumberTooLarge,
    /// The measures stand in an array, which serde's derive takes for a flower.
    Array,
    /// Valid JSON, no object.
    Null,
    /// ASCII, control characters included, that is no JSON.
    Garbage,
}

impl BadWay {
    /// All of them.
    pub const ALL: [BadWay; 9] = [
        BadWay::Truncated,
        BadWay::WrongType,
        BadWay::MissingField,
        BadWay::DoubledField,
        BadWay::InvalidUtf8,
        BadWay::NumberTooLarge,
        BadWay::Array,
        BadWay::Null,
        BadWay::Garbage,
    ];
}

/// Writes records to `out`, a whole line each, and tells `on_bad` of each bad one.
///
/// Writes in blocks of at least 256 KiB: `out` needs no buffer. Ends at the first error of `out` or
/// of `on_bad`; options out of their range are [`ErrorKind::InvalidInput`], before the first byte.
pub fn write(
    options: &Options,
    out: &mut impl Write,
    mut on_bad: impl FnMut(BadRecord) -> io::Result<()>,
) -> io::Result<Summary> {
    let invalid = |what: String| Err(io::Error::new(ErrorKind::InvalidInput, what));
    if !(0.0..=100.0).contains(&options.bad_percent) {
        return invalid(format!("{} percent of bad records is not 0 to 100", options.bad_percent));
    }
    if options.long_line_bytes.is_some_and(|bytes| bytes < LONG_LINE_BYTES_MIN) {
        return invalid(format!("a long line has at least {LONG_LINE_BYTES_MIN} bytes"));
    }
    let flowers = SplitMix64::new(options.seed);
    let mut spoiler = Spoiler::new(options);
    let mut summary = Summary::default();
    let mut block = Vec::with_capacity(BLOCK_BYTES + (4 << 10));
    let mut block_byte = 0; // offset of the block's first byte
    while !options.size.is_reached(&summary) {
        let flower = Flower::new(flowers.nth(summary.records));
        let id = options.id.then_some(summary.records + 1);
        let way = spoiler.next();
        let byte = summary.bytes;
        let long_line =
            options.long_line_bytes.filter(|bytes| options.size.is_middle(&summary, *bytes));
        if let Some(bytes) = long_line {
            flower.put(&mut block, id);
            block.pop(); // the closing brace
            block.extend_from_slice(b", \"note\": \"");
            let mut missing = byte + bytes - (block_byte + block.len() as u64) - 2;
            while missing > 0 {
                let piece = missing.min(BLOCK_BYTES as u64) as usize;
                block.resize(block.len() + piece, b'x');
                flush(out, &mut block, &mut block_byte)?;
                missing -= piece as u64;
            }
            block.extend_from_slice(b"\"}");
        } else if let Some(way) = way {
            spoiler.put(&mut block, way, &flower, id);
        } else {
            flower.put(&mut block, id);
        }
        let length = block_byte + block.len() as u64 - byte;
        let place = Place { line: summary.records + 1, byte, length };
        block.push(b'\n');
        summary.records += 1;
        summary.bytes += length + 1;
        if long_line.is_some() {
            summary.long_line = Some(place);
        } else if let Some(way) = way {
            summary.bad += 1;
            on_bad(BadRecord { place, way })?;
        }
        if block.len() >= BLOCK_BYTES {
            flush(out, &mut block, &mut block_byte)?;
        }
    }
    flush(out, &mut block, &mut block_byte)?;
    out.flush()?;
    Ok(summary)
}

fn flush(out: &mut impl Write, block: &mut Vec<u8>, block_byte: &mut u64) -> io::Result<()> {
    out.write_all(block)?;
    *block_byte += block.len() as u64;
    block.clear();
    Ok(())
}

impl Size {
    fn is_reached(self, written: &Summary) -> bool {
        match self {
            Size::Records(records) => written.records >= records,
            Size::Bytes(bytes) => written.bytes >= bytes,
        }
    }

    /// Whether the long line comes now.
    fn is_middle(self, written: &Summary, long_line_bytes: u64) -> bool {
        written.long_line.is_none()
            && match self {
                Size::Records(records) => written.records >= records / 2,
                Size::Bytes(bytes) => written.bytes >= bytes.saturating_sub(long_line_bytes) / 2,
            }
    }
}

/// Four measures in tenths of a centimetre, each below 10 cm, so that all lines are equally long.
struct Flower([u8; 4]);

impl Flower {
    /// Smallest and largest measure of each species in Fisher's iris data.
    const RANGES: [[(u8, u8); 4]; 3] = [
        [(43, 58), (23, 44), (10, 19), (1, 6)],
        [(49, 70), (20, 34), (30, 51), (10, 18)],
        [(49, 79), (22, 38), (45, 69), (14, 25)],
    ];

    /// A flower of any of the three species, chosen by the bits.
    fn new(bits: u64) -> Self {
        let scale = |part: u64, count: u64| (((part & 0xfff) * count) >> 12) as u8;
        let ranges = Self::RANGES[usize::from(scale(bits, 3))];
        Flower(std::array::from_fn(|index| {
            let (low, high) = ranges[index];
            low + scale(bits >> (12 * (index + 1)), u64::from(high - low) + 1)
        }))
    }

    fn put(&self, line: &mut Vec<u8>, id: Option<u64>) {
        line.push(b'{');
        put_id(line, id);
        for (index, name) in NAMES.iter().enumerate() {
            if index > 0 {
                line.extend_from_slice(b", ");
            }
            line.push(b'"');
            line.extend_from_slice(name.as_bytes());
            line.extend_from_slice(b"\": ");
            line.extend_from_slice(&self.measure(index));
        }
        line.push(b'}');
    }

    /// As text, `1.5`.
    fn measure(&self, index: usize) -> [u8; 3] {
        let tenths = self.0[index];
        [b'0' + tenths / 10, b'.', b'0' + tenths % 10]
    }
}

fn put_id(line: &mut Vec<u8>, id: Option<u64>) {
    if let Some(id) = id {
        line.extend_from_slice(format!("\"id\": {id}, ").as_bytes());
    }
}

/// Decides which records are bad, and how.
struct Spoiler {
    random: SplitMix64,
    share: f64,
    /// The ways whose turn is still to come.
    turns: Vec<BadWay>,
}

impl Spoiler {
    fn new(options: &Options) -> Self {
        let random = SplitMix64::new(!options.seed); // not the flowers' numbers
        Spoiler { random, share: options.bad_percent / 100.0, turns: Vec::new() }
    }

    fn next(&mut self) -> Option<BadWay> {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        if (self.random.next() >> 11) as f64 * STEP >= self.share {
            return None;
        }
        if self.turns.is_empty() {
            self.turns.extend(BadWay::ALL);
        }
        let turn = self.random.below(self.turns.len());
        Some(self.turns.swap_remove(turn))
    }

    fn put(&mut self, line: &mut Vec<u8>, way: BadWay, flower: &Flower, id: Option<u64>) {
        let start = line.len();
        let index = self.random.below(NAMES.len());
        let measures: [_; 4] = std::array::from_fn(|index| flower.measure(index));
        let measures = measures.each_ref().map(|text| String::from_utf8_lossy(text));
        let member = |index: usize, value: &str| format!("\"{}\": {value}", NAMES[index]);
        let mut members: Vec<String> =
            (0..4).map(|index| member(index, &measures[index])).collect();
        match way {
            BadWay::Truncated => {
                flower.put(line, id);
                line.truncate(start + 1 + self.random.below(line.len() - start - 1));
                return;
            }
            BadWay::WrongType => {
                members[index] = member(index, &format!("\"{}\"", measures[index]))
            }
            BadWay::MissingField => _ = members.remove(index),
            BadWay::DoubledField => members.push(member(index, &measures[index])),
            BadWay::NumberTooLarge => members[index] = member(index, "1e400"),
            BadWay::Array => return write_text(line, &format!("[{}]", measures.join(", "))),
            BadWay::Null => return write_text(line, "null"),
            BadWay::Garbage => {
                line.push(b'#'); // begins no JSON text
                for _ in 0..self.random.below(120) {
                    let byte = (self.random.next() & 0x7f) as u8;
                    line.push(if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
                }
                return;
            }
            BadWay::InvalidUtf8 => {}
        }
        line.push(b'{');
        put_id(line, id);
        line.extend_from_slice(members.join(", ").as_bytes());
        if way == BadWay::InvalidUtf8 {
            // Never a lead, overlong, a surrogate, cut short, above U+10FFFF.
            const WRONG: [&[u8]; 5] =
                [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xe2\x82", b"\xf5\x80\x80\x80"];
            line.extend_from_slice(b", \"note\": \"");
            line.extend_from_slice(WRONG[self.random.below(WRONG.len())]);
            line.push(b'"');
        }
        line.push(b'}');
    }
}

fn write_text(line: &mut Vec<u8>, text: &str) {
    line.extend_from_slice(text.as_bytes());
}

/// SplitMix64 (Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014):
/// small, fast, and its n-th number can be had without the ones before.
struct SplitMix64(u64);

impl SplitMix64 {
    const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

    /// Mixes the seed first, so that the numbers of two seeds have nothing in common.
    fn new(seed: u64) -> Self {
        SplitMix64(SplitMix64(seed).nth(0))
    }

    fn next(&mut self) -> u64 {
        let number = self.nth(0);
        self.0 = self.0.wrapping_add(Self::GAMMA);
        number
    }

    fn nth(&self, index: u64) -> u64 {
        let state = self.0.wrapping_add(Self::GAMMA.wrapping_mul(index.wrapping_add(1)));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to `end`, `end` not included. Counts here are small, so the bias is nothing.
    fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn generate(options: &Options) -> (Vec<u8>, Vec<BadRecord>, Summary) {
        let (mut text, mut manifest) = (Vec::new(), Vec::new());
        let on_bad = |bad| {
            manifest.push(bad);
            Ok(())
        };
        let summary = write(options, &mut text, on_bad).unwrap();
        assert_eq!(summary.bytes, text.len() as u64);
        assert_eq!(summary.bad, manifest.len() as u64);
        (text, manifest, summary)
    }

    fn with_bad(records: u64, bad_percent: f64) -> Options {
        Options { bad_percent, ..Options::new(Size::Records(records)) }
    }

    fn lines(text: &[u8]) -> Vec<&[u8]> {
        text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect()
    }

    /// The oracle's oracle: UTF-8, an object, and a flower.
    fn is_good(line: &[u8]) -> bool {
        std::str::from_utf8(line).is_ok()
            && line[0] == b'{'
            && serde_json::from_slice::<iris_model::Flower>(line).is_ok()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
        let options = with_bad(1000, 5.0);
        assert_eq!(generate(&options), generate(&options));
        assert_ne!(generate(&options).0, generate(&Options { seed: 2, ..options }).0);
    }

    #[test]
    fn the_first_records_are_these() {
        let (text, ..) = generate(&Options { id: true, ..with_bad(2, 0.0) });
        let expected = r#"{"id": 1, "sepal_length": 4.6, "sepal_width": 3.4, "petal_length": 1.6, "petal_width": 0.6}
{"id": 2, "sepal_length": 4.9, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.1}
"#;
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn the_manifest_names_the_bad_lines_and_no_others() {
        for id in [false, true] {
            let (text, manifest, summary) = generate(&Options { id, ..with_bad(50_000, 3.0) });
            let mut bad = manifest.iter().map(|bad| bad.place).peekable();
            let mut byte = 0;
            for (index, line) in lines(&text).into_iter().enumerate() {
                let place = Place { line: index as u64 + 1, byte, length: line.len() as u64 };
                let is_bad = bad.next_if_eq(&place).is_some();
                assert_eq!(is_good(line), !is_bad, "{place:?} {}", line.escape_ascii());
                byte += place.length + 1;
            }
            assert_eq!(bad.next(), None);
            assert_eq!(summary.records, 50_000);
        }
    }

    #[test]
    fn the_share_of_bad_is_as_asked_and_the_ways_take_turns() {
        for (percent, low, high) in
            [(0.0, 0, 0), (1.0, 850, 1150), (30.0, 29_000, 31_000), (100.0, 100_000, 100_000)]
        {
            let (_, manifest, summary) = generate(&with_bad(100_000, percent));
            assert!((low..=high).contains(&summary.bad), "{percent} percent: {summary:?}");
            let mut ways = BTreeMap::new();
            manifest.iter().for_each(|bad| *ways.entry(bad.way).or_insert(0) += 1);
            let counts = || ways.values().copied();
            assert!(percent == 0.0 || ways.len() == BadWay::ALL.len());
            assert!(counts().max().unwrap_or(0) - counts().min().unwrap_or(0) <= 1, "{ways:?}");
        }
    }

    #[test]
    fn each_way_is_bad_in_its_own_way() {
        let (text, manifest, _) = generate(&with_bad(9000, 100.0));
        for (line, BadRecord { way, .. }) in lines(&text).into_iter().zip(manifest) {
            let json = serde_json::from_slice::<serde_json::Value>(line);
            let flower = serde_json::from_slice::<iris_model::Flower>(line);
            let error = flower.as_ref().map_err(ToString::to_string).err().unwrap_or_default();
            let holds = match way {
                BadWay::Truncated => json.is_err_and(|error| error.is_eof()),
                BadWay::WrongType => error.contains("invalid type: string"),
                BadWay::MissingField => error.contains("missing field"),
                BadWay::DoubledField => error.contains("duplicate field"),
                BadWay::InvalidUtf8 => std::str::from_utf8(line).is_err() && flower.is_ok(),
                BadWay::NumberTooLarge => error.contains("number out of range"),
                BadWay::Array => json.is_ok_and(|json| json.is_array()) && flower.is_ok(),
                BadWay::Null => json.is_ok_and(|json| json.is_null()) && flower.is_err(),
                BadWay::Garbage => json.is_err_and(|error| error.is_syntax()),
            };
            assert!(holds, "{way:?}: {} {error}", line.escape_ascii());
        }
    }

    #[test]
    fn bad_records_leave_the_others_as_they_are() {
        let (good, ..) = generate(&with_bad(5000, 0.0));
        let (mixed, manifest, _) = generate(&with_bad(5000, 10.0));
        let (good, mut mixed) = (lines(&good), lines(&mixed));
        for BadRecord { place, .. } in manifest {
            let index = place.line as usize - 1;
            mixed[index] = good[index];
        }
        assert_eq!(good, mixed);
    }

    #[test]
    fn the_long_line_stands_in_the_middle_and_is_good() {
        for bytes in [LONG_LINE_BYTES_MIN, 3_000_000] {
            let long_line_bytes = Some(bytes);
            let options = Options { long_line_bytes, id: true, ..with_bad(1000, 50.0) };
            let (text, manifest, summary) = generate(&options);
            let place = summary.long_line.unwrap();
            assert_eq!((place.line, place.length), (501, bytes));
            let line = lines(&text)[500];
            assert_eq!(line, &text[place.byte as usize..][..bytes as usize]);
            assert!(is_good(line) && manifest.iter().all(|bad| bad.place != place));
        }
    }

    #[test]
    fn a_size_in_bytes_ends_with_the_record_that_reaches_it() {
        let options = Options::new(Size::Bytes(100_000));
        let (text, _, summary) = generate(&options);
        assert!((100_000..100_083).contains(&text.len()), "{}", text.len());
        let (text, _, with_long) = generate(&Options { long_line_bytes: Some(50_000), ..options });
        assert!((100_000..100_083).contains(&text.len()), "{}", text.len());
        assert!((25_000..25_083).contains(&with_long.long_line.unwrap().byte));
        assert!(with_long.records < summary.records);
    }

    #[test]
    fn options_out_of_range_are_refused_before_the_first_byte() {
        let short = Some(LONG_LINE_BYTES_MIN - 1);
        let short = Options { long_line_bytes: short, ..with_bad(1, 0.0) };
        for options in [with_bad(1, -1.0), with_bad(1, 101.0), with_bad(1, f64::NAN), short] {
            let mut text = Vec::new();
            let error = write(&options, &mut text, |_| Ok(())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(text.is_empty());
        }
    }

    #[test]
    fn a_line_of_the_manifest_reads_like_this() {
        let place = Place { line: 3, byte: 166, length: 4 };
        let text = r#"{"line":3,"byte":166,"length":4,"way":"null"}"#;
        let bad = BadRecord { place, way: BadWay::Null };
        assert_eq!(serde_json::to_string(&bad).unwrap(), text);
        assert_eq!(serde_json::from_str::<BadRecord>(text).unwrap(), bad);
    }
}
