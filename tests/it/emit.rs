//! What is written for a record, byte for byte, in each way of emitting.
//!
//! Prediction mode writes nothing of the record, so a record need only be good enough for the
//! model. The others splice its bytes, so it is checked as a whole.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, predictions, rejects};
use etl_host_tests::Folder;

/// A record with all that a rewriting of it would lose, and blanks around it.
const ODD: &str = concat!(
    "  { \"id\" : 12345678901234567890123456789 , \"sepal_length\":4.4,",
    "\"sepal_width\":29e-1,\t\"petal_length\": 1.40 ,\"petal_width\":0.2E+0,",
    r#""n\u00f6te":"a\"\\\/\u00e9é😀\ud83d\ude00", "list":[1, {"b": 2}],"e":{ }, "":null } "#,
    "\t"
);

/// One line of input gives this one of output.
#[track_caller]
fn check(words: &str, record: &str, expected: &str) {
    let folder = Folder::new();
    let run = iris(&folder, &format!("-i - {words}"));
    run.stdin(record).run().exits(0).writes(&format!("{expected}\n"));
}

/// One line of input is rejected for this.
#[track_caller]
fn check_reject(words: &str, record: &str, kind: &str, reason: &str) {
    let folder = Folder::new();
    let ran = iris(&folder, &format!("-i - {words}")).stdin(record).run().exits(1).writes("");
    let rejects = rejects(&ran.stderr);
    assert_eq!(rejects.len(), 1, "{record}");
    assert_eq!(rejects[0]["kind"], kind, "{}", rejects[0]);
    assert_eq!(rejects[0]["record"], record);
    ran.says(reason);
}

/// The ways of emitting that write bytes of the record.
const SPLICING: [&str; 3] = ["--emit merge", "--emit nest", "--keep id"];

/// A flower with these members more.
fn flower(members: &str) -> String {
    SETOSA.replace('}', &format!(", {members}}}"))
}

#[test]
fn the_bytes_of_a_record_go_through_as_they_came() {
    let trimmed = ODD.trim();
    let members = trimmed.trim_matches(['{', '}', ' ']);
    let setosa = r#""species":"setosa""#;
    check("", ODD, &format!("{{{setosa}}}"));
    check("--emit prediction", ODD, &format!("{{{setosa}}}"));
    check("--emit merge", ODD, &format!("{{{members},{setosa}}}"));
    check("--emit nest", ODD, &format!("{{\"input\":{trimmed},\"prediction\":{{{setosa}}}}}"));
    let id = r#""id" : 12345678901234567890123456789"#;
    let note = r#""n\u00f6te":"a\"\\\/\u00e9é😀\ud83d\ude00""#;
    let list = r#""list":[1, {"b": 2}]"#;
    check("--keep id", ODD, &format!("{{{id},{setosa}}}"));
    check("--keep nöte,list,id", ODD, &format!("{{{note},{list},{id},{setosa}}}"));
    check("--keep list --keep id", ODD, &format!("{{{list},{id},{setosa}}}"));
    check("--keep missing", ODD, &format!("{{{setosa}}}"));
    check("--keep missing,id", ODD, &format!("{{{id},{setosa}}}"));
    check("--keep sepal_width", ODD, &format!("{{\"sepal_width\":29e-1,{setosa}}}"));
}

#[test]
fn a_field_that_is_to_be_kept_twice_stands_there_once() {
    check("--keep id,id", &flower("\"id\": 7"), r#"{"id": 7,"species":"setosa"}"#);
}

#[test]
fn a_line_end_is_no_part_of_what_is_spliced() {
    let folder = Folder::new();
    let input = format!("\u{feff}{SETOSA}\r\n\r\n{SETOSA}\r\n{SETOSA}");
    let nested = format!("{{\"input\":{SETOSA},\"prediction\":{{\"species\":\"setosa\"}}}}\n");
    iris(&folder, "-i - --emit nest").stdin(input).run().exits(0).writes(&nested.repeat(3));
}

#[test]
fn a_clash_that_the_schemas_show_is_a_wrong_command_line() {
    let folder = Folder::new();
    for words in ["--keep species", "--keep id,species"] {
        let ran = iris(&folder, &format!("-i - -o out.json {words}")).stdin(SETOSA).run().exits(2);
        ran.says("the field `species` is in the record and in the prediction").says("--emit nest");
        assert_eq!(folder.names(), [""; 0]);
    }
}

#[test]
fn a_clash_that_only_the_record_shows_rejects_the_record() {
    for member in [r#""species": "rose""#, r#""sp\u0065cies": null"#] {
        let record = flower(member);
        check_reject("--emit merge", &record, "field_clash", "the field is in the record and in");
        check_reject("--emit merge", &record, "field_clash", r#""path":"species""#);
        check("", &record, r#"{"species":"setosa"}"#);
        check("--keep id", &record, r#"{"species":"setosa"}"#);
        let nested = format!("{{\"input\":{record},\"prediction\":{{\"species\":\"setosa\"}}}}");
        check("--emit nest", &record, &nested);
    }
    // Inside of a field it is another name.
    let record = flower(r#""was": {"species": "rose"}"#);
    let merged = record.replace("\"}}", "\"},\"species\":\"setosa\"}");
    check("--emit merge", &record, &merged);
}

#[test]
fn what_the_model_does_not_read_matters_only_where_it_is_written() {
    for (member, reason) in [
        (r#""a": 1, "a": 1"#, "duplicate field `a`"),
        (r#""a": 1, "\u0061": 2"#, "duplicate field `\\\\u0061`"),
        (r#""o": [{"b": 1, "c": 2, "b": 3}]"#, "duplicate field `b`"),
        (r#""a": "\ud800""#, "half a surrogate pair"),
    ] {
        let record = flower(member);
        check("", &record, r#"{"species":"setosa"}"#);
        for words in SPLICING {
            check_reject(words, &record, "invalid_json", reason);
        }
    }
}

#[test]
fn a_number_that_no_float_holds_goes_through_where_the_model_does_not_read_it() {
    let record = flower(r#""big": 1e400"#);
    let nested = format!("{{\"input\":{record},\"prediction\":{{\"species\":\"setosa\"}}}}");
    check("--emit nest", &record, &nested);
}

#[test]
fn a_rejected_record_leaves_no_trace_between_those_that_are_written() {
    let clash = flower(r#""species": 1"#);
    for (words, good) in [
        ("--emit merge", SETOSA.replace('}', ",\"species\":\"setosa\"}\n")),
        ("--keep id --validate-output", predictions("setosa")),
    ] {
        let folder = Folder::new();
        let bad = flower(r#""a": 1, "a": 1"#);
        let input = format!("{SETOSA}\n{bad}\n{SETOSA}\n{bad}\n");
        iris(&folder, &format!("-i - {words}")).stdin(input).run().exits(1).writes(&good.repeat(2));
    }
    let folder = Folder::new();
    let input = format!("{clash}\n{SETOSA}\n{clash}\n");
    let merged = SETOSA.replace('}', ",\"species\":\"setosa\"}\n");
    iris(&folder, "-i - --emit merge").stdin(input).run().exits(1).writes(&merged);
}

#[test]
fn every_job_can_write_the_places_of_its_records() {
    let folder = Folder::new();
    folder.write("in.json", format!("\u{feff}{SETOSA}\n\n{BAD}\r\n{VIRGINICA}"));
    iris(&folder, "-i in.json -o out.json --place").run().exits(1);
    let line = |line: u64, byte: usize, species: &str| {
        let prediction = predictions(species);
        let place = format!(r#""source":"in.json","line":{line},"byte":{byte}"#);
        format!("{{{place},\"output\":{}}}\n", prediction.trim_end())
    };
    let last = 3 + SETOSA.len() + 2 + BAD.len() + 2;
    let expected = [line(1, 3, "setosa"), line(4, last, "virginica")].concat();
    assert_eq!(folder.text("out.json"), expected);
    let ran =
        iris(&folder, "-i - --place").stdin(SETOSA).run().exits(0).says(" - place in=1 out=1");
    ran.writes(&line(1, 0, "setosa").replace("in.json", "-"));
}
