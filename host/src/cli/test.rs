//! `etl-host test FILE`: the tests that a pipeline's file holds, for people who own a pipeline and no Rust.

use super::on_a_line;
use super::run::PipelineArgs;
use super::score::trial::Trial;
use super::services::ServiceArgs;
use crate::error::{Error, exit};
use crate::pipeline::trial::{Rejected, Tried};
use crate::spec::{ExpectedReject, TestSpec};
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;

/// Run the tests that a pipeline's file holds, and show what is not as expected
///
/// Each [[test]] has records for sources and says what nodes are to give on of them. Nothing else is read,
/// but for tables and schemas that steps look into, and nothing is written.
///
/// The records of a test are what a reader would make of an input: no reader sees them, so that a row of
/// CSV is an object with the texts, numbers and nulls that come out of it. A log bears the time
/// 2000-01-01T00:00:00Z, and the name of the source in place of an input's.
///
/// Exit codes: 0 all is as expected; 1 something is not; else as of a run.
#[derive(Args, Debug)]
pub(super) struct TestArgs {
    #[command(flatten)]
    pipeline: PipelineArgs,

    #[command(flatten)]
    services: ServiceArgs,
}

pub(super) fn test(args: &TestArgs) -> Result<u8, Error> {
    args.services.refuse_bucket()?;
    let job = args.pipeline.trial(&args.services)?;
    let name = args.pipeline.file.display();
    if job.spec.tests.is_empty() {
        return Err(Error::Usage {
            message: format!("there is no test in `{name}`"),
            hint: Some("begin one with [[test]]; docs/pipelines.md shows some".to_owned()),
        });
    }
    let trial = Trial::load(&job, false)?;
    let names: Vec<&str> = job.spec.names().collect();
    let (mut text, mut failed) = (String::new(), 0);
    for test in &job.spec.tests {
        let differences = differences(test, &names, &trial.given(test)?);
        let state = if differences.is_empty() { "ok" } else { "FAILED" };
        let _ = writeln!(text, "test {} ... {state}", on_a_line(&test.name));
        text += &differences;
        failed += usize::from(!differences.is_empty());
    }
    let passed = job.spec.tests.len() - failed;
    let _ = writeln!(text, "{name}: {passed} passed, {failed} failed");
    trial.end(&text, if failed > 0 { exit::REJECTS } else { exit::OK })
}

/// What is not as a test expects; empty: nothing.
fn differences(test: &TestSpec, names: &[&str], tried: &[Tried]) -> String {
    let mut text = String::new();
    for (port, expected) in &test.expect {
        let node = names.iter().position(|name| *name == port.node);
        let given = tried.iter().flat_map(|record| &record.given);
        let given = given.filter(|it| Some(it.node) == node && it.is_aside == port.is_aside);
        let given: Vec<&str> = given.flat_map(|it| &it.texts).map(String::as_str).collect();
        let is_same = |(given, expected): (&&str, &Value)| {
            serde_json::from_str::<Value>(given).is_ok_and(|given| same(&given, expected))
        };
        if given.len() == expected.len() && given.iter().zip(expected).all(is_same) {
            continue;
        }
        let _ = writeln!(text, "  `{port}` does not give what is expected (-), but this (+):");
        let mut expected = expected.iter();
        for given in &given {
            match expected.next() {
                Some(expected) if is_same((given, expected)) => {
                    let _ = writeln!(text, "      {}", on_a_line(given));
                }
                expected => {
                    if let Some(expected) = expected {
                        let _ = writeln!(text, "    - {}", on_a_line(&expected.to_string()));
                    }
                    let _ = writeln!(text, "    + {}", on_a_line(given));
                }
            }
        }
        for missing in expected {
            let _ = writeln!(text, "    - {}", on_a_line(&missing.to_string()));
        }
    }
    let rejects: Vec<&Rejected> = tried.iter().flat_map(|record| &record.rejects).collect();
    let are_expected = match &test.rejects {
        Some(expected) => {
            expected.len() == rejects.len()
                && expected.iter().zip(&rejects).all(|(a, b)| fits(a, b))
        }
        None => true,
    };
    if !are_expected {
        let _ = writeln!(text, "  what is rejected is not what is expected (-), but this (+):");
        for ExpectedReject { node, kind, message } in test.rejects.iter().flatten() {
            let kind = kind.as_deref().unwrap_or("any kind");
            let message = if message.is_empty() { "any message" } else { message };
            let _ = writeln!(text, "    - {node}: {kind}: {}", on_a_line(message));
        }
        for Rejected { node, kind, message, .. } in rejects {
            let _ = writeln!(text, "    + {node}: {}: {}", kind.name(), on_a_line(message));
        }
    }
    text
}

fn fits(expected: &ExpectedReject, rejected: &Rejected) -> bool {
    expected.node == rejected.node
        && expected.kind.as_deref().is_none_or(|kind| kind == rejected.kind.name())
        && rejected.message.contains(&expected.message)
}

/// Whether two values are the same JSON: 1 is 1.0, and fields have no order.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::trial::Given;
    use crate::record::{RecordPosition, RejectKind};
    use crate::spec::Port;
    use serde_json::json;

    #[test]
    fn what_is_not_as_expected_is_shown_as_a_diff() {
        let port = |node: &str| Port { node: node.to_owned(), is_aside: false };
        let reject = |kind: Option<&str>, message: &str| ExpectedReject {
            node: "b".to_owned(),
            kind: kind.map(str::to_owned),
            message: message.to_owned(),
        };
        let test = TestSpec {
            name: "t".to_owned(),
            input: Vec::new(),
            expect: vec![
                (port("a"), vec![json!({"x": 1}), json!(2), json!(3), json!(4)]),
                (port("b"), Vec::new()),
            ],
            rejects: Some(vec![reject(Some("schema"), "long"), reject(None, "")]),
        };
        let texts = [r#"{"x":1.0}"#, "[2]"].map(str::to_owned).to_vec();
        let rejected = Rejected {
            node: "b".to_owned(),
            kind: RejectKind::Schema,
            path: String::new(),
            message: "too long".to_owned(),
        };
        let tried = Tried {
            node: 0,
            place: ("a".into(), RecordPosition::default()),
            record: String::new(),
            given: vec![Given { node: 0, is_aside: false, texts }],
            rejects: vec![rejected],
        };
        assert_eq!(
            differences(&test, &["a", "b"], &[tried]),
            "  `a` does not give what is expected (-), but this (+):\n      {\"x\":1.0}\n    - 2\n    \
             + [2]\n    - 3\n    - 4\n  what is rejected is not what is expected (-), but this (+):\n    \
             - b: schema: long\n    - b: any kind: any message\n    + b: schema: too long\n"
        );
    }

    #[test]
    fn values_are_the_same_however_they_are_written() {
        assert!(same(
            &json!({"a": [1, {"b": null}], "c": 2.0}),
            &json!({"c": 2, "a": [1.0, {"b": null}]})
        ));
        for other in
            [json!({"a": [1]}), json!({"a": [1, 2], "b": 1}), json!({"a": [2, 1]}), json!([1, 2])]
        {
            assert!(!same(&json!({"a": [1, 2]}), &other), "{other}");
        }
        assert!(!same(&json!(9007199254740993_u64), &json!("9007199254740993")));
    }
}
