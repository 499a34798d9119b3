//! The binary: parses, runs, prints the error, chooses the exit code. Everything else is the
//! library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    keep_large_buffers_apart();
    ExitCode::from(etl_host::cli::main(std::env::args_os()))
}

/// Buffers over 1 MiB hold very long records. glibc would learn from the first of them to keep such
/// memory, and to copy it where it grows; told a threshold, it gives them pages of their own, which
/// grow in place and go back at once. Ten records of 15 MiB take half the memory so.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc's setting has no safe face")]
fn keep_large_buffers_apart() {
    // SAFETY: sets a number in the allocator, before there is another thread.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 1024 * 1024) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_large_buffers_apart() {}
