//! What parses a record into a model's type: the candidates of `docs/decisions/0006`, side by side.
//!
//! Each is used as a plugin would use it: for any processor of its architecture (no
//! `-C target-cpu`), on a text that the host has checked to be UTF-8, into the type that an author
//! derives. simd-json writes into what it reads, so it is given a copy each time, as it would be in
//! a plugin, whose records are not its own.
//!
//! Another candidate is a function more, of the same form.
//!
//! `cargo bench -p etl-host-benches --features parsers --bench parsers`

/// The very file of `model-abi`, which shows it to nobody.
#[path = "../model-abi/src/parse/quick.rs"]
mod quick;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use iris_model::Flower;
use serde::Deserialize;

const FLOWER: &str =
    r#"{"sepal_length": 4.4, "sepal_width": 2.9, "petal_length": 1.4, "petal_width": 0.2}"#;
const ORDER: &str = include_str!("micro/order.json");

/// Twenty fields, some of them texts with escapes, and a list of objects.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct Order {
    order_id: u64,
    customer: String,
    email: String,
    created: String,
    currency: String,
    total: f64,
    tax: f64,
    discount: Option<f64>,
    express: bool,
    gift: bool,
    note: String,
    street: String,
    city: String,
    zip: String,
    country: String,
    lat: f64,
    lon: f64,
    items: Vec<Item>,
    tags: Vec<String>,
    score: f64,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only parsed")]
struct Item {
    sku: String,
    qty: u32,
    price: f64,
}

fn main() {
    divan::main();
}

/// What `model-abi` parses common records with.
#[divan::bench(types = [Flower, Order], sample_size = 1000)]
fn quick<T: Record>(bencher: Bencher<'_, '_>) {
    bench::<T>(bencher, |text| quick::parse(text).expect("it is common"));
}

/// What it parses all others with.
#[divan::bench(types = [Flower, Order], sample_size = 1000)]
fn serde_json<T: Record>(bencher: Bencher<'_, '_>) {
    bench::<T>(bencher, |text| serde_json::from_str(text).expect("it is one"));
}

#[divan::bench(types = [Flower, Order], sample_size = 1000)]
fn sonic_rs<T: Record>(bencher: Bencher<'_, '_>) {
    bench::<T>(bencher, |text| sonic_rs::from_str(text).expect("it is one"));
}

#[divan::bench(types = [Flower, Order], sample_size = 1000)]
fn simd_json<T: Record>(bencher: Bencher<'_, '_>) {
    let mut buffers = simd_json::Buffers::default();
    let mut copy = Vec::new();
    bench::<T>(bencher, |text| {
        copy.clear();
        copy.extend_from_slice(text.as_bytes());
        simd_json::serde::from_slice_with_buffers(&mut copy, &mut buffers).expect("it is one")
    });
}

/// A type and a text of it.
trait Record: for<'de> Deserialize<'de> {
    const TEXT: &'static str;
}

impl Record for Flower {
    const TEXT: &'static str = FLOWER;
}

impl Record for Order {
    const TEXT: &'static str = ORDER;
}

fn bench<T: Record>(bencher: Bencher<'_, '_>, mut parse: impl FnMut(&str) -> T) {
    let text = T::TEXT.trim_end();
    bencher.counter(BytesCount::of_str(text)).bench_local(|| parse(black_box(text)));
}
