//! Checks one JSON text in a single pass and notes the members of its outermost object, so that
//! texts can be spliced as bytes: nothing is built, nothing is rewritten.
//!
//! What passes can stand in a line of output, whoever reads it. So this refuses more than RFC 8259
//! does: a name given twice in one object (at any depth, in any spelling), half a surrogate pair,
//! nesting deeper than serde_json goes, and a line break between tokens, since our texts live on one
//! line. Numbers are checked for grammar alone: `1e400` goes through as it stands.
//!
//! The trap: spans point into the text that was scanned, and the scanner doesn't keep it. Ask them
//! of the same text, before the next scan.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::iter;
use std::str::Chars;

/// Deepest nesting that passes: serde_json, which reads our texts in plugins, stops at 128.
const DEPTH_MAX: usize = 127;

/// How many members the buffers keep room for (1.3 MB): one freak of a record, millions of members
/// wide, must not hold its memory until the end of the run.
const MEMBERS_KEPT: usize = 1 << 16;

/// How much of a name a message repeats, in characters: a name may be megabytes long.
const SHOWN_NAME_CHARS: usize = 64;

/// The state of a scan, kept between texts so that its buffers are allocated once.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// Of every object still open, outermost first; in the end, of the outermost alone.
    members: Vec<Member>,
    /// The containers that are still open, outermost first.
    open: Vec<Open>,
    /// Scratch for comparing the names of one object: a name's tag in the upper half, its index below.
    tags: Vec<u64>,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{…}`: the only shape with members.
    Object,
    /// `[…]`
    Array,
    /// A string, a number, `true`, `false` or `null`.
    Scalar,
}

/// One name and its value, as places in the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// The name as written: without its quotes, escapes left in.
    pub(crate) key: Span,
    /// The value, from its first byte to its last.
    pub(crate) value: Span,
    escaped: bool,
}

/// A stretch of the scanned text, in bytes: `start` is inside, `end` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Why a text was refused, and where: `offset` counts bytes from 0, the message columns from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at column {}", offset + 1)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) what: What,
}

/// What is wrong at a [`Fault`]'s offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum What {
    #[error("expected {0}")]
    Expected(&'static str),
    #[error("expected {0} but the text ends")]
    Ended(&'static str),
    #[error("invalid escape in a string")]
    Escape,
    #[error("half a surrogate pair in a string")]
    Surrogate,
    #[error("unescaped control character in a string")]
    Control,
    #[error("text is not on one line: line break")]
    LineBreak,
    /// The name as the text writes it the second time.
    #[error("duplicate field `{0}`")]
    Duplicate(Box<str>),
    #[error("nesting deeper than {DEPTH_MAX} levels")]
    Depth,
    #[error("text longer than 4 GiB")]
    Length,
}

/// A container whose closing bracket has not come yet.
#[derive(Debug, Clone, Copy)]
enum Open {
    Array,
    /// Its own members start at this index.
    Object(usize),
}

impl Scanner {
    /// Checks that `text` is exactly one JSON value on one line, spaces and tabs around it allowed.
    ///
    /// Takes time near linear in the length of the text, whatever is in it (names are sorted), and
    /// no stack for nesting. Texts over 4 GiB are refused: spans are 32 bits. After a fault there
    /// are no members.
    pub(crate) fn scan(&mut self, text: &str) -> Result<Shape, Fault> {
        self.members.clear();
        self.members.shrink_to(MEMBERS_KEPT);
        self.tags.clear();
        self.tags.shrink_to(MEMBERS_KEPT);
        self.open.clear();
        if u32::try_from(text.len()).is_err() {
            return Err(*Fault::new(u32::MAX as usize, What::Length));
        }
        let scanned = self.walk(text);
        if scanned.is_err() {
            self.members.clear();
        }
        scanned.map_err(|fault| *fault)
    }

    /// The members of the object scanned last, in the order of the text; of other shapes, none.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// All members of the object scanned last, with what stands between them: the part to splice
    /// into another object. Empty where [`Self::members`] is.
    pub(crate) fn body(&self) -> Span {
        match (self.members.first(), self.members.last()) {
            (Some(first), Some(last)) => Span {
                start: first.key.start - 1, // its quote
                end: last.value.end,
            },
            _ => Span { start: 0, end: 0 },
        }
    }

    fn walk(&mut self, text: &str) -> Result<Shape, Box<Fault>> {
        let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
        let shape = match cursor.next_token() {
            Some(b'{') => Shape::Object,
            Some(b'[') => Shape::Array,
            _ => Shape::Scalar,
        };
        let mut inside = None;
        loop {
            // A value begins, in an object with its name. An empty container needs no path of its
            // own: below, its bracket may come at once, as it may come after a value.
            if let Some(Open::Object(_)) = inside {
                let member = cursor.name()?;
                self.members.push(member);
            }
            match cursor.next_token() {
                Some(b'{') => {
                    inside = Some(self.enter(Open::Object(self.members.len()), cursor)?);
                    cursor.at += 1;
                    if cursor.next_token() != Some(b'}') {
                        continue;
                    }
                }
                Some(b'[') => {
                    inside = Some(self.enter(Open::Array, cursor)?);
                    cursor.at += 1;
                    if cursor.next_token() != Some(b']') {
                        continue;
                    }
                }
                Some(b'"') => {
                    cursor.string()?;
                }
                Some(b'-' | b'0'..=b'9') => cursor.number()?,
                Some(b't') => cursor.word("true", "`true`")?,
                Some(b'f') => cursor.word("false", "`false`")?,
                Some(b'n') => cursor.word("null", "`null`")?,
                _ => return Err(cursor.expected("a value")),
            }
            // A value has ended, and maybe some of the containers around it.
            loop {
                let Some(open) = inside else {
                    return match cursor.next_token() {
                        None => Ok(shape),
                        Some(_) => Err(cursor.expected("the end of the text")),
                    };
                };
                if let Some(member) = self.members.last_mut() {
                    member.value.end = cursor.at as u32; // overwritten until its value has ended
                }
                match (cursor.next_token(), open) {
                    (Some(b','), _) => {
                        cursor.at += 1;
                        break;
                    }
                    (Some(b'}'), Open::Object(first)) => self.leave_object(first, text)?,
                    (Some(b']'), Open::Array) => {}
                    (_, Open::Object(_)) => return Err(cursor.expected("`,` or `}`")),
                    (_, Open::Array) => return Err(cursor.expected("`,` or `]`")),
                }
                cursor.at += 1;
                self.open.pop();
                inside = self.open.last().copied();
            }
        }
    }

    fn enter(&mut self, open: Open, cursor: Cursor<'_>) -> Result<Open, Box<Fault>> {
        if self.open.len() == DEPTH_MAX {
            return Err(Fault::new(cursor.at, What::Depth));
        }
        self.open.push(open);
        Ok(open)
    }

    /// Checks the names of the innermost object. Its members are forgotten, unless it is the
    /// outermost too.
    #[inline]
    fn leave_object(&mut self, first: usize, text: &str) -> Result<(), Box<Fault>> {
        let members = &self.members[first..];
        if members.len() > 1
            && let Some(index) = repeated(members, text, &mut self.tags)
        {
            return Err(members[index].duplicate(text));
        }
        if self.open.len() > 1 {
            self.members.truncate(first);
        }
        Ok(())
    }
}

/// Index of the first member whose name an earlier one has.
///
/// Names are told apart by tags, and compared only where tags are equal. Sorting keeps the cost
/// near linear even where somebody made names whose tags are all equal: those are sorted by name.
fn repeated(members: &[Member], text: &str, tags: &mut Vec<u64>) -> Option<usize> {
    tags.clear();
    for (index, member) in (0..).zip(members) {
        let Span { start, end } = member.key;
        let tag = if member.escaped {
            tag(member.name(text).as_bytes())
        } else {
            tag(&text.as_bytes()[start as usize..end as usize])
        };
        tags.push(u64::from(tag) << 32 | index);
    }
    tags.sort_unstable();
    if tags.windows(2).all(|pair| pair[0] >> 32 != pair[1] >> 32) {
        return None;
    }
    let member = |tagged: u64| &members[tagged as u32 as usize];
    tags.chunk_by_mut(|a, b| a >> 32 == b >> 32)
        .filter_map(|run| {
            // By name, then in the order of the text: of two equal neighbours, the right one repeats.
            run.sort_unstable_by(|&a, &b| member(a).cmp_name(member(b), text).then(a.cmp(&b)));
            run.windows(2)
                .filter(|pair| member(pair[0]).cmp_name(member(pair[1]), text).is_eq())
                .map(|pair| pair[1] as u32 as usize)
                .min()
        })
        .min()
}

/// Spreads names over 32 bits. Nobody relies on it: equal tags only mean a closer look.
fn tag(name: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 over the golden ratio
    let mut state = name.len() as u64;
    let mut mix = |word: u64| {
        state = (state ^ word).wrapping_mul(ODD);
        state ^= state >> 32;
    };
    if let Some(last) = name.last_chunk::<8>() {
        let words = name.as_chunks::<8>().0;
        words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
        mix(u64::from_le_bytes(*last));
    } else {
        mix(name.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)));
    }
    state as u32
}

impl Member {
    /// The name, escapes decoded.
    pub(crate) fn name<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let raw = self.key.of(text);
        if self.escaped { Cow::Owned(decoded(raw).collect()) } else { Cow::Borrowed(raw) }
    }

    /// Whether the member is called `name`, however the text spells it: `"\u0069d"` is `id`.
    pub(crate) fn is_named(&self, name: &str, text: &str) -> bool {
        if self.escaped {
            decoded(self.key.of(text)).eq(name.chars())
        } else {
            self.key.of(text) == name
        }
    }

    /// Orders by name. Bytes of UTF-8 sort as its characters do, so the two ways agree.
    fn cmp_name(&self, other: &Member, text: &str) -> Ordering {
        let (a, b) = (self.key.of(text), other.key.of(text));
        if self.escaped | other.escaped { decoded(a).cmp(decoded(b)) } else { a.cmp(b) }
    }

    #[cold]
    fn duplicate(&self, text: &str) -> Box<Fault> {
        let name = self.key.of(text);
        let shown = match name.char_indices().nth(SHOWN_NAME_CHARS) {
            Some((cut, _)) => format!("{}…", &name[..cut]),
            None => name.to_owned(),
        };
        let quote = self.key.start as usize - 1;
        Fault::new(quote, What::Duplicate(shown.into()))
    }
}

impl Span {
    /// Both fit: a longer text is refused before it is walked.
    fn new(start: usize, end: usize) -> Self {
        Span { start: start as u32, end: end as u32 }
    }

    /// The stretch itself. `text` is the text that was scanned.
    #[inline]
    pub(crate) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }
}

impl Fault {
    #[cold]
    fn new(offset: usize, what: What) -> Box<Self> {
        Box::new(Fault { offset, what })
    }
}

/// The characters that the inside of a checked string stands for.
fn decoded(raw: &str) -> impl Iterator<Item = char> {
    let mut rest = raw.chars();
    iter::from_fn(move || {
        let plain = rest.next()?;
        if plain != '\\' {
            return Some(plain);
        }
        match rest.next()? {
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => match hex_unit(&mut rest) {
                high @ 0xd800..0xdc00 => {
                    rest.nth(1); // the `\u` of the other half
                    let low = hex_unit(&mut rest);
                    char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                }
                unit => char::from_u32(unit),
            },
            itself => Some(itself),
        }
    })
}

fn hex_unit(rest: &mut Chars<'_>) -> u32 {
    let digits = rest.by_ref().take(4);
    digits.fold(0, |unit, digit| unit << 4 | digit.to_digit(16).unwrap_or(0))
}

/// A place in the text, and the steps over tokens from there.
///
/// Every step that a plain text takes is inlined, and what is left outside takes the cursor by
/// value: so it stays in registers, which makes a scan a third faster (measured).
#[derive(Clone, Copy)]
struct Cursor<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    #[inline(always)]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips white space and returns the byte after it, still to be read; `None` at the end.
    /// A line break is not skipped: nothing may begin with it, so it ends in [`Self::expected`].
    #[inline(always)]
    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Steps over a name and its colon, up to the value.
    #[inline(always)]
    fn name(&mut self) -> Result<Member, Box<Fault>> {
        if self.next_token() != Some(b'"') {
            return Err(self.expected("a field name in quotes"));
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let key = Span::new(start, self.at - 1);
        if self.next_token() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.next_token();
        let value = Span::new(self.at, self.at);
        Ok(Member { key, value, escaped })
    }

    /// Steps over a string, from its opening quote, and tells whether it holds escapes.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Box<Fault>> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.plain_bytes();
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    self.at = self.escape()?;
                    escaped = true;
                }
                Some(_) => return Err(Fault::new(self.at, What::Control)),
                None => return Err(self.expected("`\"`")),
            }
        }
    }

    /// Steps over what may stand in a string as it is, up to a quote, backslash or control character.
    ///
    /// Eight bytes at a time, in one word ("Bit Twiddling Hacks", "Determine if a word has a byte
    /// less than n"). A borrow can mark bytes above a marked one by mistake, never below, and only
    /// the lowest mark counts.
    #[inline(always)]
    fn plain_bytes(&mut self) {
        const ONES: u64 = u64::MAX / 0xff;
        let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
        while let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*word);
            let quote = below(word ^ (ONES * u64::from(b'"')), 1);
            let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
            let marks = (below(word, 0x20) | quote | backslash) & (ONES << 7);
            if marks != 0 {
                self.at += marks.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while let Some(0x20..=0x21 | 0x23..=0x5b | 0x5d..) = self.byte() {
            self.at += 1;
        }
    }

    /// Steps over one escape, from its backslash; a surrogate pair counts as one.
    #[inline(never)]
    fn escape(mut self) -> Result<usize, Box<Fault>> {
        let start = self.at;
        if self.bytes.get(start + 1) != Some(&b'u') {
            self.at += 2;
            return match self.bytes.get(start + 1) {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(self.at),
                _ => Err(Fault::new(start, What::Escape)),
            };
        }
        match self.escaped_unit() {
            None => Err(Fault::new(start, What::Escape)),
            Some(0xd800..0xdc00) => match self.escaped_unit() {
                Some(0xdc00..0xe000) => Ok(self.at),
                _ => Err(Fault::new(start, What::Surrogate)),
            },
            Some(0xdc00..0xe000) => Err(Fault::new(start, What::Surrogate)),
            Some(_) => Ok(self.at),
        }
    }

    /// Steps over `\uXXXX`; `None` if something else stands there.
    fn escaped_unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 6)?.strip_prefix(b"\\u")?;
        self.at += 6;
        digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
    }

    /// Steps over a number: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    #[inline(always)]
    fn number(&mut self) -> Result<(), Box<Fault>> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1; // a digit here is the caller's to refuse, as the start of something else
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// Steps over one digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), Box<Fault>> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.expected("a digit"));
        }
        Ok(())
    }

    #[inline(always)]
    fn word(&mut self, word: &str, wanted: &'static str) -> Result<(), Box<Fault>> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.expected(wanted));
        }
        self.at += word.len();
        Ok(())
    }

    #[cold]
    fn expected(self, wanted: &'static str) -> Box<Fault> {
        let what = match self.byte() {
            Some(b'\n' | b'\r') => What::LineBreak,
            Some(_) => What::Expected(wanted),
            None => What::Ended(wanted),
        };
        Fault::new(self.at, what)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn scan(text: &str) -> Result<Shape, Fault> {
        Scanner::default().scan(text)
    }

    /// What the scanner says of `text`, in a line: the shape, or the message of its fault.
    fn verdict(text: &str) -> String {
        match scan(text) {
            Ok(shape) => format!("{shape:?}"),
            Err(fault) => fault.to_string(),
        }
    }

    #[track_caller]
    fn check(table: &[(&str, &str)]) {
        for (text, expected) in table {
            assert_eq!(verdict(text), *expected, "of the text {text:?}");
        }
    }

    #[test]
    fn whatever_the_grammar_allows_passes() {
        check(&[
            ("{}", "Object"),
            ("[]", "Array"),
            (" \t{ \t} \t", "Object"),
            ("[ ]", "Array"),
            ("null", "Scalar"),
            ("true", "Scalar"),
            ("\tfalse ", "Scalar"),
            ("\"\"", "Scalar"),
            (r#"{"":0}"#, "Object"),
            (r#"{"a" : [ { "a" : [ ] , "b":{}} , 1 ] ,"b": null}"#, "Object"),
            (r#"[{"a":1},{"a":1}]"#, "Array"),
            (r#"{"a":{"a":{"a":1}}}"#, "Object"),
            (r#"[[[],[[]]],"",{}]"#, "Array"),
            ("\"\u{7f}\u{80}\u{2028}\u{feff}é漢😀 and some more text\"", "Scalar"),
            ("\"a quote after seven\"", "Scalar"),
        ]);
    }

    #[test]
    fn numbers_are_checked_for_grammar_alone() {
        let good = "0 -0 7 -12 120 0.5 -0.0 10.25 1e5 1E+2 1e-07 0e0 -1.50E-3 1e400 -1e99999";
        for number in good.split(' ').chain([&*"9".repeat(5000)]) {
            assert_eq!(verdict(number), "Scalar", "of the number {number}");
            let inside = format!(r#"{{"a":[{number},{number} ],"b":{number}}}"#);
            assert_eq!(verdict(&inside), "Object", "of the text {inside}");
        }
        let bad = "- -- -a 01 00 -01 1. 1.e5 .5 -.5 1e 1e+ 1E- 1.5e 1e5.0 +1 1a 0x10 1_000 1..2 --1 \
                   NaN -NaN Infinity -Infinity 1,5 ½ １";
        for number in bad.split_whitespace() {
            assert!(scan(number).is_err(), "of the number {number}");
            let inside = format!(r#"{{"a":{number}}}"#);
            assert!(scan(&inside).is_err(), "of the text {inside}");
        }
    }

    #[test]
    fn escapes_are_the_eight_short_ones_and_four_hex_digits() {
        let good = [
            r#"\""#,
            r"\\",
            r"\/",
            r"\b\f\n\r\t",
            r"\u0000",
            r"\uABCD\uabcd\uFFFF",
            r"\ud83d\ude00",
            r"\uD800\uDC00\udbff\udfff",
            r"a long run before it \\ and after it too \n",
            r"\\u12",
        ];
        for inside in good {
            assert_eq!(verdict(&format!("\"{inside}\"")), "Scalar", "of {inside}");
        }
        check(&[
            (r#""\a""#, "invalid escape in a string at column 2"),
            (r#""ab\x41""#, "invalid escape in a string at column 4"),
            (r#""\'""#, "invalid escape in a string at column 2"),
            (r#""\U0041""#, "invalid escape in a string at column 2"),
            ("\"\\\u{9}\"", "invalid escape in a string at column 2"),
            ("\"\\é\"", "invalid escape in a string at column 2"),
            (r#""\u12""#, "invalid escape in a string at column 2"),
            (r#""\u12g4""#, "invalid escape in a string at column 2"),
            (r#""\u+123""#, "invalid escape in a string at column 2"),
            ("\"\\u12é4\"", "invalid escape in a string at column 2"),
            (r#""\ud800""#, "half a surrogate pair in a string at column 2"),
            (r#""\ud800 \udc00""#, "half a surrogate pair in a string at column 2"),
            (r#""\ud800\n""#, "half a surrogate pair in a string at column 2"),
            (r#""\ud800\ud800\udc00""#, "half a surrogate pair in a string at column 2"),
            (r#""\ud800\u0041""#, "half a surrogate pair in a string at column 2"),
            (r#""\udc00""#, "half a surrogate pair in a string at column 2"),
            (r#""\udc00\ud800""#, "half a surrogate pair in a string at column 2"),
            (r#"{"\ud800":1}"#, "half a surrogate pair in a string at column 3"),
        ]);
    }

    #[test]
    fn control_characters_are_refused_wherever_they_stand() {
        for code in 0..0x20u8 {
            let byte = char::from(code);
            for before in 0..20 {
                let text = format!("\"{}{byte}{}\"", "x".repeat(before), "y".repeat(9));
                let fault = scan(&text).unwrap_err();
                assert_eq!((fault.offset, fault.what), (1 + before, What::Control));
            }
            if byte != '\t' {
                assert!(scan(&format!("[{byte}1]")).is_err(), "of the character {code}");
            }
        }
    }

    #[test]
    fn a_line_break_between_tokens_is_a_fault_of_its_own() {
        let fault = "text is not on one line: line break at column";
        for line_break in ["\n", "\r", "\r\n"] {
            for text in
                ["#{}", "{#}", "{\"a\"#:1}", "{\"a\":#1}", "{\"a\":1#}", "[#]", "[1,#2]", "1#"]
            {
                let column = text.find('#').unwrap() + 1;
                let text = text.replace('#', line_break);
                assert_eq!(verdict(&text), format!("{fault} {column}"), "of {text:?}");
            }
        }
    }

    #[test]
    fn faults_say_what_and_where() {
        check(&[
            ("", "expected a value but the text ends at column 1"),
            ("  ", "expected a value but the text ends at column 3"),
            (r#"{"id": 1, "x": 2 "y"}"#, "expected `,` or `}` at column 18"),
            (r#"{"id": 1, "name": "a", "id": 2}"#, "duplicate field `id` at column 24"),
            (r#"{"a":1,}"#, "expected a field name in quotes at column 8"),
            (r#"{"a":1,,"b":2}"#, "expected a field name in quotes at column 8"),
            ("{,}", "expected a field name in quotes at column 2"),
            ("{a:1}", "expected a field name in quotes at column 2"),
            ("{'a':1}", "expected a field name in quotes at column 2"),
            ("{1:1}", "expected a field name in quotes at column 2"),
            ("{null:1}", "expected a field name in quotes at column 2"),
            (r#"{"a"}"#, "expected `:` at column 5"),
            (r#"{"a",1}"#, "expected `:` at column 5"),
            (r#"{"a"::1}"#, "expected a value at column 6"),
            (r#"{"a":}"#, "expected a value at column 6"),
            (r#"{"a":1]"#, "expected `,` or `}` at column 7"),
            (r#"{"a":1:2}"#, "expected `,` or `}` at column 7"),
            ("[1,]", "expected a value at column 4"),
            ("[,1]", "expected a value at column 2"),
            ("[1 2]", "expected `,` or `]` at column 4"),
            ("[1}", "expected `,` or `]` at column 3"),
            (r#"["a":1]"#, "expected `,` or `]` at column 5"),
            ("]", "expected a value at column 1"),
            ("}", "expected a value at column 1"),
            ("{}}", "expected the end of the text at column 3"),
            ("{} {}", "expected the end of the text at column 4"),
            ("1 2", "expected the end of the text at column 3"),
            ("nullx", "expected the end of the text at column 5"),
            ("\"a\" // why", "expected the end of the text at column 5"),
            ("/* why */ 1", "expected a value at column 1"),
            ("True", "expected a value at column 1"),
            ("[nul]", "expected `null` at column 2"),
            ("[tru", "expected `true` at column 2"),
            ("fAlse", "expected `false` at column 1"),
            ("[-]", "expected a digit at column 3"),
            ("1.", "expected a digit but the text ends at column 3"),
            ("\u{feff}{}", "expected a value at column 1"),
            ("[\u{feff}]", "expected a value at column 2"),
            ("[\u{a0}1]", "expected a value at column 2"),
            ("[1\u{c}]", "expected `,` or `]` at column 3"),
            ("{}\0", "expected the end of the text at column 3"),
            ("\0", "expected a value at column 1"),
            ("\"a\0b\"", "unescaped control character in a string at column 3"),
            (r#"{"a\"#, "invalid escape in a string at column 4"),
            (r#"["\""#, "expected `\"` but the text ends at column 5"),
        ]);
    }

    #[test]
    fn a_truncated_text_is_refused_wherever_it_was_cut() {
        let text = r#"{"a b c d e":[1.5e-3,true,null,{"\ud83d\ude00":"é\n"},[]],"d":"text of some length"}"#;
        assert_eq!(verdict(text), "Object");
        for (cut, _) in text.char_indices() {
            assert!(scan(&text[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn nesting_ends_where_serde_json_ends_it() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")] {
            let levels = open.matches(['[', '{']).count();
            for depth in [DEPTH_MAX / levels, DEPTH_MAX / levels + 1] {
                let text = format!("{}0{}", open.repeat(depth), close.repeat(depth));
                let passes = depth * levels <= DEPTH_MAX;
                assert_eq!(scan(&text).is_ok(), passes, "{depth} times {open}");
                assert_eq!(serde_json::from_str::<Value>(&text).is_ok(), passes);
            }
        }
        let fault = scan(&"[".repeat(1_000_000)).unwrap_err();
        assert_eq!((fault.offset, fault.what), (DEPTH_MAX, What::Depth));
    }

    #[test]
    fn a_name_given_twice_is_a_fault_at_any_depth_and_in_any_spelling() {
        check(&[
            (r#"{"a":1,"a":1}"#, "duplicate field `a` at column 8"),
            (r#"{"":1,"":2}"#, "duplicate field `` at column 7"),
            (r#"[{"x":{"a":1,"b":2,"a":3}}]"#, "duplicate field `a` at column 20"),
            (r#"{"a":{"b":1},"b":2,"a":3}"#, "duplicate field `a` at column 20"),
            (r#"{"id":1,"\u0069d":2}"#, r"duplicate field `\u0069d` at column 9"),
            (r#"{"\u0069\u0064":1,"id":2}"#, "duplicate field `id` at column 19"),
            (r#"{"\/":1,"/":2}"#, "duplicate field `/` at column 9"),
            (r#"{"😀":1,"\ud83d\uDE00":2}"#, r"duplicate field `\ud83d\uDE00` at column 11"),
            (r#"{"\n":1,"\u000A":2}"#, r"duplicate field `\u000A` at column 9"),
            (r#"{"b":1,"a":1,"b":2,"a":2}"#, "duplicate field `b` at column 14"),
            (r#"{"a":1,"A":2,"a ":3,"á":4,"a\u0301":5,"\\u0061":6,"aa":7}"#, "Object"),
            (r#"{"12345678":1,"123456781":2,"1234567812345678":3,"123456":4}"#, "Object"),
        ]);
        let long = "é".repeat(1000);
        let shown = format!("duplicate field `{}…` at column 2007", "é".repeat(64));
        assert_eq!(verdict(&format!(r#"{{"{long}":1,"{long}":1}}"#)), shown);
    }

    #[test]
    fn a_name_given_twice_among_ten_thousand_is_found() {
        let fields: Vec<String> = (0..10_000).map(|n| format!("\"field {n}\":{n}")).collect();
        let second_at = |place: usize, field: &str| {
            let mut fields = fields.clone();
            fields[place] = field.to_owned();
            let fault = scan(&format!("{{{}}}", fields.join(","))).err()?;
            assert!(matches!(fault.what, What::Duplicate(_)), "{fault}");
            let mut offset = 1;
            fields.iter().position(|field| {
                let here = offset == fault.offset;
                offset += field.len() + 1;
                here
            })
        };
        assert_eq!(second_at(5000, r#""field 10000":0"#), None);
        assert_eq!(second_at(0, r#""field 9999":0"#), Some(9999));
        assert_eq!(second_at(5000, r#""field 0":0"#), Some(5000));
        assert_eq!(second_at(9999, r#""fiel\u0064 17":0"#), Some(9999));
        assert_eq!(second_at(3, r#""\u0066ield 17":0"#), Some(17));
    }

    #[test]
    fn names_with_equal_tags_are_told_apart() {
        let mut seen = HashMap::new();
        let (a, b) = (0..)
            .map(|n| format!("name {n}"))
            .find_map(|name| Some((seen.insert(tag(name.as_bytes()), name.clone())?, name)))
            .unwrap();
        assert!(a != b && tag(a.as_bytes()) == tag(b.as_bytes()));
        let scan = |names: [&str; 4]| {
            let [a, b, c, d] = names;
            scan(&format!(r#"{{"{a}":1,"{b}":1,"{c}":1,"{d}":1}}"#)).map_err(|fault| fault.what)
        };
        let twice = |name: &str| Err(What::Duplicate(name.into()));
        assert_eq!(scan([&a, &b, "c", "d"]), Ok(Shape::Object));
        assert_eq!(scan(["c", &b, "d", &a]), Ok(Shape::Object));
        assert_eq!(scan([&a, &b, "c", &a]), twice(&a));
        assert_eq!(scan([&b, &a, &a, &b]), twice(&a));
        assert_eq!(scan([&a, &b, &b, &a]), twice(&b));
    }

    #[test]
    fn members_are_the_outermost_ones_in_order() {
        let text =
            r#"  { "a" : 1.50 ,"b":{"x":[1,{"y":2}]}, "c\"":[ {"z":1} ] ,"":"s\"" , "e":{ } }	"#;
        let mut scanner = Scanner::default();
        assert_eq!(scanner.scan(text), Ok(Shape::Object));
        let spans = scanner.members().iter();
        let members: Vec<_> = spans.map(|m| (m.key.of(text), m.value.of(text))).collect();
        let expected = [
            ("a", "1.50"),
            ("b", r#"{"x":[1,{"y":2}]}"#),
            (r#"c\""#, r#"[ {"z":1} ]"#),
            ("", r#""s\"""#),
            ("e", "{ }"),
        ];
        assert_eq!(members, expected);
        let body = scanner.body().of(text);
        assert!(body.starts_with(r#""a" : 1.50 ,"#) && body.ends_with(r#", "e":{ }"#), "{body}");
    }

    #[test]
    fn only_objects_have_members_and_no_scan_leaves_any_to_the_next() {
        let mut scanner = Scanner::default();
        for text in ["{}", "{ }", r#"[{"a":1}]"#, "1", "", r#"{"a":1,"b":2"#, r#"{"a":1,"a":2}"#] {
            assert_eq!(scanner.scan(r#"{"a":[[{"b":1}]]}"#), Ok(Shape::Object));
            assert_eq!(scanner.members().len(), 1);
            let _ = scanner.scan(text);
            assert!(scanner.members().is_empty(), "after {text}");
            assert_eq!(scanner.body().of(text), "", "after {text}");
        }
    }

    #[test]
    fn one_freak_of_a_record_does_not_hold_its_memory() {
        let fields: Vec<String> = (0..MEMBERS_KEPT * 3).map(|n| format!("\"{n}\":0")).collect();
        let mut scanner = Scanner::default();
        scanner.scan(&format!("{{{}}}", fields.join(","))).unwrap();
        assert!(scanner.members.capacity().min(scanner.tags.capacity()) >= fields.len());
        scanner.scan("{}").unwrap();
        assert!(scanner.members.capacity().max(scanner.tags.capacity()) < 2 * MEMBERS_KEPT);
    }

    #[test]
    fn a_member_is_found_by_its_name_however_it_is_spelled() {
        let mut scanner = Scanner::default();
        for (spelling, name) in [
            ("id", "id"),
            (r"\u0069d", "id"),
            (r"\\u0069d", r"\u0069d"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"é\u00e9\u6f22漢", "éé漢漢"),
            (r"\ud83d\ude00😀\uDBFF\uDFFF\u0000", "😀😀\u{10ffff}\0"),
        ] {
            let text = format!(r#"{{"{spelling}":1}}"#);
            scanner.scan(&text).unwrap();
            let member = scanner.members()[0];
            assert_eq!(member.name(&text), name);
            assert!(member.is_named(name, &text), "{spelling}");
            assert!(!member.is_named(&format!("{name} "), &text), "{spelling}");
            assert!(!member.is_named("", &text), "{spelling}");
        }
    }

    // ---- against serde_json, which is slower and sees the same texts ----

    /// Colons outside strings: as many as there are members, in a valid text.
    fn members_written(text: &str) -> usize {
        let (mut colons, mut in_string) = (0, false);
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => in_string = !in_string,
                b'\\' => drop(bytes.next()),
                b':' if !in_string => colons += 1,
                _ => {}
            }
        }
        colons
    }

    /// Members of `value` at all depths: fewer than were written where a name came twice.
    fn members_kept(value: &Value) -> usize {
        match value {
            Value::Object(map) => map.len() + map.values().map(members_kept).sum::<usize>(),
            Value::Array(items) => items.iter().map(members_kept).sum(),
            _ => 0,
        }
    }

    fn check_against_serde(text: &str) -> Result<(), TestCaseError> {
        let mut scanner = Scanner::default();
        let ours = scanner.scan(text);
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            // Ours has no range; whether the rest of the text is good, serde_json doesn't say.
            Err(error) if error.to_string().starts_with("number out of range") => return Ok(()),
            Err(error) => {
                prop_assert!(ours.is_err(), "serde_json: {error}");
                return Ok(());
            }
        };
        let line_break = text.contains(['\n', '\r']);
        let twice = members_kept(&value) < members_written(text);
        match ours {
            Ok(_) => prop_assert!(!line_break && !twice),
            Err(Fault { what: What::LineBreak, .. }) => prop_assert!(line_break),
            Err(Fault { what: What::Duplicate(_), .. }) => prop_assert!(twice),
            Err(ref fault) => prop_assert!(false, "serde_json takes it, we say: {fault}"),
        }
        if let (Ok(shape), Value::Object(map)) = (&ours, &value) {
            prop_assert_eq!(*shape, Shape::Object);
            prop_assert_eq!(scanner.members().len(), map.len());
            for member in scanner.members() {
                let name = member.name(text);
                prop_assert!(member.is_named(&name, text));
                let read: Value = serde_json::from_str(member.value.of(text)).unwrap();
                prop_assert_eq!(Some(&read), map.get(&*name));
                prop_assert_eq!(member.value.of(text).trim(), member.value.of(text));
            }
            let spliced = format!("{{{}}}", scanner.body().of(text));
            prop_assert_eq!(&serde_json::from_str::<Value>(&spliced).unwrap(), &value);
        }
        Ok(())
    }

    /// A JSON text with untidy white space, few names (so that some come twice) and odd spellings.
    fn any_json() -> impl Strategy<Value = String> {
        let space = || prop_oneof![8 => Just(""), 2 => Just(" "), 1 => Just("\t  ")];
        let inside =
            "([a-c]|é|😀| |[a-z ]{9}|\\\\[nt\"/\\\\]|\\\\u00[46][1-3]|\\\\ud83d\\\\ude00){0,4}";
        let name = "([a-d]|\\\\u006[1-4]|[a-b]{7,9}|[ab]\\\\n)?";
        let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?";
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            number,
            inside.prop_map(|inside| format!("\"{inside}\"")),
        ];
        leaf.prop_recursive(5, 60, 6, move |value| {
            let item = (space(), value, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
            let member = (space(), name, space(), item.clone())
                .prop_map(|(a, name, b, value)| format!("{a}\"{name}\"{b}:{value}"));
            prop_oneof![
                vec(item, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    /// Pieces of JSON, in no order.
    const PIECES: [&str; 36] = [
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\"a\"", "\"a\":", "\"b\":1", "\\u", "\\ud83d",
        "\\ude00", "0", "1", "-", "+", ".", "e", "E", "true", "false", "null", "nul", " ", "\t",
        "\n", "\r", "\u{1f}", "\0", "é", "\u{feff}", "/", "d8", "{}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_valid_text_is_judged_as_serde_json_judges_it(text in any_json()) {
            check_against_serde(&text)?;
        }

        #[test]
        fn a_damaged_text_is_judged_as_serde_json_judges_it(
            text in any_json(),
            wounds in vec((any::<prop::sample::Index>(), 0..3usize, prop::sample::select(&PIECES[..])), 1..4),
        ) {
            let mut text: Vec<char> = text.chars().collect();
            for (place, removed, piece) in wounds {
                let start = place.index(text.len() + 1);
                let end = text.len().min(start + removed);
                text.splice(start..end, piece.chars());
            }
            check_against_serde(&String::from_iter(text))?;
        }

        #[test]
        fn any_pieces_are_judged_as_serde_json_judges_them(
            pieces in vec(prop::sample::select(&PIECES[..]), 0..12),
        ) {
            check_against_serde(&pieces.concat())?;
        }
    }
}
