//! What takes long, is large or both: slow models, models with much to load, very long records. How
//! soon a run answers and ends then, and what it holds in memory.
//!
//! Times are bounds that a machine busy with other tests keeps too; how a slow pipe is answered
//! stands in `streams.rs`, what becomes of a model that never returns in `misbehaving.rs`.

use crate::main_job::{SETOSA, iris};
use crate::streams::Live;
use etl_host_tests::{Folder, Run, plugin};
use serde_json::json;
use std::ffi::OsStr;
use std::fs::File;
use std::time::{Duration, Instant};

/// A run that asks the model `acts` about `in.ldjson`, or about what comes on stdin.
fn acts<'a>(folder: &'a Folder, config: serde_json::Value, input: &str, threads: usize) -> Run<'a> {
    let plugin = plugin("misbehaving");
    let (threads, config) = (threads.to_string(), config.to_string());
    let words = ["--model", "acts", "-i", input, "--threads", &threads, "--config", &config];
    folder.host([OsStr::new("--plugin"), plugin.as_ref()].into_iter().chain(words.map(OsStr::new)))
}

/// So many records for `acts`, each as long as a flower.
fn numbers(records: u32) -> String {
    (0..records).map(|n| format!("{{\"n\": {n:<70}}}\n")).collect()
}

#[test]
fn a_large_model_is_loaded_once_whatever_the_threads() {
    const WEIGHTS_BYTES: u64 = 50_000_000;
    let folder = Folder::new();
    let weights = folder.path().join("model.weights");
    File::create(&weights).unwrap().set_len(WEIGHTS_BYTES).unwrap();
    let mut live = Live::start(&acts(&folder, json!({"weights": weights}), "-", 8));
    // Batches for all of the threads.
    live.write(&numbers(10_000));
    (0..10_000).for_each(|_| _ = live.answer());
    let peak = live.peak_kib() * 1024;
    assert_eq!(live.end().0, Some(0));
    assert_eq!(folder.text("model.loads"), "read\n");
    assert!((WEIGHTS_BYTES..2 * WEIGHTS_BYTES).contains(&peak), "{peak} bytes");
}

#[test]
fn a_slow_model_keeps_two_threads_busy_and_is_seen_to_get_on() {
    const RECORDS: u32 = 400;
    let folder = Folder::new();
    folder.write("in.ldjson", numbers(RECORDS));
    let began = Instant::now();
    let live = Live::start(&acts(&folder, json!({"sleep_ms": 10}), "in.ldjson", 2));
    let answered: Vec<Duration> = (0..RECORDS)
        .map(|_| {
            live.answer();
            began.elapsed()
        })
        .collect();
    assert_eq!(live.end().0, Some(0));
    // Two seconds where both threads work all the time, four where only one does.
    let (first, last) = (answered[0], answered[RECORDS as usize - 1]);
    assert!(last < Duration::from_millis(3500), "{last:?}");
    assert!(first < last * 3 / 4, "the first came after {first:?}, the last after {last:?}");
}

#[test]
fn a_slow_model_is_stopped_in_the_middle_of_a_batch() {
    let mut quickest = Duration::MAX;
    for _ in 0..3 {
        let folder = Folder::new();
        folder.write("in.ldjson", numbers(1_000));
        let live = Live::start(&acts(&folder, json!({"sleep_ms": 10}), "in.ldjson", 2));
        live.answer(); // so the next batch has begun, which takes a second, too
        let since = Instant::now();
        live.signal("INT");
        let (ended, said) = live.end();
        quickest = quickest.min(since.elapsed());
        assert_eq!(ended, Some(130), "{said}");
    }
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
}

/// A record over a batch's share runs alone: its bytes are there once as read, and once as what it
/// becomes where it is emitted; and the next is being read.
#[test]
fn ten_long_records_in_a_row_take_the_memory_of_a_few() {
    const LINE_MIB: u64 = 15;
    for (mode, lines_held) in [("prediction", 4), ("merge", 6)] {
        let folder = Folder::new();
        let text = "x".repeat(LINE_MIB as usize * 1024 * 1024 - 100);
        let line = SETOSA.replacen('{', &format!("{{\"text\": \"{text}\", "), 1) + "\n";
        let mut live = Live::start(&iris(&folder, &format!("-i - --threads 8 --emit {mode}")));
        for _ in 0..10 {
            live.write(&line);
        }
        (0..10).for_each(|_| _ = live.answer());
        let peak_mib = live.peak_kib() / 1024;
        assert_eq!(live.end().0, Some(0));
        assert!(peak_mib < lines_held * LINE_MIB, "{peak_mib} MiB with --emit {mode}");
    }
}
