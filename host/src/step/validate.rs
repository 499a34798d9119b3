//! The validate step: records that break a JSON Schema are rejects, with the place in the record. Those
//! that fit go on as they stand, byte for byte.
//!
//! A schema may refer to others in files, by their paths from its own. Nothing is ever fetched from
//! elsewhere, and all of it is read before the first record is.
//!
//! The trap: drafts differ. Without a `$schema` a schema is one of 2020-12, where `format` is a note to
//! people and is not checked; up to draft 7 it is.

use super::{Step, StepError, Why, path_of};
use crate::batch::Batch;
use crate::json::Scanner;
use crate::record::RejectKind;
use crate::spec::ValidateSpec;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{ReferencingError, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// How long a message may be, in characters: the schema's crate repeats values in it, which may be long.
const MESSAGE_CHARS_MAX: usize = 200;

/// The step.
pub struct ValidateStep {
    name: Arc<str>,
    validator: Arc<Validator>,
    files: Arc<[PathBuf]>,
    scanner: Scanner,
    kept: Vec<u32>,
}

/// Why a file can't be held against records.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SchemaError {
    /// What is wrong, and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ValidateStep {
    /// Reads the schema, and what it refers to. `name` stands in rejects and in the lines of a run.
    pub fn new(name: &str, spec: &ValidateSpec) -> Result<Self, SchemaError> {
        let (validator, files) = read(&spec.schema)?;
        Ok(ValidateStep::with(name.into(), Arc::new(validator), files.into()))
    }

    fn with(name: Arc<str>, validator: Arc<Validator>, files: Arc<[PathBuf]>) -> Self {
        ValidateStep { name, validator, files, scanner: Scanner::default(), kept: Vec::new() }
    }

    /// The files that the schema refers to, in whatever order.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn check(&mut self, record: &[u8]) -> Result<(), Why> {
        let invalid = |why: String| Why::new(RejectKind::InvalidJson, why);
        let text = std::str::from_utf8(record).expect("a step never sees other text");
        self.scanner.scan(text).map_err(|fault| invalid(fault.to_string()))?;
        // What the scanner lets through and serde_json does not: numbers beyond a double.
        let record: Value =
            serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
        self.validator.validate(&record).map_err(|error| {
            let path = path_of(error.instance_path().as_str());
            Why { path, ..Why::new(RejectKind::Schema, told(&error)) }
        })
    }
}

impl Step for ValidateStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(ValidateStep::with(self.name.clone(), self.validator.clone(), self.files.clone()))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        self.kept.clear();
        let mut rejections = Vec::new();
        for record in 0..batch.len() {
            match self.check(batch.record(record)) {
                Ok(()) => self.kept.push(record as u32),
                Err(why) => rejections.push(why.rejection(record, &self.name)),
            }
        }
        batch.retain(&self.kept, &mut rejections);
        Ok(())
    }
}

/// What a record breaks, shortly: without its value where that is long.
fn told(error: &ValidationError<'_>) -> String {
    let is_short = |text: &String| text.chars().nth(MESSAGE_CHARS_MAX).is_none();
    let told = Some(error.to_string()).filter(is_short);
    let mut told = told.unwrap_or_else(|| error.masked_with("the value").to_string());
    if let Some((end, _)) = told.char_indices().nth(MESSAGE_CHARS_MAX) {
        told.truncate(end);
        told.push('…');
    }
    told
}

/// The schema in a file, and the files that it refers to.
fn read(path: &Path) -> Result<(Validator, Vec<PathBuf>), SchemaError> {
    let wrong = |why: String, hint: &str| SchemaError {
        message: format!("the schema `{}` {why}", path.display()),
        hint: Some(hint.to_owned()),
    };
    let at_once =
        |error| wrong(format!("can't be read: {error}"), "a file with a JSON Schema is wanted");
    let text = fs::read(path).map_err(at_once)?;
    let schema: Value = serde_json::from_slice(&text).map_err(|error| {
        let hint = "a JSON Schema is one JSON text: an object, true or false";
        wrong(format!("is no JSON: {error}"), hint)
    })?;
    let whole = std::path::absolute(path).map_err(at_once)?;
    let base = Url::from_file_path(whole).expect("it is a whole path");
    let files = Files::default();
    let options = jsonschema::options().with_base_uri(base.as_str()).with_retriever(files.clone());
    let validator = options.build(&schema).map_err(|error| match error.kind() {
        ValidationErrorKind::Referencing(ReferencingError::Unretrievable { uri, source }) => {
            let hint = "a `$ref` names a file with a JSON Schema by its path from the schema's own: \
                        none is ever fetched";
            wrong(format!("refers to `{uri}`, {source}"), hint)
        }
        ValidationErrorKind::Referencing(error) => {
            let hint = "`#/$defs/NAME` is what the schema itself has under that name";
            wrong(format!("refers to what there is not: {error}"), hint)
        }
        _ => {
            let hint = "its `$schema` says which draft it is to be; without, that is 2020-12";
            wrong(fault(&error), hint)
        }
    })?;
    let files = std::mem::take(&mut *files.0.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((validator, files))
}

/// Reads the files that a schema refers to, and keeps which those are.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<Vec<PathBuf>>>);

impl Retrieve for Files {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let path = Url::parse(uri.as_str()).ok().and_then(|url| url.to_file_path().ok());
        let path = path.ok_or("which is no file")?;
        let text = fs::read(&path).map_err(|error| format!("which can't be read: {error}"))?;
        let schema: Value =
            serde_json::from_slice(&text).map_err(|error| format!("which is no JSON: {error}"))?;
        // Else nobody could tell which of the files is meant.
        jsonschema::meta::validate(&schema).map_err(|error| format!("which {}", fault(&error)))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(path);
        Ok(schema)
    }
}

/// Why something is no schema.
fn fault(error: &ValidationError<'_>) -> String {
    let place = path_of(error.instance_path().as_str());
    let place = if place.is_empty() { place } else { format!(" at `{place}`") };
    format!("is no JSON Schema{place}: {}", told(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::source::ldjson::{Options, Reader};
    use crate::stop::Stop;
    use crate::storage::Memory;
    use tempfile::TempDir;

    const FLOWER: &str = r##"{
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "integer"},
            "width": {"type": "number", "minimum": 0},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 3}}
        },
        "additionalProperties": {"$ref": "#/$defs/flag"},
        "$defs": {"flag": {"type": "boolean"}}
    }"##;

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn step(schema: PathBuf) -> Result<ValidateStep, SchemaError> {
        ValidateStep::new("shape", &ValidateSpec { schema })
    }

    /// The records that go on, and `kind path message` of those that don't.
    fn checked(mut step: Box<dyn Step>, text: &str) -> (String, Vec<String>) {
        let mut batch = Batch::default();
        let input = Box::new(Memory::new(text.to_owned()));
        let mut reader = Reader::new("in", input, Options::default());
        reader.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
        step.apply(&mut batch).unwrap();
        let lines = String::from_utf8(batch.lines(&mut Vec::new()).to_vec()).unwrap();
        let rejects = batch.rejects().into_iter();
        let told = |reject: crate::record::Reject<'_>| {
            assert_eq!(reject.step, "shape");
            format!("{} {} {}", reject.kind.name(), reject.path, reject.message)
        };
        (lines, rejects.map(told).collect())
    }

    /// What becomes of one record; nothing: it goes on.
    #[track_caller]
    fn check(schema: &str, record: &str, expected: &str) {
        let folder = folder(&[("schema.json", schema)]);
        let step = step(folder.path().join("schema.json")).unwrap();
        let (lines, rejects) = checked(Box::new(step), record);
        assert_eq!(rejects.join("\n"), expected, "{record}");
        assert_eq!(lines.is_empty(), !rejects.is_empty());
    }

    #[test]
    fn what_fits_goes_on_byte_for_byte() {
        let fits = concat!(
            r#" { "width": 1.10e0 , "id":12345678901234567890123, "\u0061":true } "#,
            "\n",
            r#"{"id":1,"tags":["a","abc"]}"#,
            "\n",
        );
        let schema = FLOWER.replace("integer", "number");
        let folder = folder(&[("schema.json", &schema)]);
        let step = step(folder.path().join("schema.json")).unwrap();
        let text = fits.replacen('\n', "\n{}\n\n[]\n", 1);
        let (lines, rejects) = checked(step.another(), &text);
        assert_eq!((lines.as_str(), rejects.len()), (fits, 2));
    }

    #[test]
    fn what_breaks_it_is_told_with_its_place() {
        for (record, expected) in [
            (r#"{"width":1}"#, r#"schema  "id" is a required property"#),
            (r#"{"id":"7"}"#, r#"schema id "7" is not of type "integer""#),
            (r#"{"id":7.5}"#, r#"schema id 7.5 is not of type "integer""#),
            (r#"{"id":7,"width":-1}"#, "schema width -1 is less than the minimum of 0"),
            (r#"{"id":7,"tags":["a",5]}"#, r#"schema tags[1] 5 is not of type "string""#),
            (r#"{"id":7,"x.y":5}"#, r#"schema x.y 5 is not of type "boolean""#),
            ("[1]", r#"schema  [1] is not of type "object""#),
            (r#"{"id":7,"width":0.0}"#, ""),
        ] {
            check(FLOWER, record, expected);
        }
        check("false", "1", "schema  False schema does not allow 1");
        check("true", "1", "");
    }

    #[test]
    fn a_message_is_short_whatever_the_record_holds() {
        let long = "\u{e4}".repeat(1 << 20);
        let record = format!(r#"{{"id":1,"tags":["{long}"]}}"#);
        check(FLOWER, &record, "schema tags[0] the value is longer than 3 characters");
        let record = format!(r#"{{"{long}":1}}"#);
        let folder =
            folder(&[("schema.json", r#"{"properties":{"id":{}},"additionalProperties":false}"#)]);
        let step = step(folder.path().join("schema.json")).unwrap();
        let (_, rejects) = checked(Box::new(step), &record);
        let told = "schema  Additional properties are not allowed ('\u{e4}";
        let message = rejects[0].strip_prefix(told).unwrap_or_else(|| panic!("{rejects:?}"));
        assert!(message.chars().count() < MESSAGE_CHARS_MAX && message.ends_with('…'));
    }

    #[test]
    fn a_record_that_is_no_sound_json_is_told_to_be_none() {
        for (record, expected) in [
            ("{", "invalid_json  expected a field name in quotes but the text ends at column 2"),
            (r#"{"id":1,"id":2}"#, "invalid_json  duplicate field `id` at column 9"),
            (r#"{"id":01}"#, "invalid_json  expected `,` or `}` at column 8"),
            (r#"{"id":1e999}"#, "invalid_json  number out of range at line 1 column 11"),
        ] {
            check(FLOWER, record, expected);
        }
    }

    #[test]
    fn a_schema_refers_to_files_by_their_path_from_its_own() {
        let folder = folder(&[
            ("a b/flower.json", r#"{"properties":{"id":{"$ref":"../ids.json#/$defs/id"}}}"#),
            ("ids.json", r#"{"$defs":{"id":{"$ref":"sub/short%20text.json"}}}"#),
            ("sub/short text.json", r#"{"type":"string","maxLength":2}"#),
        ]);
        let step = step(folder.path().join("a b/flower.json")).unwrap();
        let mut files = step.files().to_vec();
        files.sort();
        assert_eq!(files, ["ids.json", "sub/short text.json"].map(|file| folder.path().join(file)));
        let (lines, rejects) = checked(Box::new(step), "{\"id\":\"ab\"}\n{\"id\":\"abc\"}\n");
        assert_eq!(lines, "{\"id\":\"ab\"}\n");
        assert_eq!(rejects, [r#"schema id "abc" is longer than 2 characters"#]);
    }

    #[test]
    fn a_schema_may_go_round_in_circles() {
        let tree = r##"{"properties":{"child":{"$ref":"#"}},"required":["id"]}"##;
        check(
            tree,
            r#"{"id":1,"child":{"id":2,"child":{}}}"#,
            r#"schema child.child "id" is a required property"#,
        );
        check(r##"{"$ref":"#"}"##, "1", "");
    }

    /// What is wrong with `schema.json` and what to do, the folder's name left out.
    #[track_caller]
    fn check_refused(files: &[(&str, &str)], expected: &str) {
        let folder = folder(files);
        let Err(error) = step(folder.path().join("schema.json")) else { panic!("{files:?}") };
        let SchemaError { message, hint } = error;
        let told = format!("{message} / {}", hint.unwrap());
        let told = told.replace(&*folder.path().to_string_lossy(), "").replace("file://", "");
        let told = told.strip_prefix("the schema `/schema.json` ").unwrap();
        assert!(told.starts_with(expected), "{told}");
    }

    #[test]
    fn what_is_no_schema_is_refused_before_anything_is_read() {
        check_refused(&[], "can't be read: No such file or directory");
        check_refused(&[("schema.json/x", "")], "can't be read: Is a directory");
        check_refused(
            &[("schema.json", "{\n\"type\": }")],
            "is no JSON: expected value at line 2 column 9 / a JSON Schema is one",
        );
        check_refused(
            &[("schema.json", r#"{"properties":{"id":{"type":"int"}}}"#)],
            "is no JSON Schema at `properties.id.type`: \"int\" is not",
        );
        check_refused(&[("schema.json", "1")], "is no JSON Schema: 1 is not");
        check_refused(
            &[("schema.json", r#"{"pattern":"("}"#)],
            "is no JSON Schema at `pattern`: \"(\" is not a \"regex\"",
        );
        check_refused(
            &[("schema.json", r#"{"$schema":"https://json-schema.org/draft/none"}"#)],
            "refers to what there is not: Unknown meta-schema",
        );
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_refused_and_none_is_fetched() {
        check_refused(
            &[("schema.json", r#"{"$ref":"other.json"}"#)],
            "refers to `/other.json`, which can't be read: No such file or directory",
        );
        check_refused(
            &[("schema.json", r#"{"$ref":"other.json"}"#), ("other.json", "{")],
            "refers to `/other.json`, which is no JSON: EOF",
        );
        check_refused(
            &[("schema.json", r#"{"$ref":"http://127.0.0.1:1/other.json"}"#)],
            "refers to `http://127.0.0.1:1/other.json`, which is no file / a `$ref`",
        );
        check_refused(
            &[
                ("schema.json", r#"{"$id":"https://elsewhere/it","$ref":"other.json"}"#),
                ("other.json", "{}"),
            ],
            "refers to `https://elsewhere/other.json`, which is no file",
        );
        check_refused(
            &[("schema.json", r##"{"$ref":"#/$defs/id"}"##)],
            "refers to what there is not: Pointer '/$defs/id' does not exist",
        );
        check_refused(
            &[
                ("schema.json", r#"{"$ref":"other.json#/$defs/a"}"#),
                ("other.json", r#"{"$defs":{"a":{"type":"int"}}}"#),
            ],
            "refers to `/other.json`, which is no JSON Schema at `$defs.a.type`: \"int\" is not",
        );
    }
}
