//! What the benchmarks work on: the generator's flowers, and records as wide as in earnest.

use etl_host::batch::Batch;
use etl_host_benches::{Options, Size, write};
use model_abi_layout::Span;

/// The size of a batch of a fast model.
pub(crate) const BATCH_BYTES: usize = 512 * 1024;

/// Flowers with ids, one a line: at least so many bytes.
pub(crate) fn flowers(bytes: usize) -> String {
    let options = Options { id: true, ..Options::new(Size::Bytes(bytes as u64)) };
    let mut text = Vec::with_capacity(bytes + 256);
    write(&options, &mut text, |_| Ok(())).expect("a vector takes it all");
    String::from_utf8(text).expect("flowers are ASCII")
}

/// Orders of a shop, about 600 bytes each: texts with escapes, numbers, a nested list.
pub(crate) fn orders(bytes: usize) -> String {
    std::iter::repeat_n(include_str!("order.json"), bytes / 600 + 1).collect()
}

/// One batch of these lines, in the buffers of the batch before.
pub(crate) fn fill(batch: &mut Batch, lines: &str) {
    let filled = batch.refill(|block| {
        block.bytes.extend_from_slice(lines.as_bytes());
        block.spans.extend(spans(lines));
        Ok::<(), ()>(())
    });
    filled.expect("filling can't fail");
}

/// Where the lines lie.
pub(crate) fn spans(lines: &str) -> impl Iterator<Item = Span> {
    let mut start = 0;
    lines.split_inclusive('\n').map(move |line| {
        let span = Span { start, len: line.trim_end().len() as u32 };
        start += line.len() as u32;
        span
    })
}
