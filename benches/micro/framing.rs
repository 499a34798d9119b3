//! Framing: bytes into records. The reader cuts what lies in memory into batches.

use crate::data::{BATCH_BYTES, flowers, orders};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use etl_host::batch::Batch;
use etl_host::source::Source;
use etl_host::source::ldjson::{Options, Reader};
use etl_host::stop::Stop;
use etl_host::storage::Memory;

/// Sixteen batches: enough that the first one's start does not show.
const INPUT_BYTES: usize = 16 * BATCH_BYTES;

#[divan::bench]
fn flowers_of_90_bytes(bencher: Bencher<'_, '_>) {
    read_all(bencher, flowers(INPUT_BYTES));
}

#[divan::bench]
fn orders_of_600_bytes(bencher: Bencher<'_, '_>) {
    read_all(bencher, orders(INPUT_BYTES));
}

/// As a run does it: batches come back empty, and keep their buffers.
fn read_all(bencher: Bencher<'_, '_>, text: String) {
    let records = text.lines().count();
    let (mut batches, stop) = ([Batch::default(), Batch::default()], Stop::default());
    let mut read = move |input: Memory| {
        let mut reader = Reader::new("memory", Box::new(input), Options::default());
        let mut count = 0;
        for turn in 0.. {
            let batch = &mut batches[turn % 2];
            reader.read_batch(batch, BATCH_BYTES, &stop).expect("memory can be read");
            if batch.read() == 0 {
                break;
            }
            count += batch.read();
        }
        count
    };
    assert_eq!(read(Memory::new(text.as_bytes())), records);
    bencher
        .counter(BytesCount::of_str(&text))
        .counter(ItemsCount::new(records))
        .with_inputs(|| Memory::new(text.as_bytes()))
        .bench_local_values(read);
}
