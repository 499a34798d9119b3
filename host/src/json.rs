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

use crate::cut::cut;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::iter;
use std::str::Chars;

/// Deepest nesting that passes: serde_json, which reads our texts in plugins, stops at 128.
pub(crate) const DEPTH_MAX: usize = 127;

/// How many members the buffers keep room for (1.3 MB): one freak of a record, millions of members
/// wide, must not hold its memory until the end of the run.
const MEMBERS_KEPT: usize = 1 << 16;

/// How much of a name a message repeats, in characters: a name may be megabytes long.
const SHOWN_NAME_CHARS: usize = 64;

/// The state of a scan, kept between texts so that its buffers are allocated once.
#[derive(Debug)]
pub(crate) struct Scanner {
    depth_max: usize,
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
    #[error("nesting deeper than {0} levels")]
    Depth(usize),
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

impl Default for Scanner {
    fn default() -> Self {
        Scanner::inside(0)
    }
}

impl Scanner {
    /// Of texts that will stand inside of so many containers.
    pub(crate) fn inside(levels: usize) -> Self {
        Scanner {
            depth_max: DEPTH_MAX - levels,
            members: Vec::new(),
            open: Vec::new(),
            tags: Vec::new(),
        }
    }

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
        if self.open.len() == self.depth_max {
            return Err(Fault::new(cursor.at, What::Depth(self.depth_max)));
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

    /// Name and value as they stand, the name's quotes included.
    pub(crate) fn whole<'t>(&self, text: &'t str) -> &'t str {
        &text[self.key.start as usize - 1..self.value.end as usize]
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
        let shown = cut(self.key.of(text), SHOWN_NAME_CHARS);
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
        // Eight at once: a prediction is often a number of 17 digits. A digit's upper half is 3,
        // and stays so when 6 is added.
        const ONES: u64 = u64::MAX / 0xff;
        let upper = |word: u64| word & (ONES * 0xf0);
        while let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_le_bytes(*word);
            let all = upper(word) == ONES * 0x30 && upper(word + ONES * 6) == ONES * 0x30;
            if !all {
                break;
            }
            self.at += 8;
        }
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
mod tests;
