//! The sample step: a share of the records goes on. Which, their places alone tell: the same whatever
//! batches and threads do, in a run that goes on where another ended, and with every later version.
//!
//! A place is the source's name, as it was given, with the line and the byte where the record began. What
//! was made of one record goes on together, or not at all. A larger share takes in all of a smaller one,
//! and each seed is a sample of its own.
//!
//! If you change what is hashed, or how, every sample of everybody changes: the golden test is to stay.

use super::{Step, StepError};
use crate::batch::Batch;
use crate::record::RecordPosition;
use crate::spec::SampleSpec;
use std::sync::Arc;

/// The step.
pub struct SampleStep {
    name: Arc<str>,
    sampler: Sampler,
    kept: Vec<u32>,
}

impl SampleStep {
    /// `name` stands in the lines of a run.
    pub fn new(name: &str, spec: SampleSpec) -> Self {
        SampleStep { name: name.into(), sampler: Sampler::new(spec), kept: Vec::new() }
    }
}

impl Step for SampleStep {
    fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn another(&self) -> Box<dyn Step> {
        Box::new(SampleStep::new(&self.name, self.sampler.spec))
    }

    fn apply(&mut self, batch: &mut Batch) -> Result<(), StepError> {
        self.kept.clear();
        for (record, (source, position)) in (0..).zip(batch.places()) {
            if self.sampler.is_in(source, position) {
                self.kept.push(record);
            }
        }
        batch.retain(&self.kept, &mut Vec::new());
        Ok(())
    }
}

/// Tells of a place whether it is in a sample.
pub struct Sampler {
    spec: SampleSpec,
    /// Of all 2^64 hashes, how many are in, from 0 on; `None`: all.
    hashes_in: Option<u64>,
    /// The source of the record before: nearly always that of the next.
    source: String,
    /// The hash of the seed and that source.
    source_hash: u64,
}

impl Sampler {
    /// A share of 0 or less is no record, one of 1 or more is all.
    pub fn new(spec: SampleSpec) -> Self {
        const HASHES: f64 = (1_u128 << 64) as f64;
        // A double below 1 is so far below it that the product fits.
        let hashes_in = (spec.share < 1.0).then_some((spec.share * HASHES) as u64);
        Sampler { spec, hashes_in, source: String::new(), source_hash: hash_of(spec.seed, "") }
    }

    /// Whether the record that began there is in the sample.
    pub fn is_in(&mut self, source: &str, position: RecordPosition) -> bool {
        let Some(hashes_in) = self.hashes_in else { return true };
        if self.source != source {
            source.clone_into(&mut self.source);
            self.source_hash = hash_of(self.spec.seed, source);
        }
        let RecordPosition { line, byte } = position;
        mix(mix(self.source_hash ^ line) ^ byte) < hashes_in
    }
}

fn hash_of(seed: u64, source: &str) -> u64 {
    mix(mix(seed) ^ fnv1a(source.as_bytes()))
}

/// FNV-1a with 64 bits, by Fowler, Noll and Vo (RFC 9923).
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// The first number that SplitMix64 gives from this state: each bit of it depends on each bit of the
/// state, and no two states give the same. Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators" (OOPSLA 2014), with the constants of <https://prng.di.unimi.it/splitmix64.c>.
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::source::ldjson::{Options, Reader};
    use crate::stop::Stop;
    use crate::storage::Memory;

    fn sampler(share: f64, seed: u64) -> Sampler {
        Sampler::new(SampleSpec { share, seed })
    }

    fn position(line: u64, byte: u64) -> RecordPosition {
        RecordPosition { line, byte }
    }

    /// The records of this source that are in, where batches are of so many bytes.
    fn sample(source: &str, text: &str, spec: SampleSpec, bytes_wanted: usize) -> String {
        let mut reader =
            Reader::new(source, Box::new(Memory::new(text.to_owned())), Options::default());
        let (mut batch, mut sampled) = (Batch::default(), String::new());
        let mut steps =
            [SampleStep::new("sample", spec).another(), SampleStep::new("", spec).another()];
        for turn in 0.. {
            reader.read_batch(&mut batch, bytes_wanted, &Stop::default()).unwrap();
            if batch.read() == 0 {
                break;
            }
            steps[turn % 2].apply(&mut batch).unwrap();
            sampled += std::str::from_utf8(batch.lines(&mut Vec::new())).unwrap();
        }
        sampled
    }

    fn lines(count: u64) -> String {
        (1..=count).map(|n| format!("{n}\n")).collect()
    }

    /// These never change: see above. A script of ten lines in another language gave them.
    #[test]
    fn a_sample_is_the_same_with_every_version() {
        for (source, share, seed, expected) in [
            ("in.ldjson", 0.25, 0, "1 5 9 11 13 14 17 28 30 34 36 37 39"),
            ("in.ldjson", 0.1, 0, "1 9 11 34 36"),
            ("in.ldjson", 0.25, 7, "13 18 24 25 29 30 31 32 36 37 39"),
            ("other.ldjson", 0.25, 7, "7 14 19 26 28 34 36 40"),
            ("s3://b\u{fc}cket/key", 0.25, u64::MAX, "1 3 9 11 18 21 22 28 36"),
        ] {
            let sampled = sample(source, &lines(40), SampleSpec { share, seed }, 1 << 20);
            assert_eq!(sampled.replace('\n', " ").trim_end(), expected, "{source} {share} {seed}");
        }
    }

    #[test]
    fn the_hashes_are_those_of_their_authors() {
        // What splitmix64.c gives first from the states 0 and 1234567, and an example of RFC 9923.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn where_batches_end_is_no_matter() {
        let (text, spec) = (lines(1000), SampleSpec { share: 0.3, seed: 5 });
        let expected = sample("in", &text, spec, 1 << 20);
        assert!((250..350).contains(&expected.lines().count()));
        for bytes_wanted in [1, 7, 64, 1000] {
            assert_eq!(sample("in", &text, spec, bytes_wanted), expected, "{bytes_wanted}");
        }
    }

    #[test]
    fn the_share_of_many_places_is_the_one_that_was_asked_for() {
        const PLACES: u64 = 1_000_000;
        for share in [0.001, 0.1, 0.5, 0.9] {
            // Lines as short as they can be, lines of a fixed length, and everything on one line.
            for (lines_a_record, bytes) in [(1, 2), (1, 100), (0, 37)] {
                let mut sampler = sampler(share, 42);
                let is_in = |n: &u64| {
                    sampler.is_in("in.ldjson", position(1 + n * lines_a_record, n * bytes))
                };
                let count = (0..PLACES).filter(is_in).count() as f64;
                let (mean, places) = (PLACES as f64 * share, PLACES as f64);
                let deviation = (places * share * (1.0 - share)).sqrt();
                assert!((count - mean).abs() < 4.0 * deviation, "{share} {bytes}: {count}");
            }
        }
    }

    /// Of two samples that have nothing to do with each other, a quarter is in both halves.
    #[test]
    fn seeds_and_sources_are_independent() {
        const PLACES: u64 = 100_000;
        let source = "in.ldjson";
        for (one, other) in [
            ((0, source), (1, source)),
            ((1, source), (2, source)),
            ((7, source), (7 << 32, source)),
            ((7, source), (7, "in.ldjsoo")),
            ((7, "in/1"), (7, "in/2")),
        ] {
            let mut samplers = [one, other].map(|(seed, source)| (sampler(0.5, seed), source));
            let in_both = |n: &u64| {
                let position = position(1 + n, 20 * n);
                samplers.iter_mut().all(|(sampler, source)| sampler.is_in(source, position))
            };
            let count = (0..PLACES).filter(in_both).count() as f64;
            let deviation = (PLACES as f64 * 0.25 * 0.75).sqrt();
            assert!(
                (count - PLACES as f64 / 4.0).abs() < 4.0 * deviation,
                "{one:?} {other:?}: {count}"
            );
        }
    }

    #[test]
    fn a_share_of_nothing_is_none_and_one_of_one_is_all() {
        for n in 0..100_000 {
            assert!(!sampler(0.0, n).is_in("in", position(n, n)));
            assert!(sampler(1.0, n).is_in("in", position(n, n)));
        }
        // Not even the hash that is 0, or the last one.
        assert_eq!(sampler(0.0, 1).hashes_in, Some(0));
        assert_eq!(sampler(1.0, 1).hashes_in, None);
        assert!(sampler(1.0_f64.next_down(), 1).hashes_in.unwrap() > u64::MAX - 4096);
    }

    #[test]
    fn a_larger_share_takes_in_all_of_a_smaller_one() {
        let [mut small, mut large] = [0.2, 0.3].map(|share| sampler(share, 3));
        for n in 0..10_000 {
            let place = position(n, 9 * n);
            assert!(!small.is_in("in", place) || large.is_in("in", place));
        }
    }

    #[test]
    fn the_source_is_that_of_each_record_whichever_came_before() {
        let mut sampler = sampler(0.5, 1);
        let mut told = |source: &str| {
            (0..64).map(|n| sampler.is_in(source, position(n, n))).collect::<Vec<_>>()
        };
        let (a, b, empty) = (told("a"), told("b"), told(""));
        assert!(a != b && a != empty);
        assert_eq!((told("b"), told("a"), told("")), (b, a, empty));
    }

    #[test]
    fn what_was_made_of_one_record_goes_on_together() {
        let mut batch = Batch::default();
        let mut reader = Reader::new("in", Box::new(Memory::new(lines(100))), Options::default());
        reader.read_batch(&mut batch, 1 << 20, &Stop::default()).unwrap();
        let mut text = batch.new_text();
        for record in 0..batch.len() {
            for copy in 0..record % 4 {
                text.buffer().extend_from_slice(format!("{record}.{copy}").as_bytes());
                text.complete(record);
            }
        }
        batch.rewrite(text, &mut Vec::new());
        let mut step = SampleStep::new("sample", SampleSpec { share: 0.5, seed: 0 });
        step.apply(&mut batch).unwrap();
        let kept = batch.origins().chunk_by(|a, b| a == b);
        assert!(kept.clone().count() > 20);
        assert!(kept.clone().all(|same| same.len() == same[0] as usize % 4));
    }
}
