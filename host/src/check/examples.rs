//! The model's own examples: documentation that is run.

use super::bench::{Bench, texts};
use super::{Check, Needs, Verdict, fail, not_run, shorten};
use model_abi::Example;
use serde_json::Value;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "has-examples",
        proves: "people can see what goes in and what comes out",
        fix: "return a few inputs with their outputs from `MLModel::examples`",
        needs: Needs::Description,
        of_plugin: false,
        run: has_examples,
    },
    Check {
        name: "examples-fit-the-input-schema",
        proves: "the inputs that it shows are such as its input schema allows",
        fix: "change the example, or the bounds and types of `Input`",
        needs: Needs::Description,
        of_plugin: false,
        run: examples_fit_the_input_schema,
    },
    Check {
        name: "examples-fit-the-output-schema",
        proves: "the outputs that it shows are such as its output schema allows",
        fix: "change the example, or the bounds and types of `Output`",
        needs: Needs::Description,
        of_plugin: false,
        run: examples_fit_the_output_schema,
    },
    Check {
        name: "examples-give-their-answers",
        proves: "the model that was shipped predicts what its author saw it predict",
        fix: "a panic or a NaN must be mended first; else the weights or the code have changed since \
              the example was written, or `predict_batch` gives something else than `predict`, or \
              the config changes the answer (check with the one the examples are for)",
        needs: Needs::Model,
        of_plugin: false,
        run: examples_give_their_answers,
    },
];

fn has_examples(bench: &Bench) -> Verdict {
    if bench.description()?.examples.is_empty() { fail("there are none") } else { Ok(()) }
}

fn fit(bench: &Bench, schema: &Value, part: fn(&Example) -> &Value) -> Verdict {
    let fits = bench.validator(schema)?;
    for (index, example) in bench.description()?.examples.iter().enumerate() {
        if let Err(error) = fits.validate(part(example)) {
            let shown = shorten(&part(example).to_string());
            return fail(format!("example {}, {shown}: {error}", index + 1));
        }
    }
    Ok(())
}

fn examples_fit_the_input_schema(bench: &Bench) -> Verdict {
    fit(bench, &bench.description()?.input_schema, |example| &example.input)
}

fn examples_fit_the_output_schema(bench: &Bench) -> Verdict {
    fit(bench, &bench.description()?.output_schema, |example| &example.output)
}

fn examples_give_their_answers(bench: &Bench) -> Verdict {
    let fits = bench.validator(&bench.description()?.output_schema)?;
    let mut examples = bench.examples()?;
    examples.retain(|example| fits.is_valid(&example.output));
    if examples.is_empty() {
        return not_run("there is no example that fits its schemas");
    }
    let inputs: Vec<&Value> = examples.iter().map(|example| &example.input).collect();
    for (Example { input, output, .. }, reply) in
        examples.iter().copied().zip(bench.ask_all(&texts(&inputs))?)
    {
        if !reply.json().is_some_and(|found| near(output, &found)) {
            let (input, output) = (shorten(&input.to_string()), shorten(&output.to_string()));
            return fail(format!("for {input} it promises {output} and gives {reply}"));
        }
    }
    Ok(())
}

/// Whether two values are the same, numbers within a billionth of each other.
fn near(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()),
            _ => a == b,
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| near(a, b)))
        }
        (wanted, found) => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_near_and_all_else_is_the_same() {
        assert!(near(&json!({"y": [1, "a"]}), &json!({"y": [1.000_000_000_1, "a"]})));
        assert!(!near(&json!({"y": 1}), &json!({"y": 1.000_01})));
        assert!(!near(&json!({"y": 1}), &json!({"y": 1, "z": 1})));
        assert!(!near(&json!([1]), &json!([1, 1])));
    }
}
