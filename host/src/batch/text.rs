//! What steps write: the records of a batch anew, in one buffer.

use model_abi_layout::Span;

/// Texts of records, a line feed behind each, so that the whole is LDJSON.
#[derive(Default)]
pub struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: Vec<Span>,
    /// For each record its index in the batch that it was made from.
    pub(super) sources: Vec<u32>,
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

    /// Its records were made of those that have these origins.
    pub(super) fn trace_to(&mut self, origins: &[u32]) {
        for source in &mut self.sources {
            *source = origins[*source as usize];
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.sources.clear();
    }
}
