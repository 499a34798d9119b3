//! From blocking to asynchronous and back: two threads work on all that is under way.
//!
//! They are started when a location is elsewhere for the first time, and never otherwise.

use super::trouble;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

/// One that reads and one that writes: a signature hashes all that is sent, which keeps one busy.
const THREADS: usize = 2;

/// The threads, started where they are not.
pub(super) fn bridge() -> io::Result<&'static Runtime> {
    static BRIDGE: OnceLock<Runtime> = OnceLock::new();
    if let Some(bridge) = BRIDGE.get() {
        return Ok(bridge);
    }
    // How TLS is spoken is ours to choose. That somebody has chosen before is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(THREADS).max_blocking_threads(4).thread_name("objects").enable_all();
    let made = builder.build()?;
    Ok(BRIDGE.get_or_init(|| made))
}

/// Waits for it on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    bridge().map(|bridge| bridge.block_on(work))
}

/// How often something is tried where a connection breaks in the middle. Refusals, and what can't be
/// reached, the client has tried again already.
const TRIES: u32 = 5;

/// Does it once more where its connection broke.
pub(super) async fn again<T, F>(mut work: impl FnMut() -> F) -> object_store::Result<T>
where
    F: Future<Output = object_store::Result<T>>,
{
    let mut tries = 1;
    loop {
        match work().await {
            Err(error) if tries < TRIES && trouble::is_broken(&error) => pause(tries).await,
            result => return result,
        }
        tries += 1;
    }
}

/// Waits before the next try: 0.1 s, and twice as long each time.
pub(super) async fn pause(tries: u32) {
    sleep(Duration::from_millis(50) * (1 << tries.min(7))).await;
}
