//! `etl-host inspect FILE`: what a plugin is, first without running any of it, then in its own
//! words, which a child process asks for.

use super::trust::TrustArgs;
use super::{on_a_line, print, shown};
use crate::causes::chain;
use crate::error::{Error, exit};
use crate::plugin::judge::{Judged, judge};
use crate::plugin::look::{self, Looked, Refusal};
use crate::plugin::trust::Admitted;
use crate::plugin::{Image, PluginError};
use crate::schema;
use clap::Args;
use model_abi::describe::ModelDescription;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Say what a plugin is: without running any of it, then in its own words
///
/// The file is first read as data. Then, unless `--no-load`, a child process loads it and asks it
/// to describe its models; a plugin that crashes or hangs there costs a line of text.
///
/// Exit codes: 0 this host can use it, or, with `--no-load`, nothing is seen against it; 2 wrong
/// command line; 3 stdout can't be written; 4 it is refused: the reason stands in the output, or on
/// stderr where nothing can be read of the file.
#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// The plugin's file
    file: PathBuf,

    /// Run nothing of it: no constructor, no describe
    #[arg(long)]
    no_load: bool,

    #[command(flatten)]
    trust: TrustArgs,

    /// Write JSON, for programs
    #[arg(long)]
    json: bool,

    /// Give the plugin this many seconds to load and describe itself
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    timeout: Duration,
}

/// What is known of a file in the end.
struct Inspected {
    sha256: String,
    bytes: u64,
    looked: Looked,
    /// Who answers for it and for files of its models, by their names; where somebody was asked.
    trusted: Option<Vec<(String, String)>>,
    /// Why this host can't use it, and what to do.
    refused: Option<(String, Option<String>)>,
    /// What it says of itself, where it was asked and answered.
    models: Option<Vec<ModelDescription>>,
}

pub(super) fn inspect(args: &InspectArgs) -> Result<u8, Error> {
    let inspected = match look_and_ask(args) {
        // Programs are told in their language, whatever was found.
        Err(error @ Error::Plugin { .. }) if args.json => {
            let Error::Plugin { source, .. } = &error else { unreachable!("as matched") };
            let (reason, hint) = (chain(source), source.hint());
            let file = args.file.display().to_string();
            let told = json!({"file": file, "usable": false, "reason": reason, "hint": hint});
            print(&format!("{told:#}\n"))?;
            return Ok(exit::PLUGIN);
        }
        inspected => inspected?,
    };
    let text = if args.json {
        serde_json::to_string_pretty(&inspected.json(&args.file)).expect("keys are texts") + "\n"
    } else {
        shown(&inspected.text(&args.file))
    };
    print(&text)?;
    Ok(if inspected.refused.is_some() { exit::PLUGIN } else { exit::OK })
}

fn look_and_ask(args: &InspectArgs) -> Result<Inspected, Error> {
    let path = &args.file;
    let refused = |source: Refusal| Error::Plugin { path: path.clone(), source: source.into() };
    let unreadable = |source| Error::Input { path: path.clone(), source };
    let trust = args.trust.read()?;
    let (image, trusted, untrusted) = match trust.map(|trust| trust.admit(path)) {
        None => (Image::on_disk(path), None, None),
        // What can be seen of it without running it is of interest all the same.
        Some(Err(error)) => (Image::on_disk(path), Some(Vec::new()), Some(error)),
        Some(Ok(Admitted { image, by, files })) => {
            let files = files.into_iter().map(|(name, by)| (name, by.to_string()));
            let all = [(String::new(), by.to_string())].into_iter().chain(files);
            (image, Some(all.collect()), None)
        }
    };
    let looked = look::read(&image).map_err(refused)?;
    let seen = untrusted.or_else(|| looked.judge().err().map(PluginError::from));
    let mut inspected = Inspected {
        sha256: image.sha256().map_err(unreadable)?,
        bytes: image.bytes().map_err(unreadable)?,
        refused: seen.map(|refusal| (chain(&refusal), refusal.hint())),
        looked,
        trusted,
        models: None,
    };
    if inspected.refused.is_none() && !args.no_load {
        let judged = judge(&image, args.timeout).map_err(unreadable)?;
        inspected.refused = judged.reason().map(|reason| (reason, judged.hint()));
        if let Judged::Sound(models) = judged {
            inspected.models = Some(models);
        }
    }
    Ok(inspected)
}

impl Inspected {
    fn json(&self, path: &Path) -> Value {
        let Looked { stamp, format, system, machine, needed, glibc_newest } = &self.looked;
        let (reason, hint) = self.refused.clone().unzip();
        json!({
            "file": path.display().to_string(),
            "bytes": self.bytes,
            "sha256": self.sha256,
            "format": format,
            "system": system,
            "machine": {
                "architecture": machine.architecture,
                "bits": machine.bits,
                "big_endian": machine.big_endian,
            },
            "needed": needed,
            "glibc_newest": glibc_newest.map(|(major, minor)| format!("{major}.{minor}")),
            "stamp": stamp,
            // `null`: nobody was asked.
            "trusted": self.trusted.as_ref().map(|by| !by.is_empty()),
            "trusted_by": self.trusted.iter().flatten().next().map(|(_, by)| by),
            "files_trusted_by": self.trusted.iter().flatten().skip(1).cloned().collect::<BTreeMap<_, _>>(),
            // `null`: as far as is seen without loading it.
            "usable": if reason.is_some() || self.models.is_some() { Some(reason.is_none()) } else { None },
            "reason": reason,
            "hint": hint.flatten(),
            // `null`: it was not asked, or did not answer.
            "models": self.models,
        })
    }

    fn text(&self, path: &Path) -> String {
        let Looked { stamp, format, system, machine, needed, glibc_newest } = &self.looked;
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<12}{}", on_a_line(value));
        };
        line("file", &format!("{} ({} bytes)", path.display(), self.bytes));
        line("sha256", &self.sha256);
        line("format", &format!("{format}, {system}, {machine}"));
        line("needs", &if needed.is_empty() { "nothing".to_owned() } else { needed.join(", ") });
        if let Some((major, minor)) = glibc_newest {
            line("glibc", &format!("{major}.{minor} or newer"));
        }
        line("abi", &stamp.abi);
        if !stamp.requires.is_empty() {
            line("requires", &stamp.requires.join(", "));
        }
        line("crate", &format!("{} {}", stamp.package, stamp.version));
        line("compiler", &format!("{} for {}", stamp.compiler, stamp.target));
        match self.trusted.as_deref() {
            None => {}
            Some([]) => line("trusted by", "nobody"),
            Some([(_, by), files @ ..]) => {
                line("trusted by", by);
                files.iter().for_each(|(name, by)| line("", &format!("{name}: {by}")));
            }
        }
        match &self.refused {
            None if self.models.is_some() => line("state", "this host can use it"),
            None => line("state", "nothing is against it, as far as is seen without loading it"),
            Some((reason, _)) => line("state", &format!("refused: {reason}")),
        }
        if let Some((_, Some(hint))) = &self.refused {
            line("hint", hint);
        }
        match &self.models {
            Some(models) => models.iter().for_each(|model| describe(model, &mut text)),
            None => {
                for model in &stamp.models {
                    let version = format!("{}.{}", model.major_version, model.minor_version);
                    let names = [&model.qualified_name, &model.display_name, &model.description];
                    head(names, &version, &mut text);
                }
            }
        }
        text
    }
}

fn head([name, display_name, description]: [&String; 3], version: &str, text: &mut String) {
    let [name, display_name] = [name, display_name].map(|name| on_a_line(name));
    let _ = writeln!(text, "\nmodel `{name}` {version}: {display_name}");
    for line in description.lines() {
        let _ = writeln!(text, "  {line}");
    }
}

fn describe(model: &ModelDescription, text: &mut String) {
    let names = [&model.qualified_name, &model.display_name, &model.description];
    head(names, &model.version(), text);
    for (name, schema) in [
        ("input", &model.input_schema),
        ("output", &model.output_schema),
        ("config", &model.config_schema),
    ] {
        let fields: Vec<_> = schema::fields(schema, schema).collect();
        if fields.is_empty() {
            let _ = writeln!(text, "  {name}: {}", schema::words(schema, schema));
            continue;
        }
        let _ = writeln!(text, "  {name}:");
        let heads: Vec<String> = fields
            .iter()
            .map(|field| {
                let optional = if field.required { "" } else { ", optional" };
                format!(
                    "{}: {}{optional}",
                    on_a_line(field.name),
                    schema::words(schema, field.schema)
                )
            })
            .collect();
        let width = heads.iter().map(|head| head.chars().count()).max().unwrap_or_default();
        for (head, field) in heads.iter().zip(fields) {
            let about = on_a_line(&field.description.replace('\n', " "));
            let _ = writeln!(text, "{}", format!("    {head:<width$}  {about}").trim_end());
        }
    }
    if !model.examples.is_empty() {
        let _ = writeln!(text, "  examples:");
    }
    for example in &model.examples {
        let _ = writeln!(text, "    {} -> {}", example.input, example.output);
    }
}
