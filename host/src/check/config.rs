//! Wrong configs: each must fail the load, since a run that goes on with a setting that was
//! misspelt or misread gives wrong predictions without a word.

use super::bench::Bench;
use super::{Check, Finding, Needs, Verdict, fail, not_run, shorten};
use crate::schema;
use model_abi::LoadReport;
use serde_json::{Map, Value, json};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "config-keys-unknown-are-refused",
        proves: "a misspelt key of the config fails the load, and is not passed over",
        fix: "`#[serde(deny_unknown_fields)]` on the config; `NoConfig` where there is nothing to set",
        needs: Needs::Model,
        of_plugin: false,
        run: config_keys_unknown_are_refused,
    },
    Check {
        name: "config-must-be-an-object",
        proves: "a config that is JSON but no object fails the load",
        fix: "refuse what does not begin with `{`: serde's derive takes an array for a struct",
        needs: Needs::Model,
        of_plugin: false,
        run: config_must_be_an_object,
    },
    Check {
        name: "config-must-be-json",
        proves: "a config that is no JSON fails the load",
        fix: "parse the whole text, to its end; never go on with defaults instead",
        needs: Needs::Model,
        of_plugin: false,
        run: config_must_be_json,
    },
    Check {
        name: "config-types-are-checked",
        proves: "a key of the config with a value of a wrong type fails the load",
        fix: "give each key of the config its type; don't read it through `Value` with `unwrap_or`",
        needs: Needs::Model,
        of_plugin: false,
        run: config_types_are_checked,
    },
    Check {
        name: "config-errors-say-where",
        proves: "a load that fails for a key of the config names that key",
        fix: "`report.path` is the path in the config (`limits.upper`), or the message names the key",
        needs: Needs::Model,
        of_plugin: false,
        run: config_errors_say_where,
    },
];

/// A failure where the model loads with this config.
fn refuses(bench: &Bench, config: &[u8]) -> Verdict {
    if bench.load_with(config, &bench.context(1))?.status != 0 {
        return Ok(());
    }
    fail(format!("it loads with the config {:?}", shorten(&String::from_utf8_lossy(config))))
}

/// The config that the model loads with.
fn good(bench: &Bench) -> Result<Map<String, Value>, Finding> {
    serde_json::from_str(&bench.config).or_else(|_| not_run("the config is no JSON object"))
}

fn config_keys_unknown_are_refused(bench: &Bench) -> Verdict {
    let key = "no_key_has_this_name";
    let mut config = good(bench)?;
    config.insert(key.to_owned(), json!(1));
    let schema = &bench.description()?.config_schema;
    if matches!(schema.get("additionalProperties"), Some(Value::Object(_) | Value::Bool(true))) {
        return not_run("the config schema allows any key");
    }
    refuses(bench, Value::Object(config).to_string().as_bytes())
}

fn config_must_be_an_object(bench: &Bench) -> Verdict {
    let configs = ["null", "true", "1", r#""{}""#, "[]", "[{}]", r#"[1, "x", null]"#];
    configs.iter().try_for_each(|config| refuses(bench, config.as_bytes()))
}

fn config_must_be_json(bench: &Bench) -> Verdict {
    let good = bench.config.trim_end();
    let twice = format!("{good} {good}");
    let cut = &good.as_bytes()[..good.len().saturating_sub(1)];
    let texts = [&b""[..], b" ", b"{", b"{'a': 1}", b"{}}", b"config", b"{\"\xff\": 1}", b"\0"];
    let own = [twice.as_bytes(), cut];
    texts.iter().chain(&own).try_for_each(|config| refuses(bench, config))
}

/// Configs with a value of a wrong type, each with the key that it stands under.
fn mistyped(bench: &Bench) -> Result<Vec<(String, String)>, Finding> {
    let (schema, good) = (&bench.description()?.config_schema, good(bench)?);
    let fits = bench.validator(schema)?;
    if !fits.is_valid(&Value::Object(good.clone())) {
        return not_run("the config does not fit its schema");
    }
    let mut configs = Vec::new();
    for field in schema::fields(schema, schema) {
        for wrong in [json!("no value of this is so"), json!(0.5), json!(true)] {
            let mut config = good.clone();
            config.insert(field.name.to_owned(), wrong);
            let config = Value::Object(config);
            if !fits.is_valid(&config) {
                configs.push((field.name.to_owned(), config.to_string()));
            }
        }
    }
    if configs.is_empty() {
        return not_run("its config has no key of any type");
    }
    Ok(configs)
}

fn config_types_are_checked(bench: &Bench) -> Verdict {
    mistyped(bench)?.iter().try_for_each(|(_, config)| refuses(bench, config.as_bytes()))
}

fn config_errors_say_where(bench: &Bench) -> Verdict {
    for (key, config) in mistyped(bench)? {
        let load = bench.load_with(&config, &bench.context(1))?;
        let Ok(report) = serde_json::from_slice::<LoadReport>(&load.report) else { continue };
        let LoadReport { path, message, .. } = &report;
        // A report that says nothing at all is another check's.
        if load.status != 0
            && !message.is_empty()
            && !path.contains(&key)
            && !message.contains(&key)
        {
            let (config, message) = (shorten(&config), shorten(message));
            return fail(format!(
                "with the config {config} its path is {path:?}, and the message does not name \
                 `{key}` either: {message}"
            ));
        }
    }
    Ok(())
}
