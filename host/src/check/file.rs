//! The file: a plugin that can be looked at, opened and asked what it is. Three of these are gates.

use super::bench::Bench;
use super::{Check, Needs, Verdict, fail};
use crate::causes::chain;
use crate::plugin::{look, probe::Probe};
use model_abi::describe::PluginDescription;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "file-is-a-plugin",
        proves: "the file is a plugin for this machine and this host, as far as can be seen without \
                 loading it",
        fix: "build a crate with `crate-type = [\"cdylib\"]` and `export_models!`, on this machine \
              or for it; `etl-host inspect --no-load FILE` shows what was found",
        needs: Needs::Nothing,
        of_plugin: true,
        run: file_is_a_plugin,
    },
    Check {
        name: "stamp-names-its-build",
        proves: "whoever finds the file years later can tell which package, version and compiler \
                 made it",
        fix: "let `export_models!` write the stamp; one written by hand should give `crate`, \
              `version`, `compiler` and `target`",
        needs: Needs::File,
        of_plugin: true,
        run: stamp_names_its_build,
    },
    Check {
        name: "opens",
        proves: "the system can load the library, and what crosses the border is laid out as this \
                 host expects",
        fix: "build it against model-abi 1.x; a library that it needs must be on the system, and \
              its constructors must not crash",
        needs: Needs::File,
        of_plugin: true,
        run: opens,
    },
    Check {
        name: "describes-itself",
        proves: "a host can learn which models there are",
        fix: "`describe` must give a JSON document with at least one model, each with a name of its \
              own; panics in `examples()` end up here",
        needs: Needs::Library,
        of_plugin: true,
        run: describes_itself,
    },
];

fn file_is_a_plugin(bench: &Bench) -> Verdict {
    look::look_at(&bench.image).map(drop).or_else(|error| fail(chain(&error)))
}

fn stamp_names_its_build(bench: &Bench) -> Verdict {
    let stamp = &bench.looked()?.stamp;
    let said = [
        ("crate", &stamp.package),
        ("version", &stamp.version),
        ("compiler", &stamp.compiler),
        ("target", &stamp.target),
    ];
    match said.iter().find(|(_, text)| text.trim().is_empty()) {
        Some((key, _)) => fail(format!("the stamp says nothing under `{key}`")),
        None => Ok(()),
    }
}

fn opens(bench: &Bench) -> Verdict {
    let stamp = &bench.looked()?.stamp;
    Probe::open(&bench.image, stamp).map(drop).or_else(|error| fail(chain(&error)))
}

fn describes_itself(bench: &Bench) -> Verdict {
    let document = bench.probe()?.describe();
    let description: PluginDescription = serde_json::from_slice(&document)
        .or_else(|error| fail(format!("its description is not the JSON it should be: {error}")))?;
    if let Some(error) = description.error {
        return fail(error);
    }
    if let Some(unknown) = look::unknown_requirements(&description.requires).next() {
        return fail(format!("it requires `{unknown}`, which this host does not know"));
    }
    let names: Vec<&str> =
        description.models.iter().map(|model| model.qualified_name.as_str()).collect();
    if names.is_empty() {
        return fail("it describes no model");
    }
    if names.iter().any(|name| name.trim().is_empty()) {
        return fail("one of its models has no name");
    }
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        Some((_, name)) => fail(format!("two of its models are named `{name}`")),
        None => Ok(()),
    }
}
