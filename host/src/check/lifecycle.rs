//! The life of a model: loaded, unloaded, loaded again.

use super::bench::Bench;
use super::{Check, Needs, Verdict, fail, shorten};

pub(super) const CHECKS: &[Check] = &[Check {
    name: "loads",
    proves: "the model can be made ready with the config that the checks were given",
    fix: "without `--config` a model is given `{}`, so every key should have a default; weights \
          that lie beside the file must be there",
    needs: Needs::Description,
    of_plugin: false,
    run: loads,
}];

fn loads(bench: &Bench) -> Verdict {
    let (name, config) = (bench.model_name()?.as_bytes(), bench.config.as_bytes());
    let loaded = bench.probe()?.load(name, config, &bench.context(1));
    let report = shorten(&String::from_utf8_lossy(&loaded.report));
    match (loaded.status, loaded.model) {
        (0, Some(_)) => Ok(()),
        (0, None) => fail("it says that it is loaded, and gives no handle"),
        (status, _) => fail(format!("its load failed with status {status}: {report}")),
    }
}
