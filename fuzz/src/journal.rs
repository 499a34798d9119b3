//! Journals: whatever is in the file, reading it ends; and of one that was damaged, nothing is believed
//! that stands behind the damage.
//!
//! Settings: how many checkpoints a journal is given, then pairs of a place (of 256) and of what is
//! done to the byte there, `-` cutting the file. What stands behind the settings is read as a journal
//! by itself.

use crate::{number, settings};
use etl_host::counts::Counts;
use etl_host::journal::{Checkpoint, Header, Identity, parse, text};
use etl_host::record::RecordPosition;
use etl_host::sink::publish::Names;
use etl_host::storage::disk::FileNumber;
use std::collections::BTreeMap;

/// Reads the bytes as a journal, and a journal that is damaged as the settings say.
pub fn run(input: &[u8]) {
    let (settings, content) = settings(input);
    let _ = parse(content);
    let count = number(settings, 0) % 8;
    let damages: Vec<(u8, u8)> = settings
        .get(1..)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect();
    check(count, &damages);
}

/// A journal with so many checkpoints, damaged.
pub fn check(count: u8, damages: &[(u8, u8)]) {
    let names = ["rejects", "output"].map(|path| Names::here(path, path)).to_vec();
    let header =
        Header::new(Identity::default(), names, Vec::new(), BTreeMap::new(), "now".to_owned());
    let checkpoints: Vec<Checkpoint> = (1..=count.into()).map(checkpoint).collect();
    let sound = text(&header, &checkpoints);
    let mut damaged = sound.clone();
    for &(place, what) in damages {
        let at = usize::from(place) * sound.len() / 256;
        match what {
            b'-' => damaged.truncate(at),
            what => damaged.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= what),
        }
    }
    let same = sound.iter().zip(&damaged).take_while(|(a, b)| a == b).count();
    let whole = sound[..same].iter().filter(|&&byte| byte == b'\n').count();
    let expected = whole.checked_sub(2).map(|last| checkpoints[last].clone());
    // A first line that is whole and not ours is refused.
    let Some(left) = parse(&damaged) else { return assert_eq!(whole, 0) };
    assert_eq!(left.checkpoint, expected);
    assert_eq!(left.header.is_some(), whole > 0);
}

fn checkpoint(read: u64) -> Checkpoint {
    Checkpoint {
        input: 0,
        bytes_read: 100 * read,
        position: RecordPosition { line: read, byte: 100 * read },
        lengths: vec![read, 2 * read],
        numbers: vec![FileNumber { inode: read, made: 1 }; 2],
        counts: Counts { read, written: read, ..Counts::default() },
        nodes: Vec::new(),
        time: String::new(),
    }
}
