//! The life of a model: loaded, loaded next to itself, unloaded, loaded again.

use super::bench::{Bench, texts};
use super::blocks::{Block, Known};
use super::{Check, Finding, Needs, Verdict, fail, not_run, shorten};
use crate::plugin::probe::{ProbeLoad, ProbedModel};
use model_abi::LoadReport;
use model_abi_layout::Answer;
use serde_json::{Value, json};
use std::thread;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "loads",
        proves: "the model can be made ready with the config that the checks were given",
        fix: "mend the config given with `--config`; without it a model is given `{}`, so every key \
              should have a default. Weights that lie beside the file must be there",
        needs: Needs::Description,
        of_plugin: false,
        run: loads,
    },
    Check {
        name: "ordinary-records-are-answered",
        proves: "the model survives a batch of ordinary records, and gives an answer that is one",
        fix: "run it in a debugger on the records of the batch; for an answer that can't be used, \
              look at its lengths and ends",
        needs: Needs::Model,
        of_plugin: false,
        run: ordinary_records_are_answered,
    },
];

/// Those that need a model that loads.
pub(super) const AGAIN: &[Check] = &[
    Check {
        name: "load-reports-are-json",
        proves: "what a model reports of itself once it is loaded can be read",
        fix: "`report` is a JSON object: `{}`, `{\"fingerprint\": \"…\"}`",
        needs: Needs::Model,
        of_plugin: false,
        run: load_reports_are_json,
    },
    Check {
        name: "fingerprint-stays",
        proves: "two runs with the same weights can be told to be so",
        fix: "make the fingerprint of the weights' bytes alone, not of times, paths or addresses",
        needs: Needs::Model,
        of_plugin: false,
        run: fingerprint_stays,
    },
    Check {
        name: "context-may-grow",
        proves: "a newer host, which tells a model more of the place it is loaded in, can load it",
        fix: "ignore keys of the load context that you don't know",
        needs: Needs::Model,
        of_plugin: false,
        run: context_may_grow,
    },
    Check {
        name: "loads-in-any-folder",
        proves: "it does not matter in which folder a run is started",
        fix: "look for weights below `LoadContext::plugin_dir`, not below the current folder",
        needs: Needs::Answers,
        of_plugin: false,
        run: loads_in_any_folder,
    },
    Check {
        name: "loaded-at-once",
        proves: "one model can be loaded several times at once, each with a handle of its own",
        fix: "keep what a model needs in the model, not in statics of the plugin",
        needs: Needs::Answers,
        of_plugin: false,
        run: loaded_at_once,
    },
    Check {
        name: "loaded-again",
        proves: "a model that was unloaded can be loaded again",
        fix: "what `load` sets up once (a library's runtime, a pool) must outlive the model, or be \
              set up anew",
        needs: Needs::Answers,
        of_plugin: false,
        run: loaded_again,
    },
    Check {
        name: "one-unloaded-other-lives",
        proves: "the end of one model takes nothing from another",
        fix: "do not shut down in `drop` what other models of the process use too",
        needs: Needs::Answers,
        of_plugin: false,
        run: one_unloaded_other_lives,
    },
    Check {
        name: "unload-succeeds",
        proves: "a model's end goes without an error",
        fix: "look at what is dropped: a panic in `drop` is what fails here",
        needs: Needs::Answers,
        of_plugin: false,
        run: unload_succeeds,
    },
    Check {
        name: "unloaded-on-another-thread",
        proves: "a model may end on a thread that it was not loaded on",
        fix: "what belongs to one thread (a context of a library) must be made and ended on a thread \
              of the model's own",
        needs: Needs::Answers,
        of_plugin: false,
        run: unloaded_on_another_thread,
    },
    Check {
        name: "unknown-extensions-are-null",
        proves: "a newer host, which asks for what the plugin does not offer, goes without",
        fix: "return null for every name that you don't know, the empty one included",
        needs: Needs::Library,
        of_plugin: true,
        run: unknown_extensions_are_null,
    },
];

/// Loading.
impl Bench {
    /// Another one of the model, which must load as the first did.
    pub(super) fn load(&self, context: &[u8]) -> Result<ProbedModel, Finding> {
        let loaded = self.load_with(&self.config, context)?;
        match (loaded.status, loaded.model) {
            (0, Some(model)) => Ok(model),
            (status, _) => fail(format!("another load {}", failure(status, &loaded.report))),
        }
    }

    /// A load with any config.
    pub(super) fn load_with(
        &self,
        config: impl AsRef<[u8]>,
        context: &[u8],
    ) -> Result<ProbeLoad, Finding> {
        let config = config.as_ref();
        self.about(format!("a load with the config {}", shorten(&String::from_utf8_lossy(config))));
        Ok(self.probe()?.load(self.model_name()?.as_bytes(), config, context))
    }
}

fn loads(bench: &Bench) -> Verdict {
    let loaded = bench.load_with(&bench.config, &bench.context(1))?;
    match (loaded.status, loaded.model) {
        (0, Some(_)) => Ok(()),
        (0, None) => fail("it says that it is loaded, and gives no handle"),
        (status, _) => fail(format!("its load {}", failure(status, &loaded.report))),
    }
}

/// Why a load failed, in the model's words where it has some.
fn failure(status: u32, report: &[u8]) -> String {
    let LoadReport { path, message, .. } = serde_json::from_slice(report).unwrap_or_default();
    let place = if path.is_empty() { path } else { format!(", config key `{path}`") };
    let why = if message.is_empty() { format!("status {status}") } else { shorten(&message) };
    format!("fails{place}: {why}")
}

fn ordinary_records_are_answered(bench: &Bench) -> Verdict {
    bench.ask_all(&texts(&bench.ordinary(20)?))?;
    Ok(())
}

fn load_reports_are_json(bench: &Bench) -> Verdict {
    let report = bench.load_with(&bench.config, &bench.context(1))?.report;
    match serde_json::from_slice::<LoadReport>(&report) {
        Ok(_) => Ok(()),
        Err(error) => {
            fail(format!("it reports {}: {error}", shorten(&String::from_utf8_lossy(&report))))
        }
    }
}

fn fingerprint_stays(bench: &Bench) -> Verdict {
    let fingerprint = || {
        let report = bench.load_with(&bench.config, &bench.context(1))?.report;
        let report = serde_json::from_slice::<LoadReport>(&report);
        let fingerprint = report.ok().and_then(|report| report.fingerprint);
        fingerprint.map_or_else(|| not_run("it gives none"), Ok)
    };
    match (fingerprint()?, fingerprint()?) {
        (first, second) if first == second => Ok(()),
        (first, second) => fail(format!(
            "loaded once it is {}, loaded again {}",
            shorten(&first),
            shorten(&second)
        )),
    }
}

fn context_may_grow(bench: &Bench) -> Verdict {
    let Ok(mut context) = serde_json::from_slice::<Value>(&bench.context(1)) else {
        return not_run("the folder of the plugin has a name that is not UTF-8");
    };
    context["a-key-of-tomorrow"] = json!({"a": [1, null, "x"]});
    bench.load(context.to_string().as_bytes())?;
    Ok(())
}

fn loads_in_any_folder(bench: &Bench) -> Verdict {
    let (known, context) = (bench.known(8)?, bench.context(1)); // while the file can still be found
    if std::env::set_current_dir("/").is_err() {
        return not_run("the current folder can't be changed");
    }
    let model = bench.load(&context)?;
    known.again(bench, &model, "loaded in the folder `/`")
}

fn loaded_at_once(bench: &Bench) -> Verdict {
    let (known, first) = (bench.known(8)?, bench.model()?);
    let models = [bench.load(&bench.context(1))?, bench.load(&bench.context(1))?];
    if models[0].is_same(&models[1]) || models.iter().any(|model| model.is_same(first)) {
        return fail("two loads gave the same handle, so that it would be unloaded twice");
    }
    for model in &models {
        known.again(bench, model, "loaded three times at once")?;
    }
    Ok(())
}

/// A model of its own, and what it says to ordinary records. Not [`Bench::model`], which would live
/// on beside it.
fn alone(bench: &Bench) -> Result<(ProbedModel, Known), Finding> {
    let records = texts(&bench.ordinary(8)?);
    let model = bench.load(&bench.context(1))?;
    let block = Block::of(&records);
    let replies =
        bench.ask_as(&model, "ordinary ones", block.question(), &mut Answer::default())?;
    Ok((model, Known { records, replies }))
}

fn loaded_again(bench: &Bench) -> Verdict {
    let (model, known) = alone(bench)?;
    bench.about("its end");
    model.unload();
    for _ in 0..3 {
        let model = bench.load(&bench.context(1))?;
        known.again(bench, &model, "unloaded and loaded again")?;
        model.unload();
    }
    Ok(())
}

fn one_unloaded_other_lives(bench: &Bench) -> Verdict {
    let (model, known) = alone(bench)?;
    let other = bench.load(&bench.context(1))?;
    other.unload();
    known.again(bench, &model, "once another model was unloaded")
}

fn unload_succeeds(bench: &Bench) -> Verdict {
    let (model, _) = alone(bench)?;
    bench.about("its end");
    match model.unload() {
        0 => Ok(()),
        status => fail(format!("the end of the model has status {status}")),
    }
}

fn unloaded_on_another_thread(bench: &Bench) -> Verdict {
    if bench.load(&bench.context(1))?.unload() != 0 {
        return not_run("it does not end well on its own thread either");
    }
    let (model, _) = alone(bench)?;
    bench.about("its end, on another thread");
    match thread::spawn(|| model.unload()).join() {
        Ok(0) => Ok(()),
        Ok(status) => fail(format!("its end on another thread has status {status}")),
        Err(_) => fail("the thread that it ended on panicked"),
    }
}

fn unknown_extensions_are_null(bench: &Bench) -> Verdict {
    for name in [&b""[..], b"no-extension-has-this-name/1", b"/", b"\xff\0"] {
        let shown = String::from_utf8_lossy(name);
        bench.about(format!("the extension {shown:?}"));
        if bench.probe()?.offers(name) {
            return fail(format!("it offers the extension {shown:?}"));
        }
    }
    Ok(())
}
