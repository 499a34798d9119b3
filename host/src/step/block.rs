//! The block step: a rule that holds records back, so that they are never predicted.
//!
//! Those go another way, each with the rule's name and the reason where a prediction would stand. The others
//! go on as they are.

use super::emit::{EXTRA_BYTES, EmitError, Emitter};
use super::jq::{Evaluation, JqError, Limits, Program, Reader};
use super::{Step, StepError, Why};
use crate::batch::{Batch, Rejection, Text};
use crate::record::RejectKind;
use crate::spec::BlockSpec;
use jaq_core::ValT;
use serde_json::json;
use std::sync::Arc;

/// The step.
pub struct BlockStep {
    name: Arc<str>,
    when: Program,
    /// What stands in the place of a prediction, as JSON.
    verdict: Arc<str>,
    emitter: Emitter,
    reader: Reader,
    kept: Vec<u32>,
    rejections: Vec<Rejection>,
}

/// A rule that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// Its condition can't.
    #[error(transparent)]
    When(#[from] JqError),
    /// What would be written of a record can't be put together.
    #[error("what is written of a record that is held back: {0}")]
    Emit(#[from] EmitError),
}

impl BlockStep {
    /// `name` is the rule's.
    pub fn new(name: &str, spec: &BlockSpec) -> Result<Self, BlockError> {
        let verdict = json!({"blocked": name, "reason": spec.reason});
        let fields = json!({"properties": {"blocked": {}, "reason": {}}});
        spec.emit.check(&json!({}), &fields)?;
        let when = Program::compile(&spec.when)?;
        let emitter = Emitter::new(spec.emit.clone());
        Ok(BlockStep::of(name.into(), when, verdict.to_string().into(), emitter))
    }

    fn of(name: Arc<str>, when: Program, verdict: Arc<str>, emitter: Emitter) -> Self {
        let (reader, kept, rejections) = Default::default();
        BlockStep { name, when, verdict, emitter, reader, kept, rejections }
    }

    /// Writes what becomes of a record, if it is held back. False: it goes on.
    fn holds_back(
        &mut self,
        record: &[u8],
        text: &mut Text,
        evaluation: &Evaluation<'_>,
    ) -> Result<bool, Why> {
        let input = self.reader.read(record)?;
        if !is_true(evaluation, record.len(), input)? {
            return Ok(false);
        }
        if !text.has_room_for(record.len() + self.verdict.len() + EXTRA_BYTES) {
            let message = "the blocked records of one batch are over 4 GiB long";
            return Err(Why::new(RejectKind::NotWritable, message));
        }
        self.emitter.write(record, &self.verdict, text.buffer())?;
        Ok(true)
    }
}

impl Step for BlockStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        let emitter = Emitter::new(self.emitter.emit().clone());
        let (name, when, verdict) = (self.name.clone(), self.when.clone(), self.verdict.clone());
        Box::new(BlockStep::of(name, when, verdict, emitter))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        self.kept.clear();
        let (mut text, when) = (batch.new_text(), self.when.clone());
        let evaluation = when.begin(Limits::default());
        for record in 0..batch.len() {
            match self.holds_back(batch.record(record), &mut text, &evaluation) {
                Ok(true) => text.complete(record),
                Ok(false) => self.kept.push(record as u32),
                Err(why) => {
                    text.take_back();
                    self.rejections.push(why.rejection(record, &self.name));
                }
            }
        }
        batch.put_aside(text, true);
        batch.retain(&self.kept, &mut self.rejections);
        Ok(())
    }
}

/// Whether the condition is true of a record, as in jq's `if`: of all but `false` and `null`.
fn is_true(
    evaluation: &Evaluation<'_>,
    record_bytes: usize,
    input: jaq_json::Val,
) -> Result<bool, Why> {
    let mut answer = None;
    let unclear = |outputs| {
        let message = format!("the rule's condition gives {outputs}, where one says yes or no");
        Why::new(RejectKind::Jq, message)
    };
    evaluation.run(record_bytes, input, |output| match answer.replace(output.as_bool()) {
        None => Ok(()),
        Some(_) => Err(unclear("several outputs")),
    })?;
    answer.ok_or_else(|| unclear("no output"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::JqSpec;
    use crate::step::emit::Emit;
    use crate::step::jq::tests::{applied, batch};

    fn rule(when: &str, emit: Emit) -> Result<BlockStep, BlockError> {
        let params = json!({"held": ["FR", "DE"]}).as_object().unwrap().clone();
        let when = JqSpec { program: when.to_owned(), params, ..JqSpec::default() };
        let reason = "no predictions in \"this\" jurisdiction".to_owned();
        BlockStep::new("allowed", &BlockSpec { when, reason, emit })
    }

    /// What goes on, with the rejects; and what goes the other way.
    fn split(step: &mut dyn Step, text: &str) -> (String, String) {
        let mut batch = batch(text);
        let kept = applied(step, &mut batch);
        let aside = batch.take_aside();
        batch.set_flow(aside);
        (kept, String::from_utf8(batch.lines(&mut Vec::new()).to_vec()).unwrap())
    }

    #[track_caller]
    fn check(when: &str, emit: Emit, text: &str, kept: &str, blocked: &str) {
        let mut step = rule(when, emit).unwrap();
        let expected = (kept.to_owned(), blocked.to_owned());
        assert_eq!(split(&mut step, text), expected, "{when}");
        assert_eq!(split(&mut *step.another(), text), expected, "{when}");
    }

    const HELD: &str = r#""blocked":"allowed","reason":"no predictions in \"this\" jurisdiction""#;

    #[test]
    fn records_that_the_condition_is_true_of_go_the_other_way() {
        let (held, free) = (r#"{ "id" : 1.10, "country":"FR" }"#, r#"{ "id":2, "country":"GB"}"#);
        let text = format!("{held}\n{free}\n{held}\n");
        for (emit, blocked) in [
            (Emit::Prediction, format!("{{{HELD}}}\n")),
            (Emit::Keep(vec!["id".into(), "no".into()]), format!("{{\"id\" : 1.10,{HELD}}}\n")),
            (Emit::Merge, format!("{{\"id\" : 1.10, \"country\":\"FR\",{HELD}}}\n")),
            (Emit::Nest, format!("{{\"input\":{held},\"prediction\":{{{HELD}}}}}\n")),
        ] {
            let when = ".country as $c | any($params.held[]; . == $c)";
            check(when, emit, &text, &format!("{free}\n"), &blocked.repeat(2));
        }
    }

    #[test]
    fn those_that_go_on_are_not_copied() {
        let mut batch = batch("{\"a\":1}\n{\"a\":2}\n");
        let bytes = batch.bytes().as_ptr();
        rule(".a == 1", Emit::Prediction).unwrap().apply(&mut batch).unwrap();
        assert_eq!((batch.len(), batch.bytes().as_ptr()), (1, bytes));
        assert_eq!(batch.blocked(), [0]);
        assert_eq!(batch.take_aside().origins(), [0]);
    }

    #[test]
    fn all_is_true_but_null_and_false() {
        let text = "null\nfalse\n0\n\"\"\n[]\n{}\ntrue\n";
        check(".", Emit::Prediction, text, "null\nfalse\n", &format!("{{{HELD}}}\n").repeat(5));
        check(".a", Emit::Prediction, "{}\n{\"a\":null}\n", "{}\n{\"a\":null}\n", "");
    }

    #[test]
    fn a_condition_says_yes_or_no() {
        let text = "[]\n[true]\n[true,false]\n[0,0,0]\n";
        let unclear = "where one says yes or no";
        let kept = format!(
            "0 jq: the rule's condition gives no output, {unclear}\n\
             2 jq: the rule's condition gives several outputs, {unclear}\n\
             3 jq: the rule's condition gives several outputs, {unclear}\n"
        );
        check(".[]", Emit::Prediction, text, &kept, &format!("{{{HELD}}}\n"));
        check(".a > 1", Emit::Prediction, "[1]\n", "0 jq: cannot index [1] with \"a\"\n", "");
        check(
            ".",
            Emit::Prediction,
            "{\"a\":NaN}\n",
            "0 invalid_json: expected a value at column 6\n",
            "",
        );
    }

    #[test]
    fn a_record_that_can_not_be_written_with_the_reason_is_a_reject() {
        let clash = "field_clash: the field is in the record and in the prediction\n";
        check("true", Emit::Merge, "{\"reason\":1}\n", &format!("0 {clash}"), "");
        check("true", Emit::Merge, "[1]\n", "0 schema: the record is not an object\n", "");
        check("false", Emit::Merge, "{\"reason\":1}\n", "{\"reason\":1}\n", "");
    }

    #[test]
    fn a_rule_that_can_not_be_used_is_refused() {
        let why = |when, emit| rule(when, emit).err().unwrap().to_string();
        assert!(why(".a ==", Emit::Prediction).contains(": expected a term, but the program ends"));
        let keep = Emit::Keep(vec!["id".into(), "reason".into()]);
        assert!(why("true", keep).contains("`reason`"));
    }
}
