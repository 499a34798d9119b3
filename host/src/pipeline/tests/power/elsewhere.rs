//! The same where the outputs are objects: whatever ends the process, and wherever, what was sent is
//! gone on with, an object is there whole or as it was, and no part is left that nobody knows of.

use super::*;
use std::ops::Range;

/// When the process ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Before a request is done.
    Before,
    /// After it, and before its answer.
    Behind,
}

#[derive(Default)]
struct State {
    /// With how often each was written.
    objects: BTreeMap<String, (Vec<u8>, usize)>,
    /// By their ids: of which object, and what arrived.
    uploads: BTreeMap<String, (String, BTreeMap<usize, Vec<u8>>)>,
    begun: usize,
    writes: usize,
    requests: usize,
    end: Option<(usize, End)>,
}

/// A store in memory.
#[derive(Clone, Default)]
pub(super) struct Store {
    state: Arc<Mutex<State>>,
    /// The machine on which the process runs that asks.
    disk: Sim,
}

impl Store {
    fn before(before: &Files) -> Self {
        let store = Store::default();
        for (path, bytes) in before {
            let object = (bytes.clone(), 0);
            store.state.lock().unwrap().objects.insert(path.display().to_string(), object);
        }
        store
    }

    /// The same, asked from this machine.
    fn on(&self, disk: &Sim) -> Self {
        Store { state: self.state.clone(), disk: disk.clone() }
    }

    fn request<T>(&self, done: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock().unwrap();
        let n = state.requests;
        state.requests += 1;
        let end = state.end.filter(|(at, _)| *at == n).map(|(_, end)| end);
        if self.disk.is_cut() {
            return Err(io::Error::other("nobody is there to ask"));
        }
        if let Some(End::Before) = end {
            self.disk.harm(0, Harm::Cut);
            let _ = self.disk.remove(Path::new(JOURNAL)); // meets with it
            return Err(io::Error::other("ended"));
        }
        let done = done(&mut state);
        if let Some(End::Behind) = end {
            self.disk.harm(0, Harm::Cut);
            let _ = self.disk.remove(Path::new(JOURNAL));
            return Err(io::Error::other("ended"));
        }
        done
    }

    pub(super) fn upload(&self, at: &str, sent: Option<Sent>) -> io::Result<Box<dyn Upload>> {
        Ok(Box::new(Uploading { store: self.clone(), at: at.to_owned(), sent, on_way: 0 }))
    }

    fn files(&self) -> Files {
        let state = self.state.lock().unwrap();
        state.objects.iter().map(|(at, (bytes, _))| (at.into(), bytes.clone())).collect()
    }
}

struct Uploading {
    store: Store,
    at: String,
    sent: Option<Sent>,
    /// How many parts have arrived without an answer.
    on_way: usize,
}

impl Uploading {
    fn answer(&mut self, leave: usize) {
        let Some(sent) = &mut self.sent else { return };
        while self.on_way > leave {
            self.on_way -= 1;
            sent.parts.push(sent.parts.len().to_string());
        }
    }

    fn id(&self) -> String {
        self.sent.as_ref().unwrap().upload.clone()
    }
}

impl Upload for Uploading {
    fn begin(&mut self) -> io::Result<()> {
        if self.sent.is_none() {
            let upload = self.store.request(|state| {
                state.begun += 1;
                let id = state.begun.to_string();
                state.uploads.insert(id.clone(), (self.at.clone(), BTreeMap::new()));
                Ok(id)
            })?;
            self.sent = Some(Sent { upload, parts: Vec::new() });
        }
        Ok(())
    }

    fn sent(&mut self) -> Option<Sent> {
        self.answer(2);
        self.sent.clone()
    }

    fn part(&self, index: usize) -> Range<u64> {
        50 * index as u64..50 * (index as u64 + 1)
    }

    fn next(&self) -> usize {
        self.sent.as_ref().map_or(0, |sent| sent.parts.len()) + self.on_way
    }

    fn send(&mut self, part: Vec<u8>) -> io::Result<()> {
        let (id, index) = (self.id(), self.next());
        self.store.request(|state| {
            let (_, parts) = state.uploads.get_mut(&id).ok_or(io::ErrorKind::NotFound)?;
            let known = parts.insert(index, part.clone());
            assert!(known.is_none_or(|known| known == part), "part {index} has other bytes");
            Ok(())
        })?;
        self.on_way += 1;
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.answer(0);
        Ok(())
    }

    fn join(&mut self, bytes: u64) -> io::Result<Option<String>> {
        let (id, at, sent) = (self.id(), self.at.clone(), self.sent.clone().unwrap());
        self.store.request(|state| {
            let (_, parts) = state.uploads.remove(&id).ok_or(io::ErrorKind::NotFound)?;
            assert_eq!(sent.parts.len(), parts.len());
            assert_eq!(bytes, parts.values().map(|part| part.len() as u64).sum::<u64>());
            state.writes += 1;
            let object = (parts.into_values().flatten().collect(), state.writes);
            state.objects.insert(at, object);
            Ok(None)
        })
    }

    fn put(&mut self, whole: Vec<u8>) -> io::Result<Option<String>> {
        let at = self.at.clone();
        self.store.request(|state| {
            state.writes += 1;
            state.objects.insert(at, (whole, state.writes));
            Ok(None)
        })
    }

    fn found(&self) -> io::Result<Option<String>> {
        self.store.request(|state| {
            let found = state.objects.get(&self.at);
            Ok(Some(found.map_or_else(
                || "nothing".to_owned(),
                |(bytes, write)| format!("{} bytes, {write}", bytes.len()),
            )))
        })
    }

    fn is_made(&self, before: &str, bytes: u64) -> io::Result<bool> {
        let now = self.found()?.unwrap();
        Ok(now != before && now.starts_with(&format!("{bytes} bytes,")))
    }

    fn remove(&mut self) -> io::Result<()> {
        self.store.request(|state| {
            state.objects.remove(&self.at);
            Ok(())
        })
    }

    fn give_up(&mut self) -> io::Result<()> {
        let id = self.id();
        self.store.request(|state| {
            state.uploads.remove(&id);
            Ok(())
        })
    }
}

#[track_caller]
fn check_whole(store: &Store, before: &Files, expected: &Files) {
    for (path, bytes) in store.files() {
        let is_whole = Some(&bytes) == before.get(&path) || Some(&bytes) == expected.get(&path);
        assert!(is_whole, "{path:?}: {}", bytes.escape_ascii());
    }
}

/// Goes on until it is done, and looks at what is there then.
#[track_caller]
fn check_goes_on(store: &Store, disk: &Sim, before: &Files, expected: &Files) {
    check_whole(store, before, expected);
    attempt_to(disk, None, Some(&store.on(disk))).0.unwrap();
    assert_eq!(&store.files(), expected);
    assert_eq!(disk.files(), Files::new());
    let state = store.state.lock().unwrap();
    // One that was begun when the process ended is known to nobody, and empty.
    assert!(state.uploads.values().all(|(_, parts)| parts.is_empty()), "{:?}", state.uploads);
    assert!(state.uploads.len() <= 3, "one an output");
}

fn begin(before: &Files) -> (Store, Sim) {
    let disk = begun(&Files::new());
    (Store::before(before).on(&disk), disk)
}

#[test]
fn a_process_that_ends_at_any_request_costs_nothing() {
    let expected = expected(None);
    for before in [Files::new(), old(), expected.clone()] {
        for end in [End::Before, End::Behind] {
            for n in 0.. {
                let (store, disk) = begin(&before);
                store.state.lock().unwrap().end = Some((n, end));
                let done = attempt_to(&disk, None, Some(&store)).0;
                if store.state.lock().unwrap().requests <= n {
                    assert_eq!((done, store.files()), (Ok(()), expected.clone()));
                    assert!(n > 25, "{n} requests");
                    break;
                }
                check_goes_on(&store, &disk.power_cycled(|| Fate::Lost), &before, &expected);
                let (store, disk) = begin(&before);
                store.state.lock().unwrap().end = Some((n, end));
                let _ = attempt_to(&disk, None, Some(&store));
                check_goes_on(&store, &disk.process_gone(), &before, &expected);
            }
        }
    }
}

#[test]
fn power_that_is_cut_at_any_operation_costs_nothing() {
    let expected = expected(None);
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for before in [Files::new(), old()] {
        for n in 0.. {
            let mut is_done = false;
            for way in 0..4 {
                let (store, disk) = begin(&before);
                disk.harm(n, Harm::Torn);
                let _ = attempt_to(&disk, None, Some(&store));
                is_done |= disk.operations() <= n;
                let after = match way {
                    0 => disk.process_gone(),
                    1 => disk.power_cycled(|| Fate::Lost),
                    _ => disk.power_cycled(|| random_fate(&mut rng)),
                };
                check_goes_on(&store, &after, &before, &expected);
            }
            if is_done {
                break;
            }
        }
    }
}

#[test]
fn a_process_that_ends_again_and_again_costs_nothing() {
    let (before, expected) = (old(), expected(None));
    let mut rng = TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    for _ in 0..100 {
        let (store, mut disk) = begin(&before);
        for attempts in 0.. {
            assert!(attempts < 1_000, "it never ends");
            let end = if rng.random_range(0..2) == 0 { End::Before } else { End::Behind };
            // What is sent behind the last checkpoint is sent anew: some attempts must come that far.
            let at = store.state.lock().unwrap().requests + rng.random_range(1..40);
            store.state.lock().unwrap().end = Some((at, end));
            if attempt_to(&disk, None, Some(&store.on(&disk))).0.is_ok() {
                break;
            }
            check_whole(&store, &before, &expected);
            disk = disk.power_cycled(|| random_fate(&mut rng));
        }
        assert_eq!(store.files(), expected);
        let state = store.state.lock().unwrap();
        assert!(state.uploads.values().all(|(_, parts)| parts.is_empty()));
    }
}
