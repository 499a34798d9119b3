//! The border: the iris model asked through its shared library, as a run asks it, and the same
//! model linked into this program, called by hand. The difference is what the plugin costs.
//!
//! Both parse each record into a type, with the same parser, and write predictions as JSON. The border also checks that a
//! record is an object, stops panics, and is checked in turn.

use crate::data::{flowers, spans};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use etl_host::plugin::runner::{Ask, ask};
use etl_host::plugin::{LoadedModel, Plugin};
use etl_host_benches::by_hand;
use iris_model::{Flower, IrisModel};
use model_abi::{LoadContext, MLModel, NoConfig};
use model_abi_layout::{Answer, Span};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// One: what a call costs. 256: what a record costs, where a call's share is nothing.
const RECORDS: [usize; 2] = [1, 256];

static LINES: LazyLock<String> = LazyLock::new(|| flowers(64 * 1024));

/// Loaded once, for libraries are never unloaded.
static PLUGIN: LazyLock<LoadedModel> = LazyLock::new(|| {
    let model = Plugin::open(&library()).and_then(|plugin| plugin.load(None, "{}", 1));
    model.unwrap_or_else(|error| panic!("`make build` builds the plugin: {error}"))
});

/// As the release build makes it, whatever this program was built for.
pub(crate) fn library() -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("benches/ lies in the root");
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into());
    root.join(target).join("release").join(format!("{DLL_PREFIX}iris_model{DLL_SUFFIX}"))
}

/// The first so many lines.
fn first(records: usize) -> Vec<Span> {
    spans(&LINES).take(records).collect()
}

#[divan::bench(args = RECORDS, sample_size = 50)]
fn plugin(bencher: Bencher<'_, '_>, records: usize) {
    let spans = first(records);
    let mut answer = Answer::default();
    LazyLock::force(&PLUGIN);
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        let bytes = LINES.as_bytes();
        let (bytes, output_bytes_max) = (black_box(bytes), u64::MAX);
        let question =
            Ask { bytes, records: &spans, output_bytes_max, trace: false, is_search: false };
        let answers = ask(&*PLUGIN, question, &mut answer).expect("the model answers");
        assert_eq!(answers.len(), records);
        answers.iter().for_each(|answer| _ = black_box(answer));
    });
}

#[divan::bench(args = RECORDS, sample_size = 50)]
fn linked_in(bencher: Bencher<'_, '_>, records: usize) {
    let lines: Vec<&str> = LINES.lines().take(records).collect();
    let model = IrisModel::load(NoConfig {}, &LoadContext::new("/", 1)).expect("it loads");
    let (mut flowers, mut output) = (Vec::new(), Vec::new());
    bencher.counter(ItemsCount::new(records)).bench_local(|| {
        flowers.clear();
        output.clear();
        flowers.extend(black_box(&lines).iter().map(|line| parse(line)));
        let predictions = model.predict_batch(&flowers).expect("it has a batch form");
        for prediction in predictions {
            let prediction = prediction.expect("the flowers are good");
            serde_json::to_writer(&mut output, &prediction).expect("it can be written");
            output.push(b'\n');
        }
        black_box(output.len())
    });
}

/// A part of the above: what a parse takes into the model's type.
#[divan::bench(args = RECORDS, sample_size = 50)]
fn typed_parse(bencher: Bencher<'_, '_>, records: usize) {
    let lines: Vec<&str> = LINES.lines().take(records).collect();
    bencher
        .counter(ItemsCount::new(records))
        .bench_local(|| black_box(&lines).iter().for_each(|line| _ = black_box(parse(line))));
}

fn parse(line: &str) -> Flower {
    by_hand::parse(line, true).expect("it is a flower")
}
