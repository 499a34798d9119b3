//! Inputs that are made up from the input schema: whatever that allows, the model takes and answers
//! soundly.

use super::bench::{Bench, Reply, texts};
use super::{Check, Finding, Needs, Verdict, fail, shorten, values};
use crate::json::Scanner;
use model_abi_layout::kind;
use serde_json::Value;

/// How many inputs are made up for each of these checks.
const INPUTS: usize = 200;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "generated-inputs-fit-the-type",
        proves: "a record that the input schema allows is one that the model can read",
        fix: "the type `Input` refuses what its schema allows: derive both from one struct, and \
              give bounds with `#[schemars(range(…))]`",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| never(bench, &[kind::SCHEMA, kind::NOT_JSON]),
    },
    Check {
        name: "generated-inputs-never-panic",
        proves: "no ordinary record makes the model panic or crash",
        fix: "return `PredictError::value` for what the model can't predict; the message says \
              where it panicked",
        needs: Needs::Answers,
        of_plugin: false,
        run: generated_inputs_never_panic,
    },
    Check {
        name: "generated-outputs-fit-the-schema",
        proves: "a prediction is always what the output schema promises",
        fix: "change the type `Output`, or the bounds that it gives",
        needs: Needs::Answers,
        of_plugin: false,
        run: generated_outputs_fit_the_schema,
    },
    Check {
        name: "predictions-are-finite",
        proves: "no ordinary record leads to a NaN or an infinity",
        fix: "look for divisions by zero, logarithms and square roots of what may be negative",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| never(bench, &[kind::NOT_FINITE]),
    },
    Check {
        name: "predictions-can-be-written",
        proves: "whatever the model predicts can be written as JSON",
        fix: "the type `Output` holds what JSON can't: a map whose keys are no texts, an integer \
              of 128 bits, or a `Serialize` of its own that fails",
        needs: Needs::Answers,
        of_plugin: false,
        run: |bench| never(bench, &[kind::NOT_WRITABLE]),
    },
    Check {
        name: "predictions-are-sound-json",
        proves: "predictions can stand in a line of output, whoever reads it: valid JSON, no name \
                 twice in an object, not nested too deep",
        fix: "look for `#[serde(flatten)]` and `#[serde(rename)]` that give two fields one name, \
              and for JSON that was written by hand",
        needs: Needs::Answers,
        of_plugin: false,
        run: predictions_are_sound_json,
    },
];

/// The model's replies to inputs that are made up.
fn asked(bench: &Bench) -> Result<Vec<(Value, Reply)>, Finding> {
    let inputs = bench.generated(bench.within(INPUTS)?)?;
    let replies = bench.ask_all(&texts(&inputs))?;
    Ok(inputs.into_iter().zip(replies).collect())
}

/// No input leads to an error of these kinds.
fn never(bench: &Bench, kinds: &[u32]) -> Verdict {
    let is_bad = |reply: &Reply| kinds.iter().any(|&kind| reply.is_kind(kind));
    match asked(bench)?.iter().find(|(_, reply)| is_bad(reply)) {
        Some((input, reply)) => {
            fail(format!("to {} it gives {reply}", shorten(&input.to_string())))
        }
        None => Ok(()),
    }
}

fn generated_inputs_never_panic(bench: &Bench) -> Verdict {
    // One by one, so that a crash can be told with its record.
    for record in texts(&bench.generated(bench.within(INPUTS)?)?) {
        let reply = bench.ask(&record)?;
        reply.is_no_panic(&record)?;
    }
    Ok(())
}

fn generated_outputs_fit_the_schema(bench: &Bench) -> Verdict {
    let fits = bench.validator(&bench.description()?.output_schema)?;
    for (input, reply) in asked(bench)? {
        if let Some(output) = reply.json()
            && let Err(error) = fits.validate(&output)
        {
            return fail(format!("to {} it gives {reply}: {error}", shorten(&input.to_string())));
        }
    }
    Ok(())
}

fn predictions_are_sound_json(bench: &Bench) -> Verdict {
    let mut inputs = bench.generated(bench.within(INPUTS)?)?;
    // What a model repeats of a text that it did not write itself is where JSON breaks.
    inputs.extend(values::odd(bench).unwrap_or_default());
    let mut scanner = Scanner::default();
    for (input, reply) in inputs.iter().zip(bench.ask_all(&texts(&inputs))?) {
        let fault = match &reply {
            Reply::Prediction(text) => scanner.scan(text).err().map(|fault| fault.to_string()),
            Reply::NotText => Some("it is not UTF-8".to_owned()),
            Reply::Refused { .. } => None,
        };
        if let Some(fault) = fault {
            return fail(format!("to {} it gives {reply}: {fault}", shorten(&input.to_string())));
        }
    }
    Ok(())
}
