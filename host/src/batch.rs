//! A batch: the unit of work, of memory and of order.
//!
//! A source fills it, one step after the other rewrites it in place, a sink writes it out; then
//! its buffers go back to the source. What was read stays beside what it has become, so that a
//! reject of the last step still holds the record as it stood in the source.

mod flow;
mod text;

pub(crate) use flow::Flow;
pub use text::Text;

use crate::record::{Lines, RecordPosition, Reject, RejectKind};
use crate::step::Step;
use memchr::memchr_iter;
use model_abi_layout::Span;
use std::sync::{Arc, Mutex};

/// Records on their way, and where they came from.
#[derive(Default)]
pub struct Batch {
    /// Place in the order of all batches, from 0.
    pub sequence: u64,
    /// Which of the run's inputs it is of, from 0.
    pub input: u32,
    /// Which of the run's sources that is an input of, from 0.
    pub source: u32,
    /// Who read it: inputs of a run may differ in format.
    pub reader: &'static str,
    /// What makes JSON of its records, where inputs of a run may differ in that: to make another of.
    pub decoder: Option<SharedStep>,
    block: Block,
    /// The records that the next step is to take.
    flow: Flow,
    /// What the last step put aside.
    aside: Option<Flow>,
    /// What has come to each of the sinks.
    ends: Vec<Flow>,
    rejections: Vec<Rejection>,
    /// How many of them its source made.
    refused: usize,
    /// The records that a rule held back, by their index among those that were read.
    blocked: Vec<u32>,
    /// Of the records that the last step took, how many it gave on.
    kept: usize,
    /// Buffers of texts that nobody needs any more.
    spares: Vec<Text>,
}

/// A step that several threads can get at.
pub type SharedStep = Arc<Mutex<Box<dyn Step>>>;

/// A piece of a source, as read: bytes, and where in them the records lie.
#[derive(Default)]
pub struct Block {
    /// Name of the source.
    pub source: Arc<str>,
    /// Place of the first byte.
    pub start: RecordPosition,
    /// Where its line is counted from.
    pub lines: Lines,
    /// The records, and what stands between them.
    pub bytes: Vec<u8>,
    /// The records.
    pub spans: Vec<Span>,
    /// Whether nothing stands between the records but the ends of their lines, so that the n-th
    /// record is on the n-th line.
    pub is_one_a_line: bool,
    /// Where the records stood first, where that is elsewhere: one for each of them, or none.
    pub places: Vec<Place>,
    /// Instead of all this: one record that was too long to be held.
    pub oversized: Option<Oversized>,
    /// Where the source goes on, if the run can be resumed from there.
    pub checkpoint: Option<RecordPosition>,
}

/// Where a record stood that came here by way of a rejects file.
pub struct Place {
    /// Name of the source.
    pub source: Arc<str>,
    /// Where it began.
    pub position: RecordPosition,
    /// Where its line is counted from.
    pub lines: Lines,
    /// Its length there, in bytes: more than there is of it here where only its beginning is.
    pub length: u64,
}

/// A record that was longer than a record may be.
pub struct Oversized {
    /// Its length in bytes.
    pub length: u64,
    /// Its beginning.
    pub head: Vec<u8>,
    /// The step that would have taken it, and why it did not.
    pub step: Arc<str>,
    /// Why, for people.
    pub message: String,
}

/// That a record of a batch can't go on, and why.
pub struct Rejection {
    /// Its index in the batch as the step was given it.
    pub record: usize,
    /// Why, for programs.
    pub kind: RejectKind,
    /// Where in the record, or empty.
    pub path: String,
    /// Why, for people.
    pub message: String,
    /// Name of the step.
    pub step: Arc<str>,
}

impl Block {
    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.lines = Lines::Source;
        self.is_one_a_line = false;
        self.places.clear();
        self.oversized = None;
        self.checkpoint = None;
    }

    /// How many lines end before a record, from another one on: both by their index and their place.
    fn lines_between(&self, (first, from): (usize, usize), (record, to): (usize, usize)) -> u64 {
        match self.is_one_a_line {
            true => (record - first) as u64,
            false => memchr_iter(b'\n', &self.bytes[from..to]).count() as u64,
        }
    }
}

/// Tells where records stood, which are asked about in order: lines are counted on from one to the
/// next.
struct Places<'a> {
    block: &'a Block,
    line: u64,
    /// The record up to which lines are counted: its index and its place.
    counted: (usize, usize),
}

impl<'a> Places<'a> {
    fn new(block: &'a Block) -> Self {
        Places { block, line: block.start.line, counted: (0, 0) }
    }

    /// Of a record by its index in the block.
    fn of(&mut self, record: usize) -> (&'a Arc<str>, RecordPosition) {
        if let Some(Place { source, position, .. }) = self.block.places.get(record) {
            return (source, *position);
        }
        let start = self.block.spans[record].start;
        let here = (record, start as usize);
        self.line += self.block.lines_between(self.counted, here);
        self.counted = here;
        let byte = self.block.start.byte + u64::from(start);
        (&self.block.source, RecordPosition { line: self.line, byte })
    }
}

impl Batch {
    /// Lets a source fill it anew, in the buffers it has.
    pub fn refill<E>(&mut self, fill: impl FnOnce(&mut Block) -> Result<(), E>) -> Result<(), E> {
        self.block.clear();
        self.rejections.clear();
        self.refused = 0;
        self.blocked.clear();
        self.clear_flows();
        fill(&mut self.block)?;
        self.begin();
        Ok(())
    }

    /// Lets a source that reads through another say what in the block the records are: as many as
    /// before, of which it rejects those that can't go on.
    pub fn refine(&mut self, refine: impl FnOnce(&mut Block) -> Vec<Rejection>) {
        let mut rejections = refine(&mut self.block);
        self.flow.spans.clone_from(&self.block.spans);
        self.remove(&mut rejections);
        self.refused = self.rejections.len();
    }

    /// No record is on any way.
    fn clear_flows(&mut self) {
        let flows = self.ends.iter_mut().chain(&mut self.aside).chain([&mut self.flow]);
        self.spares.extend(flows.filter_map(Flow::clear));
        self.aside = None;
    }

    /// All that was read is on its way.
    fn begin(&mut self) {
        self.flow.spans.clone_from(&self.block.spans);
        self.flow.origins.clear();
        self.flow.origins.extend(0..self.block.spans.len() as u32);
    }

    /// The batch is as it was read, but ends behind so many records: nobody wants what follows. It can't
    /// be gone on with behind it.
    pub(crate) fn cut(&mut self, records: usize) {
        self.block.spans.truncate(records);
        self.block.places.truncate(records);
        self.block.oversized = self.block.oversized.take().filter(|_| records > 0);
        self.block.checkpoint = None;
        self.rejections.truncate(self.refused);
        self.rejections.retain(|rejection| rejection.record < records);
        self.refused = self.rejections.len();
        self.blocked.clear();
        self.clear_flows();
        self.begin();
        let gone: Vec<usize> = self.rejections.iter().map(|it| it.record).collect();
        remove_at(&mut self.flow.spans, &gone);
        remove_at(&mut self.flow.origins, &gone);
    }

    /// Where the source goes on behind it, if the run can be resumed from there.
    pub fn checkpoint(&self) -> Option<RecordPosition> {
        self.block.checkpoint
    }

    /// How many records were read into it.
    pub fn read(&self) -> usize {
        self.block.spans.len() + usize::from(self.block.oversized.is_some())
    }

    /// How many bytes of the source it holds.
    pub fn bytes_read(&self) -> usize {
        self.block.bytes.len()
    }

    /// How many bytes its buffers hold on to.
    pub fn bytes_held(&self) -> usize {
        let flows = self.ends.iter().chain(&self.aside).chain([&self.flow]);
        let texts = flows.filter_map(|flow| flow.text.as_deref()).chain(&self.spares);
        self.block.bytes.capacity() + texts.map(|text| text.bytes.capacity()).sum::<usize>()
    }

    /// How many bytes have come to the sinks.
    pub(crate) fn bytes_made(&self) -> usize {
        let texts = self.ends.iter().filter_map(|flow| flow.text.as_ref());
        texts.map(|text| text.bytes.len()).sum()
    }

    /// How many records still go on.
    pub fn len(&self) -> usize {
        self.flow.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.flow.spans.is_empty()
    }

    /// The current text that the records lie in.
    pub fn bytes(&self) -> &[u8] {
        self.flow.bytes(&self.block)
    }

    /// Where in [`Batch::bytes`] the records lie.
    pub fn spans(&self) -> &[Span] {
        &self.flow.spans
    }

    /// The current text of a record.
    pub fn record(&self, index: usize) -> &[u8] {
        slice(self.bytes(), self.flow.spans[index])
    }

    /// Where a record stood in its source. Counts lines: for errors, not for every record.
    pub fn position(&self, index: usize) -> RecordPosition {
        Places::new(&self.block).of(self.flow.origins[index] as usize).1
    }

    /// Name of the source that a record stood in.
    pub fn source(&self, index: usize) -> &Arc<str> {
        let place = self.block.places.get(self.flow.origins[index] as usize);
        place.map_or(&self.block.source, |place| &place.source)
    }

    /// Where the line of a record is counted from.
    pub fn lines_of(&self, index: usize) -> Lines {
        let place = self.block.places.get(self.flow.origins[index] as usize);
        place.map_or(self.block.lines, |place| place.lines)
    }

    /// Where each of the records that still go on stood: its source, and where in it.
    pub fn places(&self) -> impl Iterator<Item = (&Arc<str>, RecordPosition)> {
        let mut places = Places::new(&self.block);
        self.flow.origins.iter().map(move |&record| places.of(record as usize))
    }

    /// An empty text to rewrite the records into, with buffers that were used before.
    pub fn new_text(&mut self) -> Text {
        let mut text = self.spares.pop().unwrap_or_default();
        text.clear();
        text
    }

    /// The records become what `text` says, in which there may be none, one or several for each; those
    /// that can't go on stand in `rejections`, and the rest of those that are not in it were not wanted.
    pub fn rewrite(&mut self, mut text: Text, rejections: &mut Vec<Rejection>) {
        self.reject(rejections);
        self.kept = text.sources.chunk_by(|a, b| a == b).count();
        text.trace_to(&self.flow.origins);
        let mut before = self.take_flow();
        self.spares.extend(before.text.take().and_then(Arc::into_inner));
        self.flow = Flow::whole(text, before);
    }

    /// What goes another way behind this step, made of the records as it was given them. `are_blocked`:
    /// a rule held those records back. To be called before [`rewrite`](Self::rewrite) or
    /// [`retain`](Self::retain).
    pub fn put_aside(&mut self, mut text: Text, are_blocked: bool) {
        if are_blocked {
            let records = text.sources.chunk_by(|a, b| a == b);
            self.blocked.extend(records.map(|same| self.flow.origins[same[0] as usize]));
        }
        text.trace_to(&self.flow.origins);
        self.aside = Some(Flow::whole(text, Flow::default()));
    }

    /// The records go on as they are, but for the rejected ones, which stand in order.
    pub fn remove(&mut self, rejections: &mut Vec<Rejection>) {
        let gone: Vec<usize> = rejections.iter().map(|rejection| rejection.record).collect();
        self.reject(rejections);
        remove_at(&mut self.flow.spans, &gone);
        remove_at(&mut self.flow.origins, &gone);
        self.flow.is_whole &= gone.is_empty();
        self.kept = self.flow.len();
    }

    /// Of the records only these go on, as they are; `kept` is in order. Those that can't stand in
    /// `rejections`.
    pub fn retain(&mut self, kept: &[u32], rejections: &mut Vec<Rejection>) {
        self.reject(rejections);
        let Flow { spans, origins, is_whole, .. } = &mut self.flow;
        *is_whole &= kept.len() == spans.len();
        for (to, &record) in kept.iter().enumerate() {
            spans[to] = spans[record as usize];
            origins[to] = origins[record as usize];
        }
        spans.truncate(kept.len());
        origins.truncate(kept.len());
        self.kept = kept.len();
    }

    /// Of which record that was read each of those is made that still go on, by its index.
    pub fn origins(&self) -> &[u32] {
        &self.flow.origins
    }

    /// Rejects the records that are not UTF-8, in the name of the source. Every record that goes on
    /// is text from here on.
    pub fn reject_invalid_utf8(&mut self, step: &str) {
        let (mut checked, mut rejections) = (0, Vec::new());
        // One check for the whole block: records end at ASCII bytes, so where the whole is UTF-8,
        // each of them is. Where it is not, it goes on behind the record that is to blame.
        while let Err(error) = std::str::from_utf8(&self.bytes()[checked..]) {
            let at = checked + error.valid_up_to();
            let record = self.flow.spans.partition_point(|span| end(span) <= at);
            let Some(span) = self.flow.spans.get(record) else { break }; // behind the last record
            let Some(byte) = at.checked_sub(span.start as usize) else {
                checked = span.start as usize; // what stands between records is no matter
                continue;
            };
            checked = end(span);
            let message = format!("not UTF-8 at byte {byte} of the record");
            let (kind, path) = (RejectKind::InvalidUtf8, String::new());
            rejections.push(Rejection { record, kind, path, message, step: step.into() });
        }
        if !rejections.is_empty() {
            self.remove(&mut rejections);
        }
    }

    /// Keeps rejections by the index that their records had when they were read.
    fn reject(&mut self, rejections: &mut Vec<Rejection>) {
        self.rejections.extend(rejections.drain(..).map(|mut rejection| {
            rejection.record = self.flow.origins[rejection.record] as usize;
            rejection
        }));
    }

    /// How many records were rejected.
    pub fn rejected(&self) -> usize {
        self.rejections.len() + usize::from(self.block.oversized.is_some())
    }

    /// The rejected records, whole, in the order of the source. Their `index` counts from 0 among
    /// all that were read.
    pub fn rejects(&self) -> Vec<Reject<'_>> {
        let block = &self.block;
        if let Some(Oversized { length, head, step, message }) = &block.oversized {
            return vec![Reject {
                source: &block.source,
                position: block.start,
                lines: block.lines,
                index: 0,
                length: *length,
                step,
                kind: RejectKind::LineTooLong,
                message,
                path: "",
                record: head,
            }];
        }
        let mut rejections: Vec<&Rejection> = self.rejections.iter().collect();
        rejections.sort_by_key(|rejection| rejection.record);
        let mut places = Places::new(block);
        let mut rejects = Vec::with_capacity(rejections.len());
        for rejection in rejections {
            let span = block.spans[rejection.record];
            let (source, position) = places.of(rejection.record);
            let place = block.places.get(rejection.record);
            rejects.push(Reject {
                source,
                position,
                lines: place.map_or(block.lines, |place| place.lines),
                index: rejection.record as u32,
                length: place.map_or(span.len.into(), |place| place.length),
                step: &rejection.step,
                kind: rejection.kind,
                message: &rejection.message,
                path: &rejection.path,
                record: slice(&block.bytes, span),
            });
        }
        rejects
    }

    /// The records that still go on, as LDJSON. `buffer` is used where they don't stand so already.
    pub fn lines<'a>(&'a self, buffer: &'a mut Vec<u8>) -> &'a [u8] {
        match &self.flow.text {
            Some(text) if self.flow.is_whole => &text.bytes,
            _ => {
                buffer.clear();
                for &span in &self.flow.spans {
                    buffer.extend_from_slice(slice(self.bytes(), span));
                    buffer.push(b'\n');
                }
                buffer
            }
        }
    }

    /// Of the records that the last step took, how many it gave on.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// The records that rules have held back, each as often as one did.
    pub(crate) fn blocked(&self) -> &[u32] {
        &self.blocked
    }

    /// By their index among the records that were read: those that were rejected, each as often as it
    /// was.
    pub(crate) fn rejected_records(&self) -> impl Iterator<Item = usize> {
        let oversized = self.block.oversized.iter().map(|_| 0);
        self.rejections.iter().map(|rejection| rejection.record).chain(oversized)
    }

    /// A record as it was read, by its index.
    pub(crate) fn record_read(&self, index: usize) -> &[u8] {
        self.block.spans.get(index).map_or(&[], |&span| slice(&self.block.bytes, span))
    }

    /// Where each record that was read stood.
    pub(crate) fn places_read(&self) -> Vec<(Arc<str>, RecordPosition)> {
        let mut places = Places::new(&self.block);
        let records = 0..self.block.spans.len();
        records.map(|record| places.of(record)).map(|(name, at)| (name.clone(), at)).collect()
    }

    /// Rejections from `first` on were made by a node of this name.
    pub(crate) fn name_rejections(&mut self, first: usize, node: &Arc<str>) {
        let rejections = self.rejections.get_mut(first..).unwrap_or_default();
        rejections.iter_mut().for_each(|rejection| rejection.step = node.clone());
        if let Some(oversized) = self.block.oversized.as_mut().filter(|_| first == 0) {
            oversized.step = node.clone();
        }
    }

    /// What the last step put aside: for each record its text, and the index of the one that was read of
    /// which it was made.
    pub(crate) fn aside(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.aside.iter().flat_map(|flow| {
            let bytes = flow.bytes(&self.block);
            flow.origins
                .iter()
                .zip(&flow.spans)
                .map(|(&origin, &span)| (origin, slice(bytes, span)))
        })
    }

    /// What has come to each of the sinks.
    pub(crate) fn ends(&self) -> &[Flow] {
        &self.ends
    }

    /// Changes places: what has come to a sink with the records that the next step is to take.
    pub(crate) fn swap_end(&mut self, sink: usize) {
        if self.ends.len() <= sink {
            self.ends.resize_with(sink + 1, Flow::default);
        }
        std::mem::swap(&mut self.flow, &mut self.ends[sink]);
    }
}

fn end(span: &Span) -> usize {
    (span.start + span.len) as usize
}

fn slice(bytes: &[u8], span: Span) -> &[u8] {
    &bytes[span.start as usize..][..span.len as usize]
}

/// Takes out the items at `places`, which stand in order.
fn remove_at<T: Copy>(items: &mut Vec<T>, places: &[usize]) {
    debug_assert!(places.is_sorted_by(|a, b| a < b));
    let Some(&first) = places.first() else { return };
    let (mut kept, ends) = (first, places[1..].iter().copied().chain([items.len()]));
    for (&place, end) in places.iter().zip(ends) {
        items.copy_within(place + 1..end, kept);
        kept += end - (place + 1);
    }
    items.truncate(kept);
}

#[cfg(test)]
mod tests;
