//! The conformance kit: what a good plugin does, as a table of checks.
//!
//! Each check of each model runs in a child process of its own, with a deadline, so a model that
//! crashes, hangs or eats all memory fails that one check. A check is a row: its name, what it
//! proves, how to fix what it found, and a function that asks the plugin through the border as it
//! is (`plugin/probe.rs`), where everything may be said that the border allows.
//!
//! Two habits keep a report short. A check blames what it is named for and passes over what another
//! one blames. And where nothing can be asked any more (the file is no plugin, the model does not
//! load), the one check that says so fails, and those behind it are not run: see `Needs`.
//!
//! To add a check: a row in its topic's file, and a fault of the same name in `plugins/faulty`,
//! which it, and only it, catches (`tests/it/check.rs`).

mod batches;
mod bench;
mod blocks;
mod conduct;
mod config;
mod describing;
mod examples;
mod failed_loads;
mod fields;
mod file;
mod fuzz;
mod generate;
mod generated;
mod lifecycle;
mod memory;
mod places;
mod repeating;
mod text;
mod trace;
mod values;

use crate::child::{self, End, Ended, Job};
use crate::plugin::judge::{self, Judged};
use crate::plugin::{Image, look};
use bench::Bench;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

/// The hidden command of the child; its arguments are a task as JSON, and the plugin's file, behind
/// what is lent to it (`--held`).
pub const COMMAND: &str = "__check";

/// One check.
#[derive(Debug)]
pub struct Check {
    /// To call it by: `batch-equals-one-by-one`.
    pub name: &'static str,
    /// What a plugin that passes it can be trusted with.
    pub proves: &'static str,
    /// What an author does about a failure.
    pub fix: &'static str,
    needs: Needs,
    /// Whether it is about the plugin as a whole; else it runs for each model.
    of_plugin: bool,
    run: fn(&Bench) -> Verdict,
}

/// What must be in order before a check makes sense. Each of these is a check too, its gate.
#[derive(Clone, Copy, Debug)]
enum Needs {
    Nothing,
    /// A file that looks like a plugin.
    File,
    /// One that the system has loaded.
    Library,
    /// One that has described itself.
    Description,
    /// A model that has been loaded with the config.
    Model,
    /// One that survives being asked about ordinary records.
    Answers,
}

impl Needs {
    fn gates(self) -> &'static [&'static str] {
        &["file-is-a-plugin", "opens", "describes-itself", "loads", "ordinary-records-are-answered"]
            [..self as usize]
    }
}

/// What came of a check.
pub type Verdict = Result<(), Finding>;

/// Why a check was not passed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Finding {
    /// What was found.
    Failed(String),
    /// Why there was nothing to find.
    NotRun(String),
}

/// All topics, in the order of a report.
const TOPICS: &[&[Check]] = &[
    file::CHECKS,
    describing::CHECKS,
    lifecycle::CHECKS,
    examples::CHECKS,
    generated::CHECKS,
    text::CHECKS,
    fuzz::CHECKS,
    fields::CHECKS,
    values::CHECKS,
    batches::CHECKS,
    repeating::CHECKS,
    lifecycle::AGAIN,
    failed_loads::CHECKS,
    config::CHECKS,
    trace::CHECKS,
    conduct::CHECKS,
    memory::CHECKS,
];

/// All checks, in the order of a report.
pub fn all() -> impl Iterator<Item = &'static Check> {
    TOPICS.iter().copied().flatten()
}

/// What to check, and how.
#[derive(Debug)]
pub struct Plan {
    /// The plugin.
    pub image: Image,
    /// Its models; `None` where the file does not say which there are.
    pub models: Vec<Option<String>>,
    /// The config that models are loaded with, a JSON text.
    pub config: String,
    /// Where all that is random begins: the same seed gives the same questions.
    pub seed: u64,
    /// The names of the checks to run; all where it is empty.
    pub only: Vec<String>,
    /// Each check is killed after this.
    pub deadline: Duration,
    /// No check may allocate more.
    pub memory_bytes_max: u64,
    /// So many run at once.
    pub at_once: usize,
}

/// The models of a plugin: those that its stamp names, or, where that names none, its description,
/// which a child asks for. None where it can't be asked.
pub fn models(image: &Image, deadline: Duration) -> Vec<String> {
    let Ok(looked) = look::look_at(image) else { return Vec::new() };
    let stamped = looked.stamp.models.into_iter().map(|model| model.qualified_name);
    let stamped: Vec<String> = stamped.collect();
    if !stamped.is_empty() {
        return stamped;
    }
    match judge::judge(image, deadline) {
        Ok(Judged::Sound(models)) => models.into_iter().map(|model| model.qualified_name).collect(),
        _ => Vec::new(),
    }
}

/// A check that is done.
#[derive(Debug)]
pub struct Checked {
    /// Which.
    pub check: &'static Check,
    /// Of which model; `None` where it is about the plugin as a whole.
    pub model: Option<String>,
    /// What came of it.
    pub verdict: Verdict,
}

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    check: String,
    model: Option<String>,
    config: String,
    seed: u64,
    deadline_ms: u64,
}

/// A line of what a child writes: what it is about to ask, in case it does not survive that, and
/// in the end what it found.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Asking(String),
    Verdict(Verdict),
}

/// One line of a report to be.
struct Row<'a> {
    check: &'static Check,
    model: Option<&'a str>,
    verdict: OnceLock<Verdict>,
}

/// Runs the checks: first the gates, one after the other, then all others, some at once. The
/// results are in the table's order, those of the plugin before those of its models.
pub fn run(plan: &Plan) -> Vec<Checked> {
    let is_asked =
        |check: &Check| plan.only.is_empty() || plan.only.iter().any(|n| n == check.name);
    let is_gate = |check: &Check| Needs::Answers.gates().contains(&check.name);
    let row = |check, model| Row { check, model, verdict: OnceLock::new() };
    let of_plugin = all().filter(|check| check.of_plugin).map(|check| row(check, None));
    let of_models = plan.models.iter().flat_map(|model| {
        all().filter(|check| !check.of_plugin).map(move |check| row(check, model.as_deref()))
    });
    let rows = of_plugin.chain(of_models);
    let rows: Vec<_> = rows.filter(|row| is_asked(row.check) || is_gate(row.check)).collect();

    let is_shut = |gate: &str, model: Option<&str>| {
        let mut before = rows.iter().filter(|row| row.model.is_none() || row.model == model);
        before.any(|row| row.check.name == gate && !matches!(row.verdict.get(), Some(Ok(()))))
    };
    let why_shut = |gate: &str, model: Option<&str>| {
        let shut = rows.iter().find(|row| row.check.name == gate && row.model == model);
        match shut.and_then(|row| row.verdict.get()) {
            Some(Err(Finding::NotRun(why))) => format!("`{gate}` could not be tried: {why}"),
            _ => format!("`{gate}` must pass first"),
        }
    };
    let judge = |row: &Row<'_>| {
        let shut = row.check.needs.gates().iter().find(|gate| is_shut(gate, row.model));
        let _ = row.verdict.set(match shut {
            Some(gate) => not_run(why_shut(gate, row.model)),
            None => run_one(plan, row),
        });
    };
    let (gates, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| is_gate(row.check));
    gates.into_iter().for_each(judge);
    child::side_by_side(&others, plan.at_once, |row| judge(row));
    let checked = rows.into_iter().filter_map(|Row { check, model, verdict }| {
        Some(Checked { check, model: model.map(str::to_owned), verdict: verdict.into_inner()? })
    });
    // A gate that nobody asked for is of interest where it is shut.
    checked.filter(|done| is_asked(done.check) || done.failed().is_some()).collect()
}

impl Checked {
    /// What was found, where it failed.
    pub fn failed(&self) -> Option<&str> {
        match &self.verdict {
            Err(Finding::Failed(found)) => Some(found),
            _ => None,
        }
    }
}

/// Runs one check in a child.
fn run_one(plan: &Plan, row: &Row<'_>) -> Verdict {
    let task = Task {
        check: row.check.name.to_owned(),
        model: row.model.map(str::to_owned),
        config: plan.config.clone(),
        seed: plan.seed,
        deadline_ms: plan.deadline.as_millis() as u64,
    };
    let task = serde_json::to_string(&task).expect("texts and numbers");
    let lent = match plan.image.lend() {
        Ok(lent) => lent,
        Err(error) => return fail(format!("it could not be lent to a process: {error}")),
    };
    let mut args: Vec<OsString> = vec![COMMAND.into()];
    args.extend(lent.iter().flat_map(|lent| ["--held".into(), lent.told().into()]));
    args.extend(["--".into(), task.into(), plan.image.path().into()]);
    let job = Job { args, deadline: plan.deadline, memory_bytes_max: plan.memory_bytes_max };
    match child::run(&job) {
        Ok(ended) => conclude(&ended),
        Err(error) => fail(format!("it could not be started: {error}")),
    }
}

/// What a child has said, where it lived to say it; else how it died, and of what.
fn conclude(Ended { end, result, last_words }: &Ended) -> Verdict {
    let last = result.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty());
    let last = last.and_then(|line| serde_json::from_slice(line).ok());
    let mut found = format!("it {end}");
    match last {
        Some(Told::Verdict(verdict)) if *end == End::Exited(0) => return verdict,
        Some(Told::Verdict(_)) => found += " after all was done",
        Some(Told::Asking(asked)) => found += &format!(" when asked about {asked}"),
        None => {}
    }
    if matches!(end, End::TimedOut(_)) {
        found += " (a model that needs so long is given it by --timeout SECONDS)";
    }
    if !last_words.is_empty() {
        let words: Vec<_> = last_words.lines().rev().take(3).collect();
        let words: Vec<_> = words.into_iter().rev().collect();
        found += &format!("; its last words: {}", shorten(&words.join(" / ")));
    }
    fail(found)
}

/// The child's side: runs the check of `task` and writes what it finds to `result`, which the
/// plugin must not know. Gives back the name of the check.
pub fn child(task: &str, image: Image, result: File) -> io::Result<&'static Check> {
    let task: Task = serde_json::from_str(task)?;
    let check = all().find(|check| check.name == task.check);
    let check = check.ok_or_else(|| io::Error::other("there is no such check"))?;
    let bench = Bench::new(image, task, result);
    let verdict = (check.run)(&bench);
    bench.tell(&Told::Verdict(verdict))?;
    Ok(check)
}

impl Check {
    /// Whether its child ends as a process should, destructors of the plugin included. All others
    /// end at once, so that what goes wrong there is blamed on one.
    pub fn ends_cleanly(&self) -> bool {
        self.name == "ends-cleanly"
    }
}

fn fail<T>(found: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::Failed(found.into()))
}

fn not_run<T>(why: impl Into<String>) -> Result<T, Finding> {
    Err(Finding::NotRun(why.into()))
}

/// A text for a message: on one line and not too long, with its end where it is cut.
fn shorten(text: &str) -> String {
    const HEAD_CHARS: usize = 160;
    const TAIL_CHARS: usize = 40;
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let chars = text.chars().count();
    if chars <= HEAD_CHARS + TAIL_CHARS {
        return text;
    }
    let head: String = text.chars().take(HEAD_CHARS).collect();
    let tail: String = text.chars().skip(chars - TAIL_CHARS).collect();
    format!("{head} […] {tail} ({} bytes)", text.len())
}
