//! What is tried in the sandbox, what it gets, and what the host is told.

use super::*;
use libc::{c_long, c_void};
use std::ptr;

pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) try_it: fn(&Path) -> io::Result<()>,
    pub(super) gets: &'static str,
    pub(super) told: &'static [&'static str],
}

const fn row(
    kind: &'static str,
    name: &'static str,
    gets: &'static str,
    told: &'static [&'static str],
    try_it: fn(&Path) -> io::Result<()>,
) -> Row {
    Row { kind, name, try_it, gets, told }
}

/// A system call by its number. Its arguments are numbers, or null where a pointer is asked for.
fn call(number: c_long, args: &[c_long]) -> io::Result<()> {
    let arg = |index: usize| args.get(index).copied().unwrap_or(0);
    // SAFETY: no pointers but null, which the kernel answers with an error.
    let done = unsafe { libc::syscall(number, arg(0), arg(1), arg(2), arg(3), arg(4), arg(5)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The same with a path at the argument of this index.
fn call_with(number: c_long, at: usize, path: impl AsRef<Path>, args: &[c_long]) -> io::Result<()> {
    let path = CString::new(path.as_ref().to_str().unwrap()).unwrap();
    let mut args = args.to_vec();
    args.resize(6, 0);
    args[at] = path.as_ptr() as c_long;
    call(number, &args)
}

fn parent() -> c_long {
    std::os::unix::process::parent_id().into()
}

fn memory_file(bytes: u64) -> io::Result<File> {
    // SAFETY: the name is a text of C's; the descriptor that comes back is ours.
    let fd = unsafe { libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as said above.
    let file = unsafe { File::from_raw_fd(fd) };
    file.set_len(bytes).map(|()| file)
}

fn is(holds: bool) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other("it is not so")) }
}

const CWD: c_long = libc::AT_FDCWD as c_long;
const NETWORK: &[&str] = &["open a network socket"];
const CONNECT: &[&str] = &["connect a socket"];
const START: &[&str] = &["start a process"];
const SIGNAL: &[&str] = &["send a signal to another process"];
const MEDDLE: &[&str] = &["change how another process runs"];
const SHARE: &[&str] = &["share memory or messages with other processes"];
const SECRET: &[&str] = &["read the file `FOLDER/other/secret`"];
const WEIGHTS: &[&str] = &["change the file `FOLDER/granted/weights`"];

pub(super) const ROWS: &[Row] = &[
    row("files", "read another file", "EACCES", SECRET, |f| {
        fs::read(f.join("other/secret")).map(drop)
    }),
    row("files", "read it through a link", "EACCES", SECRET, |f| {
        fs::read(f.join("granted/link")).map(drop)
    }),
    row("files", "read it past dots", "EACCES", SECRET, |f| {
        fs::read(f.join("granted/../other/secret")).map(drop)
    }),
    row("files", "read it by a relative path", "EACCES", SECRET, |f| {
        env::set_current_dir(f.join("granted"))?;
        fs::read("../other/secret").map(drop)
    }),
    row("files", "read it from a folder that is open", "EACCES", SECRET, |f| {
        let folder = File::open(f.join("granted"))?;
        let path = c"../other/secret";
        call(libc::SYS_openat, &[folder.as_raw_fd().into(), path.as_ptr() as c_long])
    }),
    row(
        "files",
        "read it three times",
        "EACCES",
        &["read the file `FOLDER/other/secret` (3 times)"],
        |f| {
            let read = || fs::read(f.join("other/secret")).map(drop);
            read().or_else(|_| read()).or_else(|_| read())
        },
    ),
    row("files", "open it in a new way", "ENOSYS", &[], |f| {
        call_with(libc::SYS_openat2, 1, f.join("other/secret"), &[CWD])
    }),
    row("files", "read the users", "EACCES", &["read the file `/etc/passwd`"], |_| {
        fs::read("/etc/passwd").map(drop)
    }),
    row("files", "list a folder", "EACCES", &["list the folder `FOLDER/other`"], |f| {
        fs::read_dir(f.join("other")).map(drop)
    }),
    row("files", "read its environment", "EACCES", &["read the file `/proc/self/environ`"], |_| {
        fs::read("/proc/self/environ").map(drop)
    }),
    row(
        "files",
        "read that of its parent",
        "EACCES",
        &["read the file `/proc/PARENT/environ`"],
        |_| fs::read(format!("/proc/{}/environ", parent())).map(drop),
    ),
    row(
        "files",
        "read its parent's memory",
        "EACCES",
        &["read the file `/proc/PARENT/mem`"],
        |_| File::open(format!("/proc/{}/mem", parent())).map(drop),
    ),
    row("files", "write a new file", "EACCES", &["write the file `FOLDER/granted/new`"], |f| {
        fs::write(f.join("granted/new"), "x")
    }),
    row(
        "files",
        "write in a folder that is not there",
        "EACCES",
        &["write the file `/not/there/new`"],
        |_| {
            // Which the kernel finds out first.
            fs::write("/not/there/new", "x").map_err(|_| io::Error::from_raw_os_error(libc::EACCES))
        },
    ),
    row(
        "files",
        "write what may be read",
        "EACCES",
        &["write the file `FOLDER/granted/weights`"],
        |f| OpenOptions::new().write(true).open(f.join("granted/weights")).map(drop),
    ),
    row(
        "files",
        "empty what may be read",
        "EACCES",
        &["write the file `FOLDER/granted/weights`"],
        |f| {
            call_with(
                libc::SYS_openat,
                1,
                f.join("granted/weights"),
                &[CWD, 0, libc::O_TRUNC.into()],
            )
        },
    ),
    row(
        "files",
        "empty it by its name",
        "EACCES",
        &["write the file `FOLDER/granted/weights`"],
        |f| call_with(libc::SYS_truncate, 0, f.join("granted/weights"), &[]),
    ),
    row("files", "write a nameless file", "EACCES", &["write the file `FOLDER/granted`"], |f| {
        let flags = libc::O_TMPFILE | libc::O_RDWR;
        call_with(libc::SYS_openat, 1, f.join("granted"), &[CWD, 0, flags.into()])
    }),
    row(
        "files",
        "write its own memory by a file",
        "EACCES",
        &["write the file `/proc/self/mem`"],
        |_| OpenOptions::new().write(true).open("/proc/self/mem").map(drop),
    ),
    row("files", "open a device", "EACCES", &["read the file `/dev/kmsg`"], |_| {
        File::open("/dev/kmsg").map(drop)
    }),
    row("files", "remove a file", "EACCES", &["remove the file `FOLDER/granted/weights`"], |f| {
        fs::remove_file(f.join("granted/weights"))
    }),
    row("files", "remove a folder", "EACCES", &["remove the folder `FOLDER/granted/empty`"], |f| {
        fs::remove_dir(f.join("granted/empty"))
    }),
    row("files", "rename a file", "EACCES", &["rename the file `FOLDER/granted/weights`"], |f| {
        fs::rename(f.join("granted/weights"), f.join("granted/gone"))
    }),
    row("files", "make a folder", "EACCES", &["make the folder `FOLDER/granted/new`"], |f| {
        fs::create_dir(f.join("granted/new"))
    }),
    row("files", "make a link", "EACCES", &["make the link `FOLDER/granted/new`"], |f| {
        fs::hard_link(f.join("granted/weights"), f.join("granted/new"))
    }),
    row("files", "make a symbolic link", "EACCES", &["make the link `FOLDER/granted/new`"], |f| {
        symlink("/etc/passwd", f.join("granted/new"))
    }),
    row(
        "files",
        "make a pipe with a name",
        "EACCES",
        &["make the file `FOLDER/granted/new`"],
        |f| call_with(libc::SYS_mknodat, 1, f.join("granted/new"), &[CWD, 0, libc::S_IFIFO.into()]),
    ),
    row("files", "open a file to all", "EACCES", WEIGHTS, |f| {
        fs::set_permissions(f.join("granted/weights"), fs::Permissions::from_mode(0o777))
    }),
    row("files", "open it to all by its number", "EACCES", WEIGHTS, |f| {
        File::open(f.join("granted/weights"))?.set_permissions(fs::Permissions::from_mode(0o777))
    }),
    row("files", "give a file away", "EACCES", WEIGHTS, |f| {
        std::os::unix::fs::chown(f.join("granted/weights"), Some(1), Some(1))
    }),
    row("files", "change a file's time", "EACCES", WEIGHTS, |f| {
        call_with(libc::SYS_utimensat, 1, f.join("granted/weights"), &[CWD])
    }),
    row("files", "label a file", "EACCES", WEIGHTS, |f| {
        call_with(libc::SYS_setxattr, 0, f.join("granted/weights"), &[])
    }),
    row("files", "watch a folder", "EACCES", &["watch the file `FOLDER/other`"], |f| {
        call_with(libc::SYS_inotify_add_watch, 1, f.join("other"), &[])
    }),
    row("files", "open a file past its path", "EPERM", &["open a file past its path"], |f| {
        call_with(libc::SYS_name_to_handle_at, 1, f.join("other/secret"), &[CWD])
    }),
    row("files", "go on past its path", "EPERM", &["open a file past its path"], |_| {
        call(libc::SYS_open_by_handle_at, &[CWD])
    }),
    row("sockets", "TCP", "EACCES", NETWORK, |_| {
        std::net::TcpStream::connect("127.0.0.1:9").map(drop)
    }),
    row("sockets", "UDP", "EACCES", NETWORK, |_| {
        std::net::UdpSocket::bind("127.0.0.1:0").map(drop)
    }),
    row("sockets", "TCP over IPv6", "EACCES", NETWORK, |_| {
        std::net::TcpListener::bind("[::1]:0").map(drop)
    }),
    row("sockets", "one in a file", "EACCES", &["open a socket to other processes"], |_| {
        UnixStream::connect("/run/docker.sock").map(drop)
    }),
    row("sockets", "netlink", "EACCES", &["open a socket to the kernel"], |_| {
        call(libc::SYS_socket, &[libc::AF_NETLINK.into(), libc::SOCK_RAW.into(), 0])
    }),
    row("sockets", "packets", "EACCES", &["open a socket of family 17"], |_| {
        call(libc::SYS_socket, &[libc::AF_PACKET.into(), libc::SOCK_RAW.into(), 0])
    }),
    // The upper half of an argument must make no difference.
    row("sockets", "a family with a high bit", "EACCES", NETWORK, |_| {
        call(libc::SYS_socket, &[libc::AF_INET as c_long | 1 << 32, libc::SOCK_STREAM.into(), 0])
    }),
    row(
        "sockets",
        "a pair that could be sent elsewhere",
        "EACCES",
        &["open a socket to other processes"],
        |_| std::os::unix::net::UnixDatagram::pair().map(drop),
    ),
    row("sockets", "connect what it has", "EACCES", CONNECT, |_| call(libc::SYS_connect, &[0])),
    row("sockets", "bind what it has", "EACCES", CONNECT, |_| call(libc::SYS_bind, &[0])),
    row("sockets", "listen", "EACCES", CONNECT, |_| call(libc::SYS_listen, &[0])),
    row("processes", "spawn", "EPERM", START, |_| Command::new("/bin/true").status().map(drop)),
    row("processes", "fork", "EPERM", START, |_| call(libc::SYS_clone, &[libc::SIGCHLD.into()])),
    row("processes", "fork in the new way", "ENOSYS", &[], |_| call(libc::SYS_clone3, &[])),
    row(
        "processes",
        "become another program",
        "EACCES",
        &["start the program `FOLDER/granted/weights`"],
        |f| call_with(libc::SYS_execve, 0, f.join("granted/weights"), &[]),
    ),
    row("processes", "ask to be traced", "EPERM", &["trace another process (ptrace)"], |_| {
        call(libc::SYS_ptrace, &[libc::PTRACE_TRACEME.into()])
    }),
    row("processes", "trace its parent", "EPERM", &["trace another process (ptrace)"], |_| {
        call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE.into(), parent()])
    }),
    row("processes", "read its parent", "EPERM", &["read the memory of another process"], |_| {
        call(libc::SYS_process_vm_readv, &[parent()])
    }),
    row("processes", "write its parent", "EPERM", &["write the memory of another process"], |_| {
        call(libc::SYS_process_vm_writev, &[parent()])
    }),
    row(
        "processes",
        "take a file of its parent",
        "EPERM",
        &["take a file of another process (pidfd_getfd)"],
        |_| call(libc::SYS_pidfd_getfd, &[0, 0, 0]),
    ),
    row("processes", "signal its parent", "EPERM", SIGNAL, |_| {
        call(libc::SYS_kill, &[parent(), 0])
    }),
    row("processes", "signal all", "EPERM", SIGNAL, |_| call(libc::SYS_kill, &[-1, 0])),
    row("processes", "signal its group", "EPERM", SIGNAL, |_| call(libc::SYS_kill, &[0, 0])),
    row("processes", "signal a thread of its parent", "EPERM", SIGNAL, |_| {
        call(libc::SYS_tgkill, &[parent(), parent(), 0])
    }),
    row("processes", "signal it without its process", "EPERM", SIGNAL, |_| {
        call(libc::SYS_tkill, &[parent(), 0])
    }),
    row("processes", "queue a signal", "EPERM", SIGNAL, |_| {
        call(libc::SYS_rt_sigqueueinfo, &[parent()])
    }),
    row("processes", "signal by descriptor", "EPERM", SIGNAL, |_| {
        call(libc::SYS_pidfd_send_signal, &[0, 0])
    }),
    row("processes", "have a file signal", "EPERM", SIGNAL, |_| {
        call(libc::SYS_fcntl, &[0, libc::F_SETOWN.into(), parent()])
    }),
    row("processes", "have a socket signal", "EPERM", SIGNAL, |_| {
        call(libc::SYS_ioctl, &[0, 0x8901])
    }),
    row("processes", "type into the terminal", "EPERM", &["type into the terminal"], |_| {
        call(libc::SYS_ioctl, &[0, 0x5412])
    }),
    row(
        "processes",
        "outlive its host",
        "EPERM",
        &["outlive its host (prctl PR_SET_PDEATHSIG)"],
        |_| call(libc::SYS_prctl, &[libc::PR_SET_PDEATHSIG.into(), 0]),
    ),
    row("processes", "hide its memory", "EPERM", &[], |_| {
        call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE.into(), 0])
    }),
    row("processes", "a session of its own", "EPERM", &["leave its group of processes"], |_| {
        call(libc::SYS_setsid, &[])
    }),
    row("processes", "a group of its own", "EPERM", &["leave its group of processes"], |_| {
        call(libc::SYS_setpgid, &[0, 0])
    }),
    row("processes", "limit its parent", "EPERM", MEDDLE, |_| {
        call(libc::SYS_prlimit64, &[parent()])
    }),
    row("processes", "move its parent", "EPERM", MEDDLE, |_| {
        call(libc::SYS_sched_setaffinity, &[parent()])
    }),
    row("processes", "slow its parent", "EPERM", MEDDLE, |_| {
        call(libc::SYS_setpriority, &[libc::PRIO_PROCESS as c_long, parent(), 19])
    }),
    row("processes", "slow all of its user", "EPERM", MEDDLE, |_| {
        call(libc::SYS_setpriority, &[libc::PRIO_USER as c_long, 0, 19])
    }),
    row("processes", "another user", "EPERM", &["change its user"], |_| {
        call(libc::SYS_setuid, &[12345])
    }),
    row("processes", "raise its limits", "EPERM", &[], |_| {
        let most = libc::rlimit { rlim_cur: 1 << 40, rlim_max: 1 << 40 };
        // SAFETY: reads the limits, which live for as long as the call.
        let done = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const most) };
        if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }),
    row("system", "io_uring", "EPERM", &["use io_uring"], |_| call(libc::SYS_io_uring_setup, &[1])),
    row("system", "bpf", "EPERM", &["load a program into the kernel (bpf)"], |_| {
        call(libc::SYS_bpf, &[-1])
    }),
    row("system", "perf", "EPERM", &["measure the system (perf_event_open)"], |_| {
        call(libc::SYS_perf_event_open, &[])
    }),
    row("system", "userfaultfd", "EPERM", &["handle page faults (userfaultfd)"], |_| {
        call(libc::SYS_userfaultfd, &[-1])
    }),
    row("system", "mount", "EPERM", &["mount a file system"], |_| call(libc::SYS_mount, &[])),
    row("system", "mount in the new way", "EPERM", &["mount a file system"], |_| {
        call(libc::SYS_move_mount, &[])
    }),
    row("system", "another root", "EPERM", &["mount a file system"], |_| {
        call(libc::SYS_chroot, &[])
    }),
    row("system", "namespaces", "EPERM", &["change its namespaces"], |_| {
        call(libc::SYS_unshare, &[-1])
    }),
    row("system", "others' namespaces", "EPERM", &["change its namespaces"], |_| {
        call(libc::SYS_setns, &[-1])
    }),
    row("system", "keys", "EPERM", &["use the kernel's keys"], |_| call(libc::SYS_keyctl, &[-1])),
    row("system", "modules", "EPERM", &["load code into the kernel"], |_| {
        call(libc::SYS_init_module, &[])
    }),
    row("system", "another kernel", "EPERM", &["load code into the kernel"], |_| {
        call(libc::SYS_kexec_load, &[0, 0, 0, -1])
    }),
    row("system", "the clock", "EPERM", &["set the clock"], |_| {
        call(libc::SYS_clock_settime, &[-1])
    }),
    row("system", "a reboot", "EPERM", &["administer the system"], |_| {
        call(libc::SYS_reboot, &[0, 0, 0])
    }),
    row("system", "swap", "EPERM", &["administer the system"], |_| call(libc::SYS_swapon, &[])),
    row("system", "quotas", "EPERM", &["administer the system"], |_| {
        call(libc::SYS_quotactl, &[-1])
    }),
    row("system", "personality", "EPERM", &["change how programs are run (personality)"], |_| {
        call(libc::SYS_personality, &[0x0040000])
    }),
    row("system", "shared memory", "EPERM", SHARE, |_| {
        call(libc::SYS_shmget, &[1234, 4096, 0o1600])
    }),
    row("system", "a queue of messages", "EPERM", SHARE, |_| call(libc::SYS_mq_open, &[])),
    row("system", "a call of a newer kernel", "ENOSYS", &[], |_| call(470, &[])),
    #[cfg(target_arch = "x86_64")]
    row("system", "x32", "EPERM", &["make a system call of another kind of machine"], |_| {
        call(0x4000_0000 | libc::SYS_getpid, &[])
    }),
    row("works", "nothing", "works", &[], |_| Ok(())),
    row("works", "threads", "works", &[], |_| {
        is(thread::spawn(|| thread::spawn(|| 7).join().unwrap()).join().unwrap() == 7)
    }),
    row("works", "granted files", "works", &[], |f| {
        is(fs::read(f.join("granted/weights"))? == b"weights")
    }),
    row("works", "granted folders", "works", &[], |f| {
        is(fs::read_dir(f.join("granted"))?.count() == 3)
    }),
    row("works", "a granted file in a thread", "works", &[], |f| {
        let path = f.join("granted/weights");
        thread::spawn(|| fs::read(path)).join().unwrap().map(drop)
    }),
    row("works", "a file that is not there", "works", &[], |_| {
        is(fs::read("/etc/no such file").is_err())
    }),
    row("works", "loading a library", "works", &[], |_| {
        // SAFETY: the constructors of the library of numbers.
        is(!unsafe { libc::dlopen(c"libm.so.6".as_ptr(), libc::RTLD_NOW) }.is_null())
    }),
    row("works", "counting cores", "works", &[], |_| thread::available_parallelism().map(drop)),
    row("works", "reading of the machine", "works", &[], |_| {
        for path in [
            "/proc/cpuinfo",
            "/proc/meminfo",
            "/proc/self/maps",
            "/proc/self/status",
            "/proc/self/cgroup",
        ] {
            fs::read(path)?;
        }
        fs::read_dir("/sys/devices/system/cpu").map(drop)
    }),
    row("works", "chance", "works", &[], |_| {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        // SAFETY: as many bytes are written as there are.
        is(unsafe { libc::getrandom(bytes.as_mut_ptr().cast::<c_void>(), 16, 0) } == 16)
    }),
    row("works", "memory", "works", &[], |_| {
        is(vec![1u8; 32 << 20].iter().step_by(4096).count() == 8192)
    }),
    row("works", "mapping a granted file", "works", &[], |f| {
        let file = File::open(f.join("granted/weights"))?;
        // SAFETY: a new mapping, which nobody uses.
        let at = unsafe {
            libc::mmap(ptr::null_mut(), 7, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        is(at != libc::MAP_FAILED)
    }),
    row("works", "a file in memory", "works", &[], |_| memory_file(4096)?.write_all(b"x")),
    row("works", "nothing's device", "works", &[], |_| fs::write("/dev/null", "x")),
    row("works", "time", "works", &[], |_| {
        thread::sleep(Duration::from_millis(1));
        is(Instant::now().elapsed() < Duration::from_secs(60)
            && SystemTime::now() > SystemTime::UNIX_EPOCH)
    }),
    row("works", "a pair of streams", "works", &[], |_| {
        let (mut one, mut other) = UnixStream::pair()?;
        one.write_all(b"x")?;
        other.read_exact(&mut [0])
    }),
    row("works", "pipes", "works", &[], |_| {
        let (mut from, mut to) = io::pipe()?;
        to.write_all(b"x")?;
        from.read_exact(&mut [0])
    }),
    row("works", "a signal to itself", "works", &[], |_| {
        call(libc::SYS_kill, &[std::process::id().into(), 0])?;
        // SAFETY: no arguments.
        let thread = unsafe { libc::gettid() };
        call(libc::SYS_tkill, &[thread.into(), 0])
    }),
    row("works", "placing a thread of its own", "works", &[], |_| {
        // SAFETY: a set of bits, for which zero is a value, and its size.
        let done = unsafe {
            let mut cores: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size_of_val(&cores), &raw mut cores);
            libc::sched_setaffinity(libc::gettid(), size_of_val(&cores), &raw const cores)
        };
        is(done == 0)
    }),
    row("works", "a backtrace", "works", &[], |_| {
        is(std::backtrace::Backtrace::force_capture().to_string().contains("sandbox"))
    }),
];
