//! Order: what a run costs beside reading, steps and writing. Batches go through the threads of a
//! whole run, with a source that copies, no step at all or one that takes its time, and a sink that
//! writes into the void.
//!
//! The time of a batch is what handing it from thread to thread costs; a batch of a real run takes
//! a worker a millisecond.

use crate::data::{BATCH_BYTES, fill, flowers};
use divan::Bencher;
use divan::counter::ItemsCount;
use etl_host::batch::Batch;
use etl_host::pipeline::graph::{self, Work};
use etl_host::pipeline::limits::Limits;
use etl_host::pipeline::{self, Pipeline};
use etl_host::sink::ldjson::Writer;
use etl_host::sink::publish::Output;
use etl_host::source::{Source, SourceError};
use etl_host::step::{Step, StepError};
use etl_host::stop::Stop;
use std::fs::File;
use std::hint::spin_loop;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BATCHES: usize = 1_000;

/// Gives the same batch again and again.
struct Copies {
    lines: Arc<str>,
    left: usize,
}

impl Source for Copies {
    fn name(&self) -> &'static str {
        "Copies"
    }

    fn read_batch(&mut self, batch: &mut Batch, _: usize, _: &Stop) -> Result<(), SourceError> {
        let left = self.left.checked_sub(1);
        fill(batch, if left.is_some() { &self.lines } else { "" });
        self.left = left.unwrap_or_default();
        Ok(())
    }
}

/// Works on every other batch for some time, so that batches overtake each other.
struct Uneven(Arc<str>, Duration);

impl Step for Uneven {
    fn name(&self) -> &Arc<str> {
        &self.0
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(Uneven(self.0.clone(), self.1))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        let began = Instant::now();
        while batch.sequence.is_multiple_of(2) && began.elapsed() < self.1 {
            spin_loop();
        }
        Ok(())
    }
}

/// One record a batch: nothing but the way from thread to thread.
#[divan::bench(args = [1, 2], sample_count = 20)]
fn batches_of_one_record(bencher: Bencher<'_, '_>, threads: usize) {
    run(bencher, &flowers(1), None, threads);
}

#[divan::bench(args = [1, 2], sample_count = 20)]
fn batches_of_256_kib(bencher: Bencher<'_, '_>, threads: usize) {
    run(bencher, &flowers(BATCH_BYTES), None, threads);
}

/// Every other batch takes 100 µs longer than its neighbours.
#[divan::bench(args = [1, 2], sample_count = 20)]
fn batches_that_overtake(bencher: Bencher<'_, '_>, threads: usize) {
    run(bencher, &flowers(1), Some(Duration::from_micros(100)), threads);
}

/// `threads` workers; items are batches.
fn run(bencher: Bencher<'_, '_>, lines: &str, takes: Option<Duration>, threads: usize) {
    let lines: Arc<str> = lines.into();
    let void =
        || Output::stream(File::options().write(true).open("/dev/null").expect("it is there"));
    let pipeline = || Pipeline {
        nodes: graph::line(
            [Work::Source(Box::new(Copies { lines: lines.clone(), left: BATCHES }))]
                .into_iter()
                .chain(takes.map(|takes| Work::Step(Box::new(Uneven("uneven".into(), takes)))))
                .chain([Work::Sink(Box::new(Writer::new(void())))]),
        ),
        rejects: void(),
        limits: Limits::default(),
        threads,
        stop: Stop::default(),
        checkpoints: None,
    };
    let records = (BATCHES * lines.lines().count()) as u64;
    bencher.counter(ItemsCount::new(BATCHES)).with_inputs(pipeline).bench_local_values(
        |pipeline| {
            let outcome = pipeline::run(pipeline, |_, _| ());
            assert_eq!(outcome.counts.written, records);
        },
    );
}
