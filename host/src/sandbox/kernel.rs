//! The calls to the kernel that no crate wraps: seccomp's, with its notifications, and the question
//! which version of landlock there is. Numbers and buffers in, numbers and buffers out.
//!
//! The trap: a notification is about a thread that may be gone by the time it is answered, and its
//! number another's. So what was read of it counts only if [`waits`] still says yes afterwards.
#![expect(unsafe_code, reason = "calls that no crate wraps")]

use libc::{c_long, c_ulong, c_void, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// What a notified call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The kernel does it, as if nobody had been asked.
    GoOn,
    /// It fails with this error.
    Fail(i32),
}

/// From here on the program judges each call of this thread, and of all that it starts. Asked for,
/// a listener for its notifications comes back.
pub(super) fn set_filter(program: &mut [sock_filter], listen: bool) -> io::Result<Option<OwnedFd>> {
    // A signal must not have a call asked about twice; kernels before 5.19 can't promise that.
    let once =
        libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    if !listen {
        return set_filter_with(program, 0).map(|_| None);
    }
    let set = match set_filter_with(program, once) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            set_filter_with(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)
        }
        set => set,
    };
    // SAFETY: the kernel made this descriptor just now, for us alone.
    set.map(|fd| Some(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
}

fn set_filter_with(program: &mut [sock_filter], flags: c_ulong) -> io::Result<c_long> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = sock_fprog { len, filter: program.as_mut_ptr() };
    // SAFETY: the program lives for as long as the call, which copies it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            ptr::from_ref(&program),
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}

/// A file that would become too large is an error of the call, and not the process's end.
pub(super) fn survive_large_files() {
    // SAFETY: ignoring a signal runs no code.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Whether filters may end in this. Changes nothing.
pub(super) fn knows_action(action: u32) -> bool {
    // SAFETY: reads a number that lives for as long as the call.
    let known = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, ptr::from_ref(&action))
    };
    known == 0
}

/// The version of landlock's interface. Changes nothing.
pub(super) fn landlock_abi() -> Option<u32> {
    const VERSION: u32 = 1;
    // SAFETY: asked for its version, it takes no rules: null and no length.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<c_void>(), 0usize, VERSION)
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

/// Waits for a call that is asked about.
pub(super) fn receive(listener: impl AsFd) -> io::Result<seccomp_notif> {
    // SAFETY: plain numbers, for which zero is a value; the kernel asks for zeros.
    let mut asked: seccomp_notif = unsafe { std::mem::zeroed() };
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel writes as many bytes as the request's number says, the size of this type.
    let done =
        unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_RECV, ptr::from_mut(&mut asked)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(asked) }
}

/// Whether the thread of this notification still waits for its answer.
pub(super) fn waits(listener: impl AsFd, id: u64) -> bool {
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads a number that lives for as long as the call.
    unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, ptr::from_ref(&id)) == 0 }
}

/// Answers. Nothing is wrong if nobody waits any more.
pub(super) fn answer(listener: impl AsFd, id: u64, answer: Answer) {
    let (error, flags) = match answer {
        Answer::GoOn => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Answer::Fail(errno) => (-errno, 0),
    };
    let mut answer = seccomp_notif_resp { id, val: 0, error, flags };
    let fd = listener.as_fd().as_raw_fd();
    // SAFETY: the kernel reads as many bytes as the request's number says, the size of this type.
    unsafe { libc::ioctl(fd, libc::SECCOMP_IOCTL_NOTIF_SEND, ptr::from_mut(&mut answer)) };
}
