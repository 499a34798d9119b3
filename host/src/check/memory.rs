//! Memory: a run over billions of records must end in what it began with.

use super::bench::Bench;
use super::{Check, Needs, Verdict, fail, not_run};
use model_abi_layout::Answer;
use std::fs;

pub(super) const CHECKS: &[Check] = &[Check {
    name: "memory-stays",
    proves: "predicting takes no more memory the longer a run lasts",
    fix: "look for what grows with each record: a log, a list of what was seen, a `Box::leak`. \
          (A cache that grows with each new record is not found here, and is as bad.)",
    needs: Needs::Answers,
    of_plugin: false,
    run: memory_stays,
}];

const RECORDS: usize = 100_000;
const BATCH_RECORDS: usize = 500;
const WARM_UPS: usize = 5;
/// What has been touched for the first time may go on growing a little (20 bytes a record).
const GROWTH_KIB_MAX: u64 = 2048;

/// The memory that this process holds, in KiB, as Linux tells it.
fn held_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn memory_stays(bench: &Bench) -> Verdict {
    let at_once = (bench.within(WARM_UPS * BATCH_RECORDS)? / WARM_UPS).max(1);
    let block = bench.known(20)?.repeated(at_once).block();
    let (model, mut answer) = (bench.model()?, Answer::default());
    let mut ask = || {
        let how = "asked about again and again";
        bench.ask_as(model, how, block.question(), &mut answer).map(|replies| replies.len())
    };
    for _ in 0..WARM_UPS {
        ask()?;
    }
    let Some(before) = held_kib() else { return not_run("this system does not tell it") };
    let mut records = 0;
    while records < RECORDS && !bench.is_half_time() {
        records += ask()?.max(1);
    }
    let growth = held_kib().unwrap_or(before).saturating_sub(before);
    if growth > GROWTH_KIB_MAX {
        return fail(format!("it holds {growth} KiB more after {records} records"));
    }
    Ok(())
}
