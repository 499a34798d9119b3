//! The scanner against tables of texts, and against serde_json on random ones.

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
        for text in ["#{}", "{#}", "{\"a\"#:1}", "{\"a\":#1}", "{\"a\":1#}", "[#]", "[1,#2]", "1#"]
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
    let text =
        r#"{"a b c d e":[1.5e-3,true,null,{"\ud83d\ude00":"é\n"},[]],"d":"text of some length"}"#;
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
    assert_eq!((fault.offset, fault.what), (DEPTH_MAX, What::Depth(DEPTH_MAX)));
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
    let text = r#"  { "a" : 1.50 ,"b":{"x":[1,{"y":2}]}, "c\"":[ {"z":1} ] ,"":"s\"" , "e":{ } }	"#;
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
    "\\ude00", "0", "1", "-", "+", ".", "e", "E", "true", "false", "null", "nul", " ", "\t", "\n",
    "\r", "\u{1f}", "\0", "é", "\u{feff}", "/", "d8", "{}",
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
