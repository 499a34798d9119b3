//! What a plugin says of itself: the same in its stamp and its description, and fit to be used.

use super::bench::Bench;
use super::{Check, Needs, Verdict, fail, not_run, shorten};
use crate::schema;
use model_abi::stamp::StampedModel;
use serde_json::Value;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "stamp-equals-description",
        proves: "what `inspect --no-load` shows is what the plugin says once it is loaded",
        fix: "let `export_models!` write both; written by hand, they must name the same models in \
              the same order, with the same texts and versions",
        needs: Needs::Description,
        of_plugin: true,
        run: stamp_equals_description,
    },
    Check {
        name: "describes-itself-the-same-twice",
        proves: "a description does not depend on when it is asked for",
        fix: "take times, random numbers and hash maps out of `examples()` and the schemas",
        needs: Needs::Description,
        of_plugin: true,
        run: describes_itself_the_same_twice,
    },
    Check {
        name: "names-can-be-typed",
        proves: "the model's name can stand in a command line, a file name and a URL",
        fix: "`qualified_name` holds letters, digits, `_`, `-` and `.`, of which the first is \
              neither `-` nor `.`",
        needs: Needs::Description,
        of_plugin: false,
        run: names_can_be_typed,
    },
    Check {
        name: "says-what-it-is",
        proves: "people can tell what the model is for",
        fix: "give `ModelInfo` a `display_name` and a `description`",
        needs: Needs::Description,
        of_plugin: false,
        run: says_what_it_is,
    },
    Check {
        name: "schemas-are-valid",
        proves: "its schemas are JSON Schemas, so that values can be checked against them",
        fix: "derive `JsonSchema`; a schema written by hand must follow draft 2020-12",
        needs: Needs::Description,
        of_plugin: false,
        run: schemas_are_valid,
    },
    Check {
        name: "input-schema-names-fields",
        proves: "people and programs can learn what a record must hold",
        fix: "let `Input` be a struct with named fields that derives `JsonSchema`",
        needs: Needs::Description,
        of_plugin: false,
        run: input_schema_names_fields,
    },
    Check {
        name: "schema-defaults-fit",
        proves: "the defaults that its schemas give are values that its schemas allow",
        fix: "a default in `#[serde(default = …)]` must lie within the bounds of its field",
        needs: Needs::Description,
        of_plugin: false,
        run: schema_defaults_fit,
    },
    Check {
        name: "config-fits-its-schema",
        proves: "a config that loads is one that the config schema allows",
        fix: "without `--config` it is `{}`: give every key a default (`#[serde(default)]` on the \
              whole struct)",
        needs: Needs::Description,
        of_plugin: false,
        run: config_fits_its_schema,
    },
];

fn stamp_equals_description(bench: &Bench) -> Verdict {
    let stamp = &bench.looked()?.stamp;
    let description = bench.plugin_description()?;
    let mut same = vec![
        ("requires", stamp.requires.join(", "), description.requires.join(", ")),
        ("models", stamp.models.len().to_string(), description.models.len().to_string()),
    ];
    for (stamped, described) in stamp.models.iter().zip(description.models) {
        let version = format!("{}.{}", stamped.major_version, stamped.minor_version);
        let (StampedModel { qualified_name, display_name, description, files, .. }, model) =
            (stamped.clone(), described);
        same.push(("files", files.join(", "), model.files.join(", ")));
        same.push(("version", version, model.version()));
        same.push(("qualified_name", qualified_name, model.qualified_name));
        same.push(("display_name", display_name, model.display_name));
        same.push(("description", description, model.description));
    }
    match same.into_iter().find(|(_, stamped, described)| stamped != described) {
        Some((what, stamped, described)) => {
            fail(format!("{what}: the stamp says {stamped:?}, the description {described:?}"))
        }
        None => Ok(()),
    }
}

fn describes_itself_the_same_twice(bench: &Bench) -> Verdict {
    let probe = bench.probe()?;
    let [first, second] = [probe.describe(), probe.describe()];
    if first == second {
        return Ok(());
    }
    let at = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
    let [first, second] = [first, second].map(|document| {
        let from = at.saturating_sub(20).min(document.len());
        String::from_utf8_lossy(&document[from..document.len().min(at + 40)]).into_owned()
    });
    fail(format!("from byte {at} on the second differs: …{first}… and …{second}…"))
}

fn names_can_be_typed(bench: &Bench) -> Verdict {
    let name = bench.model_name()?;
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.starts_with(['-', '.']) {
        return fail(format!("{name:?} begins with `-` or `.`"));
    }
    match name.chars().find(|&c| !is_letter(c)) {
        Some(c) => fail(format!("{name:?} holds {c:?}")),
        None => Ok(()),
    }
}

fn says_what_it_is(bench: &Bench) -> Verdict {
    let model = bench.description()?;
    for (name, text) in [("display_name", &model.display_name), ("description", &model.description)]
    {
        if text.trim().is_empty() {
            return fail(format!("its {name} is empty"));
        }
    }
    Ok(())
}

/// The model's schemas, by the names that people know them by.
fn schemas(bench: &Bench) -> Result<[(&'static str, &Value); 3], super::Finding> {
    let model = bench.description()?;
    Ok([
        ("input schema", &model.input_schema),
        ("output schema", &model.output_schema),
        ("config schema", &model.config_schema),
    ])
}

fn schemas_are_valid(bench: &Bench) -> Verdict {
    for (which, schema) in schemas(bench)? {
        if let Err(error) = jsonschema::validator_for(schema) {
            return fail(format!("the {which} is not a JSON Schema: {error}"));
        }
    }
    Ok(())
}

fn input_schema_names_fields(bench: &Bench) -> Verdict {
    let schema = &bench.description()?.input_schema;
    let alternatives = schema::alternatives(schema, schema);
    let has_fields = |one: &&Value| schema::fields(schema, one).next().is_some();
    if has_fields(&schema) || alternatives.iter().any(has_fields) {
        return Ok(());
    }
    fail(format!("the input schema names no field: {}", shorten(&schema.to_string())))
}

fn schema_defaults_fit(bench: &Bench) -> Verdict {
    for (which, schema) in schemas(bench)? {
        for field in schema::fields(schema, schema) {
            let own = &schema["properties"][field.name];
            let Some(default) = own.get("default").or_else(|| field.schema.get("default")) else {
                continue;
            };
            // Only this field, in a document of its own that still holds what it refers to.
            let mut alone = schema.clone();
            alone["required"] = Value::Array(Vec::new());
            let Ok(fits) = jsonschema::validator_for(&alone) else { continue };
            let object = serde_json::json!({ field.name: default });
            if let Err(error) = fits.validate(&object) {
                let name = field.name;
                return fail(format!("the {which} gives `{name}` the default {default}: {error}"));
            }
        }
    }
    Ok(())
}

fn config_fits_its_schema(bench: &Bench) -> Verdict {
    let fits = bench.validator(&bench.description()?.config_schema)?;
    let Ok(config) = serde_json::from_str(&bench.config) else {
        return not_run("the config is not JSON");
    };
    match fits.validate(&config) {
        Ok(()) => Ok(()),
        Err(error) => fail(format!("the config {}: {error}", shorten(&bench.config))),
    }
}
