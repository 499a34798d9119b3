//! Worker processes: what goes through the memory that host and worker share, and what that costs. A
//! model that predicts the record itself, asked in this process and in a worker; and the iris model.
//!
//! A batch is asked about at once, as of a quick model.

use crate::border::library;
use crate::data::{BATCH_BYTES, flowers, orders, spans};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use etl_host::isolation::{Opened, Options, Workers};
use etl_host::plugin::runner::{Ask, Runner, ask};
use etl_host::plugin::{Image, Plugin};
use etl_host::stop::Stop;
use model_abi_layout::{Answer, Span};
use std::path::PathBuf;
use std::sync::Arc;

fn plugin(name: &str) -> PathBuf {
    let iris = library();
    let file = iris.file_name().expect("it is a file").to_string_lossy();
    iris.with_file_name(file.replace("iris_model", name))
}

fn isolated(name: &str, model: &str) -> Workers {
    let quiet = (None, Arc::new(|_: &str| ()) as etl_host::isolation::Tell);
    let image = Image::on_disk(plugin(name));
    let opened = Opened::open(&image, Options::default(), quiet, &Stop::default());
    let workers = opened.and_then(|opened| opened.load(model, "{}", 1));
    workers.unwrap_or_else(|error| panic!("`make build` builds the plugin: {error}"))
}

fn here(name: &str) -> impl Runner {
    let model = Plugin::open(&plugin(name)).and_then(|plugin| plugin.load(None, "{}", 1));
    model.unwrap_or_else(|error| panic!("`make build` builds the plugin: {error}"))
}

fn bench(bencher: Bencher<'_, '_>, runner: &dyn Runner, lines: &str) {
    let spans: Vec<Span> = spans(lines).collect();
    let mut answer = Answer::default();
    bencher.counter(BytesCount::of_str(lines)).bench_local(|| {
        let mut done = 0;
        while done < spans.len() {
            let bytes = black_box(lines.as_bytes());
            let records = &spans[done..];
            let (output_bytes_max, trace, is_search) = (1024 * 1024, false, false);
            let question = Ask { bytes, records, output_bytes_max, trace, is_search };
            done += ask(runner, question, &mut answer).expect("the model answers").len();
        }
    });
}

/// A plugin, its model, and what it is asked about.
type Case = (&'static str, &'static str, fn(usize) -> String);

const CASES: [(&str, Case); 3] = [
    ("echo of orders", ("lying", "lying", orders)),
    ("echo of flowers", ("lying", "lying", flowers)),
    ("iris", ("iris_model", "iris_model", flowers)),
];

fn case(name: &str) -> Case {
    let found = CASES.iter().find(|(other, _)| *other == name);
    found.expect("it is one of them").1
}

#[divan::bench(args = CASES.map(|(name, _)| name))]
fn in_this_process(bencher: Bencher<'_, '_>, name: &str) {
    let (plugin, _, lines) = case(name);
    bench(bencher, &here(plugin), &lines(BATCH_BYTES));
}

#[divan::bench(args = CASES.map(|(name, _)| name))]
fn in_a_worker(bencher: Bencher<'_, '_>, name: &str) {
    let (plugin, model, lines) = case(name);
    bench(bencher, &isolated(plugin, model), &lines(BATCH_BYTES));
}
