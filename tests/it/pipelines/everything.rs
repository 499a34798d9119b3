//! A pipeline with every type of step, over many records of which one in a hundred is bad: all counts add
//! up, the outputs are the same for any number of threads, and after any kill and resume.
//!
//! `PIPELINE_RECORDS` says how many records, `SOAK_KILLS` and `SEED` how often it is killed and when; `make
//! soak` takes a million.

use super::{count, folder, host, node, summary};
use crate::compression::unpacked;
use crate::kills::number_from_environment;
use etl_host_benches::{Options, Size};
use etl_host_tests::kill::{Moment, Random, run_and_kill, run_and_measure};
use etl_host_tests::{Folder, Run};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::File;

const PIPELINE: &str = r#"
[params]
closed = 3

[sources.flowers]
path = "in.ldjson"

[sources.late]
path = "late.csv"
types = { id = "integer", sepal_length = "number", sepal_width = "number", petal_length = "number", petal_width = "number" }

[steps.later]
type = "skip"
from = ["flowers", "late"]
count = 100

[steps.sound]
type = "validate"
from = "later"
schema = "flower.schema.json"

[steps.sited]
type = "jq"
from = "sound"
program = '''
if .id % 50 == 7 then empty
elif .id % 997 == 5 then error("no site")
else .site = .id % 97 end
| ., (select(.id % 1000 == 1) | .again = true)
'''

[steps.located]
type = "lookup"
from = "sited"
path = "sites.csv"
on = "site"
into = "place"

[steps.allowed]
type = "block"
from = "located"
when = '.site == $params.closed'
reason = "the site is closed"
keep = ["id"]

[steps.champion]
type = "model"
from = "allowed"
plugin = "${PLUGINS}/libiris_model.so"
keep = ["id", "place"]

[steps.challenger]
type = "model"
from = "allowed"
plugin = "${PLUGINS}/liblinear_model.so"
threads = 1

[steps.audit]
type = "log"
from = "champion"
sample = { share = 0.25, seed = 1 }
trace = true

[steps.both]
type = "join"
from = ["champion", "challenger"]

[steps.some]
type = "sample"
from = "both"
share = 0.3

[steps.flat]
type = "jq"
from = "some"
program = 'if .champion | type == "array" then empty else {id: .champion.id, species: .champion.species, score: .challenger.score} end'

[steps.first]
type = "limit"
from = "both"
count = 50_000

[steps.placed]
type = "place"
from = "first"

[sinks.table]
from = "flat"
path = "table.tsv"
columns = ["id", "species", "score"]

[sinks.log]
from = "audit"
path = "log.ldjson.zst"

[sinks.out]
from = ["placed", "allowed.blocked"]
path = "out.ldjson.gz"

[run]
rejects = "rejects.ldjson"
"#;

const SCHEMA: &str =
    r#"{"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}"#;
const OUTPUTS: [&str; 4] = ["table.tsv", "log.ldjson.zst", "out.ldjson.gz", "rejects.ldjson"];
const INPUTS: [&str; 5] = ["flower.schema.json", "in.ldjson", "late.csv", "p.toml", "sites.csv"];
/// Records of the second source.
const LATE: u64 = 500;

/// The records, and what they come to.
struct Job {
    folder: Folder,
    records: u64,
    /// How many of the first source are bad.
    bad: u64,
}

type Outputs = [Option<Vec<u8>>; 4];

impl Job {
    fn new(records: u64) -> Self {
        let folder = folder(PIPELINE);
        let options =
            Options { bad_percent: 1.0, id: true, ..Options::new(Size::Records(records)) };
        let mut file = File::create(folder.path().join("in.ldjson")).unwrap();
        let bad = etl_host_benches::write(&options, &mut file, |_| Ok(())).unwrap().bad;
        folder.write("flower.schema.json", SCHEMA);
        // One site is not there, and one is there twice.
        let sites = (0..97).filter(|site| *site != 11).chain([12]);
        let rows: String = sites.map(|site| format!("{site},the place {site}\n")).collect();
        folder.write("sites.csv", format!("site,name\n{rows}"));
        let mut late = "id,sepal_length,sepal_width,petal_length,petal_width\n".to_owned();
        for id in records + 1..=records + LATE {
            let length = if id % 100 == 0 { "long" } else { "5.1" };
            let _ = writeln!(late, "{id},{length},3.5,1.4,0.2");
        }
        folder.write("late.csv", late);
        Job { folder, records: records + LATE, bad }
    }

    fn run(&self, words: &str) -> Run<'_> {
        host(
            &self.folder,
            "run",
            &format!("--summary s.json --run-time 2026-11-27T01:30:00Z {words}"),
        )
    }

    fn outputs(&self) -> Outputs {
        OUTPUTS.map(|name| self.folder.read(name))
    }

    fn forget(&self) {
        for name in self.folder.names().iter().filter(|name| !INPUTS.contains(&name.as_str())) {
            std::fs::remove_file(self.folder.path().join(name)).unwrap();
        }
    }

    fn text(&self, name: &str) -> String {
        let bytes = self.folder.read(name).unwrap_or_else(|| panic!("no {name}"));
        match name.rsplit_once('.').unwrap().1 {
            ending @ ("gz" | "zst") => unpacked(ending, &bytes),
            _ => String::from_utf8(bytes).unwrap(),
        }
    }

    /// What comes to a node is what those before it gave on, and what comes to a sink is in its output.
    #[track_caller]
    fn check(&self) {
        let summary = summary(&self.folder);
        let counts = &summary["counts"];
        assert_eq!(count(counts, "read"), self.records);
        assert_eq!(count(counts, "abandoned"), 0);
        let of = |name: &str, what: &str| count(node(&summary, name), what);
        for (name, from) in [
            ("later", &["flowers", "late"][..]),
            ("sound", &["later"]),
            ("sited", &["sound"]),
            ("located", &["sited"]),
            ("allowed", &["located"]),
            ("champion", &["allowed"]),
            ("challenger", &["allowed"]),
            ("some", &["both"]),
            ("flat", &["some"]),
            ("first", &["both"]),
            ("placed", &["first"]),
            ("table", &["flat"]),
            ("log", &["audit"]),
        ] {
            let given: u64 = from.iter().map(|from| of(from, "yielded")).sum();
            assert_eq!(of(name, "in"), given, "{name}: {summary:#}");
        }
        assert_eq!(of("out", "in"), of("placed", "yielded") + of("allowed", "blocked"));
        assert_eq!(of("later", "filtered"), 100);
        assert!(of("first", "out") <= 50_000);
        for what in ["filtered", "err", "yielded"] {
            assert!(of("sited", what) > 0, "{what}");
        }
        let lines = |name| self.text(name).lines().count() as u64;
        assert_eq!(lines("table.tsv"), of("table", "out") + 1);
        assert_eq!(lines("log.ldjson.zst"), of("log", "out"));
        assert_eq!(lines("out.ldjson.gz"), of("out", "out"));
        let nodes = summary["nodes"].as_array().unwrap();
        let errors: u64 = nodes.iter().map(|node| count(node, "err")).sum();
        assert_eq!(lines("rejects.ldjson"), errors);
        self.check_rejects(&summary);
        self.check_out();
    }

    /// Each record that is rejected is told of by the nodes that rejected it, in the order of the sources.
    #[track_caller]
    fn check_rejects(&self, summary: &Value) {
        let mut places = Vec::new();
        for line in self.text("rejects.ldjson").lines() {
            let reject: Value = serde_json::from_str(line).unwrap();
            let is_late = reject["source"] == "late.csv";
            assert!(is_late || reject["source"] == "in.ldjson", "{reject}");
            places.push((is_late, reject["line"].as_u64().unwrap()));
        }
        assert!(places.is_sorted());
        places.dedup();
        assert_eq!(places.len() as u64, count(&summary["counts"], "rejected"));
        // Nearly all that is bad is rejected; the first records are skipped, whatever they are.
        assert!(places.len() as u64 > self.bad * 9 / 10, "{} of {}", places.len(), self.bad);
    }

    /// Records are in the output in the order of the sources, those that were held back as well.
    #[track_caller]
    fn check_out(&self) {
        let (mut last, mut held_back) = (0, 0);
        for line in self.text("out.ldjson.gz").lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let (id, is_held_back) = match (&record["id"], &record["output"]["champion"]) {
                (id, _) if id.is_u64() => (id.as_u64(), true),
                (_, Value::Array(several)) => (several[0]["id"].as_u64(), false),
                (_, one) => (one["id"].as_u64(), false),
            };
            let id = id.unwrap_or_else(|| panic!("no id: {line}"));
            assert!(last <= id, "{line}");
            assert_eq!(is_held_back, id % 97 == 3, "{line}");
            (last, held_back) = (id, held_back + u64::from(is_held_back));
        }
        assert!(held_back > 0);
    }
}

#[test]
fn every_type_of_step_counts_what_it_does_and_the_number_of_threads_changes_nothing() {
    let job = Job::new(number_from_environment("PIPELINE_RECORDS", 100_000));
    let mut first = None;
    for threads in [1, 8, 2] {
        job.forget();
        job.run(&format!("--threads {threads}")).run().exits(1).writes("");
        if first.is_none() {
            job.check();
        }
        let summary = summary(&job.folder);
        let written = (job.outputs(), summary["counts"].clone(), summary["nodes"].clone());
        let first = first.get_or_insert_with(|| written.clone());
        assert!(*first == written, "with {threads} threads: {summary:#}");
    }
}

#[test]
fn every_type_of_step_goes_on_after_kills_to_the_same_bytes() {
    let job = Job::new(number_from_environment("PIPELINE_RECORDS", 30_000));
    let bytes = job.folder.read("in.ldjson").unwrap().len();
    let resume = format!("--resume --checkpoint-seconds 0 --checkpoint-bytes {}", bytes / 20);
    job.run(&resume).run().exits(1);
    job.check();
    let (whole, counts) = (job.outputs(), summary(&job.folder)["nodes"].clone());
    job.forget();
    let part = ".out.ldjson.gz.etl-host-part";
    let all = whole[2].as_ref().unwrap().len() as u64;
    let (ran, takes, ending) = run_and_measure(job.run(&resume), part, all);
    ran.exits(1);
    let kills = number_from_environment("SOAK_KILLS", 12);
    let random = &mut Random(number_from_environment("SEED", 1));
    let (mut killed, mut went_on) = (0, 0);
    while killed < kills {
        job.forget();
        loop {
            let run = job.run(&format!("{resume} --threads {}", 1 + random.below(3)));
            let moment = match random.below(4) {
                0 => Moment::Written {
                    name: part.to_owned(),
                    bytes: all,
                    later: random.up_to(ending),
                },
                _ => Moment::After(random.up_to(takes)),
            };
            let ran = if killed < kills { run_and_kill(run, &moment) } else { run.run() };
            went_on += u64::from(String::from_utf8_lossy(&ran.stderr).contains("resumed at "));
            for ((name, now), whole) in OUTPUTS.iter().zip(job.outputs()).zip(&whole) {
                assert!(now.is_none() || now == *whole, "{name}");
            }
            if ran.signal.is_none() {
                ran.exits(1);
                break;
            }
            killed += 1;
        }
        assert!(job.outputs() == whole);
        assert_eq!(summary(&job.folder)["nodes"], counts);
        let names = job.folder.names();
        assert!(!names.iter().any(|name| name.starts_with('.')), "{names:?}");
    }
    assert!(went_on > 0);
}
