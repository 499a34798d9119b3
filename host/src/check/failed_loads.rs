//! Loads that fail: they say so, they say why, and they leave nothing behind.

use super::bench::Bench;
use super::{Check, Finding, Needs, Verdict, fail, shorten};
use crate::plugin::probe::ProbeLoad;
use model_abi::LoadReport;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "no-such-model-is-an-error",
        proves: "a model is loaded by its own name and by no other",
        fix: "compare the whole name; a name that is not there gives `NO_SUCH_MODEL`",
        needs: Needs::Model,
        of_plugin: false,
        run: no_such_model_is_an_error,
    },
    Check {
        name: "failed-load-gives-no-handle",
        proves: "a load that fails leaves nothing that must be unloaded",
        fix: "set `handle` to null where the status is not 0",
        needs: Needs::Model,
        of_plugin: false,
        run: failed_load_gives_no_handle,
    },
    Check {
        name: "failed-loads-say-why",
        proves: "whoever can't load the model learns the reason",
        fix: "where the status is not 0, `report` is `{\"message\": \"why\"}`",
        needs: Needs::Model,
        of_plugin: false,
        run: failed_loads_say_why,
    },
];

const NOBODY: &[u8] = b"no-model-has-this-name";

/// Loads that ought to fail, with what is wrong with them.
fn failing_loads(bench: &Bench) -> Result<[(&'static str, ProbeLoad); 2], Finding> {
    let context = bench.context(1);
    Ok([
        ("of a model that there is not", bench.probe()?.load(NOBODY, b"{}", &context)),
        ("with a config that is no JSON", bench.load_with("{", &context)?),
    ])
}

fn no_such_model_is_an_error(bench: &Bench) -> Verdict {
    let own = bench.model_name()?;
    let longer = format!("{own}-");
    let models = &bench.looked()?.stamp.models;
    for name in [&b""[..], NOBODY, longer.as_bytes(), b"\xff"] {
        if models.iter().any(|model| model.qualified_name.as_bytes() == name) {
            continue;
        }
        let shown = String::from_utf8_lossy(name);
        bench.about(format!("a load of the model {shown:?}"));
        if bench.probe()?.load(name, bench.config.as_bytes(), &bench.context(1)).status == 0 {
            return fail(format!("the model {shown:?}, which there is not, is loaded"));
        }
    }
    Ok(())
}

fn failed_load_gives_no_handle(bench: &Bench) -> Verdict {
    for (what, load) in failing_loads(bench)? {
        if load.status != 0 && load.model.is_some() {
            let status = load.status;
            return fail(format!("a load {what} has status {status}, and gives a handle"));
        }
    }
    Ok(())
}

fn failed_loads_say_why(bench: &Bench) -> Verdict {
    for (what, load) in failing_loads(bench)? {
        let report = serde_json::from_slice::<LoadReport>(&load.report);
        let says_why = report.is_ok_and(|report| !report.message.trim().is_empty());
        if load.status != 0 && !says_why {
            let report = shorten(&String::from_utf8_lossy(&load.report));
            return fail(format!("a load {what} reports {report:?}, which holds no message"));
        }
    }
    Ok(())
}
