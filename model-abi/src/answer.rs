//! The answer while it is being written: plain `Vec`s, always consistent up to the last record.
//!
//! The buffers belong to the plugin. They are taken back from the [`Answer`] that the host hands
//! in again and again, so that a run allocates them once.

use crate::parse::Failure;
use model_abi_layout::{Answer, RVec, RecordError};

/// An answer to which one record after the other is added.
#[derive(Default)]
pub struct Draft {
    /// Text of the predictions. Text behind the last end belongs to a record that isn't done.
    pub(crate) output: Vec<u8>,
    /// Text of the notes, likewise.
    pub(crate) notes: Vec<u8>,
    output_ends: Vec<u32>,
    note_ends: Vec<u32>,
    errors: Vec<RecordError>,
    error_text: Vec<u8>,
    traced: bool,
}

impl Draft {
    /// An empty draft with the buffers of `answer`, which is left empty.
    pub(crate) fn reclaim(answer: &mut Answer, traced: bool) -> Self {
        answer.answered = 0;
        answer.reserved = Default::default();
        Draft {
            output: cleared(&mut answer.output),
            notes: cleared(&mut answer.notes),
            output_ends: cleared(&mut answer.output_ends),
            note_ends: cleared(&mut answer.note_ends),
            errors: cleared(&mut answer.errors),
            error_text: cleared(&mut answer.error_text),
            traced,
        }
    }

    /// How many records are answered.
    pub(crate) fn answered(&self) -> usize {
        self.output_ends.len()
    }

    /// Bytes of text so far: predictions, notes and errors.
    pub(crate) fn text_bytes(&self) -> usize {
        self.output.len() + self.notes.len() + self.error_text.len()
    }

    /// The record's text is complete. False: it does not fit any more into 32-bit offsets, and
    /// the record is as if it had not been attempted.
    pub(crate) fn complete(&mut self) -> bool {
        let fits = u32::try_from(self.output.len()).ok().zip(u32::try_from(self.notes.len()).ok());
        let Some((output_end, note_end)) = fits else {
            self.take_back();
            return false;
        };
        self.output_ends.push(output_end);
        if self.traced {
            self.note_ends.push(note_end);
        }
        true
    }

    /// The record failed: what it wrote is taken back.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.take_back();
        // A text this long can only be a fault of the model's; its beginning tells enough.
        let path = truncated(&failure.path, 4096);
        let message = truncated(&failure.message, 64 * 1024);
        self.error_text.extend_from_slice(path.as_bytes());
        self.error_text.extend_from_slice(message.as_bytes());
        self.errors.push(RecordError {
            record: self.answered() as u32,
            kind: failure.kind,
            path_len: path.len() as u32,
            text_end: self.error_text.len() as u32,
            reserved: [0; 2],
        });
        self.complete();
    }

    fn take_back(&mut self) {
        self.output.truncate(self.output_ends.last().copied().unwrap_or(0) as usize);
        self.notes.truncate(self.note_ends.last().copied().unwrap_or(0) as usize);
    }

    /// Gives everything to the host.
    pub(crate) fn hand_over(self, answer: &mut Answer) {
        answer.answered = self.answered() as u64;
        answer.output = RVec::from(self.output);
        answer.notes = RVec::from(self.notes);
        answer.output_ends = RVec::from(self.output_ends);
        answer.note_ends = RVec::from(self.note_ends);
        answer.errors = RVec::from(self.errors);
        answer.error_text = RVec::from(self.error_text);
    }
}

/// The vector's own buffer where this plugin made it; the host's is freed by the host's function.
fn cleared<T: Clone>(vec: &mut RVec<T>) -> Vec<T> {
    let mut vec = std::mem::take(vec);
    vec.clear(); // first: a vector of the host's is copied, and there is nothing worth copying
    vec.into_vec()
}

fn truncated(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
