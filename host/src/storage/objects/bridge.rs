//! From blocking to asynchronous and back: one thread works on all that is under way.
//!
//! It is started when a location is elsewhere for the first time, and never otherwise.

use std::io;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};

/// The thread, started where it is not.
pub(super) fn bridge() -> io::Result<&'static Runtime> {
    static BRIDGE: OnceLock<Runtime> = OnceLock::new();
    if let Some(bridge) = BRIDGE.get() {
        return Ok(bridge);
    }
    // How TLS is spoken is ours to choose. That somebody has chosen before is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).max_blocking_threads(4).thread_name("objects").enable_all();
    let made = builder.build()?;
    Ok(BRIDGE.get_or_init(|| made))
}

/// Waits for it on this thread.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    bridge().map(|bridge| bridge.block_on(work))
}
