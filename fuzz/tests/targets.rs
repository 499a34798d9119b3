//! The targets without a fuzzer: on every input that is kept, and on random ones for a second or two.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests, helpers included")]

use etl_host::step::emit::Emit;
use etl_host_fuzz::{TARGETS, frame, splice, target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The kept inputs of a target, by the names of their files.
fn inputs(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(corpus().join(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut inputs: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "the fuzzer of {name} begins with nothing");
    inputs
}

fn run_corpus(name: &str) {
    for (path, input) in inputs(name) {
        println!("{}", path.display()); // shown where it fails
        target(name).unwrap()(&input);
    }
}

#[test]
fn every_input_that_is_kept_passes() {
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().file_name());
    let folders: BTreeSet<_> = folders.map(|name| name.into_string().unwrap()).collect();
    let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, names);
    names.iter().for_each(|name| run_corpus(name));
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn among_the_files_that_are_kept_are_plugins() {
    for name in ["gnu-hash", "sysv-hash", "needs-libraries"] {
        let looked = etl_host::plugin::look::look(&corpus().join("stamp").join(name));
        assert_eq!(looked.unwrap().stamp.models[0].qualified_name, "m");
    }
}

#[test]
fn what_is_kept_is_small() {
    let bytes = TARGETS.iter().flat_map(|(name, _)| inputs(name)).map(|(_, input)| input.len());
    assert!(bytes.sum::<usize>() < 200 << 10);
}

#[test]
fn an_input_may_be_split_at_any_byte() {
    for (_, input) in inputs("frame") {
        // Each split reads all of it: long ones are for the fuzzer.
        for split in 1..input.len().min(500) {
            for line_bytes_max in [5, 100] {
                frame::check(&input, 40, line_bytes_max, &[split, usize::MAX], false, 20);
            }
        }
    }
}

/// An input that differs from a kept one in a few places.
fn any_input(name: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let kept: Vec<_> = inputs(name).into_iter().map(|(_, input)| input).collect();
    let byte = prop_oneof![any::<u8>(), select(&b"\0\x1e\n\r\"{}[]:,\\!01\xff\x7f"[..])];
    let wounds = vec((any::<Index>(), 0..3_usize, vec(byte, 0..3)), 0..5);
    (select(kept), wounds).prop_map(|(mut input, wounds)| {
        for (place, removed, bytes) in wounds {
            let start = place.index(input.len() + 1);
            let end = input.len().min(start + removed);
            input.splice(start..end, bytes);
        }
        input
    })
}

/// As above, in the same places: a library's tables stay where they are.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let kept: Vec<_> = inputs("stamp").into_iter().map(|(_, file)| file).collect();
    let kept: Vec<_> = kept.into_iter().filter(|file| !file.is_empty()).collect();
    let byte = prop_oneof![any::<u8>(), select(&[0, 1, 0x7f, 0x80, 0xff][..])];
    (select(kept), vec((any::<Index>(), byte), 0..5)).prop_map(|(mut file, wounds)| {
        for (place, byte) in wounds {
            *place.get_mut(&mut file) = byte;
        }
        file
    })
}

/// A JSON text that is sound, or nearly.
fn any_json() -> impl Strategy<Value = String> {
    let space = || prop_oneof![8 => Just(""), 2 => Just(" "), 1 => Just("\t"), 1 => Just("\n")];
    let name = "[a-d]|\\\\u006[1-4]";
    let leaf = prop_oneof![
        "null|true|-?[0-9]{1,20}(\\.[0-9])?(e[0-9]{1,3})?",
        "\"([a-z,:}\\]]|é|\\\\[n\"\\\\]|\\\\u0041|\\\\ud83d\\\\ude00|\\\\ud83d){0,3}\"",
    ];
    let value = leaf.prop_recursive(3, 20, 4, move |value| {
        let item = (space(), value, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
        let member = (space(), name, space(), item.clone())
            .prop_map(|(a, name, b, value)| format!("{a}\"{name}\"{b}:{value}"));
        prop_oneof![
            1 => vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            4 => vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    (space(), value, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"))
}

fn any_emit() -> impl Strategy<Value = Emit> {
    let fields = BTreeSet::from(["a", "b", "c", "x"]).into_iter().map(str::to_owned);
    let kept = proptest::sample::subsequence(fields.collect::<Vec<_>>(), 0..=4).prop_shuffle();
    let others = select(&[Emit::Prediction, Emit::Merge, Emit::Nest][..]);
    prop_oneof![3 => others, 1 => kept.prop_map(Emit::Keep)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_are_the_same_however_they_arrive(
        content in "(\u{feff})?([a{} \t\r]|\n|\r\n|\u{e4}){0,60}",
        bytes_wanted in 1..50_usize,
        line_bytes_max in 0..20_usize,
        pieces in vec(0..20_usize, 1..10),
        breaks: bool,
        apart in 0..30_u64,
    ) {
        let pieces = [&pieces[..], &[1]].concat(); // something must come at last
        frame::check(content.as_bytes(), bytes_wanted, line_bytes_max, &pieces, breaks, apart);
    }

    #[test]
    fn any_bytes_are_framed(input in any_input("frame")) {
        target("frame").unwrap()(&input);
    }

    #[test]
    fn record_and_prediction_are_joined_as_they_are_written(
        emit in any_emit(),
        pairs in vec((any_json(), any_json()), 1..4),
    ) {
        let pairs: Vec<_> = pairs.iter().map(|(r, p)| (r.as_bytes(), p.as_bytes())).collect();
        splice::check(&emit, &pairs);
    }

    #[test]
    fn any_record_and_prediction_are_joined_or_refused(input in any_input("splice")) {
        target("splice").unwrap()(&input);
    }

    #[test]
    fn any_file_is_looked_at(file in any_file()) {
        target("stamp").unwrap()(&file);
    }

    #[test]
    fn any_journal_is_believed_up_to_where_it_is_damaged(input in any_input("journal")) {
        target("journal").unwrap()(&input);
    }

    #[test]
    fn any_answer_is_taken_for_what_it_means_or_refused(input in any_input("predictions")) {
        target("predictions").unwrap()(&input);
    }
}
