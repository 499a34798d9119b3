//! Each forbidden call is tried in a sandbox: what it gets, and what the host is told. And what
//! models live on goes on working there, and nothing is told of it.
//!
//! The test binary runs itself: its test `in_the_sandbox` finds in its environment which row to try,
//! and says how that went. Rows do no harm where nothing holds them back. The tests may be run by
//! root, whom the sandbox must hold too.
#![expect(unsafe_code, reason = "calls as a plugin can make them")]
#![allow(clippy::unwrap_used, reason = "tests; clippy's own exception misses their helpers")]

use super::lock::hold_this_thread;
use super::{
    Attempt, Grants, Mode, Support, Watch, enter, hand_over, may_inherit, support, take_over,
};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use std::{env, thread};

mod rows;
use rows::{ROWS, Row};

/// Tells the child which row to try, and in which folder.
const ROW: &str = "SANDBOX_TEST_ROW";
const FOLDER: &str = "SANDBOX_TEST_FOLDER";
/// And what the kernel is to be taken for.
const KERNEL: &str = "SANDBOX_TEST_KERNEL";

/// `granted/weights`, `granted/empty/`, `other/secret` and a link to it, of which the first may be read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir_all(path.join("granted/empty")).unwrap();
    fs::create_dir(path.join("other")).unwrap();
    fs::write(path.join("granted/weights"), "weights").unwrap();
    fs::write(path.join("other/secret"), "secret").unwrap();
    symlink(path.join("other/secret"), path.join("granted/link")).unwrap();
    folder
}

fn grants(folder: &Path) -> Grants {
    Grants { read: vec![folder.join("granted")] }
}

#[test]
fn in_the_sandbox() {
    let Ok(name) = env::var(ROW) else { return };
    let folder = PathBuf::from(env::var_os(FOLDER).unwrap());
    let row = ROWS.iter().find(|row| row.name == name).unwrap();
    let socket = io::stdin();
    let kernel = match env::var(KERNEL).unwrap().as_str() {
        "this" => Some((Mode::Require, support())),
        "no notifications" => Some((Mode::Require, Support { notifications: false, ..support() })),
        "no landlock" => Some((Mode::On, Support { landlock: None, ..support() })),
        _ => None,
    };
    if let Some((mode, kernel)) = kernel {
        // The harness has threads: they stay outside.
        let entered = hold_this_thread(mode, &grants(&folder), Some(64 << 20), &kernel);
        hand_over(&socket, &mut entered.unwrap()).unwrap();
    } else {
        hand_over(&socket, &mut enter(Mode::Off, &grants(&folder), None).unwrap()).unwrap();
    }
    let said = match (row.try_it)(&folder) {
        Ok(()) => "works".to_owned(),
        Err(error) => match error.raw_os_error() {
            Some(libc::EPERM) => "EPERM".to_owned(),
            Some(libc::EACCES) => "EACCES".to_owned(),
            Some(libc::ENOSYS) => "ENOSYS".to_owned(),
            Some(libc::EFBIG) => "EFBIG".to_owned(),
            _ => format!("{error:?}"),
        },
    };
    writeln!(io::stdout(), "\n=> {said}").unwrap();
}

/// What a row got, and what the host was told.
fn tried(row: &Row, kernel: &str) -> (String, Vec<Attempt>) {
    let folder = folder();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = {
        // Dropped at once: it holds the child's end of the socket, too.
        let mut command = Command::new(env::current_exe().unwrap());
        let args = ["--exact", "sandbox::tests::in_the_sandbox", "--nocapture", "--test-threads=1"];
        command.args(args).env(KERNEL, kernel).env(ROW, row.name).env(FOLDER, folder.path());
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    ours.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let grants = grants(folder.path());
    let watch =
        take_over(&ours).map(|listener| listener.map(|it| Watch::start(it, &grants).unwrap()));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = String::from_utf8_lossy(&output.stderr);
    let watch = watch.unwrap_or_else(|error| panic!("{}: {error}\n{said}\n{words}", row.name));
    let result = said.lines().find_map(|line| line.strip_prefix("=> ")).map(str::to_owned);
    let ended = format!("{:?} {said}\n{words}", output.status.signal());
    let attempts = watch.map(|watch| watch.attempts()).unwrap_or_default();
    let told = attempts.into_iter().map(|mut attempt| {
        attempt.tried = attempt.tried.replace(&folder.path().display().to_string(), "FOLDER");
        attempt
    });
    (result.unwrap_or(ended), told.collect())
}

/// All rows of a kind: each gets what it should, and the host is told just what it should be.
#[track_caller]
fn check(kind: &str) {
    let rows = ROWS.iter().filter(|row| row.kind == kind);
    check_rows(rows, "this", |row| (row.gets.to_owned(), row.told.to_vec()));
}

/// The same on such a kernel, where the rows get and tell what is expected.
#[track_caller]
fn check_rows<'a>(
    rows: impl Iterator<Item = &'a Row>,
    kernel: &str,
    expected: impl Fn(&Row) -> (String, Vec<&'static str>),
) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows {
        count += 1;
        let (result, told) = tried(row, kernel);
        let parent = std::process::id().to_string();
        let told = told.iter().map(|attempt| attempt.to_string().replace(&parent, "PARENT"));
        let told: Vec<_> = told.collect();
        let (gets, tells) = expected(row);
        if result != gets || told != tells {
            wrong.push(format!("{}: {result}, {told:?}\n  not {gets}, {tells:?}", row.name));
        }
    }
    assert!(wrong.is_empty() && count > 0, "\n{}", wrong.join("\n"));
}

#[test]
fn files_that_were_not_granted_stay_closed_and_none_is_written() {
    check("files");
}

#[test]
fn there_is_no_network_and_no_way_to_other_sockets() {
    check("sockets");
}

#[test]
fn no_process_is_started_and_none_is_meddled_with() {
    check("processes");
}

#[test]
fn the_system_stays_as_it_is() {
    check("system");
}

#[test]
fn what_models_live_on_goes_on_working() {
    check("works");
}

#[test]
fn a_kernel_without_notifications_holds_the_same_and_tells_nothing() {
    check_rows(ROWS.iter(), "no notifications", |row| match row.name {
        // Nobody is there to see that the thread is its own.
        "a signal to itself" => ("EPERM".to_owned(), vec![]),
        "placing a thread of its own" => {
            ("Custom { kind: Other, error: \"it is not so\" }".to_owned(), vec![])
        }
        _ => (row.gets.to_owned(), vec![]),
    });
}

/// Whether a row is about reading, which landlock alone can hold.
fn reads(row: &Row) -> bool {
    row.told.iter().any(|told| told.starts_with("read the file") || told.starts_with("list"))
}

#[test]
fn a_kernel_without_landlock_holds_all_but_reading() {
    // Of other processes, root's rights and this machine's settings have a say.
    let is_plain = |row: &&Row| {
        row.name != "open a device" && !row.told.iter().any(|told| told.contains("PARENT"))
    };
    let rows = || ROWS.iter().filter(is_plain);
    check_rows(rows().filter(|row| reads(row)), "no landlock", |_| ("works".to_owned(), vec![]));
    let others = rows().filter(|row| !reads(row) && row.name != "nothing's device");
    check_rows(others, "no landlock", |row| (row.gets.to_owned(), row.told.to_vec()));
}

#[test]
fn outside_of_the_sandbox_the_same_goes_through() {
    // So it is the sandbox that stops it, and not this machine.
    const HARMLESS: &[&str] = &[
        "read another file",
        "read it through a link",
        "read its parent's memory",
        "list a folder",
        "write a new file",
        "empty it by its name",
        "remove a file",
        "make a folder",
        "make a link",
        "open a file to all",
        "UDP",
        "TCP over IPv6",
        "netlink",
        "spawn",
        "signal its parent",
        "hide its memory",
        "outlive its host",
    ];
    let rows = ROWS.iter().filter(|row| HARMLESS.contains(&row.name));
    check_rows(rows, "off", |_| ("works".to_owned(), vec![]));
}

#[test]
fn other_threads_keep_a_process_out_of_the_sandbox() {
    // This one has some: the harness runs tests on them.
    let error = enter(Mode::On, &Grants::default(), None).unwrap_err();
    assert!(error.to_string().starts_with("the sandbox must be entered before"), "{error}");
    assert!(enter(Mode::Off, &Grants::default(), None).is_ok());
}

#[test]
fn only_what_exists_can_be_granted() {
    for (path, expected) in [
        ("/no/such/file", "/no/such/file can't be granted for reading"),
        ("relative", "relative can't be granted for reading: it is no absolute path"),
    ] {
        let grants = Grants { read: vec![path.into()] };
        let error = super::files::hold(&grants).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn credentials_stay_outside() {
    for (name, expected) in [
        ("PATH", true),
        ("LC_ALL", true),
        ("OMP_NUM_THREADS", true),
        ("ETL_HOST_CHILD_MEMORY", true),
        ("AWS_SECRET_ACCESS_KEY", false),
        ("PGPASSWORD", false),
        ("ETL_HOST_S3_KEY", false),
        ("LD_PRELOAD", false),
        ("path", false),
    ] {
        assert_eq!(may_inherit(name.as_ref()), expected, "{name}");
    }
}
