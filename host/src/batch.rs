//! A batch: the unit of work, of memory and of order.
//!
//! A source fills it, one step after the other rewrites it in place, a sink writes it out; then
//! its buffers go back to the source. What was read stays beside what it has become, so that a
//! reject of the last step still holds the record as it stood in the source.

use crate::record::{RecordPosition, Reject, RejectKind};
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

/// The records on one way through the pipeline. On a fork, both ways share their text.
#[derive(Clone, Default)]
pub(crate) struct Flow {
    /// What they are now, once a step has rewritten them.
    text: Option<Arc<Text>>,
    /// Whether they are all that is in the text, in its order.
    is_whole: bool,
    spans: Vec<Span>,
    /// For each of them its index among the records that were read; in order, and several may be made
    /// of one.
    origins: Vec<u32>,
}

impl Flow {
    fn clear(&mut self) -> Option<Text> {
        self.spans.clear();
        self.origins.clear();
        self.is_whole = false;
        self.text.take().and_then(Arc::into_inner)
    }

    fn bytes<'a>(&'a self, block: &'a Block) -> &'a [u8] {
        self.text.as_ref().map_or(&block.bytes, |text| &text.bytes)
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// For each record its index among those that were read.
    pub(crate) fn origins(&self) -> &[u32] {
        &self.origins
    }
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

/// Texts of records, a line feed behind each, so that the whole is LDJSON.
#[derive(Default)]
pub struct Text {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// For each record its index in the batch that it was made from.
    sources: Vec<u32>,
}

impl Text {
    /// Where the next record's text is to be appended.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What was appended since the last record is record `source`'s new text.
    pub fn complete(&mut self, source: usize) {
        let start = self.start_of_next();
        assert!(self.has_room_for(0), "whoever appends asks for room first");
        self.spans.push(Span { start: start as u32, len: (self.bytes.len() - start) as u32 });
        self.sources.push(source as u32);
        self.bytes.push(b'\n');
    }

    /// What was appended since the last record is taken back.
    pub fn take_back(&mut self) {
        self.bytes.truncate(self.start_of_next());
    }

    /// What was appended and completed for record `source`, the last one, is taken back.
    pub fn take_back_all(&mut self, source: usize) {
        while self.sources.pop_if(|last| *last == source as u32).is_some() {
            let span = self.spans.pop().expect("there is one for each source");
            self.bytes.truncate(span.start as usize);
        }
        self.take_back();
    }

    /// Whether so many bytes more may be appended; offsets in it have 32 bits.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes.len() + bytes < u32::MAX as usize
    }

    fn start_of_next(&self) -> usize {
        self.spans.last().map_or(0, |last| (last.start + last.len) as usize + 1)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.sources.clear();
    }
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
        let flows = self.ends.iter_mut().chain(&mut self.aside).chain([&mut self.flow]);
        self.spares.extend(flows.filter_map(Flow::clear));
        self.aside = None;
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
        let flows = self.ends.iter_mut().chain(&mut self.aside).chain([&mut self.flow]);
        self.spares.extend(flows.filter_map(Flow::clear));
        self.aside = None;
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
    pub fn rewrite(&mut self, text: Text, rejections: &mut Vec<Rejection>) {
        self.reject(rejections);
        self.kept = text.sources.chunk_by(|a, b| a == b).count();
        let before = self.flow.text.take();
        self.spares.extend(before.and_then(Arc::into_inner));
        self.flow = made(text, std::mem::take(&mut self.flow));
    }

    /// What goes another way behind this step, made of the records as it was given them. `are_blocked`:
    /// a rule held those records back. To be called before [`rewrite`](Self::rewrite) or
    /// [`retain`](Self::retain).
    pub fn put_aside(&mut self, text: Text, are_blocked: bool) {
        if are_blocked {
            let records = text.sources.chunk_by(|a, b| a == b);
            self.blocked.extend(records.map(|same| self.flow.origins[same[0] as usize]));
        }
        let origins = self.flow.origins.clone();
        self.aside = Some(made(text, Flow { origins, ..Flow::default() }));
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

    /// How many records rules have held back.
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

    /// The records are on their way elsewhere: the next step takes none, or others.
    pub(crate) fn take_flow(&mut self) -> Flow {
        std::mem::take(&mut self.flow)
    }

    /// The next step takes these records.
    pub(crate) fn set_flow(&mut self, flow: Flow) {
        self.kept = flow.len();
        self.flow = flow;
    }

    /// Nobody takes these records.
    pub(crate) fn drop_flow(&mut self, mut flow: Flow) {
        self.spares.extend(flow.clear());
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

    /// What the last step put aside.
    pub(crate) fn take_aside(&mut self) -> Flow {
        self.aside.take().unwrap_or_default()
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

    /// Several flows as one, record by record; of one record, in the order of the flows.
    pub(crate) fn merge(&mut self, mut flows: Vec<Flow>) -> Flow {
        flows.retain(|flow| flow.len() > 0);
        if flows.len() <= 1 {
            return flows.pop().unwrap_or_default();
        }
        let mut next = vec![0; flows.len()];
        let first = flows.iter().find(|flow| flow.len() > 0);
        let shared = first.and_then(|flow| flow.text.as_ref()).map(Arc::as_ptr);
        let are_shared = flows
            .iter()
            .all(|flow| flow.len() == 0 || flow.text.as_ref().map(Arc::as_ptr) == shared);
        let mut merged = Flow::default();
        if are_shared {
            merged.text = first.and_then(|flow| flow.text.clone());
        }
        let mut text = self.new_text();
        loop {
            let waiting = flows.iter().zip(&next).enumerate();
            let waiting = waiting.filter_map(|(i, (flow, &at))| Some((*flow.origins.get(at)?, i)));
            let Some((origin, i)) = waiting.min() else { break };
            let span = flows[i].spans[next[i]];
            next[i] += 1;
            if are_shared {
                merged.spans.push(span);
                merged.origins.push(origin);
            } else {
                text.buffer().extend_from_slice(slice(flows[i].bytes(&self.block), span));
                text.complete(origin as usize);
            }
        }
        if are_shared {
            self.spares.push(text);
            return merged;
        }
        merged.spans.clone_from(&text.spans);
        std::mem::swap(&mut merged.origins, &mut text.sources);
        Flow { text: Some(Arc::new(text)), is_whole: true, ..merged }
    }

    /// What several branches made of each record, as an object with a field for each branch: null where
    /// it made none, an array where it made several. `names` are the fields' as JSON.
    pub(crate) fn join(&mut self, flows: &[Flow], names: &[String]) -> Flow {
        let mut next = vec![0; flows.len()];
        let mut text = self.new_text();
        loop {
            let waiting = flows.iter().zip(&next).filter_map(|(flow, &at)| flow.origins.get(at));
            let Some(&origin) = waiting.min() else { break };
            for (i, (flow, name)) in flows.iter().zip(names).enumerate() {
                let at = next[i];
                next[i] += flow.origins[at..].iter().take_while(|&&it| it == origin).count();
                let records = &flow.spans[at..next[i]];
                let bytes = flow.bytes(&self.block);
                let out = text.buffer();
                out.extend_from_slice(if i == 0 { b"{" } else { b"," });
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
                match records {
                    [] => out.extend_from_slice(b"null"),
                    [record] => out.extend_from_slice(slice(bytes, *record)),
                    several => {
                        for (i, record) in several.iter().enumerate() {
                            out.push(if i == 0 { b'[' } else { b',' });
                            out.extend_from_slice(slice(bytes, *record));
                        }
                        out.push(b']');
                    }
                }
            }
            text.buffer().push(b'}');
            text.complete(origin as usize);
        }
        let mut joined = Flow { spans: text.spans.clone(), ..Flow::default() };
        std::mem::swap(&mut joined.origins, &mut text.sources);
        Flow { text: Some(Arc::new(text)), is_whole: true, ..joined }
    }
}

/// A flow of these records, which were made of the ones in `from`.
fn made(mut text: Text, mut from: Flow) -> Flow {
    for source in &mut text.sources {
        *source = from.origins[*source as usize];
    }
    from.spans.clone_from(&text.spans);
    std::mem::swap(&mut from.origins, &mut text.sources);
    Flow { text: Some(Arc::new(text)), is_whole: true, ..from }
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
mod tests {
    use super::*;

    /// A batch of the lines of `text`, whose first byte is byte 100 in line 7 of its source.
    fn batch(text: &str) -> Batch {
        let mut batch = Batch::default();
        let filled = batch.refill(|block| {
            block.start = RecordPosition { line: 7, byte: 100 };
            block.bytes.extend_from_slice(text.as_bytes());
            let mut start = 0;
            for line in text.split_inclusive('\n') {
                let len = line.trim_end().len() as u32;
                if len > 0 {
                    block.spans.push(Span { start, len });
                }
                start += line.len() as u32;
            }
            Ok::<(), ()>(())
        });
        filled.unwrap();
        batch
    }

    fn rejection(record: usize) -> Rejection {
        let (step, message) = ("step".into(), format!("no {record}"));
        Rejection { record, kind: RejectKind::Value, path: String::new(), message, step }
    }

    fn lines(batch: &Batch) -> String {
        String::from_utf8(batch.lines(&mut Vec::new()).to_vec()).unwrap()
    }

    #[test]
    fn records_that_are_removed_are_rejected_whole_with_their_place() {
        let mut batch = batch("a\n\nbb\r\nccc\ndddd");
        batch.remove(&mut vec![rejection(1), rejection(3)]);
        assert_eq!((batch.read(), batch.len(), batch.rejected()), (4, 2, 2));
        assert_eq!(lines(&batch), "a\nccc\n");
        let rejects = batch.rejects();
        let places: Vec<_> =
            rejects.iter().map(|r| (r.index, r.position.line, r.position.byte, r.record)).collect();
        assert_eq!(places, [(1, 9, 103, &b"bb"[..]), (3, 11, 111, b"dddd")]);
    }

    #[test]
    fn what_a_later_step_rejects_is_the_record_as_it_was_read() {
        let mut batch = batch("a\nbb\nccc\n");
        for (kept, lost) in [([0, 2], 1), ([1, 1], 0)] {
            let mut text = batch.new_text();
            for &source in &kept[..batch.len() - 1] {
                text.buffer().extend_from_slice(b"half");
                text.take_back();
                text.buffer().extend_from_slice(&[batch.record(source), b"!"].concat());
                text.complete(source);
            }
            batch.rewrite(text, &mut vec![rejection(lost)]);
        }
        assert_eq!(lines(&batch), "ccc!!\n");
        assert_eq!((batch.read(), batch.len(), batch.rejected()), (3, 1, 2));
        let rejects = batch.rejects();
        let records: Vec<_> = rejects.iter().map(|r| (r.index, r.record)).collect();
        assert_eq!(records, [(0, &b"a"[..]), (1, b"bb")]);
    }

    #[test]
    fn each_record_that_is_not_utf8_is_rejected_wherever_it_stands() {
        for bad in 0..1_u32 << 5 {
            let is_bad = |record: &u32| bad >> record & 1 == 1;
            let mut batch = batch("\u{e4}\nxy\n\u{e4}\nxy\nx\u{e4}");
            let spans = batch.spans().to_vec();
            for record in (0..5).filter(is_bad) {
                batch.block.bytes[end(&spans[record as usize]) - 1] = 0xff;
            }
            batch.block.bytes[5] = 0xff; // a line feed, which is no record's
            batch.reject_invalid_utf8("reader");
            let rejected: Vec<u32> = batch.rejects().iter().map(|reject| reject.index).collect();
            assert_eq!(rejected, (0..5).filter(is_bad).collect::<Vec<_>>(), "{bad:b}");
        }
    }

    #[test]
    fn only_the_records_that_are_not_utf8_are_rejected_for_it() {
        let mut batch = batch("a\n\u{e4}\nb\n");
        batch.reject_invalid_utf8("reader");
        assert_eq!((batch.len(), batch.rejected()), (3, 0));
        batch.block.bytes[3] = b'x'; // the second byte of two
        batch.reject_invalid_utf8("reader");
        assert_eq!(lines(&batch), "a\nb\n");
        let reject = &batch.rejects()[0];
        assert_eq!((reject.position.line, reject.record), (8, &b"\xc3x"[..]));
        assert_eq!(reject.message, "not UTF-8 at byte 0 of the record");
    }

    /// The records become these texts, `(of which record, text)`.
    fn rewrite(batch: &mut Batch, made: &[(usize, &str)]) {
        let text = text(batch, made);
        batch.rewrite(text, &mut Vec::new());
    }

    fn text(batch: &mut Batch, made: &[(usize, &str)]) -> Text {
        let mut text = batch.new_text();
        for (source, record) in made {
            text.buffer().extend_from_slice(record.as_bytes());
            text.complete(*source);
        }
        text
    }

    /// `TEXT@ORIGIN` of the records that go on.
    fn told(batch: &Batch) -> String {
        let records = batch.origins().iter().enumerate();
        let told = records.map(|(record, origin)| {
            format!("{}@{origin}", std::str::from_utf8(batch.record(record)).unwrap())
        });
        told.collect::<Vec<_>>().join(" ")
    }

    /// The same, of other records than go on.
    fn told_of(batch: &mut Batch, flow: &Flow) -> String {
        let before = batch.take_flow();
        batch.set_flow(flow.clone());
        let (told, lines) = (told(batch), lines(batch));
        let records: Vec<_> =
            told.split_whitespace().map(|it| it.split_once('@').unwrap().0).collect();
        assert_eq!(lines.lines().collect::<Vec<_>>(), records);
        batch.set_flow(before);
        told
    }

    #[test]
    fn those_records_are_retained_that_are_to_be_and_no_byte_is_copied() {
        for kept in [&[][..], &[0], &[1, 3], &[0, 1, 2, 3]] {
            let mut as_read = batch("a\nbb\n\nccc\ndddd\n");
            let mut rewritten = batch("a\nbb\n\nccc\ndddd\n");
            rewrite(&mut rewritten, &[(0, "a"), (1, "bb"), (2, "ccc"), (3, "dddd")]);
            for batch in [&mut as_read, &mut rewritten] {
                let bytes = batch.bytes().as_ptr();
                batch.retain(kept, &mut Vec::new());
                assert_eq!((batch.bytes().as_ptr(), batch.kept()), (bytes, kept.len()));
                let records = kept
                    .iter()
                    .map(|&it| format!("{}@{it}", ["a", "bb", "ccc", "dddd"][it as usize]));
                assert_eq!(told(batch), records.collect::<Vec<_>>().join(" "));
                assert_eq!(lines(batch).lines().count(), kept.len());
            }
        }
    }

    #[test]
    fn what_is_not_retained_was_not_wanted_or_is_a_reject_of_what_was_read() {
        let mut batch = batch("a\nbb\nccc\n");
        rewrite(&mut batch, &[(0, "x"), (2, "y"), (2, "z")]);
        batch.retain(&[0, 2], &mut vec![rejection(1)]);
        assert_eq!((told(&batch).as_str(), batch.kept()), ("x@0 z@2", 2));
        let rejects = batch.rejects();
        assert_eq!((rejects.len(), rejects[0].index, rejects[0].record), (1, 2, &b"ccc"[..]));
    }

    #[test]
    fn what_is_put_aside_goes_another_way_and_knows_what_it_was_made_of() {
        let mut batch = batch("a\nbb\nccc\ndddd\n");
        rewrite(&mut batch, &[(0, "a"), (2, "c1"), (2, "c2"), (3, "d")]);
        let aside =
            text(&mut batch, &[(1, "no c1"), (2, "no c2"), (2, "no c2 twice"), (3, "no d")]);
        batch.put_aside(aside, true);
        batch.retain(&[0], &mut Vec::new());
        assert_eq!((told(&batch).as_str(), batch.blocked()), ("a@0", &[2, 2, 3][..]));
        let aside = batch.take_aside();
        let lines = ["no c1", "no c2", "no c2 twice", "no d"];
        batch.set_flow(aside);
        assert_eq!(super::tests::lines(&batch).lines().collect::<Vec<_>>(), lines);
        assert_eq!(batch.origins(), [2, 2, 2, 3]);
        // What is no rule's holds nothing back.
        let note = text(&mut batch, &[(0, "note")]);
        batch.put_aside(note, false);
        assert_eq!(batch.take_aside().origins(), [2]);
        assert_eq!(batch.blocked(), [2, 2, 3]);
        assert_eq!(batch.take_aside().len(), 0);
    }

    /// Three ways behind a fork: as it was read, but for some; the same once more; and rewritten.
    fn ways(batch: &mut Batch) -> [Flow; 3] {
        let whole = batch.take_flow();
        batch.set_flow(whole.clone());
        batch.retain(&[0, 2], &mut Vec::new());
        let some = batch.take_flow();
        batch.set_flow(whole.clone());
        batch.retain(&[1, 2, 3], &mut Vec::new());
        let others = batch.take_flow();
        batch.set_flow(whole);
        rewrite(batch, &[(0, "x"), (2, "y"), (2, "z")]);
        [some, others, batch.take_flow()]
    }

    #[test]
    fn several_flows_are_merged_record_by_record_in_their_order() {
        let mut batch = batch("a\nb\nc\nd\n");
        let [some, others, rewritten] = ways(&mut batch);
        let none = Flow::default();
        for (flows, expected) in [
            (&[][..], ""),
            (&[&none, &none], ""),
            (&[&some], "a@0 c@2"),
            (&[&some, &others], "a@0 b@1 c@2 c@2 d@3"),
            (&[&some, &none, &some], "a@0 a@0 c@2 c@2"),
            (&[&none, &rewritten], "x@0 y@2 z@2"),
            (&[&some, &rewritten], "a@0 x@0 c@2 y@2 z@2"),
            (&[&rewritten, &others], "x@0 b@1 y@2 z@2 c@2 d@3"),
            (&[&rewritten, &others, &rewritten], "x@0 x@0 b@1 y@2 z@2 c@2 y@2 z@2 d@3"),
        ] {
            let merged = batch.merge(flows.iter().map(|flow| (*flow).clone()).collect());
            assert_eq!(told_of(&mut batch, &merged), expected);
        }
    }

    #[test]
    fn what_branches_made_of_a_record_is_joined_in_a_field_each() {
        let mut batch = batch("a\nb\nc\nd\ne\n");
        let [some, others, rewritten] = ways(&mut batch);
        let names = ["\"one\"", "\"two\"", "\"three\""].map(str::to_owned);
        let joined = batch.join(&[some, others, rewritten], &names);
        let expected = [
            r#"{"one":a,"two":null,"three":x}@0"#,
            r#"{"one":null,"two":b,"three":null}@1"#,
            r#"{"one":c,"two":c,"three":[y,z]}@2"#,
            r#"{"one":null,"two":d,"three":null}@3"#,
        ];
        assert_eq!(told_of(&mut batch, &joined), expected.join(" "));
        let joined = batch.join(&[Flow::default(), Flow::default()], &names[..2]);
        assert_eq!(joined.len(), 0);
    }

    #[test]
    fn a_batch_that_is_cut_is_as_it_was_read_but_shorter() {
        for records in 0..=4 {
            let mut batch = batch("a\nbb\n\nccc\ndddd\n");
            batch.refine(|_| vec![rejection(1), rejection(3)]);
            assert_eq!(told(&batch), "a@0 ccc@2");
            let aside = text(&mut batch, &[(0, "aside")]);
            batch.put_aside(aside, true);
            let made = text(&mut batch, &[(1, "x"), (1, "y")]);
            batch.rewrite(made, &mut vec![rejection(0)]);
            batch.swap_end(1);
            batch.cut(records);
            let left = ["", "a@0", "a@0", "a@0 ccc@2", "a@0 ccc@2"][records];
            assert_eq!((told(&batch).as_str(), batch.read()), (left, records));
            let rejects: Vec<_> =
                batch.rejects().iter().map(|it| (it.index, it.position.line)).collect();
            assert_eq!(rejects, [(1, 8), (3, 11)][..records / 2]);
            assert_eq!((batch.take_aside().len(), batch.blocked().len()), (0, 0));
            assert!(batch.ends().iter().all(|end| end.len() == 0));
        }
    }

    #[test]
    fn a_record_that_is_too_long_is_cut_off_or_it_is_not() {
        let long = |block: &mut Block| {
            let (head, step, message) = (b"x".to_vec(), "reader".into(), "long".to_owned());
            block.oversized = Some(Oversized { length: 1 << 40, head, step, message });
            Ok::<(), ()>(())
        };
        for records in 0..2 {
            let mut batch = Batch::default();
            batch.refill(long).unwrap();
            batch.cut(records);
            assert_eq!(
                (batch.read(), batch.rejected(), batch.rejects().len()),
                (records, records, records)
            );
            assert_eq!(batch.rejected_records().collect::<Vec<_>>(), vec![0; records]);
        }
    }

    #[test]
    fn a_batch_is_as_new_when_it_is_refilled() {
        let mut batch = batch("a\nbb\n");
        let mut text = batch.new_text();
        text.buffer().push(b'x');
        text.complete(0);
        batch.rewrite(text, &mut vec![rejection(1)]);
        let brace = |block: &mut Block| {
            block.bytes.push(b'{');
            Ok::<(), ()>(())
        };
        batch.refill(brace).unwrap();
        assert_eq!(
            (batch.read(), batch.len(), batch.rejected(), lines(&batch)),
            (0, 0, 0, "".into())
        );
        assert_eq!(batch.bytes(), b"{");
    }
}
