//! Makes sure that records are JSON, where nobody else does before they are written: a pipeline without
//! a model may pass on what it read.

use super::{Step, StepError, Why};
use crate::batch::Batch;
use crate::json::Scanner;
use crate::record::RejectKind;
use std::sync::Arc;

/// The step.
pub struct CheckStep {
    name: Arc<str>,
    scanner: Scanner,
}

impl CheckStep {
    /// `name` stands in rejects.
    pub fn new(name: &str) -> Self {
        CheckStep { name: name.into(), scanner: Scanner::default() }
    }
}

impl Step for CheckStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(CheckStep::new(&self.name))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let mut rejections = Vec::new();
        for record in 0..batch.len() {
            let text =
                std::str::from_utf8(batch.record(record)).expect("a step never sees other text");
            if let Err(fault) = self.scanner.scan(text) {
                let why = Why::new(RejectKind::InvalidJson, fault.to_string());
                rejections.push(why.rejection(record, &self.name));
            }
        }
        batch.remove(&mut rejections);
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

    #[test]
    fn what_is_json_goes_on_as_it_stands_and_nothing_else_does() {
        let text = concat!(
            " {\"a\" : 1.10e0,\"b\":12345678901234567890123} \n",
            "{\"a\":1,}\n",
            "\n",
            "null\n",
            "{\"a\":1,\"\\u0061\":2}\n",
            "1e999\n",
            "nothing\n",
        );
        let mut batch = Batch::default();
        let mut reader = Reader::new("in", Box::new(Memory::new(text)), Options::default());
        reader.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
        CheckStep::new("check").another().apply(&mut batch).unwrap();
        let lines = String::from_utf8(batch.lines(&mut Vec::new()).to_vec()).unwrap();
        let expected: Vec<_> = [0, 3, 5].map(|line| text.lines().nth(line).unwrap()).into();
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
        let rejects = batch.rejects().into_iter().map(|it| {
            assert_eq!((it.step, it.kind, it.path), ("check", RejectKind::InvalidJson, ""));
            format!("{} {}", it.position.line, it.message)
        });
        assert_eq!(
            rejects.collect::<Vec<_>>(),
            [
                "2 expected a field name in quotes at column 8",
                "5 duplicate field `\\u0061` at column 8",
                "7 expected `null` at column 1",
            ]
        );
    }
}
