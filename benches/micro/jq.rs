//! The jq step, and the crate that it is made of by itself, called as its documentation does: each record
//! parsed, run, and what comes out printed.
//!
//! The step also checks that records are JSON, counts what a program takes, and stops panics; what it
//! spares is the printing of records that a program does not change.

use crate::data::{BATCH_BYTES, fill, flowers, orders};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use etl_host::batch::Batch;
use etl_host::spec::JqSpec;
use etl_host::step::Step;
use etl_host::step::jq::JqStep;
use jaq_core::data::JustLut;
use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Filter, Vars, unwrap_valr};
use jaq_json::{Val, read, write};
use std::cell::RefCell;

/// What stays as it is, what is left out, and what is made anew.
const PROGRAMS: [&str; 5] = [
    ".",
    "select(.sepal_length > 5)",
    "{id, sepal: [.sepal_length, .sepal_width]}",
    ".area = .petal_length * .petal_width",
    "select(.petal_length / .petal_width > 4) | .id",
];

#[divan::bench(args = PROGRAMS, sample_size = 1)]
fn step_on_flowers(bencher: Bencher<'_, '_>, program: &str) {
    step(bencher, &flowers(BATCH_BYTES), program);
}

#[divan::bench(args = PROGRAMS, sample_size = 1)]
fn bare_on_flowers(bencher: Bencher<'_, '_>, program: &str) {
    bare(bencher, &flowers(BATCH_BYTES), program);
}

const ON_ORDERS: [&str; 3] = [".", "select(.total > 100)", "{order_id, skus: [.items[].sku]}"];

#[divan::bench(args = ON_ORDERS, sample_size = 1)]
fn step_on_orders(bencher: Bencher<'_, '_>, program: &str) {
    step(bencher, &orders(BATCH_BYTES), program);
}

#[divan::bench(args = ON_ORDERS, sample_size = 1)]
fn bare_on_orders(bencher: Bencher<'_, '_>, program: &str) {
    bare(bencher, &orders(BATCH_BYTES), program);
}

/// One batch a sample: it is filled anew before each, untimed.
fn step(bencher: Bencher<'_, '_>, lines: &str, program: &str) {
    let spec = JqSpec { program: program.to_owned(), ..JqSpec::default() };
    let mut step = JqStep::new("jq", &spec).expect("it is a program");
    let batch = RefCell::new(Batch::default());
    bencher
        .counter(BytesCount::of_str(lines))
        .counter(ItemsCount::new(lines.lines().count()))
        .with_inputs(|| fill(&mut batch.borrow_mut(), lines))
        .bench_local_values(|()| {
            let mut batch = batch.borrow_mut();
            step.apply(&mut batch).expect("no program ends a run");
            assert_eq!(batch.rejected(), 0);
        });
}

fn bare(bencher: Bencher<'_, '_>, lines: &str, program: &str) {
    let filter = compile(program);
    let (style, mut out) = (write::Pp::default(), Vec::new());
    bencher
        .counter(BytesCount::of_str(lines))
        .counter(ItemsCount::new(lines.lines().count()))
        .bench_local(|| {
            out.clear();
            for line in lines.lines() {
                let record = read::parse_single(line.as_bytes()).expect("it is JSON");
                let ctx = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
                for output in filter.id.run((ctx, record)).map(unwrap_valr) {
                    let output = output.expect("the program has no errors");
                    write::write(&mut out, &style, 0, &output).expect("a buffer takes all");
                    out.push(b'\n');
                }
            }
            out.len()
        });
}

fn compile(program: &str) -> Filter<JustLut<Val>> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let (arena, file) = (Arena::default(), File { code: program, path: () });
    let modules = Loader::new(defs).load(&arena, file).expect("it can be parsed");
    let compiled = Compiler::default().with_funs(funs).compile(modules);
    compiled.expect("all names are known")
}
