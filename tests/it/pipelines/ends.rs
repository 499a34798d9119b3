//! How pipelines end: at a limit, with all outputs in their place or none, at a pipe that is closed; and
//! that stdout has records and nothing else.

use super::{count, folder, host, node, summary};
use crate::main_job::{BAD, SETOSA, VIRGINICA, mkfifo, predictions, rejects};
use crate::streams::{DEADLINE, Live, eventually};
use etl_host_tests::faults::{Operation, run_with_fault, unflushed};
use etl_host_tests::{Folder, Ran, Run};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::thread;
use std::time::Instant;

const SIGKILL: i32 = 9;

/// The first thousand predictions.
const LIMITED: &str = r#"
[sources.flowers]
path = "${input:-in.json}"

[steps.score]
type = "model"
from = "flowers"
plugin = "${PLUGINS}/libiris_model.so"

[steps.first]
type = "limit"
from = "score"
count = 1000

[sinks.out]
from = "first"
path = "out.json"
"#;

/// A run whose input never ends. It has to.
fn endless(words: &str) -> (Folder, Ran) {
    let folder = folder(LIMITED);
    let fifo = folder.path().join("in.json");
    mkfifo(&fifo);
    let writer = thread::spawn(move || {
        let lines = format!("{SETOSA}\n{BAD}\n{VIRGINICA}\n").repeat(100);
        let mut fifo = File::options().write(true).open(fifo).unwrap();
        while fifo.write_all(lines.as_bytes()).is_ok() {}
    });
    let began = Instant::now();
    let ran = host(&folder, "run", &format!("--summary s.json {words}")).run();
    writer.join().unwrap();
    assert!(began.elapsed() < DEADLINE, "it ended, and late");
    (folder, ran)
}

#[test]
fn a_limit_ends_the_reading_of_an_input_that_never_ends() {
    let mut first = None;
    for threads in [1, 2, 8] {
        let (folder, ran) = endless(&format!("--threads {threads}"));
        ran.exits(1).writes("");
        let summary = summary(&folder);
        // One in three is bad: of what was read behind the last that was wanted, nothing is told.
        assert_eq!(count(&summary["counts"], "read"), 1500, "{summary:#}");
        assert_eq!(count(node(&summary, "first"), "out"), 1000);
        assert_eq!(count(node(&summary, "first"), "filtered"), 0);
        let whole = (folder.text("out.json"), folder.text("out.json.rejects.ldjson"));
        assert_eq!((whole.0.lines().count(), whole.1.lines().count()), (1000, 500));
        assert!(*first.get_or_insert_with(|| whole.clone()) == whole, "{threads} threads");
    }
}

#[test]
fn a_limit_on_one_branch_does_not_end_the_other() {
    let both = "\n[sinks.all]\nfrom = \"score\"\npath = \"all.json\"\n";
    let folder = folder(&format!("{LIMITED}{both}"));
    folder.write("in.json", format!("{SETOSA}\n").repeat(20_000));
    host(&folder, "run", "--summary s.json").run().exits(0);
    let summary = summary(&folder);
    let first = node(&summary, "first");
    assert_eq!((count(first, "out"), count(first, "filtered")), (1000, 19_000));
    let lines = |name| folder.text(name).lines().count();
    assert_eq!((lines("out.json"), lines("all.json")), (1000, 20_000));
}

/// Three outputs, one of them a log, one of what was held back, and rejects.
const SEVERAL: &str = r#"
[sources.flowers]
path = "in.json"

[steps.allowed]
type = "block"
from = "flowers"
when = '.country == "FR"'
reason = "no predictions there"

[steps.score]
type = "model"
from = "allowed"
plugin = "${PLUGINS}/libiris_model.so"

[steps.audit]
type = "log"
from = "score"

[sinks.held]
from = "allowed.blocked"
path = "held.json"

[sinks.out]
from = "score"
path = "out.json"

[sinks.log]
from = "audit"
path = "log.json.gz"
"#;

/// In the order in which they get their names.
const OUTPUTS: [&str; 4] = ["out.json.rejects.ldjson", "log.json.gz", "held.json", "out.json"];

fn several(has_old: bool) -> Folder {
    let folder = folder(SEVERAL);
    let held = SETOSA.replace('{', "{\"country\": \"FR\", ");
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n{held}\n{VIRGINICA}\n").repeat(10));
    for name in OUTPUTS.iter().filter(|_| has_old) {
        folder.write(name, "old");
    }
    folder
}

fn run<'a>(folder: &'a Folder, words: &str) -> Run<'a> {
    let words = format!("--run-time 2026-11-27T01:30:00Z --threads 1 {words}");
    host(folder, "run", &words)
}

type Outputs = [Option<Vec<u8>>; 4];

fn outputs(folder: &Folder) -> Outputs {
    OUTPUTS.map(|name| folder.read(name))
}

fn whole(words: &str) -> Outputs {
    let folder = several(false);
    run(&folder, words).run().exits(1);
    let whole = outputs(&folder);
    assert!(whole.iter().all(|output| output.as_ref().is_some_and(|text| !text.is_empty())));
    whole
}

/// Does this to each operation on a file in turn. Whatever it is, the outputs get their names in their
/// order, each whole, and none before all are written: so those that are new are the first of them.
#[track_caller]
fn for_each_operation(deed: &str, check: impl Fn(Ran, &[Operation], usize)) {
    let whole = whole("");
    for has_old in [false, true] {
        let before = has_old.then(|| b"old".to_vec());
        for number in 1.. {
            let folder = several(has_old);
            let (ran, operations) = run_with_fault(run(&folder, ""), number, deed);
            let Some(operation) = operations.get(number - 1) else {
                assert!(number > 20, "{operations:?}");
                break;
            };
            let now = outputs(&folder);
            let new = now.iter().zip(&whole).take_while(|(now, whole)| now == whole).count();
            let what = format!("{deed} at {number}, {operation:?}: {new} are new");
            assert!(now[new..].iter().all(|output| *output == before), "{what}");
            let is_renamed = operations[..number].iter().any(|it| it.name == "rename");
            assert!(new == 0 || is_renamed, "{what}");
            check(ran, &operations[..number], new);
            unflushed(run(&folder, "")).run().exits(1);
            assert!(outputs(&folder) == whole, "{what}");
            let mut names: Vec<&str> = [&OUTPUTS[..], &["in.json", "p.toml"]].concat();
            names.sort_unstable();
            assert_eq!(folder.names(), names, "{what}");
        }
    }
}

#[test]
fn several_outputs_are_published_together_or_none_whatever_fails() {
    for (deed, cause) in [
        ("eio", "Input/output error"),
        ("enospc", "No space left on device"),
        ("+enospc", "No space left on device"),
    ] {
        for_each_operation(deed, |ran, operations, new| {
            let last = operations.last().unwrap();
            if deed == "enospc" && ["truncate", "unlink"].contains(&&*last.name) {
                ran.exits(1); // which take no room
                return;
            }
            let ran =
                ran.exits(3).writes("").says("error: ").says(cause).says_nothing_of("panicked");
            if (1..OUTPUTS.len()).contains(&new) {
                ran.says(&format!("state: `{}`", OUTPUTS[0])).says(" this run's already; ");
            }
        });
    }
}

#[test]
fn several_outputs_are_published_in_their_order_whenever_a_run_is_killed() {
    for deed in ["kill", "kill-after", "torn"] {
        for_each_operation(deed, |ran, _, _| _ = ran.dies_of(SIGKILL));
    }
}

#[test]
fn several_outputs_are_all_published_after_any_kill_and_a_resume() {
    let resume = "--resume --checkpoint-seconds 0 --checkpoint-bytes 400";
    let whole = whole(resume);
    for deed in ["kill", "kill-after"] {
        for number in 1.. {
            let folder = several(false);
            let (ran, operations) = run_with_fault(run(&folder, resume), number, deed);
            if operations.len() < number {
                assert!(number > 40, "{operations:?}");
                break;
            }
            ran.dies_of(SIGKILL);
            unflushed(run(&folder, resume)).run().exits(1);
            assert!(outputs(&folder) == whole, "{deed} at {number}, {:?}", operations[number - 1]);
            assert_eq!(folder.names().len(), 6, "{:?}", folder.names());
        }
    }
}

#[test]
fn a_reader_of_stdout_that_has_seen_enough_ends_the_run_quietly() {
    let pipeline = LIMITED.replace("out.json", "-").replace("1000", "1_000_000_000");
    let folder = folder(&pipeline);
    let mut live = Live::start(&host(&folder, "run", "--set input=-"));
    live.write_for_ever(SETOSA);
    live.answer();
    live.close();
    let (code, said) = live.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
    assert_eq!(folder.names(), ["p.toml"]);
}

#[test]
fn a_reader_of_stdout_that_goes_away_does_not_pass_for_a_whole_file() {
    let pipeline = LIMITED.replace("out.json", "-").replace("1000", "1_000_000_000");
    let folder = folder(&format!("{pipeline}[sinks.all]\nfrom = \"score\"\npath = \"all.json\"\n"));
    folder.write("all.json", "old");
    let mut live = Live::start(&host(&folder, "run", "--set input=-"));
    live.write_for_ever(SETOSA);
    live.answer();
    live.close();
    let (code, said) = live.end();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("`all.json` is as it was"), "{said}");
    assert_eq!((folder.text("all.json"), folder.names().len()), ("old".to_owned(), 2));
}

#[test]
fn stdout_has_the_records_of_its_sink_and_nothing_else() {
    let pipeline = r#"
[sources.numbers]
path = "in.json"
[steps.acts]
type = "model"
from = "numbers"
plugin = "${PLUGINS}/libmisbehaving.so"
model = "acts"
config = { load = "print", end = "print" }
[sinks.out]
from = "acts"
path = "PATH"
[sinks.copy]
from = "acts"
path = "copy.json"
[[test]]
name = "what is printed is no record"
input.numbers = [{ n = 1, act = "print", text = "chatter" }, { n = 2, act = "refuse" }]
expect.out = [{ y = 1 }]
"#;
    let lines = "{\"n\": 1, \"act\": \"print\", \"text\": \"chatter\"}\n{\"n\": 2, \"act\": \"refuse\"}\nno JSON\n";
    for (path, written) in [("-", "{\"y\":1.0}\n"), ("out.json", "")] {
        let folder = folder(&pipeline.replace("PATH", path));
        folder.write("in.json", lines);
        let ran = host(&folder, "run", "").run().exits(1).writes(written);
        ran.says("chatter on stdout\n").says(" - acts in=3 out=1 err=2 [done]\n");
        assert_eq!(folder.text("copy.json"), "{\"y\":1.0}\n");
        // Nor in the results of the commands that write no records.
        for (command, code, said) in [
            ("test", 0, "test what is printed is no record ... ok\np.toml: 1 passed, 0 failed\n"),
            ("validate", 0, "p.toml: it can run: 1 source, 1 step, 2 sinks, 1 test\n"),
        ] {
            let ran = host(&folder, command, "").run().exits(code);
            let stdout = String::from_utf8_lossy(&ran.stdout).into_owned();
            assert!(stdout.ends_with(said) && !stdout.contains("chatter"), "{stdout}");
        }
    }
}

#[test]
fn rejects_go_to_stderr_where_the_last_output_is_stdout() {
    let folder = folder(&LIMITED.replace("out.json", "-"));
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n{VIRGINICA}\n"));
    let ran = host(&folder, "run", "").run().exits(1).writes(&predictions("setosa virginica"));
    let rejects = rejects(&ran.stderr);
    assert_eq!((rejects.len(), &rejects[0]["step"]), (1, &Value::from("score")));
}

#[test]
fn parameters_come_from_the_command_line_then_the_environment_then_the_file() {
    let pipeline = r#"
[params]
day = "of-the-file"
least = 2
[sources.numbers]
path = "in.json"
[steps.large]
type = "jq"
from = "numbers"
program = 'select(.n >= $params.least) | .day = $params.day'
[sinks.out]
from = "large"
path = "${day}-${hour:-noon}.json"
"#;
    let check = |set: &str, env: &[(&str, &str)], name: &str, written: &str| {
        let folder = folder(pipeline);
        folder.write("in.json", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
        let run =
            env.iter().fold(host(&folder, "run", set), |run, (name, value)| run.env(name, value));
        run.run().exits(0).writes("");
        let mut names = ["in.json", name, "p.toml"];
        names.sort_unstable();
        assert_eq!(folder.names(), names);
        let text = folder.text(name);
        let numbers: Vec<Value> =
            text.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
        let numbers: Vec<String> =
            numbers.iter().map(|it| format!("{}{}", it["n"], it["day"])).collect();
        assert_eq!(numbers.join(" "), written);
    };
    let file = "2\"of-the-file\" 3\"of-the-file\"";
    check("", &[], "of-the-file-noon.json", file);
    check("", &[("day", "mon"), ("hour", "8")], "mon-8.json", "2\"mon\" 3\"mon\"");
    check(
        "--set day=tue --set least=3",
        &[("day", "mon"), ("least", "1")],
        "tue-noon.json",
        "3\"tue\"",
    );
    check("--set hour=9", &[("hour", "8"), ("day", "")], "of-the-file-9.json", file);
}

/// What is asked for of a run and of a pipeline goes before what the file says.
#[test]
fn the_command_line_goes_before_the_file() {
    let run = "[run]\nmax_rejects = 0\nrejects = \"of-the-file.json\"\nthreads = 1\n";
    let folder = folder(&format!("{LIMITED}{run}"));
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n{BAD}\n"));
    host(&folder, "run", "").run().exits(6).says("stopped at the limit");
    assert_eq!(folder.names(), ["in.json", "p.toml"]);
    host(&folder, "run", "--max-rejects 1").run().exits(6);
    host(&folder, "run", "--max-rejects 2").run().exits(1);
    assert_eq!(rejects(folder.text("of-the-file.json")).len(), 2);
    host(&folder, "run", "--max-rejects 2 --rejects mine.json").run().exits(1);
    assert_eq!(rejects(folder.text("mine.json")).len(), 2);
    host(&folder, "run", "--max-rejects 2 --on-error fail").run().exits(6);
}

#[test]
fn a_signal_publishes_none_of_several_outputs() {
    let folder = several(true);
    fs::remove_file(folder.path().join("in.json")).unwrap();
    let fifo = folder.path().join("in.json");
    mkfifo(&fifo);
    let live = Live::start(&run(&folder, "--summary s.json"));
    let mut fifo = File::options().write(true).open(fifo).unwrap();
    fifo.write_all(format!("{SETOSA}\n{BAD}\n").as_bytes()).unwrap();
    eventually("the host writes", || {
        folder.read(".out.json.etl-host-part").is_some_and(|part| !part.is_empty())
    });
    live.signal("TERM");
    let (code, said) = live.end();
    assert_eq!(code, Some(143), "{said}");
    assert!(outputs(&folder).iter().all(|output| output.as_deref() == Some(b"old")), "{said}");
    assert_eq!(summary(&folder)["published"], false);
    let names = folder.names();
    assert!(!names.iter().any(|name| name.starts_with('.')), "{names:?}");
}
