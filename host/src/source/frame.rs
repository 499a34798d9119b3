//! Cuts bytes into lines. Knows nothing of JSON and does no I/O: a line is bytes up to `\n`.
//!
//! Works on a buffer that grows behind: what has been looked at is never looked at again, however
//! small the pieces that arrive. If you add a terminator, also extend the test that splits an
//! input at every byte.

use memchr::memchr;
use model_abi_layout::Span;

/// How far a buffer has been cut into lines.
#[derive(Default)]
pub(super) struct Lines {
    /// Where to stop on the way, if anywhere.
    pub(super) checkpoints: Option<Checkpoints>,
    /// Where the line begins that has not ended yet.
    pub(super) start: usize,
    /// How many lines ended before it.
    pub(super) count: u64,
    /// Whether one of them was blank.
    pub(super) any_blank: bool,
    /// Up to where that line holds no line feed.
    scanned: usize,
}

/// Places in a source where a run can be resumed: behind each record whose line holds a multiple of
/// `interval` bytes, or ends there. So they depend on the source alone, and not on how it is read.
#[derive(Clone, Copy)]
pub(super) struct Checkpoints {
    interval: u64,
    /// The next multiple, counted from the beginning of the buffer.
    next: u64,
}

impl Checkpoints {
    /// For a buffer that begins at `byte` of the source, where a line begins.
    pub(super) fn new(interval: u64, byte: u64) -> Self {
        Checkpoints { interval, next: interval - byte % interval }
    }

    /// How many bytes it is to the next multiple.
    pub(super) fn distance(&self) -> u64 {
        self.next
    }

    /// Whether the line that ends here, the next to be cut, holds a multiple.
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
    /// The bytes ended; the last line may go on.
    AllSeen,
    /// The line that begins at `start` is longer than a line may be, ended or not.
    TooLong,
    /// A record ended where the run can be resumed.
    Checkpoint,
}

impl Lines {
    /// Cuts a new buffer.
    pub(super) fn new(checkpoints: Option<Checkpoints>) -> Self {
        Lines { checkpoints, ..Lines::default() }
    }

    /// Cuts what has come since the last call. Lines that are not blank become spans, without
    /// their line end.
    pub(super) fn cut(
        &mut self,
        bytes: &[u8],
        line_bytes_max: usize,
        spans: &mut Vec<Span>,
    ) -> Cut {
        while let Some(found) = memchr(b'\n', &bytes[self.scanned..]) {
            let end = self.scanned + found;
            if end - self.start > line_bytes_max {
                return Cut::TooLong;
            }
            let is_record = push_unless_blank(bytes, self.start, end, spans);
            self.any_blank |= !is_record;
            self.start = end + 1;
            self.scanned = self.start;
            self.count += 1;
            if let Some(checkpoints) = &mut self.checkpoints
                && checkpoints.pass(self.start as u64)
                && is_record
            {
                return Cut::Checkpoint;
            }
        }
        self.scanned = bytes.len();
        if bytes.len() - self.start > line_bytes_max { Cut::TooLong } else { Cut::AllSeen }
    }

    /// The bytes end for good: the last line needs no line feed.
    pub(super) fn finish(&mut self, bytes: &[u8], spans: &mut Vec<Span>) {
        push_unless_blank(bytes, self.start, bytes.len(), spans);
        self.start = bytes.len();
    }
}

fn push_unless_blank(bytes: &[u8], start: usize, end: usize, spans: &mut Vec<Span>) -> bool {
    let line = &bytes[start..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // Nearly every line begins with a brace: one look settles it.
    let is_record = line.iter().any(|byte| !byte.is_ascii_whitespace());
    if is_record {
        spans.push(Span { start: start as u32, len: line.len() as u32 });
    }
    is_record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `bytes`, at most 5 long, when they arrive in two pieces; `!` where one is too
    /// long.
    fn cut_at(bytes: &[u8], split: usize) -> String {
        let (mut lines, mut spans, mut shown) = (Lines::default(), Vec::new(), String::new());
        let cuts = [split, bytes.len()].map(|end| lines.cut(&bytes[..end], 5, &mut spans));
        if !cuts.contains(&Cut::TooLong) {
            lines.finish(bytes, &mut spans);
            assert_eq!(lines.start, bytes.len());
        }
        for Span { start, len } in spans {
            shown += &format!("{start}+{len} ");
        }
        let rest = if lines.start < bytes.len() { "!" } else { "" };
        format!("{shown}{rest}{}", lines.count)
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
                let mut lines = Lines::new(checkpoints);
                let mut end = at;
                loop {
                    end = (end + step).min(text.len());
                    let cut = lines.cut(&text.as_bytes()[at..end], 100, &mut Vec::new());
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
        let (mut lines, mut spans) = (Lines::default(), Vec::new());
        for seen in ["aaa", "\n\n\na\n"] {
            lines.cut(seen.as_bytes(), 5, &mut spans);
        }
        assert_eq!((spans, lines.count), (vec![Span { start: 0, len: 4 }], 1));
    }
}
