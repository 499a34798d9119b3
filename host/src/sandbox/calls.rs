//! The table of system calls that a worker in a sandbox does without, each with the error it gets
//! and the words for it. `filter.rs` makes the kernel's program of it, `watch.rs` the report.
//!
//! What is not in the table is allowed, but for calls that are newer than it: those get `ENOSYS`, as
//! they would from an older kernel, so that the table has no holes that a kernel's update makes.
//!
//! The traps: only numbers are judged here, never what a pointer points to, since another thread can
//! change that behind the judge's back. And the kernel takes most arguments as 32 bits, so no more
//! is looked at: the upper half must not make a difference.

use libc::{EACCES, ENOSYS, EPERM, c_int, c_long};

/// The newest call that was thought of: `file_setattr`. From 424 on all machines number alike.
pub(super) const NEWEST: u32 = 469;
const FCHMODAT2: c_long = 452;
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const OPEN_TREE_ATTR: c_long = 467;
const FILE_SETATTR: c_long = 469;

/// Such a call, with such arguments.
pub(super) struct Rule {
    pub(super) call: c_long,
    pub(super) when: When,
    pub(super) then: Then,
    pub(super) what: What,
}

/// Which arguments a rule is about.
#[derive(Clone)]
pub(super) enum When {
    Always,
    /// The argument of this index, as far as the mask lets it through, is one of these.
    Among(usize, u32, Vec<u32>),
    /// It is none of these.
    NotAmong(usize, u32, Vec<u32>),
}

impl When {
    pub(super) fn holds(&self, args: &[u64; 6]) -> bool {
        match self {
            When::Always => true,
            When::Among(arg, mask, values) => values.contains(&(args[*arg] as u32 & mask)),
            When::NotAmong(arg, mask, values) => !values.contains(&(args[*arg] as u32 & mask)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It fails with this error, and the host is told.
    Stop(c_int),
    /// It fails with this error. No harm was meant: what libraries ask and can do without.
    Quietly(c_int),
    /// The host looks at it and lets it go on: landlock decides.
    Look,
    /// It goes on where the argument of this index is a thread of the worker's own, and fails with
    /// `EPERM` where it is not, or where nobody is there to look.
    IfOwn(usize),
}

/// What is tried by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// These words say it.
    Do(&'static str),
    /// A socket; of which family, the first argument says.
    Socket,
    /// To a file: the words before its name, and the arguments where the name and (for relative
    /// names) the folder stand.
    ToFile(&'static str, Option<usize>, usize),
    /// To a file that is open: the argument which says which.
    ToOpenFile(&'static str, usize),
    /// To open a file: the arguments of the folder, the name and the flags.
    Open(Option<usize>, usize, usize),
}

/// The table for the process of this number. `files_held`: landlock is there, and decides about
/// what is opened; else nothing can be opened for writing.
pub(super) fn table(own: u32, files_held: bool) -> Vec<Rule> {
    let mut table = Vec::new();
    let mut add = |call, when, then, what| table.push(Rule { call, when, then, what });
    let ne = |arg, values: &[u32]| When::NotAmong(arg, u32::MAX, values.to_vec());
    let eq = |arg, values: &[c_int]| {
        When::Among(arg, u32::MAX, values.iter().map(|value| *value as u32).collect())
    };

    // Files. Landlock knows paths, but not all of what can be done to a file.
    for (call, at, name, flags) in OPENS {
        let (flag, what) = (*flags, What::Open(*at, *name, *flags));
        let bits = |bits: c_int, values: &[c_int]| {
            let values = values.iter().map(|value| *value as u32).collect();
            When::Among(flag, bits as u32, values)
        };
        // It asks for reading only and empties the file: landlock's first versions let it.
        let empties = bits(libc::O_ACCMODE | libc::O_TRUNC, &[libc::O_RDONLY | libc::O_TRUNC]);
        add(*call, empties, Then::Stop(EACCES), what);
        if !files_held {
            let writes = bits(libc::O_ACCMODE, &[libc::O_WRONLY, libc::O_RDWR, libc::O_ACCMODE]);
            add(*call, writes, Then::Stop(EACCES), what);
            add(*call, bits(libc::O_CREAT, &[libc::O_CREAT]), Then::Stop(EACCES), what);
        }
        add(*call, When::Always, Then::Look, what);
    }
    // Its flags lie in memory, where they can't be judged. Callers fall back to `openat`.
    add(libc::SYS_openat2, When::Always, Then::Quietly(ENOSYS), What::Do(""));
    for (call, what) in CHANGES {
        add(*call, When::Always, Then::Stop(EACCES), *what);
    }

    // The network, and sockets of other processes. A pair of streams leads nowhere else.
    add(libc::SYS_socket, When::Always, Then::Stop(EACCES), What::Socket);
    let paired =
        When::NotAmong(1, 0xf, vec![libc::SOCK_STREAM as u32, libc::SOCK_SEQPACKET as u32]);
    add(libc::SYS_socketpair, ne(0, &[libc::AF_UNIX as u32]), Then::Stop(EACCES), What::Socket);
    add(libc::SYS_socketpair, paired, Then::Stop(EACCES), What::Socket);
    let calls = [libc::SYS_connect, libc::SYS_bind, libc::SYS_listen];
    for call in calls.into_iter().chain([libc::SYS_accept, libc::SYS_accept4]) {
        add(call, When::Always, Then::Stop(EACCES), What::Do("connect a socket"));
    }

    // Processes: none are started, none are meddled with. Threads are `clone`, too.
    let forks = When::Among(0, libc::CLONE_THREAD as u32, vec![0]);
    add(libc::SYS_clone, forks, Then::Stop(EPERM), What::Do("start a process"));
    // Its flags lie in memory. The C library falls back to `clone`.
    add(libc::SYS_clone3, When::Always, Then::Quietly(ENOSYS), What::Do(""));
    let signal = What::Do("send a signal to another process");
    for call in
        [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo]
    {
        add(call, ne(0, &[own]), Then::Stop(EPERM), signal);
    }
    add(libc::SYS_tkill, ne(0, &[own]), Then::IfOwn(0), signal);
    add(libc::SYS_pidfd_send_signal, When::Always, Then::Stop(EPERM), signal);
    // A file can be told to send its owner a signal.
    add(libc::SYS_fcntl, eq(1, &[libc::F_SETOWN, F_SETOWN_EX]), Then::Stop(EPERM), signal);
    add(libc::SYS_ioctl, eq(1, &[FIOSETOWN, SIOCSPGRP]), Then::Stop(EPERM), signal);
    let typing = What::Do("type into the terminal");
    add(libc::SYS_ioctl, eq(1, &[TIOCSTI, TIOCLINUX]), Then::Stop(EPERM), typing);
    let outlive = What::Do("outlive its host (prctl PR_SET_PDEATHSIG)");
    add(libc::SYS_prctl, eq(0, &[libc::PR_SET_PDEATHSIG]), Then::Stop(EPERM), outlive);
    // Or the host could not read what is asked for.
    add(libc::SYS_prctl, eq(0, &[libc::PR_SET_DUMPABLE]), Then::Quietly(EPERM), What::Do(""));
    let meddle = What::Do("change how another process runs");
    for call in [
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setattr,
        libc::SYS_prlimit64,
        libc::SYS_migrate_pages,
        libc::SYS_move_pages,
    ] {
        add(call, ne(0, &[0, own]), Then::IfOwn(0), meddle);
    }
    for (call, process) in [(libc::SYS_setpriority, PRIO_PROCESS), (libc::SYS_ioprio_set, 1)] {
        add(call, ne(0, &[process]), Then::Stop(EPERM), meddle);
        add(call, ne(1, &[0, own]), Then::IfOwn(1), meddle);
    }
    // Asking which one it has is fine.
    let personality = What::Do("change how programs are run (personality)");
    add(libc::SYS_personality, ne(0, &[u32::MAX]), Then::Stop(EPERM), personality);

    for (words, calls) in NEVER {
        for call in *calls {
            add(*call, When::Always, Then::Stop(EPERM), What::Do(words));
        }
    }
    table
}

const PRIO_PROCESS: u32 = 0;
const F_SETOWN_EX: c_int = 15;
const FIOSETOWN: c_int = 0x8901;
const SIOCSPGRP: c_int = 0x8902;
const TIOCSTI: c_int = 0x5412;
const TIOCLINUX: c_int = 0x541c;

/// Calls that open files, with the arguments of the folder, the name and the flags.
const OPENS: &[(c_long, Option<usize>, usize, usize)] = &[
    (libc::SYS_openat, Some(0), 1, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, None, 0, 1),
];

/// Calls that change files, whatever their arguments.
const CHANGES: &[(c_long, What)] = &[
    (libc::SYS_truncate, What::ToFile("write the file", None, 0)),
    (libc::SYS_unlinkat, What::ToFile("remove the file", Some(0), 1)),
    (libc::SYS_renameat2, What::ToFile("rename the file", Some(0), 1)),
    (libc::SYS_renameat, What::ToFile("rename the file", Some(0), 1)),
    (libc::SYS_mkdirat, What::ToFile("make the folder", Some(0), 1)),
    (libc::SYS_mknodat, What::ToFile("make the file", Some(0), 1)),
    (libc::SYS_linkat, What::ToFile("make the link", Some(2), 3)),
    (libc::SYS_symlinkat, What::ToFile("make the link", Some(1), 2)),
    (libc::SYS_fchmodat, What::ToFile("change the file", Some(0), 1)),
    (FCHMODAT2, What::ToFile("change the file", Some(0), 1)),
    (libc::SYS_fchownat, What::ToFile("change the file", Some(0), 1)),
    (libc::SYS_utimensat, What::ToFile("change the file", Some(0), 1)),
    (libc::SYS_setxattr, What::ToFile("change the file", None, 0)),
    (libc::SYS_lsetxattr, What::ToFile("change the file", None, 0)),
    (SETXATTRAT, What::ToFile("change the file", Some(0), 1)),
    (libc::SYS_removexattr, What::ToFile("change the file", None, 0)),
    (libc::SYS_lremovexattr, What::ToFile("change the file", None, 0)),
    (REMOVEXATTRAT, What::ToFile("change the file", Some(0), 1)),
    (FILE_SETATTR, What::ToFile("change the file", Some(0), 1)),
    (libc::SYS_fchmod, What::ToOpenFile("change the file", 0)),
    (libc::SYS_fchown, What::ToOpenFile("change the file", 0)),
    (libc::SYS_fsetxattr, What::ToOpenFile("change the file", 0)),
    (libc::SYS_fremovexattr, What::ToOpenFile("change the file", 0)),
    // Whoever watches a folder learns what other processes do in it.
    (libc::SYS_inotify_add_watch, What::ToFile("watch the file", None, 1)),
    (libc::SYS_execve, What::ToFile("start the program", None, 0)),
    (libc::SYS_execveat, What::ToFile("start the program", Some(0), 1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat, What::ToFile("write the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, What::ToFile("remove the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, What::ToFile("remove the folder", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, What::ToFile("rename the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, What::ToFile("make the folder", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod, What::ToFile("make the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, What::ToFile("make the link", None, 1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, What::ToFile("make the link", None, 1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, What::ToFile("change the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chown, What::ToFile("change the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lchown, What::ToFile("change the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_utime, What::ToFile("change the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_utimes, What::ToFile("change the file", None, 0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_futimesat, What::ToFile("change the file", Some(0), 1)),
];

/// Calls that no model needs, by what is tried with them.
const NEVER: &[(&str, &[c_long])] = &[
    #[cfg(target_arch = "x86_64")]
    ("start a process", &[libc::SYS_fork, libc::SYS_vfork]),
    ("trace another process (ptrace)", &[libc::SYS_ptrace]),
    ("read the memory of another process", &[libc::SYS_process_vm_readv]),
    ("write the memory of another process", &[libc::SYS_process_vm_writev]),
    (
        "change the memory of another process",
        &[libc::SYS_process_madvise, libc::SYS_process_mrelease],
    ),
    ("take a file of another process (pidfd_getfd)", &[libc::SYS_pidfd_getfd]),
    ("look into another process (kcmp)", &[libc::SYS_kcmp]),
    ("leave its group of processes", &[libc::SYS_setsid, libc::SYS_setpgid]),
    (
        "change its user",
        &[
            libc::SYS_setuid,
            libc::SYS_setgid,
            libc::SYS_setreuid,
            libc::SYS_setregid,
            libc::SYS_setresuid,
            libc::SYS_setresgid,
            libc::SYS_setfsuid,
            libc::SYS_setfsgid,
            libc::SYS_setgroups,
            libc::SYS_capset,
        ],
    ),
    (
        "use io_uring",
        &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register],
    ),
    ("load a program into the kernel (bpf)", &[libc::SYS_bpf]),
    ("measure the system (perf_event_open)", &[libc::SYS_perf_event_open]),
    ("handle page faults (userfaultfd)", &[libc::SYS_userfaultfd]),
    (
        "mount a file system",
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            OPEN_TREE_ATTR,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
        ],
    ),
    ("change its namespaces", &[libc::SYS_unshare, libc::SYS_setns]),
    ("use the kernel's keys", &[libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key]),
    ("open a file past its path", &[libc::SYS_open_by_handle_at, libc::SYS_name_to_handle_at]),
    ("watch the system's files", &[libc::SYS_fanotify_init, libc::SYS_fanotify_mark]),
    (
        "share memory or messages with other processes",
        &[
            libc::SYS_shmget,
            libc::SYS_shmat,
            libc::SYS_shmctl,
            libc::SYS_msgget,
            libc::SYS_msgsnd,
            libc::SYS_msgrcv,
            libc::SYS_msgctl,
            libc::SYS_semget,
            libc::SYS_semop,
            libc::SYS_semctl,
            libc::SYS_semtimedop,
            libc::SYS_mq_open,
            libc::SYS_mq_unlink,
        ],
    ),
    (
        "load code into the kernel",
        &[
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_kexec_load,
            KEXEC_FILE_LOAD,
        ],
    ),
    (
        "set the clock",
        &[
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_adjtimex,
            libc::SYS_clock_adjtime,
        ],
    ),
    (
        "administer the system",
        &[
            libc::SYS_reboot,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_acct,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            libc::SYS_syslog,
            libc::SYS_vhangup,
        ],
    ),
    #[cfg(target_arch = "x86_64")]
    (
        "reach the machine's devices",
        &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_uselib],
    ),
];

#[cfg(target_arch = "x86_64")]
const KEXEC_FILE_LOAD: c_long = 320;
#[cfg(not(target_arch = "x86_64"))]
const KEXEC_FILE_LOAD: c_long = 294;
