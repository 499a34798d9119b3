//! The table of types, type by type.

use super::*;
use arrow::array::*;
use arrow::buffer::{NullBuffer, OffsetBuffer};

/// The values of a column as JSON, separated by spaces; behind one that has no form `!` and why.
#[track_caller]
fn check(array: impl Array + 'static, expected: &str) {
    let array: ArrayRef = Arc::new(array);
    assert_eq!(refusal(array.data_type()), None);
    let told = |array: &ArrayRef| {
        let encode = encoder(array);
        let told = (0..array.len()).map(|row| {
            let mut out = Out::default();
            encode(row, &mut out);
            let text = String::from_utf8(out.bytes).unwrap();
            match out.fault {
                Some(fault) => format!("{text}!{}: {}", fault.kind.name(), fault.message),
                None => {
                    serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
                    text
                }
            }
        });
        told.collect::<Vec<_>>()
    };
    let whole = told(&array);
    assert_eq!(whole.join(" "), expected);
    for start in 0..array.len() {
        let rest = array.slice(start, array.len() - start);
        assert_eq!(told(&rest), whole[start..], "from {start} on");
    }
}

#[test]
fn scalars_keep_every_digit() {
    check(BooleanArray::from(vec![Some(true), None, Some(false)]), "true null false");
    check(Int8Array::from(vec![i8::MIN, 127]), "-128 127");
    check(Int64Array::from(vec![i64::MIN, i64::MAX]), "-9223372036854775808 9223372036854775807");
    check(UInt64Array::from(vec![Some(u64::MAX), None]), "18446744073709551615 null");
    check(Float64Array::from(vec![0.1, -0.0, 1.0, 5e-324, 1e300]), "0.1 -0.0 1.0 5e-324 1e+300");
    check(Float32Array::from(vec![0.1, 16_777_216.0]), "0.1 16777216.0");
    check(NullArray::new(2), "null null");
    check(StringArray::from(vec!["", "a\"\n\u{1}é"]), r#""" "a\"\n\u0001é""#);
    check(LargeStringArray::from(vec![Some("x"), None]), r#""x" null"#);
    check(
        StringViewArray::from(vec!["a text of more than twelve bytes"]),
        r#""a text of more than twelve bytes""#,
    );
    check(BinaryArray::from(vec![&b"\xff\x00"[..], b""]), r#""/wA=" """#);
    check(BinaryViewArray::from(vec![&b"abc"[..]]), r#""YWJj""#);
    let fixed = FixedSizeBinaryArray::try_from_iter([b"ab", b"cd"].into_iter()).unwrap();
    check(fixed, r#""YWI=" "Y2Q=""#);
}

#[test]
fn what_is_not_finite_is_written_as_it_is_called_and_refused() {
    let wrong = |name: &str| format!("{name}!not_finite: {name} is no JSON number");
    check(
        Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        &["NaN", "Infinity", "-Infinity"].map(wrong).join(" "),
    );
    check(Float32Array::from(vec![f32::NAN]), &wrong("NaN"));
}

#[test]
fn decimals_are_numbers_with_all_their_digits() {
    let of = |values: Vec<i128>, scale| {
        Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap()
    };
    check(of(vec![150, -5, 0, 12345], 2), "1.50 -0.05 0.00 123.45");
    check(of(vec![150, 0], 0), "150 0");
    check(of(vec![15, 0, -15], -2), "1500 0 -1500");
    let most = 10_i128.pow(38) - 1;
    check(of(vec![most, -most], 38), &format!("0.{0} -0.{0}", "9".repeat(38)));
    let wide = arrow::datatypes::i256::from_string(&"9".repeat(76)).unwrap();
    let wide = Decimal256Array::from(vec![wide]).with_precision_and_scale(76, 1).unwrap();
    check(wide, &format!("{}.9", "9".repeat(75)));
    let narrow = Decimal32Array::from(vec![-1]).with_precision_and_scale(9, 9).unwrap();
    check(narrow, "-0.000000001");
}

#[test]
fn dates_and_times_are_texts() {
    check(Date32Array::from(vec![Some(19_782), None]), r#""2024-02-29" null"#);
    check(Date64Array::from(vec![86_400_000, -1]), r#""1970-01-02" "1969-12-31T23:59:59.999""#);
    check(Time32SecondArray::from(vec![61]), r#""00:01:01""#);
    check(Time32MillisecondArray::from(vec![1]), r#""00:00:00.001""#);
    let wrong = "86400000000!value: 86400000000 Microseconds is no time of a day";
    check(Time64MicrosecondArray::from(vec![86_400_000_000]), wrong);
    check(Time64NanosecondArray::from(vec![1]), r#""00:00:00.000000001""#);
    let stamps = || TimestampMicrosecondArray::from(vec![1_500_000]);
    check(stamps(), r#""1970-01-01T00:00:01.500000""#);
    check(stamps().with_timezone("Europe/Berlin"), r#""1970-01-01T00:00:01.500000Z""#);
    check(TimestampSecondArray::from(vec![0]).with_timezone("+02:00"), r#""1970-01-01T00:00:00Z""#);
    check(DurationMillisecondArray::from(vec![-1500]), r#""-PT1.500S""#);
    check(IntervalYearMonthArray::from(vec![14]), r#""P14M""#);
    check(IntervalDayTimeArray::from(vec![IntervalDayTime::new(1, 2)]), r#""P1DT0.002S""#);
    let all = IntervalMonthDayNano::new(1, 2, 3);
    check(IntervalMonthDayNanoArray::from(vec![all]), r#""P1M2DT0.000000003S""#);
}

#[test]
fn lists_structs_and_maps_nest() {
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(2)]),
    ]);
    check(lists.clone(), "[1,null] null [] [2]");
    let field = Arc::new(Field::new_list_field(lists.data_type().clone(), true));
    let offsets = OffsetBuffer::from_lengths([3, 0, 1]);
    check(
        LargeListArray::new(
            field,
            OffsetBuffer::from_lengths([1, 3]),
            Arc::new(lists.clone()),
            None,
        ),
        "[[1,null]] [null,[],[2]]",
    );
    let fixed = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        vec![Some(vec![Some(1), Some(2)]), None, Some(vec![Some(5), Some(6)])],
        2,
    );
    check(fixed, "[1,2] null [5,6]");
    let items = Arc::new(Field::new_list_field(DataType::Int32, true));
    let view = ListViewArray::new(
        items,
        vec![2, 0].into(),
        vec![1, 2].into(),
        Arc::new(Int32Array::from(vec![1, 2, 3])),
        None,
    );
    check(view, "[3] [1,2]");
    let structs = StructArray::new(
        Fields::from(vec![
            Field::new("a\"b", DataType::Int32, true),
            Field::new("c", DataType::Utf8, true),
        ]),
        vec![
            Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
            Arc::new(StringArray::from(vec!["x", "y", "z"])),
        ],
        Some(NullBuffer::from(vec![true, true, false])),
    );
    check(structs, r#"{"a\"b":1,"c":"x"} {"a\"b":null,"c":"y"} null"#);
    check(StructArray::new_empty_fields(1, None), "{}");
    let entries = |keys: ArrayRef| {
        let fields = Fields::from(vec![
            Field::new("keys", keys.data_type().clone(), false),
            Field::new("values", DataType::Int32, true),
        ]);
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3), Some(4)]));
        StructArray::new(fields, vec![keys, values], None)
    };
    let map = |keys: ArrayRef| {
        let entries = entries(keys);
        let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
        MapArray::new(field, offsets.clone(), entries, None, false)
    };
    check(
        map(Arc::new(StringArray::from(vec!["a", "b", "c", "a"]))),
        r#"{"a":1,"b":null,"c":3} {} {"a":4}"#,
    );
    check(
        map(Arc::new(StringArray::from(vec!["a", "b", "a", "a"]))),
        r#"{"a":1,"b":null,"a":3}!value: the map has the key "a" twice {} {"a":4}"#,
    );
    check(
        map(Arc::new(Int32Array::from(vec![1, 2, 3, 4]))),
        r#"[{"keys":1,"values":1},{"keys":2,"values":null},{"keys":3,"values":3}] [] [{"keys":4,"values":4}]"#,
    );
}

#[test]
fn dictionaries_and_runs_are_their_values() {
    let dictionary: DictionaryArray<Int8Type> =
        vec![Some("b"), None, Some("a"), Some("b")].into_iter().collect();
    check(dictionary, r#""b" null "a" "b""#);
    let values = Arc::new(StringArray::from(vec![None, Some("x")]));
    let nulls = DictionaryArray::new(UInt16Array::from(vec![1, 0]), values);
    check(nulls, r#""x" null"#);
    let none: DictionaryArray<Int32Type> = vec![None::<&str>, None].into_iter().collect();
    check(none, "null null");
    let runs: RunArray<Int32Type> =
        vec![Some("a"), Some("a"), None, Some("b")].into_iter().collect();
    check(runs, r#""a" "a" null "b""#);
}

#[test]
fn what_has_no_form_is_refused_with_words() {
    let fields: UnionFields =
        [(0, Arc::new(Field::new("a", DataType::Int32, true)))].into_iter().collect();
    let union = DataType::Union(fields, UnionMode::Sparse);
    let list = DataType::new_list(union.clone(), true);
    let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(union.clone()));
    for refused in [union, list, dictionary] {
        assert_eq!(refusal(&refused).unwrap(), "it is a union, which JSON has no form for");
    }
    let field = |name| Field::new(name, DataType::Int8, true);
    let twice = DataType::Struct(vec![field("a"), field("b"), field("a")].into());
    assert_eq!(refusal(&twice).unwrap(), "it has two fields `a`");
}
