//! Makes sure that records are JSON, where nobody else does before they are written: a pipeline without
//! a model may pass on what it read.

use super::{Step, StepError};
use crate::batch::{Batch, Rejection};
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
                let (kind, path) = (RejectKind::InvalidJson, String::new());
                let (message, step) = (fault.to_string(), self.name.clone());
                rejections.push(Rejection { record, kind, path, message, step });
            }
        }
        batch.remove(&mut rejections);
        Ok(())
    }
}
