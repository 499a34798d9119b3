//! Each operation on a file fails once, each ends the process once, and in between there is a disk
//! that is full: whatever happens, a final path shows what was there before or the whole new file.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris};
use etl_host_tests::faults::{Operation, run_with_fault, unflushed};
use etl_host_tests::{Folder, Ran, Run, host, plugin};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const SIGKILL: i32 = 9;
const OUTPUTS: [&str; 3] = ["out.json", "out.json.rejects.ldjson", "s.json"];

/// Thirty records, of which every third is bad.
fn input() -> String {
    format!("{SETOSA}\n{BAD}\n{VIRGINICA}\n").repeat(10)
}

fn run(folder: &Folder) -> Run<'_> {
    iris(folder, "-i in.json -o out.json --summary s.json --threads 1")
}

/// A folder with the input and, perhaps, with the outputs of an earlier run.
fn folder(has_old: bool) -> Folder {
    let folder = Folder::new();
    folder.write("in.json", input());
    for name in OUTPUTS.iter().filter(|_| has_old) {
        folder.write(name, "old");
    }
    folder
}

/// The output and the rejects of a run in which nothing happens.
fn whole() -> [Option<Vec<u8>>; 2] {
    let folder = folder(false);
    run(&folder).run().exits(1);
    [folder.read(OUTPUTS[0]), folder.read(OUTPUTS[1])]
}

fn is_whole_summary(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|summary| summary["counts"]["read"].is_u64())
}

/// A run to whose operation something was done.
struct Faulted<'a> {
    ran: Ran,
    operation: &'a Operation,
    folder: &'a Folder,
    /// Whether the output is what it was before the run.
    is_as_before: bool,
}

/// Does this to each operation in turn, of a run that finds nothing and of one that finds outputs of
/// an earlier run; and checks what must hold whatever is done: no final path shows a part, and the
/// next run is as any other. `check` sees the rest.
#[track_caller]
fn for_each_operation(deed: &str, check: impl Fn(Faulted<'_>)) {
    let whole = whole();
    for has_old in [false, true] {
        let before = has_old.then(|| b"old".to_vec());
        for number in 1.. {
            let folder = folder(has_old);
            let (ran, operations) = run_with_fault(run(&folder), number, deed);
            let Some(operation) = operations.get(number - 1) else {
                assert!(number > 15, "{operations:?}"); // else it was not preloaded
                break;
            };
            let at = format!("{deed} at {number}, {operation:?}");
            for (name, whole) in OUTPUTS.iter().zip(&whole) {
                let now = folder.read(name);
                assert!(now == before || now == *whole, "{at}: {name} is {now:?}");
            }
            let summary = folder.read("s.json");
            assert!(summary == before || is_whole_summary(&summary.unwrap()), "{at}");
            let is_as_before = folder.read("out.json") == before;
            check(Faulted { ran, operation, folder: &folder, is_as_before });
            unflushed(run(&folder)).run().exits(1);
            assert_eq!([folder.read(OUTPUTS[0]), folder.read(OUTPUTS[1])], whole, "{at}");
            assert!(is_whole_summary(&folder.read("s.json").unwrap()), "{at}");
            assert_eq!(folder.names(), [&["in.json"][..], &OUTPUTS].concat(), "{at}");
        }
    }
}

impl Faulted<'_> {
    /// It says what it could not do. Before the first record there is nothing to be said of the
    /// state.
    #[track_caller]
    fn tells(self, cause: &str) -> Ran {
        let Faulted { ran, operation, is_as_before, .. } = self;
        let name = operation.path.trim_start_matches('.').trim_end_matches(".etl-host-part");
        let ran = ran.exits(3).says("error: ").says(name).says(cause).says_nothing_of("panicked");
        match is_as_before && !["create", "truncate"].contains(&operation.name.as_str()) {
            true => ran.says("state: ").says("`out.json` is "),
            false => ran,
        }
    }
}

#[test]
fn an_operation_that_fails_is_told_with_its_file_and_leaves_no_part_of_anything() {
    for (deed, cause) in [
        ("enospc", "No space left on device"),
        ("eio", "Input/output error"),
        ("erofs", "Read-only file system"),
    ] {
        for_each_operation(deed, |faulted| {
            let Faulted { operation, folder, is_as_before, .. } = faulted;
            if deed == "enospc" && operation.name == "truncate" {
                faulted.ran.exits(1); // which takes no room
                return;
            }
            let ran = faulted.tells(cause);
            if deed == "enospc" && operation.name == "write" && is_as_before {
                ran.says("hint: make room on the disk");
            }
            let names = folder.names();
            assert!(!names.iter().any(|name| name.starts_with('.')), "{operation:?} {names:?}");
        });
    }
}

/// With the disk goes what would be tidied up; the run after it does that.
#[test]
fn a_disk_that_fails_for_good_leaves_no_part_of_anything_at_a_final_path() {
    for (deed, cause) in [("+enospc", "No space left on device"), ("+eio", "Input/output error")] {
        for_each_operation(deed, |Faulted { ran, .. }| {
            ran.exits(3).says("error: ").says(cause).says_nothing_of("panicked");
        });
    }
}

#[test]
fn a_run_killed_at_any_operation_leaves_no_part_of_anything_at_a_final_path() {
    for deed in ["kill", "kill-after", "torn"] {
        for_each_operation(deed, |faulted| _ = faulted.ran.dies_of(SIGKILL));
    }
}

#[test]
fn a_write_that_takes_half_and_an_operation_that_a_signal_breaks_off_change_nothing() {
    for deed in ["short", "eintr"] {
        for_each_operation(deed, |Faulted { ran, operation, folder, is_as_before }| {
            ran.exits(1);
            assert!(!is_as_before, "{deed} at {operation:?}");
            assert_eq!(folder.names(), [&["in.json"][..], &OUTPUTS].concat());
        });
    }
}

/// Runs it twice on a disk of 512 KiB that nobody else sees: most of it is taken by something else,
/// which is removed in between. The output there is `disk/out.json`, with an old one in its place.
/// Gives what is said of codes, names and lines of the output, and the two runs' stderr. `None`
/// where no disk can be mounted, which it says.
#[expect(clippy::print_stderr, reason = "a test that tests nothing must say so")]
pub(crate) fn on_a_disk_that_fills_up(words: &str) -> Option<(String, String)> {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("disk")).unwrap();
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n").repeat(1_000));
    let script = r#"
        mount -t tmpfs -o size=512k none disk || exit 77
        head -c 400000 /dev/zero > disk/other
        echo old > disk/out.json
        "$0" "$@" -i in.json -o disk/out.json --rejects disk/rejects
        echo "code $?: $(ls -A disk | xargs), $(wc -l < disk/out.json)"
        rm disk/other
        "$0" "$@" -i in.json -o disk/out.json --rejects disk/rejects
        echo "code $?: $(ls -A disk | xargs), $(wc -l < disk/out.json)"
    "#;
    let mut shell = Command::new("unshare");
    shell.args(["--map-root-user", "--mount", "sh", "-c", script]).arg(host());
    shell.arg("--plugin").arg(plugin("iris_model")).args(words.split_whitespace());
    match shell.current_dir(folder.path()).output() {
        Ok(ran) if ran.status.success() => {
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Some((text(ran.stdout), text(ran.stderr)))
        }
        tried => {
            eprintln!("not tested: no disk can be mounted here: {tried:?}");
            None
        }
    }
}

#[test]
fn a_disk_that_fills_up_is_told_and_the_run_succeeds_once_there_is_room() {
    let Some((shown, said)) = on_a_disk_that_fills_up("") else { return };
    assert!(said.contains("cause: No space left on device"), "{said}");
    assert!(said.contains("state: nothing was published; `disk/out.json` is as it was"), "{said}");
    assert!(said.contains("hint: make room on the disk"), "{said}");
    assert_eq!(shown, "code 3: other out.json, 1\ncode 1: out.json rejects, 1000\n", "{said}");
}

#[test]
fn an_output_over_the_limit_for_files_is_told_and_leaves_the_old_one() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n").repeat(1_000));
    folder.write("out.json", "old");
    let ran = iris(&folder, "-i in.json -o out.json").limits("-f 4").run().exits(3);
    ran.says("cause: File too large").says("state: nothing was published; `out.json` is as it was");
    assert_eq!(folder.text("out.json"), "old");
    iris(&folder, "-i in.json -o out.json").run().exits(0);
    assert_eq!(folder.text("out.json").lines().count(), 1_000);
    assert_eq!(folder.names(), ["in.json", "out.json"]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that tests nothing must say so")]
fn a_folder_that_may_be_read_and_not_written_keeps_what_is_in_it() {
    let folder = folder(true);
    // Root may write anywhere, and so runs it as nobody; who may perhaps not start the host.
    let permit = |mode| fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
    permit(0o555);
    let is_root = fs::write(folder.path().join("try"), "").is_ok();
    let run = if is_root { run(&folder).user(65_534) } else { run(&folder) };
    if run.command().arg("--version").output().is_err() {
        return eprintln!("not tested: nobody but root may start {}", host().display());
    }
    let ran = run.run().exits(3).writes("").says(" can't be written\n");
    ran.says("cause: Permission denied").says("hint: ");
    permit(0o755);
    let _ = fs::remove_file(folder.path().join("try"));
    assert_eq!(folder.names(), [&["in.json"][..], &OUTPUTS].concat());
    OUTPUTS.iter().for_each(|name| assert_eq!(folder.text(name), "old"));
}
