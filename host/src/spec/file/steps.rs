//! The steps of a pipeline file, each by its type.

use super::keys::{STEP, STEP_TYPES};
use super::section::{Context, Section};
use super::{ends, from};
use crate::isolation::{Options, memory};
use crate::sandbox::Mode;
use crate::spec::{
    BlockSpec, JqSpec, LogSpec, LookupSpec, ModelSpec, NoMatch, Port, Records, SampleSpec, Several,
    StepSpec, ValidateSpec,
};
use crate::step::emit::Emit;
use crate::toml_text::{Wrong, list, meant, on_a_line, wrong};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// `[steps.NAME]`.
pub(super) fn step<'a>(
    context: &'a Context<'a>,
    (key, byte): (&str, usize),
    table: &'a DeTable<'a>,
) -> Result<(Vec<Port>, StepSpec), Wrong> {
    let names = || STEP_TYPES.iter().map(|it| it.name);
    let Some(value) = table.get("type") else {
        let hint = format!("type = \"…\", one of {}", list(names()));
        return Err(wrong(byte, format!("`{key}` has no key `type`"), Some(hint)));
    };
    let name = value.get_ref().as_str().unwrap_or_default();
    let Some(known) = STEP_TYPES.iter().find(|known| known.name == name) else {
        let message = match name {
            "" => format!("key `{key}.type`: a type of step is wanted"),
            name => format!("key `{key}.type`: there is no type `{}`", on_a_line(name)),
        };
        return Err(wrong(value.span().start, message, Some(meant(name, names()))));
    };
    let section = Section::open(context, (key, byte), table, vec![&[STEP], known.keys])?;
    let what = match name {
        "model" => StepSpec::Model(model(&section)?),
        "jq" => StepSpec::Jq(jq(&section, "program")?),
        "block" => StepSpec::Block(block(&section)?),
        "log" => StepSpec::Log(log(&section)?),
        "limit" => StepSpec::Limit(count(&section)?),
        "skip" => StepSpec::Skip(count(&section)?),
        "sample" => StepSpec::Sample(sample(&section)?),
        "validate" => StepSpec::Validate(ValidateSpec {
            schema: section.path("schema")?.ok_or_else(|| section.missing("schema"))?,
        }),
        "lookup" => StepSpec::Lookup(lookup(&section)?),
        "join" => StepSpec::Join,
        "place" => StepSpec::Place,
        other => unreachable!("`{other}` is a type, and nothing reads it"),
    };
    Ok((from(&section)?, what))
}

fn model(section: &Section<'_>) -> Result<ModelSpec, Wrong> {
    let plugin = section.path("plugin")?;
    let plugin_dir = section.path("plugin_dir")?;
    if plugin.is_some() && plugin_dir.is_some() {
        let hint = Some("leave one of them out".to_owned());
        return Err(section.wrong("plugin_dir", "there can't be `plugin` too", hint));
    }
    if plugin.is_none() && plugin_dir.is_none() && !section.has("model") {
        return Err(section.missing("plugin"));
    }
    Ok(ModelSpec {
        plugin,
        plugin_dir,
        model: section.parsed("model", |text| {
            // Its own words quote the name.
            text.parse().map_err(|_| "NAME, NAME@0 or NAME@0.1 is wanted".to_owned())
        })?,
        config: config(section)?,
        config_file: section.path("config_file")?,
        emit: emit(section)?,
        validates_output: section.flag("validate_output")?.unwrap_or(false),
        threads: section.whole("threads")?.map(|threads| threads as u16),
        isolation: isolation(section)?,
    })
}

/// The keys that mean nothing without `isolate`.
const OF_ISOLATE: [&str; 6] =
    ["workers", "max_memory", "timeout", "max_crashes", "sandbox", "allow_read"];

fn isolation(section: &Section<'_>) -> Result<Option<Options>, Wrong> {
    if !section.flag("isolate")?.unwrap_or(false) {
        return match OF_ISOLATE.into_iter().find(|key| section.has(key)) {
            None => Ok(None),
            Some(key) => {
                let hint = Some("isolate = true, or leave it out".to_owned());
                Err(section.wrong(key, "it goes with `isolate` only", hint))
            }
        };
    }
    let usual = Options::default();
    let seconds = section.number("timeout")?.map(Duration::from_secs_f64);
    Ok(Some(Options {
        workers: section.whole("workers")?.map(|workers| workers as u16),
        memory_bytes_max: section.parsed("max_memory", memory)?,
        timeout: Options::timeout(seconds),
        crashes_max: section.whole("max_crashes")?.unwrap_or(usual.crashes_max),
        sandbox: match section.text("sandbox")?.map(|text| text.value).as_deref() {
            Some("off") => Mode::Off,
            Some("require") => Mode::Require,
            _ => Mode::On,
        },
        may_read: section.paths("allow_read")?,
    }))
}

/// A model's config, as JSON.
fn config(section: &Section<'_>) -> Result<String, Wrong> {
    if section.has("config") && section.has("config_file") {
        let hint = Some("leave one of them out".to_owned());
        return Err(section.wrong("config_file", "there can't be `config` too", hint));
    }
    let (key, text) = match (section.get("config"), section.content("config_file")?) {
        (Some(DeValue::Table(_)), _) => {
            return Ok(Value::Object(section.object("config")?).to_string());
        }
        (Some(_), _) => ("config", section.needed("config")?),
        (None, Some(text)) => ("config_file", text),
        (None, None) => return Ok("{}".to_owned()),
    };
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let hint = Some("config = { threshold = 5 }, or '{\"threshold\": 5}'".to_owned());
            Err(section.wrong(key, format!("it is not JSON: {error}"), hint))
        }
    }
}

/// What is written, of a model or of a block.
fn emit(section: &Section<'_>) -> Result<Emit, Wrong> {
    let keep = section.names("keep")?;
    let mode = section.text("emit")?.map(|text| text.value);
    Ok(match mode.as_deref() {
        Some("merge") | Some("nest") if !keep.is_empty() => {
            let hint = Some("all of the record is there: leave one of them out".to_owned());
            return Err(section.wrong("keep", "it does not go with such an `emit`", hint));
        }
        Some("merge") => Emit::Merge,
        Some("nest") => Emit::Nest,
        _ if keep.is_empty() => Emit::Prediction,
        _ => Emit::Keep(keep),
    })
}

/// A program that stands for this key, or is in a file.
fn jq(section: &Section<'_>, key: &str) -> Result<JqSpec, Wrong> {
    let program = match (section.plain(key), section.content("file")?) {
        (Some(program), None) => program.to_owned(),
        (None, Some(program)) => program,
        (Some(_), Some(_)) => {
            let message = format!("there can't be `{key}` too");
            return Err(section.wrong("file", message, Some("leave one of them out".to_owned())));
        }
        (None, None) => return Err(section.missing(key)),
    };
    let written = section.get("params").and_then(DeValue::as_table);
    let (params, given) = section.context.params.with(section.object("params")?, written);
    Ok(JqSpec { program, file: section.path("file")?, params, given })
}

fn block(section: &Section<'_>) -> Result<BlockSpec, Wrong> {
    let when = jq(section, "when")?;
    Ok(BlockSpec { when, reason: section.needed("reason")?, emit: emit(section)? })
}

fn log(section: &Section<'_>) -> Result<LogSpec, Wrong> {
    Ok(LogSpec {
        id: section.text("id")?.map(|text| text.value),
        sample: section.below("sample")?.map(|below| sample(&below)).transpose()?,
        trace: section.flag("trace")?.unwrap_or(false),
    })
}

fn count(section: &Section<'_>) -> Result<u64, Wrong> {
    section.whole("count")?.ok_or_else(|| section.missing("count"))
}

fn sample(section: &Section<'_>) -> Result<SampleSpec, Wrong> {
    Ok(SampleSpec {
        share: section.number("share")?.ok_or_else(|| section.missing("share"))?,
        seed: section.whole("seed")?.unwrap_or(0),
    })
}

fn lookup(section: &Section<'_>) -> Result<LookupSpec, Wrong> {
    let mut table = ends::reading(section)?;
    let path = section.location("path")?.ok_or_else(|| section.missing("path"))?;
    table.records = Records::Inputs(vec![path]);
    table.relative = ends::relative(section, &table.records)?;
    let on = section.needed("on")?;
    let told = |key| section.text(key).map(|text| text.map(|text| text.value));
    Ok(LookupSpec {
        table,
        key: told("key")?.unwrap_or_else(|| on.clone()),
        on,
        into: told("into")?,
        columns: section.names("columns")?,
        missing: match told("missing")?.as_deref() {
            Some("null") => NoMatch::Null,
            _ => NoMatch::Reject,
        },
        several: match told("several")?.as_deref() {
            Some("null") => Several::Null,
            Some("first") => Several::First,
            _ => Several::Reject,
        },
    })
}
