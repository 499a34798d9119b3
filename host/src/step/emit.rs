//! What becomes of a record and its prediction: the modes of `--emit` and `--keep`.
//!
//! The record's own bytes are spliced, never parsed and written anew: big integers, the order of
//! keys and the spelling of numbers survive. So a record that goes on is checked as a whole first;
//! the model may have ignored most of it.

use super::Why;
use crate::json::{Fault, Scanner, Shape};
use crate::record::RejectKind;
use serde_json::Value;

/// What stands around a record and its prediction at most: braces, names, a line feed.
pub(super) const EXTRA_BYTES: usize = 64;

/// A record longer than this is a rare one, whose buffers are not kept for the next.
const LONG_RECORD_BYTES: usize = 1024 * 1024;

/// How a prediction is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// The prediction alone.
    #[default]
    Prediction,
    /// These fields of the record, where it has them, before those of the prediction.
    Keep(Vec<String>),
    /// The record with the prediction's fields behind its own.
    Merge,
    /// `{"input": record, "prediction": prediction}`
    Nest,
}

/// Why an emission can't work, found from the schemas before anything is read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    /// A field would stand in the output twice.
    #[error("the field `{0}` is in the record and in the prediction")]
    Clash(String),
    /// There are no fields to put beside others.
    #[error("the model's predictions are not objects, so there are no fields to join")]
    NotAnObject,
}

impl Emit {
    /// Compares with what the model's schemas say of its fields.
    pub fn check(&self, input_schema: &Value, output_schema: &Value) -> Result<(), EmitError> {
        let kept: Vec<&str> = match self {
            Emit::Prediction | Emit::Nest => return Ok(()),
            Emit::Keep(fields) => fields.iter().map(String::as_str).collect(),
            Emit::Merge => properties(input_schema).collect(),
        };
        let kind = output_schema.get("type");
        if kind.and_then(Value::as_str).is_some_and(|kind| kind != "object") {
            return Err(EmitError::NotAnObject);
        }
        match properties(output_schema).find(|field| kept.contains(field)) {
            Some(field) => Err(EmitError::Clash(field.to_owned())),
            None => Ok(()),
        }
    }
}

impl Emit {
    /// The only fields of a record that are read, by a model with this schema or for the output;
    /// `None`: all may be.
    pub fn fields_of_record(&self, input_schema: &Value) -> Option<Vec<String>> {
        let kept: &[String] = match self {
            Emit::Prediction => &[],
            Emit::Keep(fields) => fields,
            Emit::Merge | Emit::Nest => return None,
        };
        // A model that names none may read any.
        input_schema.get("properties")?;
        let kept = kept.iter().map(String::as_str).filter(|name| !has(input_schema, name));
        Some(properties(input_schema).chain(kept).map(str::to_owned).collect())
    }
}

fn has(schema: &Value, name: &str) -> bool {
    properties(schema).any(|field| field == name)
}

fn properties(schema: &Value) -> impl Iterator<Item = &str> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|fields| fields.keys().map(String::as_str))
}

/// Writes predictions in one mode; keeps the buffers that takes.
pub(super) struct Emitter {
    emit: Emit,
    /// What stands in the place of a prediction, where it is none.
    what: &'static str,
    record: Scanner,
    prediction: Scanner,
}

impl Emitter {
    pub(super) fn new(emit: Emit) -> Self {
        Emitter::of("prediction", emit)
    }

    /// For what is spliced as a prediction is.
    pub(super) fn of(what: &'static str, emit: Emit) -> Self {
        let (record, prediction) = (scanner(&emit), scanner(&emit));
        Emitter { emit, what, record, prediction }
    }

    /// The prediction is to stand inside of an object too, elsewhere.
    pub(super) fn nest_prediction(&mut self) {
        self.prediction = scanner(&Emit::Nest);
    }

    pub(super) fn emit(&self) -> &Emit {
        &self.emit
    }

    /// Appends what is to be written. On an error, what was appended is for the caller to take back.
    pub(super) fn write(
        &mut self,
        record: &[u8],
        prediction: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        let shape = self.prediction.scan(prediction).map_err(Why::wrong_output)?;
        if self.emit == Emit::Prediction {
            out.extend_from_slice(prediction.trim_ascii().as_bytes());
            return Ok(());
        }
        let record = self.scan(record)?;
        self.splice(record, prediction, shape, out)
    }

    /// Checks a record, of which [`field`](Self::field) may then be asked, and which is to go on with
    /// [`write_scanned`](Self::write_scanned).
    pub(super) fn scan<'r>(&mut self, record: &'r [u8]) -> Result<&'r str, Why> {
        let record = std::str::from_utf8(record)
            .map_err(|error| Why::new(RejectKind::InvalidUtf8, error.to_string()))?;
        let is_object = self.record.scan(record).map_err(invalid)? == Shape::Object;
        if !is_object && self.emit != Emit::Nest {
            return Err(Why::new(RejectKind::Schema, "the record is not an object"));
        }
        Ok(record)
    }

    /// The value of a field of the record that was scanned last.
    pub(super) fn field<'r>(&self, name: &str, record: &'r str) -> Option<&'r str> {
        let member = self.record.members().iter().find(|member| member.is_named(name, record))?;
        Some(member.value.of(record))
    }

    /// As [`write`](Self::write), of the record that was scanned last. Not for predictions alone.
    pub(super) fn write_scanned(
        &mut self,
        record: &str,
        prediction: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        let shape = self.prediction.scan(prediction).map_err(Why::wrong_output)?;
        self.splice(record, prediction, shape, out)
    }

    fn splice(
        &mut self,
        record: &str,
        prediction: &str,
        shape: Shape,
        out: &mut Vec<u8>,
    ) -> Result<(), Why> {
        // At once: a buffer that doubled for the last few bytes of a long record would be twice
        // as large as it need be.
        out.reserve(record.len() + prediction.len() + EXTRA_BYTES);
        match &self.emit {
            Emit::Prediction => unreachable!("has been written"),
            Emit::Nest => {
                out.extend_from_slice(b"{\"input\":");
                out.extend_from_slice(record.trim_ascii().as_bytes());
                out.extend_from_slice(b",\"prediction\":");
                out.extend_from_slice(prediction.trim_ascii().as_bytes());
                out.push(b'}');
            }
            Emit::Merge => {
                self.no_clash(shape, record, prediction, |_| true)?;
                let (ours, theirs) = (self.record.body(), self.prediction.body());
                write_object([ours.of(record), theirs.of(prediction)].into_iter(), out);
            }
            Emit::Keep(fields) => {
                self.no_clash(shape, record, prediction, |name| fields.iter().any(|f| f == name))?;
                let kept = fields.iter().filter_map(|field| {
                    let mut members = self.record.members().iter();
                    Some(members.find(|member| member.is_named(field, record))?.whole(record))
                });
                let theirs = self.prediction.body().of(prediction);
                write_object(kept.chain([theirs]), out);
            }
        }
        if record.len() > LONG_RECORD_BYTES {
            self.record = scanner(&self.emit); // it may have noted a million members
        }
        Ok(())
    }

    /// Whether no field of the record that goes on has the name of one of the prediction's.
    fn no_clash(
        &self,
        shape: Shape,
        record: &str,
        prediction: &str,
        goes_on: impl Fn(&str) -> bool,
    ) -> Result<(), Why> {
        if shape != Shape::Object {
            return Err(Why::wrong_output("it is not an object, so its fields can't join others"));
        }
        for theirs in self.prediction.members() {
            let name = theirs.name(prediction);
            if goes_on(&name) && self.record.members().iter().any(|m| m.is_named(&name, record)) {
                return Err(Why {
                    kind: RejectKind::FieldClash,
                    path: name.to_string(),
                    message: format!("the field is in the record and in the {}", self.what),
                });
            }
        }
        Ok(())
    }
}

/// For a text that goes into a line of output, which must not nest deeper than a reader goes.
fn scanner(emit: &Emit) -> Scanner {
    Scanner::inside(if *emit == Emit::Nest { 1 } else { 0 })
}

fn invalid(fault: Fault) -> Why {
    Why::new(RejectKind::InvalidJson, format!("can't go on into the output: {fault}"))
}

/// One object of the members in all of `parts`.
fn write_object<'a>(parts: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    let mut before = b'{';
    for part in parts.filter(|part| !part.is_empty()) {
        out.push(before);
        out.extend_from_slice(part.as_bytes());
        before = b',';
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(emit: Emit, record: &str, prediction: &str, expected: &str) {
        let mut out = Vec::new();
        let text = match Emitter::new(emit).write(record.as_bytes(), prediction, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(why) => format!("{} {} {}", why.kind.name(), why.path, why.message),
        };
        assert!(
            text == expected || (!expected.starts_with('{') && text.contains(expected)),
            "{text}"
        );
    }

    fn keep(fields: &[&str]) -> Emit {
        Emit::Keep(fields.iter().map(|field| field.to_string()).collect())
    }

    #[test]
    fn the_bytes_of_the_record_go_through_unchanged() {
        let record = r#" { "id" : 12345678901234567890123 , "x":1.10e0,"\u00e4":[1, {"b": 2}] } "#;
        let prediction = r#" {"p": 1} "#;
        check(Emit::Prediction, record, prediction, r#"{"p": 1}"#);
        check(
            Emit::Nest,
            record,
            prediction,
            r#"{"input":{ "id" : 12345678901234567890123 , "x":1.10e0,"\u00e4":[1, {"b": 2}] },"prediction":{"p": 1}}"#,
        );
        check(
            Emit::Merge,
            record,
            prediction,
            r#"{"id" : 12345678901234567890123 , "x":1.10e0,"\u00e4":[1, {"b": 2}],"p": 1}"#,
        );
        check(
            keep(&["ä", "missing", "id"]),
            record,
            prediction,
            r#"{"\u00e4":[1, {"b": 2}],"id" : 12345678901234567890123,"p": 1}"#,
        );
    }

    #[test]
    fn empty_objects_are_joined_too() {
        check(Emit::Merge, "{}", r#"{"p":1}"#, r#"{"p":1}"#);
        check(Emit::Merge, r#"{"a":1}"#, "{ }", r#"{"a":1}"#);
        check(Emit::Merge, "{}", "{}", "{}");
        check(keep(&["a"]), "{}", "{}", "{}");
    }

    #[test]
    fn a_field_that_would_stand_there_twice_rejects_the_record() {
        check(Emit::Merge, r#"{"p":1}"#, r#"{"p":2}"#, "field_clash p ");
        check(Emit::Merge, r#"{"\u0070":1}"#, r#"{"p":2}"#, "field_clash p ");
        check(keep(&["a"]), r#"{"p":1,"a":3}"#, r#"{"p":2}"#, r#"{"a":3,"p":2}"#);
        check(keep(&["p"]), r#"{"p":1}"#, r#"{"p":2}"#, "field_clash p ");
    }

    #[test]
    fn a_record_that_is_no_sound_json_does_not_get_into_the_output() {
        for emit in [Emit::Merge, Emit::Nest, keep(&["a"])] {
            check(emit.clone(), r#"{"a":1,"a":2}"#, r#"{"p":1}"#, "invalid_json  can't go on");
            check(emit.clone(), r#"{"a":01}"#, r#"{"p":1}"#, "invalid_json  can't go on");
            check(emit, r#"{"a":{"b":1,"b":1}}"#, r#"{"p":1}"#, "duplicate field `b`");
        }
    }

    #[test]
    fn no_line_nests_deeper_than_a_reader_goes() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        for (emit, most) in [(Emit::Prediction, 127), (Emit::Nest, 126)] {
            check(emit.clone(), "{}", &nested(most), "[[");
            let message = format!("nesting deeper than {most} levels");
            check(emit.clone(), "{}", &nested(most + 1), &message);
        }
        check(
            Emit::Nest,
            &nested(126),
            "1",
            &format!(r#"{{"input":{},"prediction":1}}"#, nested(126)),
        );
        check(Emit::Nest, &nested(127), "1", "nesting deeper than 126 levels");
        let (ours, theirs) = (format!(r#""a":{}"#, nested(126)), format!(r#""b":{}"#, nested(126)));
        check(
            Emit::Merge,
            &format!("{{{ours}}}"),
            &format!("{{{theirs}}}"),
            &format!("{{{ours},{theirs}}}"),
        );
    }

    #[test]
    fn a_prediction_that_is_no_sound_json_is_the_models_fault() {
        for emit in [Emit::Prediction, Emit::Merge, Emit::Nest, keep(&["a"])] {
            check(emit.clone(), "{}", "", "wrong_output  the model's prediction is wrong");
            check(emit.clone(), "{}", "{\"a\":NaN}", "wrong_output");
            check(emit, "{}", "{\"a\":1}\n{\"b\":1}", "wrong_output");
        }
        check(Emit::Merge, "{}", "[1]", "not an object");
        check(Emit::Prediction, "{}", "[1]", "[1]");
    }

    #[test]
    fn a_clash_that_the_schemas_show_is_found_before_anything_is_read() {
        let input = json!({"type": "object", "properties": {"a": {}, "b": {}}});
        let output = json!({"type": "object", "properties": {"b": {}}});
        assert_eq!(Emit::Merge.check(&input, &output), Err(EmitError::Clash("b".into())));
        assert_eq!(keep(&["b"]).check(&input, &output), Err(EmitError::Clash("b".into())));
        assert_eq!(keep(&["a"]).check(&input, &output), Ok(()));
        assert_eq!(Emit::Nest.check(&input, &output), Ok(()));
        let text = json!({"type": "string"});
        assert_eq!(Emit::Merge.check(&input, &text), Err(EmitError::NotAnObject));
        assert_eq!(Emit::Nest.check(&input, &text), Ok(()));
    }
}
