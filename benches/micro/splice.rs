//! Splicing: what the model step does beside asking the model. Its answer is checked (is it JSON?)
//! and put together with the record, which is checked too where it goes on.
//!
//! The model costs nothing here: it gives every record the same answer.

use crate::data::{BATCH_BYTES, fill, flowers, orders};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use etl_host::batch::Batch;
use etl_host::plugin::runner::{Ask, Failure, Runner};
use etl_host::step::Step;
use etl_host::step::emit::Emit;
use etl_host::step::model::ModelStep;
use etl_host::stop::Stop;
use model_abi_layout::Answer;
use std::cell::RefCell;
use std::sync::Arc;

/// Answers like the iris model.
struct Always(&'static [u8]);

impl Runner for Always {
    fn call(&self, ask: &Ask<'_>, answer: &mut Answer) -> Result<u32, Failure> {
        answer.output.clear();
        for _ in ask.records {
            answer.output.extend_from_copy_slice(self.0);
            answer.output_ends.push(answer.output.len() as u32);
        }
        answer.answered = ask.records.len() as u64;
        Ok(0)
    }
}

const MODES: [&str; 4] = ["prediction", "keep", "merge", "nest"];

fn emit(mode: &str, kept: &str) -> Emit {
    match mode {
        "prediction" => Emit::Prediction,
        "keep" => Emit::Keep(vec![kept.to_owned()]),
        "merge" => Emit::Merge,
        "nest" => Emit::Nest,
        mode => unreachable!("no mode: {mode}"),
    }
}

#[divan::bench(args = MODES, sample_size = 1)]
fn flowers_of_90_bytes(bencher: Bencher<'_, '_>, mode: &str) {
    splice(bencher, &flowers(BATCH_BYTES), emit(mode, "id"));
}

#[divan::bench(args = MODES, sample_size = 1)]
fn orders_of_600_bytes(bencher: Bencher<'_, '_>, mode: &str) {
    splice(bencher, &orders(BATCH_BYTES), emit(mode, "order_id"));
}

/// One batch a sample: it is filled anew before each, untimed.
fn splice(bencher: Bencher<'_, '_>, lines: &str, emit: Emit) {
    let model = Arc::new(Always(br#"{"species":"virginica"}"#));
    let mut step = ModelStep::new("always", model, emit, None, Stop::default());
    let batch = RefCell::new(Batch::default());
    bencher
        .counter(BytesCount::of_str(lines))
        .counter(ItemsCount::new(lines.lines().count()))
        .with_inputs(|| fill(&mut batch.borrow_mut(), lines))
        .bench_local_values(|()| {
            let mut batch = batch.borrow_mut();
            step.apply(&mut batch).expect("the model answers");
            assert_eq!(batch.rejected(), 0);
        });
}
