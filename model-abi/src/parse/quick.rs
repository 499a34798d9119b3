//! Parses the records that nearly all records are like, about twice as fast as serde_json.
//!
//! It may leave a text to serde_json at any place and for any reason, and never says why: faults,
//! and everything seldom (a struct written as an array, integers of more than 19 digits, bytes),
//! are serde_json's to tell. So it is held to one promise only: a value that it gives is the one
//! that serde_json would have given. The tests compare the two.
//!
//! The trap: a type may catch an error of one of its parts and go on, where serde_json might have
//! gone on from another place. So whoever makes or sees an error here notes it, and nothing that is
//! parsed afterwards is believed.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, Expected, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt::{self, Display};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Deeper nesting is left to serde_json, which refuses it from 128 levels on.
pub(super) const DEPTH_MAX: u32 = 100;

/// Whether serde_json, asked for anything, keeps a number as it is written: somebody in this plugin
/// has switched `arbitrary_precision` on.
static KEEPS_DIGITS: LazyLock<bool> = LazyLock::new(|| {
    serde_json::from_str::<serde_json::Number>("1.10").is_ok_and(|it| it.to_string() == "1.10")
});

/// A record's value, or `None` where serde_json is to be asked.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Option<T> {
    let (depth, scratch) = (0, String::new());
    let mut reader = Reader { text, at: 0, depth, has_left: false, scratch };
    let value = T::deserialize(&mut reader).ok()?;
    (reader.token().is_none() && !reader.has_left).then_some(value)
}

/// That the text is left to serde_json. Where the type said why, in serde_json's words: some types
/// catch an error and keep its words.
#[derive(Debug)]
struct Left(Option<serde_json::Error>);

impl Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(error) => error.fmt(f),
            None => f.write_str("not a common form"),
        }
    }
}

impl std::error::Error for Left {}

impl de::Error for Left {
    #[cold]
    fn custom<T: Display>(message: T) -> Self {
        Left(Some(de::Error::custom(message)))
    }

    #[cold]
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Left(Some(de::Error::invalid_type(found, expected)))
    }

    #[cold]
    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Left(Some(de::Error::invalid_value(found, expected)))
    }
}

/// A place in the text.
struct Reader<'t> {
    text: &'t str,
    at: usize,
    /// How many containers are open.
    depth: u32,
    /// Whether there has been an error, caught or not.
    has_left: bool,
    /// A string whose escapes are decoded.
    scratch: String,
}

enum Number {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

impl<'t> Reader<'t> {
    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips white space; the byte behind it, still to be read.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                token => return token,
            }
        }
    }

    #[cold]
    fn leave(&mut self) -> Left {
        self.has_left = true;
        Left(None)
    }

    /// Notes an error that passes by.
    #[inline]
    fn seen<V>(&mut self, result: Result<V, Left>) -> Result<V, Left> {
        self.has_left |= result.is_err();
        result
    }

    /// Steps over this token.
    #[inline]
    fn expect(&mut self, token: u8) -> Result<(), Left> {
        if self.token() != Some(token) {
            return Err(self.leave());
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn enter(&mut self, open: u8) -> Result<(), Left> {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(self.leave()) } else { Ok(()) }
    }

    /// A visitor may come back before the container's end, which is an error there too.
    #[inline]
    fn exit(&mut self, close: u8) -> Result<(), Left> {
        self.depth -= 1;
        self.expect(close)
    }

    /// Steps up to the next part of a container; its first byte, or `None` where there is none.
    #[inline]
    fn next_part(&mut self, first: &mut bool, close: u8) -> Result<Option<u8>, Left> {
        let mut token = self.token();
        if token == Some(close) {
            return Ok(None);
        }
        if !std::mem::take(first) {
            if token != Some(b',') {
                return self.leave_container();
            }
            self.at += 1;
            token = self.token();
        }
        match token {
            Some(token) if token != close => Ok(Some(token)),
            _ => self.leave_container(),
        }
    }

    /// A type that catches every error and asks for the next part must come to an end.
    #[cold]
    fn leave_container(&mut self) -> Result<Option<u8>, Left> {
        if self.has_left { Ok(None) } else { Err(self.leave()) }
    }

    fn word(&mut self, word: &str) -> Result<(), Left> {
        let rest = self.text.as_bytes().get(self.at..);
        if !rest.is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return Err(self.leave());
        }
        self.at += word.len();
        Ok(())
    }

    /// Steps over a string: what stands between its quotes, and whether escapes are in it.
    #[inline]
    fn raw_string(&mut self) -> Result<(&'t str, bool), Left> {
        self.expect(b'"')?;
        let (start, mut escaped) = (self.at, false);
        loop {
            self.at = end_of_plain(self.text.as_bytes(), self.at);
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => escaped = true,
                _ => return Err(self.leave()), // a control character, or the end
            }
            self.at += 2;
        }
        let raw = self.text.get(start..self.at).ok_or_else(|| self.leave())?;
        self.at += 1;
        Ok((raw, escaped))
    }

    /// Decodes what stands between a string's quotes.
    fn decode(&mut self, raw: &str) -> Result<(), Left> {
        decode(raw, &mut self.scratch).ok_or_else(|| self.leave())
    }

    fn visit_string<V: Visitor<'t>>(&mut self, visitor: V) -> Result<V::Value, Left> {
        let (raw, escaped) = self.raw_string()?;
        self.visit_raw(raw, escaped, visitor)
    }

    /// Visits a string by what stands between its quotes.
    #[inline]
    fn visit_raw<V: Visitor<'t>>(
        &mut self,
        raw: &'t str,
        escaped: bool,
        visitor: V,
    ) -> Result<V::Value, Left> {
        let visited = if escaped {
            self.decode(raw)?;
            visitor.visit_str(&self.scratch)
        } else {
            visitor.visit_borrowed_str(raw)
        };
        self.seen(visited)
    }

    /// As serde_json reads it with `float_roundtrip`: the nearest double, or for an `f32` the
    /// nearest `f32`.
    #[inline(always)]
    fn number(&mut self, single: bool) -> Result<Number, Left> {
        /// The powers of ten that a double holds exactly.
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
            1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
        ];
        let begin = self.at;
        let bytes = &self.text.as_bytes()[begin..];
        let byte = |at: usize| bytes.get(at).copied();
        let negative = byte(0) == Some(b'-');
        let start = usize::from(negative);
        let mut digits = 0_u64;
        // Appends digits from `at` on; where they end.
        let mut take_digits = |mut at: usize| {
            while let Some(digit @ b'0'..=b'9') = byte(at) {
                digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                at += 1;
            }
            at
        };
        let mut end = take_digits(start);
        let before_point = end - start;
        if before_point == 0 || (before_point > 1 && byte(start) == Some(b'0')) {
            return Err(self.leave());
        }
        let mut behind_point = 0;
        if byte(end) == Some(b'.') {
            let fraction = end + 1;
            end = take_digits(fraction);
            behind_point = end - fraction;
            if behind_point == 0 {
                return Err(self.leave());
            }
        }
        let has_exponent = matches!(byte(end), Some(b'e' | b'E'));
        if has_exponent {
            let sign = matches!(byte(end + 1), Some(b'+' | b'-'));
            let exponent = end + 1 + usize::from(sign);
            end = exponent;
            while byte(end).is_some_and(|byte| byte.is_ascii_digit()) {
                end += 1;
            }
            if end == exponent {
                return Err(self.leave());
            }
        }
        self.at += end;
        let fits = before_point + behind_point <= 19; // in 64 bits
        if behind_point == 0 && !has_exponent {
            return match negative {
                false if fits => Ok(Number::Unsigned(digits)),
                true if fits && (1..=1 << 63).contains(&digits) => {
                    Ok(Number::Signed((digits as i64).wrapping_neg()))
                }
                _ => Err(self.leave()), // a float: too large, or -0
            };
        }
        if !has_exponent && !single && fits && digits <= 1 << 53 && behind_point < POWERS.len() {
            // Both are exact, so the quotient is rounded once (W. D. Clinger, "How to read floating
            // point numbers accurately", 1990).
            let value = digits as f64 / POWERS[behind_point];
            return Ok(Number::Float(if negative { -value } else { value }));
        }
        let text = &self.text[begin..self.at];
        let value = if single { text.parse::<f32>().map(f64::from) } else { text.parse::<f64>() };
        match value {
            Ok(value) if value.is_finite() => Ok(Number::Float(value)),
            _ => Err(self.leave()),
        }
    }

    #[inline]
    fn visit_number<V: Visitor<'t>>(&mut self, single: bool, visitor: V) -> Result<V::Value, Left> {
        self.token();
        let number = self.number(single)?;
        self.visit(number, visitor)
    }

    #[inline]
    fn visit<V: Visitor<'t>>(&mut self, number: Number, visitor: V) -> Result<V::Value, Left> {
        let visited = match number {
            Number::Unsigned(number) => visitor.visit_u64(number),
            Number::Signed(number) => visitor.visit_i64(number),
            Number::Float(number) => visitor.visit_f64(number),
        };
        self.seen(visited)
    }

    fn visit_object<V: Visitor<'t>>(
        &mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Left> {
        self.enter(b'{')?;
        let visited =
            visitor.visit_map(Members { reader: self, first: true, fields: plain(fields) });
        let value = self.seen(visited)?;
        self.exit(b'}').map(|()| value)
    }

    /// Steps over a value that nobody wants.
    fn skip(&mut self) -> Result<(), Left> {
        match self.token() {
            Some(b'"') => {
                let (raw, escaped) = self.raw_string()?;
                if escaped { self.decode(raw) } else { Ok(()) }
            }
            Some(b'{') => {
                self.enter(b'{')?;
                let mut first = true;
                while let Some(token) = self.next_part(&mut first, b'}')? {
                    if token != b'"' {
                        return Err(self.leave());
                    }
                    self.skip()?;
                    self.expect(b':')?;
                    self.skip()?;
                }
                self.exit(b'}')
            }
            Some(b'[') => {
                self.enter(b'[')?;
                let mut first = true;
                while self.next_part(&mut first, b']')?.is_some() {
                    self.skip()?;
                }
                self.exit(b']')
            }
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number(false).map(drop),
        }
    }
}

/// Where the first byte lies, from `at` on, that ends a plain stretch of a string: a quote, a
/// backslash or a control character. Eight bytes at once, as serde_json does it.
#[inline]
fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // A byte's high bit is set where the byte is below `limit`, and perhaps in bytes above it: the
    // lowest is always right.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (ONES * u64::from(b'"')), 1);
        let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
        let ends = (below(word, b' ') | quote | backslash) & (ONES << 7);
        if ends != 0 {
            return at + ends.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..b' ')) {
        at += 1;
    }
    at
}

/// A type's fields, unless one of them has a name that JSON writes with an escape.
#[inline]
fn plain(fields: &'static [&'static str]) -> &'static [&'static str] {
    /// Fields that were found to be so. It is asked for each object that is parsed, of few types.
    static KNOWN: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
    let place = fields.as_ptr() as usize;
    // Tells slices apart: two that don't overlap lie further from each other than either is long.
    let key = place.wrapping_add(fields.len());
    let known = &KNOWN[place / size_of::<&str>() % KNOWN.len()];
    if known.load(Ordering::Relaxed) != key {
        if !fields.iter().all(|name| end_of_plain(name.as_bytes(), 0) == name.len()) {
            return &[];
        }
        known.store(key, Ordering::Relaxed);
    }
    fields
}

/// `None`: an escape is no escape, or half a surrogate pair.
fn decode(raw: &str, decoded: &mut String) -> Option<()> {
    decoded.clear();
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        decoded.push_str(plain);
        let (kind, behind) = escape.split_at_checked(1)?;
        rest = behind;
        decoded.push(match kind {
            "\"" | "\\" | "/" => char::from(kind.as_bytes()[0]),
            "b" => '\u{8}',
            "f" => '\u{c}',
            "n" => '\n',
            "r" => '\r',
            "t" => '\t',
            "u" => {
                let high = unit(&mut rest)?;
                match char::from_u32(high.into()) {
                    Some(character) => character,
                    None => {
                        rest = rest.strip_prefix("\\u")?;
                        let pair = [high, unit(&mut rest)?];
                        char::decode_utf16(pair).next()?.ok()?
                    }
                }
            }
            _ => return None,
        });
    }
    decoded.push_str(rest);
    Some(())
}

/// Four hex digits.
fn unit(rest: &mut &str) -> Option<u16> {
    let (digits, behind) = rest.split_at_checked(4)?;
    *rest = behind;
    let all_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit()); // or a sign would pass
    if all_hex { u16::from_str_radix(digits, 16).ok() } else { None }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
            self.visit_number(false, visitor)
        }
    )*};
}

macro_rules! strings {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
            self.visit_string(visitor)
        }
    )*};
}

macro_rules! left_to_serde_json {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'t>>(self, _: V) -> Result<V::Value, Left> {
            Err(self.leave())
        }
    )*};
}

impl<'t> de::Deserializer<'t> for &mut Reader<'t> {
    type Error = Left;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f64
    }
    strings! { deserialize_char deserialize_str deserialize_string deserialize_identifier }
    left_to_serde_json! {
        deserialize_i128 deserialize_u128 deserialize_bytes deserialize_byte_buf
    }

    fn deserialize_f32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        self.visit_number(true, visitor)
    }

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        match self.token() {
            Some(b'"') => self.visit_string(visitor),
            Some(b'{') => self.visit_object(&[], visitor),
            Some(b'[') => self.deserialize_seq(visitor),
            Some(b't' | b'f') => self.deserialize_bool(visitor),
            Some(b'n') => self.deserialize_unit(visitor),
            _ => {
                let number = self.number(false)?;
                if matches!(number, Number::Float(_)) && *KEEPS_DIGITS {
                    return Err(self.leave());
                }
                self.visit(number, visitor)
            }
        }
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        let value = self.token() == Some(b't');
        self.word(if value { "true" } else { "false" })?;
        let visited = visitor.visit_bool(value);
        self.seen(visited)
    }

    fn deserialize_unit<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        self.token();
        self.word("null")?;
        let visited = visitor.visit_unit();
        self.seen(visited)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        let visited = if self.token() == Some(b'n') {
            self.word("null")?;
            visitor.visit_none()
        } else {
            visitor.visit_some(&mut *self)
        };
        self.seen(visited)
    }

    fn deserialize_unit_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Left> {
        self.deserialize_unit(visitor)
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Left> {
        if is_private(name) {
            return Err(self.leave());
        }
        let visited = visitor.visit_newtype_struct(&mut *self);
        self.seen(visited)
    }

    fn deserialize_seq<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        self.enter(b'[')?;
        let visited = visitor.visit_seq(Elements { reader: self, first: true });
        let value = self.seen(visited)?;
        self.exit(b']').map(|()| value)
    }

    fn deserialize_tuple<V: Visitor<'t>>(self, _: usize, visitor: V) -> Result<V::Value, Left> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Left> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        self.visit_object(&[], visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Left> {
        if is_private(name) {
            return Err(self.leave());
        }
        self.visit_object(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Left> {
        if self.token() == Some(b'"') {
            let (raw, escaped) = self.raw_string()?;
            if escaped {
                return Err(self.leave());
            }
            let visited = visitor.visit_enum(BorrowedStrDeserializer::new(raw));
            return self.seen(visited);
        }
        self.enter(b'{')?;
        let visited = visitor.visit_enum(Tagged { reader: self });
        let value = self.seen(visited)?;
        self.exit(b'}').map(|()| value)
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        self.skip()?;
        visitor.visit_unit()
    }
}

/// Whether it is a type that serde_json knows by its name, such as its `RawValue`.
#[inline]
fn is_private(name: &str) -> bool {
    name.starts_with('$')
}

/// An array's elements.
struct Elements<'r, 't> {
    reader: &'r mut Reader<'t>,
    first: bool,
}

impl<'t> SeqAccess<'t> for Elements<'_, 't> {
    type Error = Left;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Left> {
        if self.reader.next_part(&mut self.first, b']')?.is_none() {
            return Ok(None);
        }
        let element = seed.deserialize(&mut *self.reader);
        self.reader.seen(element).map(Some)
    }
}

/// An object's members.
struct Members<'r, 't> {
    reader: &'r mut Reader<'t>,
    first: bool,
    /// The names that are likely to come next, in this order; plain ones.
    fields: &'static [&'static str],
}

impl<'t> Members<'_, 't> {
    /// Steps over a name that is what it likely is.
    #[inline]
    fn likely_name(&mut self) -> Option<&'static str> {
        let (&likely, later) = self.fields.split_first()?;
        let rest = self.reader.text.as_bytes().get(self.reader.at + 1..)?;
        let (name, rest) = rest.split_at_checked(likely.len())?;
        if name != likely.as_bytes() || rest.first() != Some(&b'"') {
            return None;
        }
        self.fields = later;
        self.reader.at += likely.len() + 2;
        Some(likely)
    }
}

impl<'t> MapAccess<'t> for Members<'_, 't> {
    type Error = Left;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Left> {
        match self.reader.next_part(&mut self.first, b'}')? {
            Some(b'"') => {}
            Some(_) => return Err(self.reader.leave()),
            None => return Ok(None),
        }
        let (raw, escaped) = match self.likely_name() {
            Some(name) => (name, false),
            None => self.reader.raw_string()?,
        };
        let key = seed.deserialize(Key { reader: self.reader, raw, escaped });
        self.reader.seen(key).map(Some)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Left> {
        self.reader.expect(b':')?;
        let value = seed.deserialize(&mut *self.reader);
        self.reader.seen(value)
    }
}

/// An object's name: a text, which may be asked to be a number.
struct Key<'r, 't> {
    reader: &'r mut Reader<'t>,
    /// What stands between its quotes.
    raw: &'t str,
    escaped: bool,
}

impl<'t> Key<'_, 't> {
    fn leave(self) -> Left {
        self.reader.leave()
    }

    #[inline]
    fn visit_string<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        self.reader.visit_raw(self.raw, self.escaped, visitor)
    }

    fn visit_number<V: Visitor<'t>>(self, single: bool, visitor: V) -> Result<V::Value, Left> {
        let (text, at, scratch) = (self.raw, 0, String::new());
        let mut inside = Reader { text, at, depth: 0, has_left: false, scratch };
        match inside.number(single) {
            Ok(number) if inside.at == text.len() => self.reader.visit(number, visitor),
            _ => Err(self.leave()),
        }
    }
}

impl<'t> de::Deserializer<'t> for Key<'_, 't> {
    type Error = Left;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f64
    }
    strings! {
        deserialize_any deserialize_char deserialize_str deserialize_string deserialize_identifier
        deserialize_ignored_any
    }
    left_to_serde_json! {
        deserialize_bool deserialize_i128 deserialize_u128 deserialize_bytes deserialize_byte_buf
    }

    fn deserialize_f32<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        self.visit_number(true, visitor)
    }

    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Left> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Left> {
        if is_private(name) {
            return Err(self.leave());
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Left> {
        if self.escaped {
            return Err(self.leave());
        }
        let visited = visitor.visit_enum(BorrowedStrDeserializer::new(self.raw));
        self.reader.seen(visited)
    }

    forward_to_deserialize_any! {
        <W: Visitor<'t>> unit unit_struct seq tuple tuple_struct map struct
    }
}

/// A variant and its value, the only member of an object.
struct Tagged<'r, 't> {
    reader: &'r mut Reader<'t>,
}

impl<'t> EnumAccess<'t> for Tagged<'_, 't> {
    type Error = Left;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<(S::Value, Self), Left> {
        let (raw, escaped) = self.reader.raw_string()?;
        let variant = seed.deserialize(Key { reader: self.reader, raw, escaped });
        let variant = self.reader.seen(variant)?;
        self.reader.expect(b':')?;
        Ok((variant, self))
    }
}

impl<'t> VariantAccess<'t> for Tagged<'_, 't> {
    type Error = Left;

    fn unit_variant(self) -> Result<(), Left> {
        de::Deserialize::deserialize(self.reader)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'t>>(self, seed: S) -> Result<S::Value, Left> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'t>>(self, _: usize, visitor: V) -> Result<V::Value, Left> {
        de::Deserializer::deserialize_seq(self.reader, visitor)
    }

    fn struct_variant<V: Visitor<'t>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Left> {
        self.reader.visit_object(fields, visitor)
    }
}
