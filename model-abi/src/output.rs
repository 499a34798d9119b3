//! A prediction into JSON text, refusing what JSON has no word for.
//!
//! serde_json writes `null` for a NaN or an infinity, which would pass for "no value" for ever
//! after. So where it wrote any `null`, the value is walked once more, writing nothing, to see
//! whether a number was behind it. A prediction without nulls pays nothing.

use crate::parse::Failure;
use model_abi_layout::kind;
use serde::Serialize;
use serde::ser;
use serde_json::ser::{CompactFormatter, Formatter};
use std::fmt::{self, Display};
use std::io;

/// Appends `value` to `out`. On an error, what was appended is for the caller to take back.
pub(crate) fn write<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), Failure> {
    let mut null_written = false;
    let formatter = NullSpotter { null_written: &mut null_written };
    value.serialize(&mut serde_json::Serializer::with_formatter(out, formatter)).map_err(
        |error| {
            let message = format!("the prediction cannot be written as JSON: {error}");
            Failure::new(kind::NOT_WRITABLE, message)
        },
    )?;
    if null_written { all_finite(value) } else { Ok(()) }
}

#[cold]
fn all_finite<T: Serialize>(value: &T) -> Result<(), Failure> {
    value.serialize(Walker { key: None }).map_err(|fault| Failure {
        kind: kind::NOT_FINITE,
        path: fault.path.into_iter().rev().collect::<String>().trim_start_matches('.').to_owned(),
        message: format!("the prediction holds {}, which JSON cannot carry", fault.what),
    })
}

struct NullSpotter<'a> {
    null_written: &'a mut bool,
}

impl Formatter for NullSpotter<'_> {
    fn write_null<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        *self.null_written = true;
        CompactFormatter.write_null(writer)
    }
}

/// A number that is not finite, and the path to it (innermost part first).
#[derive(Debug)]
struct Fault {
    what: String,
    path: Vec<String>,
}

impl Fault {
    fn under(mut self, part: String) -> Self {
        self.path.push(part);
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Fault { what: message.to_string(), path: Vec::new() }
    }
}

/// Walks a value and looks at its floats. For a sequence, `key` counts; for a map it is the last
/// key seen.
struct Walker {
    key: Option<String>,
}

/// Members of a sequence, counted for the path.
struct Elements {
    index: usize,
}

fn finite(value: f64) -> Result<(), Fault> {
    if value.is_finite() {
        return Ok(());
    }
    let what = if value.is_nan() { "NaN".to_owned() } else { format!("{value}") };
    Err(Fault { what, path: Vec::new() })
}

macro_rules! nothing_to_see {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, _: $type) -> Result<(), Fault> { Ok(()) })*
    };
}

impl ser::Serializer for Walker {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Walker;
    type SerializeStruct = Walker;
    type SerializeStructVariant = Walker;

    nothing_to_see! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_char: char,
        serialize_str: &str, serialize_bytes: &[u8], serialize_unit_struct: &'static str,
    }

    fn serialize_f32(self, value: f32) -> Result<(), Fault> {
        finite(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fault> {
        finite(value)
    }

    fn serialize_none(self) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), Fault> {
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        value.serialize(self).map_err(|fault| fault.under(format!(".{variant}")))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements, Fault> {
        Ok(Elements { index: 0 })
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements, Fault> {
        Ok(Elements { index: 0 })
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements, Fault> {
        Ok(Elements { index: 0 })
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Elements, Fault> {
        Ok(Elements { index: 0 })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Walker, Fault> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Walker, Fault> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Walker, Fault> {
        Ok(self)
    }
}

impl Elements {
    fn element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Fault> {
        let index = self.index;
        self.index += 1;
        value.serialize(Walker { key: None }).map_err(|fault| fault.under(format!("[{index}]")))
    }
}

macro_rules! elements {
    ($($trait:ident $method:ident),* $(,)?) => {$(
        impl ser::$trait for Elements {
            type Ok = ();
            type Error = Fault;
            fn $method<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Fault> {
                self.element(value)
            }
            fn end(self) -> Result<(), Fault> {
                Ok(())
            }
        }
    )*};
}

elements! {
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field,
}

fn member<T: ?Sized + Serialize>(key: &str, value: &T) -> Result<(), Fault> {
    value.serialize(Walker { key: None }).map_err(|fault| fault.under(format!(".{key}")))
}

macro_rules! members {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Walker {
            type Ok = ();
            type Error = Fault;
            fn serialize_field<T: ?Sized + Serialize>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Fault> {
                member(key, value)
            }
            fn end(self) -> Result<(), Fault> {
                Ok(())
            }
        }
    )*};
}

members!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Walker {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Fault> {
        // serde_json wrote this key a moment ago, so it can be written.
        let text = serde_json::to_string(key).unwrap_or_default();
        self.key = Some(text.trim_matches('"').to_owned());
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Fault> {
        member(&self.key.take().unwrap_or_default(), value)
    }

    fn end(self) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Serialize, Default)]
    struct Scores {
        score: f64,
        note: Option<&'static str>,
        rows: Vec<(f32, Option<f64>)>,
        by_name: BTreeMap<u8, f64>,
    }

    #[track_caller]
    fn check(scores: Scores, expected: Result<&str, (&str, &str)>) {
        let mut out = Vec::new();
        match (write(&scores, &mut out), expected) {
            (Ok(()), Ok(text)) => assert_eq!(String::from_utf8(out).unwrap(), text),
            (Err(failure), Err((path, what))) => {
                assert_eq!((failure.kind, failure.path.as_str()), (kind::NOT_FINITE, path));
                assert!(failure.message.contains(what), "{failure:?}");
            }
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[test]
    fn a_missing_value_is_null() {
        check(
            Scores { rows: vec![(0.5, None)], ..Scores::default() },
            Ok(r#"{"score":0.0,"note":null,"rows":[[0.5,null]],"by_name":{}}"#),
        );
    }

    #[test]
    fn a_number_that_is_not_finite_is_named_with_its_path() {
        check(Scores { score: f64::NAN, ..Scores::default() }, Err(("score", "NaN")));
        check(Scores { score: -f64::INFINITY, ..Scores::default() }, Err(("score", "-inf")));
        check(
            Scores { rows: vec![(0.0, None), (0.0, Some(f64::NAN))], ..Scores::default() },
            Err(("rows[1][1]", "NaN")),
        );
        check(
            Scores { rows: vec![(f32::INFINITY, None)], ..Scores::default() },
            Err(("rows[0][0]", "inf")),
        );
        check(
            Scores { by_name: BTreeMap::from([(7, f64::NAN)]), ..Scores::default() },
            Err(("by_name.7", "NaN")),
        );
    }

    #[test]
    fn a_number_alone_is_looked_at_too() {
        let failure = write(&f64::NAN, &mut Vec::new()).unwrap_err();
        assert_eq!((failure.kind, failure.path.as_str()), (kind::NOT_FINITE, ""));
    }

    #[test]
    fn what_json_has_no_form_for_is_not_writable() {
        let keyed_by_list = BTreeMap::from([(vec![1], 2)]);
        let failure = write(&keyed_by_list, &mut Vec::new()).unwrap_err();
        assert_eq!(failure.kind, kind::NOT_WRITABLE);
        assert!(failure.message.contains("key must be a string"), "{failure:?}");
    }
}
