//! The place step, `--place`: each line of output with the place where its record stood, under the
//! names that a rejects file has for it, so that lines of several runs can be put together.

use super::{Step, StepError, Why};
use crate::batch::Batch;
use crate::record::{RecordPosition, RejectKind};
use std::io::Write;
use std::sync::Arc;

const NAME: &str = "place";
/// What is written for a record besides its source's name and its output, at most.
const EXTRA_BYTES: usize = 96;

/// The step.
pub struct PlaceStep {
    name: Arc<str>,
    /// The source of the record before: nearly always that of the next.
    source: Arc<str>,
    /// That source's name as JSON.
    source_json: String,
}

impl Default for PlaceStep {
    fn default() -> Self {
        PlaceStep { name: NAME.into(), source: "".into(), source_json: json("") }
    }
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON")
}

impl Step for PlaceStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(PlaceStep::default())
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let (mut text, mut rejections) = (batch.new_text(), Vec::new());
        for (record, (source, RecordPosition { line, byte })) in batch.places().enumerate() {
            if *source != self.source {
                self.source_json = json(source);
                self.source = source.clone();
            }
            let (source, output) = (&self.source_json, batch.record(record));
            if !text.has_room_for(source.len() + output.len() + EXTRA_BYTES) {
                let message = "the output of one batch is over 4 GiB long";
                let why = Why::new(RejectKind::NotWritable, message);
                rejections.push(why.rejection(record, &self.name));
                continue;
            }
            let (name, line_of_output) = (batch.lines_of(record).name(), text.buffer());
            write!(
                line_of_output,
                r#"{{"source":{source},"{name}":{line},"byte":{byte},"output":"#
            )
            .expect("a buffer takes all");
            line_of_output.extend_from_slice(output);
            line_of_output.push(b'}');
            text.complete(record);
        }
        batch.rewrite(text, &mut rejections);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::source::ldjson::{Options, Reader};
    use crate::stop::Stop;
    use crate::storage::Memory;

    /// Each line of this source, with its place.
    #[track_caller]
    fn check(source: &str, text: &str, expected: &str) {
        let mut batch = Batch::default();
        let mut reader = Reader::new(source, Box::new(Memory::new(text)), Options::default());
        reader.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
        PlaceStep::default().apply(&mut batch).unwrap();
        assert_eq!(std::str::from_utf8(batch.lines(&mut Vec::new())).unwrap(), expected);
    }

    #[test]
    fn a_line_of_output_names_the_place_of_its_record() {
        check(
            "in.json",
            "\u{feff}{}\r\n\n[1]\n\n \"x\"",
            concat!(
                r#"{"source":"in.json","line":1,"byte":3,"output":{}}"#,
                "\n",
                r#"{"source":"in.json","line":3,"byte":8,"output":[1]}"#,
                "\n",
                r#"{"source":"in.json","line":5,"byte":13,"output": "x"}"#,
                "\n",
            ),
        );
    }

    #[test]
    fn the_name_of_a_source_is_written_as_json() {
        let expected = r#"{"source":"a\"\n","line":1,"byte":0,"output":1}"#;
        check("a\"\n", "1\n", &format!("{expected}\n"));
        check("", "1\n", &expected.replace(r#"a\"\n"#, "").replace(r"\n", "").replace("}", "}\n"));
    }
}
