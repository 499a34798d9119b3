//! What a batch keeps of its records: where they stood, what they were made of, and on which way they go.

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
    let records: Vec<_> = told.split_whitespace().map(|it| it.split_once('@').unwrap().0).collect();
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
            let records =
                kept.iter().map(|&it| format!("{}@{it}", ["a", "bb", "ccc", "dddd"][it as usize]));
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
    let aside = text(&mut batch, &[(1, "no c1"), (2, "no c2"), (2, "no c2 twice"), (3, "no d")]);
    batch.put_aside(aside, true);
    batch.retain(&[0], &mut Vec::new());
    assert_eq!((told(&batch).as_str(), batch.blocked()), ("a@0", &[2, 2, 3][..]));
    let aside = batch.take_aside();
    let lines = ["no c1", "no c2", "no c2 twice", "no d"];
    batch.set_flow(aside);
    assert_eq!(self::lines(&batch).lines().collect::<Vec<_>>(), lines);
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
    assert_eq!((batch.read(), batch.len(), batch.rejected(), lines(&batch)), (0, 0, 0, "".into()));
    assert_eq!(batch.bytes(), b"{");
}
