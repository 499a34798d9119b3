//! Pipes, signals and other things that happen while a run is under way.
//!
//! Nothing here waits for a fixed time: a test waits for what it expects, and gives up after
//! [`DEADLINE`], so that a host that hangs fails a test and doesn't hang it.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, predictions, rejects};
use etl_host_tests::{Folder, Run};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what must come; long, since the machine may be busy with other tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for something that can only be looked at.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < DEADLINE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A run under way, written to and read from line by line. Dropped, it is killed.
pub(crate) struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Lines of its stdout. Without this, its stdout is closed at the next line.
    lines: Option<Receiver<String>>,
}

impl Live {
    pub(crate) fn start(run: &Run<'_>) -> Self {
        Self::start_unpacked(run, |stdout| Box::new(stdout))
    }

    /// One whose stdout is no text, but what this makes text of.
    pub(crate) fn start_unpacked(
        run: &Run<'_>,
        unpack: impl FnOnce(ChildStdout) -> Box<dyn Read + Send> + Send + 'static,
    ) -> Self {
        let mut command = run.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let (sender, lines) = channel();
        thread::spawn(move || {
            let stdout = BufReader::new(unpack(stdout)); // here, since it may read some at once
            stdout.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Live { stdin: child.stdin.take(), child, lines: Some(lines) }
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.write_bytes(text.as_bytes());
    }

    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes).expect("the host reads");
    }

    /// Its stdin, which stays open as long as this does.
    pub(crate) fn keep_open(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Writes lines until the host is gone, and counts how often it could.
    pub(crate) fn write_for_ever(&mut self, lines: &str) -> Arc<AtomicU64> {
        let mut stdin = self.stdin.take().expect("stdin is open");
        let lines = format!("{lines}\n").repeat(100);
        let written = Arc::new(AtomicU64::new(0));
        let count = written.clone();
        thread::spawn(move || {
            while stdin.write_all(lines.as_bytes()).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        written
    }

    /// The next line of its stdout.
    #[track_caller]
    pub(crate) fn answer(&self) -> String {
        let lines = self.lines.as_ref().expect("stdout is open");
        lines.recv_timeout(DEADLINE).expect("an answer comes before the deadline")
    }

    /// Closes its stdout, at the next line of it.
    pub(crate) fn close(&mut self) {
        self.lines = None;
    }

    /// The most memory that it held so far.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(status).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is told");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Its exit code and stderr, once it has ended, which it must. Closes its stdin.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.stdin = None;
        let mut status = None;
        eventually("the run ends", || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().expect("stderr is a pipe");
        stderr.read_to_string(&mut said).expect("UTF-8");
        (status.and_then(|status| status.code()), said)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails where it has ended
        let _ = self.child.wait();
    }
}

#[test]
fn a_slow_pipe_is_answered_line_by_line() {
    let folder = Folder::new();
    let mut live = Live::start(&iris(&folder, "-i -"));
    let mut times = Vec::new();
    for (record, species) in [(SETOSA, "setosa"), (VIRGINICA, "virginica")].repeat(10) {
        let began = Instant::now();
        live.write(&format!("{record}\n"));
        assert_eq!(live.answer() + "\n", predictions(species));
        times.push(began.elapsed());
    }
    // 100 ms are promised; most tests run on a busy machine, and so the quickest answer counts.
    let quickest = times.iter().min().unwrap();
    assert!(*quickest < Duration::from_millis(100), "{times:?}");
    assert_eq!(live.end().0, Some(0));
}

#[test]
fn a_record_that_arrives_in_pieces_is_one_record() {
    let folder = Folder::new();
    let mut live = Live::start(&iris(&folder, "-i -"));
    let (half, rest) = SETOSA.split_at(30);
    live.write(&format!("{VIRGINICA}\n{half}"));
    assert_eq!(live.answer() + "\n", predictions("virginica"));
    live.write(&format!("{rest}\r"));
    live.write(&format!("\n\n{VIRGINICA}"));
    assert_eq!(live.answer() + "\n", predictions("setosa"));
    assert_eq!(live.end().0, Some(0)); // the end of the input ends the last line
}

#[test]
fn blank_lines_are_not_held_in_memory() {
    let folder = Folder::new();
    let mut live = Live::start(&iris(&folder, "-i -"));
    let blank = "\n".repeat(1 << 20);
    (0..128).for_each(|_| live.write(&blank));
    live.write(&format!("{SETOSA}\n"));
    assert_eq!(live.answer() + "\n", predictions("setosa"));
    let peak_kib = live.peak_kib();
    assert!(peak_kib < 64 << 10, "{peak_kib} KiB after 128 MiB of line feeds");
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    for quiet in ["", "--quiet"] {
        let folder = Folder::new();
        let mut live = Live::start(&iris(&folder, &format!("-i - {quiet}")));
        live.write_for_ever(SETOSA);
        live.answer();
        live.lines = None;
        let (ended, said) = live.end();
        assert_eq!(ended, Some(0), "{said}");
        assert!(!said.contains("error") && !said.contains("panicked"), "{said}");
        assert_eq!(said.is_empty(), !quiet.is_empty(), "{said}");
        assert_eq!(folder.names(), [""; 0]);
    }
}

#[test]
fn the_first_lines_of_a_long_file_can_be_looked_at() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n").repeat(100_000));
    let mut live = Live::start(&iris(&folder, "-i in.json --summary s.json"));
    live.answer();
    live.lines = None;
    let (code, said) = live.end();
    assert_eq!(code, Some(0), "{said}");
    let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
    let counts = |name: &str| summary["counts"][name].as_u64().unwrap();
    assert_eq!(counts("read"), counts("written") + counts("abandoned"));
    assert!(said.contains(" - LdjsonWriter in=") && said.contains(" [stopped]\n"), "{said}");
    assert!(said.contains(&format!(", {} abandoned, in ", counts("abandoned"))), "{said}");
}

/// A record whose reject nobody takes is in neither output: that is no good end.
#[test]
fn a_reader_of_rejects_that_goes_away_does_not_pass_for_a_whole_output() {
    let folder = Folder::new();
    folder.write("in.json", format!("{SETOSA}\n{BAD}\n").repeat(50_000));
    folder.write("out.json", "old");
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let reader = thread::spawn(move || {
        let mut first = String::new();
        BufReader::new(File::open(fifo).unwrap()).read_line(&mut first).unwrap();
        first
    });
    let ran = iris(&folder, "-i in.json -o out.json --rejects fifo").run();
    assert_eq!(rejects(reader.join().unwrap()).len(), 1);
    ran.exits(3).says("the rejects can't be written");
    assert_eq!(folder.text("out.json"), "old");
    assert_eq!(folder.names(), ["fifo", "in.json", "out.json"]);
}

pub(crate) const SIGNALS: [(&str, i32); 2] = [("INT", 130), ("TERM", 143)];

/// A run that is writing a file, and has written something of it.
fn writing(folder: &Folder) -> Live {
    folder.write("out.json", "old");
    let mut live = Live::start(&iris(folder, "-i - -o out.json --summary s.json"));
    live.write(&format!("{SETOSA}\n{BAD}\n"));
    eventually("the host writes", || {
        folder.read(".out.json.etl-host-part").is_some_and(|part| !part.is_empty())
    });
    live
}

/// What an interrupted run leaves.
#[track_caller]
fn check_interrupted(live: Live, folder: &Folder, code: i32) {
    let (ended, said) = live.end();
    assert_eq!(ended, Some(code), "{said}");
    let signal = if code == 130 { "SIGINT" } else { "SIGTERM" };
    assert!(said.contains(&format!("error: interrupted by {signal}")), "{said}");
    assert_eq!(folder.names(), ["out.json", "s.json"]);
    assert_eq!(folder.text("out.json"), "old");
    let summary: Value = serde_json::from_str(&folder.text("s.json")).expect("JSON");
    assert_eq!((&summary["exit_code"], &summary["published"]), (&code.into(), &false.into()));
    let counts = |name: &str| summary["counts"][name].as_u64().expect("a count");
    let fates = ["written", "filtered", "blocked", "rejected", "abandoned"].map(counts);
    assert_eq!(counts("read"), fates.iter().sum::<u64>(), "{summary}");
    assert!(counts("read") >= 1, "{summary}"); // the second may be in a batch of its own
}

#[test]
fn a_signal_in_the_middle_of_an_endless_input_ends_the_run_and_publishes_nothing() {
    for (signal, code) in SIGNALS {
        let folder = Folder::new();
        let mut live = writing(&folder);
        live.write_for_ever(&format!("{SETOSA}\n{BAD}"));
        live.signal(signal);
        check_interrupted(live, &folder, code);
    }
}

#[test]
fn a_signal_ends_a_run_that_waits_for_input() {
    for (signal, code) in SIGNALS {
        let folder = Folder::new();
        let mut live = writing(&folder);
        live.signal(signal);
        let stdin = live.stdin.take(); // held open
        check_interrupted(live, &folder, code);
        drop(stdin);
    }
}

#[test]
fn a_signal_ends_a_run_whose_lines_nobody_takes() {
    for (signal, code) in SIGNALS {
        let folder = Folder::new();
        let fifo = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let mut live = Live::start(&iris(&folder, "-i - -o fifo"));
        let mut reader = File::open(&fifo).unwrap();
        let written = live.write_for_ever(SETOSA);
        reader.read_exact(&mut [0]).unwrap();
        let (mut before, mut looks) = (0, 0);
        eventually("the host waits for a reader and takes no more", || {
            let now = written.load(Ordering::Relaxed);
            looks = if now == before { looks + 1 } else { 0 };
            before = now;
            looks == 100
        });
        live.signal(signal);
        assert_eq!(live.end().0, Some(code));
        drop(reader);
    }
}

#[test]
fn what_a_signal_cuts_off_on_stdout_are_whole_lines() {
    for (signal, code) in SIGNALS {
        let folder = Folder::new();
        let mut live = Live::start(&iris(&folder, "-i - --quiet"));
        live.write_for_ever(SETOSA);
        live.answer();
        live.signal(signal);
        let lines = live.lines.take().unwrap();
        assert_eq!(live.end().0, Some(code));
        assert!(lines.iter().all(|line| line + "\n" == predictions("setosa")));
    }
}

#[test]
fn stdin_may_be_a_regular_file() {
    let folder = Folder::new();
    let input = folder.write("in.json", format!("{SETOSA}\n{VIRGINICA}"));
    for words in ["-i -", "-i /dev/stdin"] {
        let mut command = iris(&folder, words).command();
        let output = command.stdin(File::open(&input).unwrap()).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), predictions("setosa virginica"));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_run_without_a_stderr_does_its_work() {
    let folder = Folder::new();
    for (input, code) in [(SETOSA.to_owned(), 0), (format!("{SETOSA}\n{BAD}\n"), 1)] {
        folder.write("in.json", input);
        for words in ["-i in.json", "-i in.json -o out.json"] {
            let host = iris(&folder, words).command();
            let mut shell = Command::new("sh");
            shell.args(["-c", r#"exec "$0" "$@" 2>&-"#]).arg(host.get_program());
            let output = shell.args(host.get_args()).current_dir(folder.path()).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{words}");
            let out = folder.read("out.json").unwrap_or(output.stdout);
            assert_eq!(String::from_utf8(out).unwrap(), predictions("setosa"), "{words}");
        }
        fs::remove_file(folder.path().join("out.json")).unwrap();
    }
}

#[test]
fn a_closed_pipe_is_a_quiet_end_whatever_was_rejected_before() {
    let folder = Folder::new();
    folder.write("in.json", format!("{BAD}\n{SETOSA}\n").repeat(50_000));
    folder.write("rj", "of an earlier run");
    for script in [r#""$0" "$@" --rejects rj"#, r#""$0" "$@" 2>&1"#] {
        let host = iris(&folder, "-i in.json").command();
        let mut shell = Command::new("sh");
        let script = format!("{{ {script}; echo $? > code; }} | head -1 > /dev/null");
        shell.args(["-c", &script]).arg(host.get_program()).args(host.get_args());
        assert!(shell.current_dir(folder.path()).status().unwrap().success());
        assert_eq!(folder.text("code"), "0\n", "{script}");
        assert_eq!(folder.text("rj"), "of an earlier run", "{script}");
    }
}

/// A run whose rejects go to a pipe that is closed behind the first; stdout goes there, too, or to a
/// file.
fn rejects_into_a_closed_pipe(with_stdout: bool) -> Option<i32> {
    let folder = Folder::new();
    folder.write("in.ldjson", format!("bad\n{SETOSA}\n").repeat(20_000));
    let (reader, writer) = io::pipe().unwrap();
    let mut command = iris(&folder, "-i in.ldjson").command();
    match with_stdout {
        true => command.stdout(writer.try_clone().unwrap()),
        false => command.stdout(File::create(folder.path().join("out")).unwrap()),
    };
    let mut child = command.stderr(writer).spawn().unwrap();
    drop(command); // and with it our ends of the pipe
    BufReader::new(reader).read_line(&mut String::new()).unwrap();
    child.wait().unwrap().code()
}

#[test]
fn rejects_that_nobody_reads_end_the_run_quietly_only_where_the_output_went_with_them() {
    assert_eq!(rejects_into_a_closed_pipe(true), Some(0));
    assert_eq!(rejects_into_a_closed_pipe(false), Some(3));
}
