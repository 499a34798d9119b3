//! Records laid out as a block, for checks that ask about them in unusual ways, and what they know
//! beforehand of the right answers.

use super::bench::{Bench, Reply, replies, texts};
use super::{Finding, Told, Verdict, fail, not_run, shorten};
use crate::plugin::probe::{ProbedModel, Question};
use model_abi_layout::{Answer, Span};

/// A block stays below this, whatever the examples: offsets in it are 32 bits wide.
const BLOCK_BYTES_MAX: usize = 64 << 20;

/// Bytes, and where the records lie in them.
#[derive(Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: Vec<Span>,
}

impl Block {
    /// The records one after the other, a line each.
    pub(super) fn of(records: &[impl AsRef<[u8]>]) -> Self {
        let mut block = Block::default();
        for record in records {
            let span = block.add(record.as_ref());
            block.spans.push(span);
            block.bytes.push(b'\n');
        }
        block
    }

    /// Adds bytes, and says where they lie.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Span {
        let span = Span { start: self.bytes.len() as u32, len: bytes.len() as u32 };
        self.bytes.extend_from_slice(bytes);
        span
    }

    /// What a host asks that wants nothing special.
    pub(super) fn question(&self) -> Question<'_> {
        Question::plain(&self.bytes, &self.spans)
    }
}

/// Records with the replies that they get in one plain batch.
pub(super) struct Known {
    pub(super) records: Vec<String>,
    pub(super) replies: Vec<Reply>,
}

impl Known {
    /// The first `wanted` of them, which begin again at their end; fewer where they are very long.
    pub(super) fn repeated(&self, wanted: usize) -> Known {
        let mut bytes = 0;
        let fits = |record: &&String| {
            let fits = bytes <= BLOCK_BYTES_MAX;
            bytes += record.len();
            fits
        };
        let records = self.records.iter().cycle().take(wanted).take_while(fits).cloned();
        let records: Vec<_> = records.collect();
        let replies = self.replies.iter().cloned().cycle().take(records.len()).collect();
        Known { records, replies }
    }

    pub(super) fn block(&self) -> Block {
        Block::of(&self.records)
    }

    /// A failure unless each record got its reply again, from the first on. `how`: how the model
    /// was asked.
    pub(super) fn same(&self, how: &str, found: &[Reply]) -> Verdict {
        let asked = self.records.len();
        if found.len() != asked {
            return fail(format!("{how}: of {asked} records {} are answered", found.len()));
        }
        self.begins(how, found)
    }

    /// Asks a model about them, in one plain batch: a failure unless each gets its reply again.
    pub(super) fn again(&self, bench: &Bench, model: &ProbedModel, how: &str) -> Verdict {
        let block = self.block();
        self.same(how, &bench.ask_as(model, how, block.question(), &mut Answer::default())?)
    }

    /// As [`Known::same`], where the last records may be without an answer.
    pub(super) fn begins(&self, how: &str, found: &[Reply]) -> Verdict {
        let both = self.replies.iter().zip(found).enumerate();
        match both.into_iter().find(|(_, (before, found))| before != found) {
            None => Ok(()),
            Some((index, (before, found))) => {
                let record = shorten(&self.records[index]);
                let asked = self.records.len();
                fail(format!(
                    "{how}: to record {index} (from 0) of {asked}, {record}, it gives {found}; \
                     otherwise {before}"
                ))
            }
        }
    }
}

impl Bench {
    /// Ordinary records that get predictions, the same ones when asked again (for others
    /// `same-answer-twice` is there); at least one, and as many as wanted where they can be had.
    pub(super) fn known(&self, wanted: usize) -> Result<Known, Finding> {
        let (inputs, replies): (Vec<_>, Vec<_>) = self.predicted(wanted)?.into_iter().unzip();
        let records = texts(&inputs);
        let again = self.ask_all(&records)?;
        let all = records.into_iter().zip(replies).zip(again);
        let stable = all.filter(|((_, before), after)| before == after);
        let (records, replies): (Vec<_>, _) = stable.map(|(first, _)| first).unzip();
        if records.is_empty() {
            return not_run("no ordinary input gets the same prediction twice");
        }
        Ok(Known { records, replies })
    }

    /// Notes what is asked, in case the model does not survive it.
    pub(super) fn about(&self, asked: impl Into<String>) {
        let _ = self.tell(&Told::Asking(asked.into()));
    }

    /// Asks a model in any way; it may answer fewer records than asked. `how` it is asked stands in
    /// messages.
    pub(super) fn ask_as(
        &self,
        model: &ProbedModel,
        how: &str,
        question: Question<'_>,
        answer: &mut Answer,
    ) -> Result<Vec<Reply>, Finding> {
        let asked = question.records.len();
        self.about(format!("{asked} records, {how}"));
        let status = model.predict(question, answer);
        replies(status, answer, asked).map_err(|finding| match finding {
            Finding::Failed(found) => Finding::Failed(format!("{how}: {found}")),
            not_run => not_run,
        })
    }
}
