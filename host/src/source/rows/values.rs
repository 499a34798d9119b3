//! The values of a column as JSON: the table of types in `docs/formats-columnar.md`, as code.
//!
//! Not arrow-json's encoders: they write NaN as null and decimals of some widths as texts, and say
//! nothing of it (`docs/decisions/0008`).

use super::times;
use crate::record::RejectKind;
use arrow::array::{Array, ArrayRef, AsArray, OffsetSizeTrait, StructArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::*;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashSet;
use std::fmt::Display;
use std::io::Write;
use std::sync::Arc;

/// Where values are written to.
#[derive(Default)]
pub(super) struct Out {
    pub(super) bytes: Vec<u8>,
    /// The first value that JSON has no form for. It is written all the same, as who looks for it
    /// would: its row is no JSON then.
    pub(super) fault: Option<Fault>,
}

/// Why a row is a reject.
pub(super) struct Fault {
    pub(super) kind: RejectKind,
    pub(super) message: String,
}

impl Out {
    fn text(&mut self, text: &str) {
        serde_json::to_writer(&mut self.bytes, text).expect("a text is JSON");
    }

    fn shown(&mut self, value: impl Display) {
        write!(self.bytes, "{value}").expect("a buffer takes all");
    }

    fn fault(&mut self, kind: RejectKind, message: String) {
        self.fault.get_or_insert(Fault { kind, message });
    }
}

/// Writes the value of a row.
pub(super) type Encoder = Box<dyn Fn(usize, &mut Out) + Send>;

/// Why values of this type can't be read; `None`: they can.
pub(super) fn refusal(of: &DataType) -> Option<String> {
    match of {
        DataType::Union(..) => Some("it is a union, which JSON has no form for".to_owned()),
        DataType::Struct(fields) => {
            let mut names = HashSet::new();
            match fields.iter().find(|field| !names.insert(field.name())) {
                Some(twice) => Some(format!("it has two fields `{}`", twice.name())),
                None => fields.iter().find_map(|field| refusal(field.data_type())),
            }
        }
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::Map(field, _) => refusal(field.data_type()),
        DataType::Dictionary(_, values) => refusal(values),
        DataType::RunEndEncoded(_, values) => refusal(values.data_type()),
        _ => None,
    }
}

/// What writes the values of a column of a type that is not refused.
pub(super) fn encoder(array: &dyn Array) -> Encoder {
    let encode = encoder_unless_null(array);
    match array.nulls().cloned() {
        None => encode,
        Some(nulls) => Box::new(move |row, out| match nulls.is_null(row) {
            true => null(row, out),
            false => encode(row, out),
        }),
    }
}

fn null(_: usize, out: &mut Out) {
    out.bytes.extend_from_slice(b"null");
}

fn encoder_unless_null(array: &dyn Array) -> Encoder {
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().values().clone();
            Box::new(move |row, out| out.shown(values.value(row)))
        }
        DataType::Int8 => primitive::<Int8Type>(array, integer),
        DataType::Int16 => primitive::<Int16Type>(array, integer),
        DataType::Int32 => primitive::<Int32Type>(array, integer),
        DataType::Int64 => primitive::<Int64Type>(array, integer),
        DataType::UInt8 => primitive::<UInt8Type>(array, integer),
        DataType::UInt16 => primitive::<UInt16Type>(array, integer),
        DataType::UInt32 => primitive::<UInt32Type>(array, integer),
        DataType::UInt64 => primitive::<UInt64Type>(array, integer),
        DataType::Float16 => {
            primitive::<Float16Type>(array, |value, out| float(value.to_f32(), out))
        }
        DataType::Float32 => primitive::<Float32Type>(array, float),
        DataType::Float64 => primitive::<Float64Type>(array, float),
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        DataType::Decimal256(_, scale) => decimals::<Decimal256Type>(array, *scale),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(array),
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => binaries(array),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => lists(array),
        DataType::Struct(_) => structs(array.as_struct()),
        DataType::Map(..) => maps(array),
        DataType::Dictionary(..) => dictionary(array),
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => runs::<Int16Type>(array),
            DataType::Int32 => runs::<Int32Type>(array),
            _ => runs::<Int64Type>(array),
        },
        DataType::Null => Box::new(null),
        _ => temporals(array),
    }
}

fn primitive<T: ArrowPrimitiveType>(
    array: &dyn Array,
    write: impl Fn(T::Native, &mut Out) + Send + 'static,
) -> Encoder {
    let values = array.as_primitive::<T>().values().clone();
    Box::new(move |row, out| write(values[row], out))
}

fn integer(value: impl serde::Serialize, out: &mut Out) {
    serde_json::to_writer(&mut out.bytes, &value).expect("an integer is JSON");
}

fn float<T: serde::Serialize + Into<f64> + Copy>(value: T, out: &mut Out) {
    let double: f64 = value.into();
    if double.is_finite() {
        // The shortest text that is read back as the same number of the same width.
        serde_json::to_writer(&mut out.bytes, &value).expect("a finite number is JSON");
        return;
    }
    let name = if double.is_nan() { "NaN" } else { "Infinity" };
    let sign = if double < 0.0 { "-" } else { "" };
    out.shown(format_args!("{sign}{name}"));
    out.fault(RejectKind::NotFinite, format!("{sign}{name} is no JSON number"));
}

fn decimals<T: DecimalType>(array: &dyn Array, scale: i8) -> Encoder
where
    T::Native: Display,
{
    primitive::<T>(array, move |value, out| decimal(&value.to_string(), scale, &mut out.bytes))
}

/// A number by its digits, of which the last `scale` stand behind the point.
fn decimal(digits: &str, scale: i8, out: &mut Vec<u8>) {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    out.extend_from_slice(sign.as_bytes());
    match usize::try_from(scale) {
        Ok(0) => out.extend_from_slice(digits.as_bytes()),
        Ok(scale) => {
            let digits = format!("{digits:0>0$}", scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            out.extend_from_slice([whole, ".", fraction].concat().as_bytes());
        }
        Err(_) => {
            out.extend_from_slice(digits.as_bytes());
            if digits != "0" {
                out.resize(out.len() + usize::from(scale.unsigned_abs()), b'0');
            }
        }
    }
}

fn texts(array: &dyn Array) -> Encoder {
    match array.data_type() {
        DataType::Utf8 => {
            let array = array.as_string::<i32>().clone();
            Box::new(move |row, out| out.text(array.value(row)))
        }
        DataType::LargeUtf8 => {
            let array = array.as_string::<i64>().clone();
            Box::new(move |row, out| out.text(array.value(row)))
        }
        _ => {
            let array = array.as_string_view().clone();
            Box::new(move |row, out| out.text(array.value(row)))
        }
    }
}

fn binaries(array: &dyn Array) -> Encoder {
    fn write(value: &[u8], out: &mut Out) {
        out.shown(format_args!("\"{}\"", Base64Display::new(value, &STANDARD)));
    }
    match array.data_type() {
        DataType::Binary => {
            let array = array.as_binary::<i32>().clone();
            Box::new(move |row, out| write(array.value(row), out))
        }
        DataType::LargeBinary => {
            let array = array.as_binary::<i64>().clone();
            Box::new(move |row, out| write(array.value(row), out))
        }
        DataType::BinaryView => {
            let array = array.as_binary_view().clone();
            Box::new(move |row, out| write(array.value(row), out))
        }
        _ => {
            let array = array.as_fixed_size_binary().clone();
            Box::new(move |row, out| write(array.value(row), out))
        }
    }
}

fn temporals(array: &dyn Array) -> Encoder {
    use TimeUnit::{Millisecond, Second};
    /// A text without anything to escape.
    fn quoted(out: &mut Out, write: impl FnOnce(&mut Vec<u8>)) {
        out.bytes.push(b'"');
        write(&mut out.bytes);
        out.bytes.push(b'"');
    }
    fn time(value: i64, unit: TimeUnit, out: &mut Out) {
        let start = out.bytes.len();
        let mut is_time = false;
        quoted(out, |bytes| is_time = times::time(value, unit, bytes));
        if !is_time {
            out.bytes.truncate(start);
            integer(value, out);
            out.fault(RejectKind::Value, format!("{value} {unit:?}s is no time of a day"));
        }
    }
    match array.data_type() {
        DataType::Date32 => primitive::<Date32Type>(array, |days, out| {
            quoted(out, |bytes| times::date(days.into(), bytes));
        }),
        DataType::Date64 => primitive::<Date64Type>(array, |value, out| {
            const OF_DAY: i64 = 86_400_000;
            quoted(out, |bytes| match value % OF_DAY {
                0 => times::date(value / OF_DAY, bytes),
                _ => times::timestamp(value, Millisecond, false, bytes),
            });
        }),
        DataType::Time32(unit @ Second) => {
            let unit = *unit;
            primitive::<Time32SecondType>(array, move |value, out| time(value.into(), unit, out))
        }
        DataType::Time32(_) => primitive::<Time32MillisecondType>(array, |value, out| {
            time(value.into(), Millisecond, out);
        }),
        DataType::Time64(unit) => {
            let unit = *unit;
            wide(array, move |value, out| time(value, unit, out))
        }
        DataType::Timestamp(unit, zone) => {
            let (unit, is_zoned) = (*unit, zone.is_some());
            wide(array, move |value, out| {
                quoted(out, |bytes| times::timestamp(value, unit, is_zoned, bytes));
            })
        }
        DataType::Duration(unit) => {
            let unit = *unit;
            wide(array, move |value, out| quoted(out, |bytes| times::duration(value, unit, bytes)))
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            primitive::<IntervalYearMonthType>(array, |value, out| {
                quoted(out, |bytes| times::months(value, bytes));
            })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            primitive::<IntervalDayTimeType>(array, |value, out| {
                quoted(out, |bytes| times::day_time(value, bytes));
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            primitive::<IntervalMonthDayNanoType>(array, |value, out| {
                quoted(out, |bytes| times::month_day_nano(value, bytes));
            })
        }
        other => unreachable!("{other} was refused"),
    }
}

/// Of a type whose values have 64 bits, whatever they mean.
fn wide(array: &dyn Array, write: impl Fn(i64, &mut Out) + Send + 'static) -> Encoder {
    let data = array.to_data();
    let values = ScalarBuffer::<i64>::new(data.buffers()[0].clone(), data.offset(), data.len());
    Box::new(move |row, out| write(values[row], out))
}

/// Writes the items of each row, whose first and last `range` tells.
fn items(
    values: &ArrayRef,
    range: impl Fn(usize) -> std::ops::Range<usize> + Send + 'static,
) -> Encoder {
    let encode = encoder(values);
    Box::new(move |row, out| {
        out.bytes.push(b'[');
        for (n, item) in range(row).enumerate() {
            if n > 0 {
                out.bytes.push(b',');
            }
            encode(item, out);
        }
        out.bytes.push(b']');
    })
}

fn lists(array: &dyn Array) -> Encoder {
    fn list<O: OffsetSizeTrait>(array: &dyn Array) -> Encoder {
        let list = array.as_list::<O>();
        let offsets = list.offsets().clone();
        items(list.values(), move |row| offsets[row].as_usize()..offsets[row + 1].as_usize())
    }
    fn view<O: OffsetSizeTrait>(array: &dyn Array) -> Encoder {
        let list = array.as_list_view::<O>();
        let (offsets, sizes) = (list.offsets().clone(), list.sizes().clone());
        items(list.values(), move |row| {
            let start = offsets[row].as_usize();
            start..start + sizes[row].as_usize()
        })
    }
    match array.data_type() {
        DataType::List(_) => list::<i32>(array),
        DataType::LargeList(_) => list::<i64>(array),
        DataType::ListView(_) => view::<i32>(array),
        DataType::LargeListView(_) => view::<i64>(array),
        _ => {
            let list = array.as_fixed_size_list();
            let len = list.value_length() as usize;
            items(list.values(), move |row| row * len..(row + 1) * len)
        }
    }
}

/// What stands before the value of each field.
pub(super) fn keys<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let key = |(n, name): (usize, &str)| {
        let name = serde_json::to_string(name).expect("a text is JSON");
        format!("{}{name}:", if n == 0 { '{' } else { ',' }).into_bytes()
    };
    names.enumerate().map(key).collect()
}

fn structs(array: &StructArray) -> Encoder {
    let keys = keys(array.fields().iter().map(|field| &**field.name()));
    let encoders = array.columns().iter().map(|column| encoder(column));
    let fields: Vec<(Vec<u8>, Encoder)> = keys.into_iter().zip(encoders).collect();
    Box::new(move |row, out| {
        if fields.is_empty() {
            out.bytes.push(b'{');
        }
        for (key, encode) in &fields {
            out.bytes.extend_from_slice(key);
            encode(row, out);
        }
        out.bytes.push(b'}');
    })
}

fn maps(array: &dyn Array) -> Encoder {
    let map = array.as_map();
    let offsets = map.offsets().clone();
    let range = move |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
    if !matches!(map.key_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        let entries: ArrayRef = Arc::new(map.entries().clone());
        return items(&entries, range);
    }
    let (keys, values) = (encoder(map.keys()), encoder(map.values()));
    Box::new(move |row, out| {
        let mut seen = HashSet::new();
        out.bytes.push(b'{');
        for (n, entry) in range(row).enumerate() {
            if n > 0 {
                out.bytes.push(b',');
            }
            let start = out.bytes.len();
            keys(entry, out);
            let key = out.bytes[start..].to_vec();
            if seen.contains(&key) {
                let key = String::from_utf8_lossy(&key).into_owned();
                out.fault(RejectKind::Value, format!("the map has the key {key} twice"));
            }
            seen.insert(key);
            out.bytes.push(b':');
            values(entry, out);
        }
        out.bytes.push(b'}');
    })
}

fn dictionary(array: &dyn Array) -> Encoder {
    let dictionary = array.as_any_dictionary();
    let values = dictionary.values();
    if values.is_empty() {
        return Box::new(null); // nothing but nulls can refer to it
    }
    let (keys, encode) = (dictionary.normalized_keys(), encoder(values));
    Box::new(move |row, out| encode(keys[row], out))
}

fn runs<R: RunEndIndexType>(array: &dyn Array) -> Encoder {
    let runs = array.as_run::<R>().clone();
    let encode = encoder(runs.values());
    Box::new(move |row, out| encode(runs.get_physical_index(row), out))
}

#[cfg(test)]
mod tests;
