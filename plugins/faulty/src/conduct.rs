//! Faults in a model's conduct: what a guest in a process must not do.
#![expect(unsafe_code, reason = "most of it can't be done in safe Rust")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "two of the faults")]

use crate::fault;
use std::fs::File;
use std::hint::black_box;
use std::mem;

/// While it is loaded.
pub(crate) fn load() {
    if fault("working-folder-stays") {
        let _ = std::env::set_current_dir("/");
    } else if fault("environment-stays") {
        // SAFETY: the checks load models on the only thread there is.
        unsafe { std::env::set_var("PARCEL_THREADS", "1") };
    } else if fault("signals-stay") {
        let handler: extern "C" fn(i32) = not_now;
        // SAFETY: the handler does nothing, which any handler may.
        unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
    } else if fault("floating-point-stays") {
        flush_subnormals();
    } else if fault("ends-cleanly") {
        // SAFETY: a function that takes nothing and may be called at any time.
        unsafe { libc::atexit(abort) };
    }
}

/// While it predicts.
pub(crate) fn predict() {
    if fault("stdout-is-quiet") {
        println!("a parcel");
    } else if fault("stderr-is-quiet") {
        eprintln!("a parcel");
    } else if fault("files-stay-closed") {
        mem::forget(File::open("/dev/null"));
    } else if fault("memory-stays") {
        mem::forget(black_box(vec![1_u8; 200]));
    }
}

extern "C" fn not_now(_: i32) {}

extern "C" fn abort() {
    std::process::abort();
}

/// As a library does that was built with `-ffast-math`.
fn flush_subnormals() {
    #[cfg(target_arch = "x86_64")]
    {
        let mut control = 0_u32;
        // SAFETY: reads and writes the control register of this thread; that this spoils the
        // arithmetic is the fault.
        unsafe {
            std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control);
            control |= 1 << 15; // flush to zero
            std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const control);
        }
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        let mut control: u64;
        std::arch::asm!("mrs {}, fpcr", out(reg) control);
        control |= 1 << 24; // flush to zero
        std::arch::asm!("msr fpcr, {}", in(reg) control);
    }
}
