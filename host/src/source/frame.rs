//! Cuts bytes into records, as a format's idea of them says. Does no I/O.
//!
//! Works on a buffer that grows behind: what has been looked at is never looked at again, however
//! small the pieces that arrive. If you add a format, also add it to the tests that split an input at
//! every byte.

use memchr::memchr_iter;
use model_abi_layout::Span;

/// The part of a block by which to read beyond a multiple of the checkpoints' interval.
const CROSSING: usize = 128;

/// A format's idea of where records end. It is shown the bytes of the source one after the other, in
/// pieces of any length, and may be asked to begin once more where a record begins.
pub(super) trait Framing: Send + 'static {
    /// What a record is called where it is too long.
    const RECORD: &'static str;

    /// Looks on: `bytes` are what stands behind all that it was shown since the last stretch was passed.
    fn find(&mut self, bytes: &[u8]) -> Found;

    /// The stretch that was found last is done with: the next bytes to be shown are those behind it.
    fn pass(&mut self) {}

    /// The next bytes to be shown are those behind the stretch that was passed last, once more.
    fn go_back(&mut self) {}

    /// How much of a stretch is a record, without the byte that ends it. `None`: it is blank.
    fn record(stretch: &[u8]) -> Option<usize>;

    /// Whether a run can be resumed behind the record that was passed last.
    fn can_resume(&self) -> bool {
        true
    }

    /// The bytes have ended, and all were shown: what is left of them behind the last stretch.
    fn end(&self, rest: &[u8]) -> End {
        End { record: Self::record(rest), broken: None }
    }
}

/// What a framing has found in the bytes that it was shown last.
pub(super) enum Found {
    /// No end yet.
    Nothing,
    /// The end of a record: so far they belong to it, the byte that ends it included.
    Record(Stretch),
    /// So far they belong to no record.
    Between(Stretch),
    /// So far they belong to no record, and then nothing follows that can be read: why.
    Broken(Stretch, String),
}

/// A part of the source.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    /// Its length: of a record only that of the bytes shown last.
    pub(super) len: usize,
    /// How many lines end in it; of a record, in all of it.
    pub(super) line_feeds: u64,
}

/// What is left where the bytes end.
pub(super) struct End {
    /// How much of it is a record.
    pub(super) record: Option<usize>,
    /// Why this is not how they may end. Without a record, that is the case where the rest begins.
    pub(super) broken: Option<String>,
}

/// How far a buffer has been cut into records.
pub(super) struct Frames {
    /// Where to stop on the way, if anywhere.
    pub(super) checkpoints: Option<Checkpoints>,
    /// Where the record begins that has not ended yet.
    pub(super) start: usize,
    /// How many lines ended before it.
    pub(super) line_feeds: u64,
    /// Where nobody wants a record any more that begins.
    pub(super) end: usize,
    /// Whether anything came before it that is not one record on one line.
    pub(super) any_other: bool,
    /// Up to where that record has no end.
    scanned: usize,
}

/// Places in a source where a run can be resumed: behind each record that holds a multiple of
/// `interval` bytes, or whose end does. So they depend on the source alone, and not on how it is read.
#[derive(Clone, Copy)]
pub(super) struct Checkpoints {
    interval: u64,
    /// The next multiple, counted from the beginning of the buffer.
    next: u64,
}

impl Checkpoints {
    /// For a buffer that begins at `byte` of the source, where a record begins.
    pub(super) fn new(interval: u64, byte: u64) -> Self {
        Checkpoints { interval, next: interval - byte % interval }
    }

    /// How much to read, where so much is wanted: not beyond the next multiple, if that is near, but for
    /// the record that holds it, which would be a batch of its own else.
    pub(super) fn bytes_wanted(&self, bytes_wanted: usize) -> usize {
        let (next, crossing) = (self.next as usize, bytes_wanted / CROSSING);
        if next <= bytes_wanted + crossing { next + crossing } else { bytes_wanted }
    }

    /// Whether the stretch that ends here, the next to be cut, holds a multiple.
    pub(super) fn pass(&mut self, end: u64) -> bool {
        let is_passed = end >= self.next;
        if is_passed {
            self.next += ((end - self.next) / self.interval + 1) * self.interval;
        }
        is_passed
    }
}

/// What stopped the cutting.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The bytes ended; the last record may go on.
    AllSeen,
    /// The record that begins at `start` is longer than one may be, ended or not.
    TooLong,
    /// A record ended where the run can be resumed.
    Checkpoint,
    /// The record that begins at `start` is not wanted, and none behind it.
    End,
    /// At `start` nothing follows that can be read: why.
    Broken(String),
}

impl Default for Frames {
    fn default() -> Self {
        Frames {
            checkpoints: None,
            start: 0,
            line_feeds: 0,
            end: usize::MAX,
            any_other: false,
            scanned: 0,
        }
    }
}

impl Frames {
    /// Cuts a new buffer, which begins where a record does.
    pub(super) fn new(checkpoints: Option<Checkpoints>) -> Self {
        Frames { checkpoints, ..Frames::default() }
    }

    /// Cuts what has come since the last call. Records that are not blank become spans, without what
    /// ends them.
    pub(super) fn cut<F: Framing>(
        &mut self,
        framing: &mut F,
        bytes: &[u8],
        record_bytes_max: usize,
        spans: &mut Vec<Span>,
    ) -> Cut {
        loop {
            if self.start >= self.end {
                return Cut::End;
            }
            match framing.find(&bytes[self.scanned..]) {
                Found::Record(stretch) => {
                    let end = self.scanned + stretch.len - 1;
                    if end - self.start > record_bytes_max {
                        return Cut::TooLong;
                    }
                    let is_record = push::<F>(bytes, self.start, end, spans);
                    self.any_other |= !is_record | (stretch.line_feeds != 1);
                    framing.pass();
                    let is_checkpoint = self.pass(stretch);
                    if is_checkpoint && is_record && framing.can_resume() {
                        return Cut::Checkpoint;
                    }
                }
                Found::Nothing => {
                    self.scanned = bytes.len();
                    let is_too_long = bytes.len() - self.start > record_bytes_max;
                    return if is_too_long { Cut::TooLong } else { Cut::AllSeen };
                }
                Found::Between(stretch) => {
                    self.any_other = true;
                    framing.pass();
                    self.pass(stretch);
                }
                Found::Broken(stretch, why) => {
                    framing.pass();
                    self.pass(stretch);
                    return Cut::Broken(why);
                }
            }
        }
    }

    /// Whether there may be a checkpoint behind this stretch.
    fn pass(&mut self, stretch: Stretch) -> bool {
        self.start = self.scanned + stretch.len;
        self.scanned = self.start;
        self.line_feeds += stretch.line_feeds;
        self.checkpoints.as_mut().is_some_and(|it| it.pass(self.start as u64))
    }

    /// The bytes end for good: the last record may lack what ends it. Returns why that is not how they
    /// may end.
    pub(super) fn finish<F: Framing>(
        &mut self,
        framing: &F,
        bytes: &[u8],
        spans: &mut Vec<Span>,
    ) -> Option<String> {
        let End { record, broken } = framing.end(&bytes[self.start..]);
        if let Some(len) = record {
            spans.push(Span { start: self.start as u32, len: len as u32 });
        }
        if record.is_some() || broken.is_none() {
            let line_feeds = memchr_iter(b'\n', &bytes[self.start..]).count() as u64;
            self.any_other |= line_feeds > 0;
            self.line_feeds += line_feeds;
            self.start = bytes.len();
        }
        broken
    }
}

/// False: it is blank.
#[inline]
fn push<F: Framing>(bytes: &[u8], start: usize, end: usize, spans: &mut Vec<Span>) -> bool {
    let record = F::record(&bytes[start..end]);
    if let Some(len) = record {
        spans.push(Span { start: start as u32, len: len as u32 });
    }
    record.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ldjson::Lines;

    /// The lines of `bytes`, at most 5 long, when they arrive in two pieces; `!` where one is too
    /// long.
    fn cut_at(bytes: &[u8], split: usize) -> String {
        let (mut lines, mut spans, mut shown) = (Frames::default(), Vec::new(), String::new());
        let cuts =
            [split, bytes.len()].map(|end| lines.cut(&mut Lines, &bytes[..end], 5, &mut spans));
        if !cuts.contains(&Cut::TooLong) {
            lines.finish(&Lines, bytes, &mut spans);
            assert_eq!(lines.start, bytes.len());
        }
        for Span { start, len } in spans {
            shown += &format!("{start}+{len} ");
        }
        let rest = if lines.start < bytes.len() { "!" } else { "" };
        format!("{shown}{rest}{}", lines.line_feeds)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        for split in 0..=text.len() {
            assert_eq!(cut_at(text.as_bytes(), split), expected, "split at {split}");
        }
    }

    #[test]
    fn lines_are_the_same_wherever_the_bytes_are_split() {
        check("", "0");
        check("a\n", "0+1 1");
        check("a\nbb", "0+1 2+2 1");
        check("a\r\n\r\n \nbb\r\n", "0+1 7+2 4");
        check("\na\r", "1+1 1");
        check("aaaaa\nbbbbb", "0+5 6+5 1");
        check("aaaa\r\nb", "0+4 6+1 1");
        check("a\naaaaaa\nb", "0+1 !1");
        check("aaaaa\r\nb", "!0");
        check("a\naaaaaa", "0+1 !1");
    }

    /// Where checkpoints lie when every `interval` bytes one may, and the text is read from line to
    /// line or in one.
    #[track_caller]
    fn check_checkpoints(text: &str, interval: u64, expected: &[u64]) {
        for step in [1, text.len()] {
            let (mut found, mut at) = (Vec::new(), 0);
            while at < text.len() {
                let checkpoints = Some(Checkpoints::new(interval, at as u64));
                let mut lines = Frames::new(checkpoints);
                let mut end = at;
                loop {
                    end = (end + step).min(text.len());
                    let seen = &text.as_bytes()[at..end];
                    let cut = lines.cut(&mut Lines, seen, 100, &mut Vec::new());
                    if cut == Cut::Checkpoint {
                        found.push((at + lines.start) as u64);
                    }
                    if cut == Cut::Checkpoint || lines.start > 0 && step == 1 {
                        break; // the next buffer begins here
                    }
                    if end == text.len() {
                        assert_eq!(found, expected, "steps of {step}");
                        return;
                    }
                }
                at += lines.start;
            }
            assert_eq!(found, expected, "steps of {step}");
        }
    }

    #[test]
    fn checkpoints_lie_behind_the_records_that_hold_a_multiple_of_the_interval() {
        check_checkpoints("aa\nbb\ncc\ndd\n", 6, &[6, 12]);
        check_checkpoints("aa\nbb\ncc\ndd\n", 5, &[6, 12]);
        check_checkpoints("aa\nbb\ncc\ndd\n", 1, &[3, 6, 9, 12]);
        check_checkpoints("aa\nbbbbbbbbbbb\ncc\ndd", 4, &[15, 18]);
        check_checkpoints("aa\n\n\n\n\n\nbb\ncc\n", 4, &[14]); // 4 and 8 lie on blank lines
    }

    #[test]
    fn what_has_been_looked_at_is_not_looked_at_again() {
        let (mut lines, mut spans) = (Frames::default(), Vec::new());
        for seen in ["aaa", "\n\n\na\n"] {
            lines.cut(&mut Lines, seen.as_bytes(), 5, &mut spans);
        }
        assert_eq!((spans, lines.line_feeds), (vec![Span { start: 0, len: 4 }], 1));
    }
}
