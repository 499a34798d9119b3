//! Faults in the life of a model: what it is loaded with, how often, and how it ends.

use crate::fault;
use model_abi::export::{self, Entry};
use model_abi_layout::{LoadAnswer, RSlice, RVec, kind};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{self, ThreadId};

static LOADS: AtomicU64 = AtomicU64::new(0);
static UNLOADS: AtomicU64 = AtomicU64::new(0);
/// Whether a model has ended beside one that lives on.
static BEREFT: AtomicBool = AtomicBool::new(false);
static LOADING_THREAD: OnceLock<ThreadId> = OnceLock::new();

pub(crate) fn loads() -> u64 {
    LOADS.load(Relaxed)
}

pub(crate) fn is_bereft() -> bool {
    BEREFT.load(Relaxed)
}

pub(crate) fn is_other_thread() -> bool {
    LOADING_THREAD.get().is_some_and(|loading| *loading != thread::current().id())
}

/// Loads it, with what the plugin makes of what it is told.
pub(crate) fn load(
    models: &[&dyn Entry],
    name: RSlice<'_, u8>,
    config: RSlice<'_, u8>,
    context: RSlice<'_, u8>,
    answer: &mut LoadAnswer,
) -> u32 {
    let context_keys =
        serde_json::from_slice::<Map<String, Value>>(&context).map_or(0, |c| c.len());
    if fault("context-may-grow") && context_keys > 2 {
        return kind::LOAD_FAILED;
    }
    if fault("loads-in-any-folder") && std::env::current_dir().is_ok_and(|d| d == Path::new("/")) {
        return kind::LOAD_FAILED;
    }
    let is_known = models.iter().any(|model| model.name().as_bytes() == name.as_slice());
    let takes_any = fault("no-such-model-is-an-error") && !is_known;
    let name = if takes_any { RSlice::from_slice(models[0].name().as_bytes()) } else { name };
    let others = LOADS.load(Relaxed) - UNLOADS.load(Relaxed);
    let is_dearer = (fault("loaded-at-once") && others == 2)
        || (fault("loaded-again") && UNLOADS.load(Relaxed) > 0);
    let config =
        if is_dearer { br#"{"base_euros":5}"#.to_vec() } else { understood(config.as_slice()) };

    let status = export::load(models, name, RSlice::from_slice(&config), context, answer);
    if status == 0 {
        LOADS.fetch_add(1, Relaxed);
        let _ = LOADING_THREAD.set(thread::current().id());
        if fault("load-reports-are-json") {
            answer.report = RVec::from(b"loaded".to_vec());
        }
        return 0;
    }
    if fault("failed-load-gives-no-handle") {
        answer.handle = ptr::without_provenance(8);
    } else if fault("failed-loads-say-why") {
        answer.report = RVec::from(b"{}".to_vec());
    } else if fault("config-errors-say-where") {
        answer.report = RVec::from(br#"{"message":"the config is wrong"}"#.to_vec());
    }
    status
}

/// The config as the plugin takes it.
fn understood(config: &[u8]) -> Vec<u8> {
    let defaults = || b"{}".to_vec();
    match serde_json::from_slice::<Value>(config) {
        Err(_) if fault("config-must-be-json") => defaults(),
        Ok(Value::Object(mut keys)) => {
            if fault("config-keys-unknown-are-refused") {
                keys.retain(|key, _| ["base_euros", "large_cm", "islands"].contains(&key.as_str()));
            } else if fault("config-types-are-checked")
                && keys.get("large_cm").is_some_and(|cm| !cm.is_u64())
            {
                keys.insert("large_cm".to_owned(), json!(60));
            } else {
                return config.to_vec();
            }
            Value::Object(keys).to_string().into_bytes()
        }
        Ok(_) if fault("config-must-be-an-object") => defaults(),
        Ok(_) | Err(_) => config.to_vec(),
    }
}

/// Counts a model that has ended; its status.
pub(crate) fn unloaded(status: u32) -> u32 {
    let ended = UNLOADS.fetch_add(1, Relaxed) + 1;
    if ended < LOADS.load(Relaxed) {
        BEREFT.store(true, Relaxed);
    }
    let is_lost = fault("unloaded-on-another-thread") && is_other_thread();
    if is_lost || fault("unload-succeeds") { kind::CALL_PANICKED } else { status }
}
