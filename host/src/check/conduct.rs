//! How a model behaves as a guest in the process: what is the host's, or every model's, it leaves
//! as it was.

use super::bench::{Bench, texts};
use super::{Check, Finding, Needs, Verdict, fail, not_run, shorten};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::process;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "stdout-is-quiet",
        proves: "nothing that the model prints lands among what people read, or in a result",
        fix: "take `println!` and `dbg!` out, and turn off the progress bars of libraries: stdout is \
              the host's, for predictions",
        needs: Needs::Answers,
        of_plugin: false,
        run: stdout_is_quiet,
    },
    Check {
        name: "stderr-is-quiet",
        proves: "a run over millions of records is not drowned in what the model prints",
        fix: "print while loading if you must, but not for each record; notes belong in `Trace`",
        needs: Needs::Answers,
        of_plugin: false,
        run: stderr_is_quiet,
    },
    Check {
        name: "files-stay-closed",
        proves: "predicting does not use up the files that a process may have open",
        fix: "open files in `load`, and keep them; close what a prediction opens",
        needs: Needs::Answers,
        of_plugin: false,
        run: files_stay_closed,
    },
    Check {
        name: "working-folder-stays",
        proves: "relative paths mean the same before and after",
        fix: "don't change the current folder: join paths to `LoadContext::plugin_dir`",
        needs: Needs::Answers,
        of_plugin: false,
        run: working_folder_stays,
    },
    Check {
        name: "environment-stays",
        proves: "the model sets no environment variables, which other threads may be reading",
        fix: "give libraries their settings by their own functions, or say in the README which \
              variables a user should set",
        needs: Needs::Answers,
        of_plugin: false,
        run: environment_stays,
    },
    Check {
        name: "signals-stay",
        proves: "Ctrl-C, a closed pipe and the end of a child still reach the host",
        fix: "install no signal handlers, and tell libraries (Python, Julia, OpenMP runtimes) not to",
        needs: Needs::Answers,
        of_plugin: false,
        run: signals_stay,
    },
    Check {
        name: "floating-point-stays",
        proves: "arithmetic gives the host and other models the same results as before",
        fix: "a library built with -ffast-math turns subnormal numbers off for the whole thread; \
              restore the control register, or build without it",
        needs: Needs::Answers,
        of_plugin: false,
        run: floating_point_stays,
    },
    Check {
        name: "ends-cleanly",
        proves: "a process that has used the model can end in the ordinary way, with its exit code",
        fix: "look at what runs at exit: destructors of statics, `atexit`, threads that are not \
              joined",
        needs: Needs::Answers,
        of_plugin: false,
        run: ends_cleanly,
    },
];

/// Loads the model and lets it predict.
fn use_it(bench: &Bench) -> Result<(), Finding> {
    let records = texts(&bench.ordinary(20)?);
    for _ in 0..3 {
        bench.ask_all(&records)?;
    }
    bench.ask(&records[0])?;
    Ok(())
}

/// What a stream of this process takes in while something is done.
fn printed(
    stream: impl Fn() -> rustix::fd::BorrowedFd<'static>,
    put: impl Fn(&OwnedFd) -> rustix::io::Result<()>,
    act: impl FnOnce() -> Result<(), Finding>,
) -> Result<String, Finding> {
    let trouble = |error: io::Error| Finding::NotRun(format!("it could not be watched: {error}"));
    let path = std::env::temp_dir().join(format!("etl-host-check-{}", process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    let mut file = file.map_err(trouble)?;
    let _ = fs::remove_file(&path);
    let before = fcntl_dupfd_cloexec(stream(), 3).map_err(|error| trouble(error.into()))?;
    let other = file.try_clone().map_err(trouble)?.into();
    put(&other).map_err(|error| trouble(error.into()))?;
    let acted = act();
    empty_c_buffers();
    put(&before).map_err(|error| trouble(error.into()))?;
    acted?;
    let mut printed = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut printed)).map_err(trouble)?;
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

/// What C's `printf` has been given waits in its buffers where stdout is no terminal.
#[expect(unsafe_code, reason = "C's buffers have no safe face")]
fn empty_c_buffers() {
    // SAFETY: null stands for all streams that are open.
    unsafe { libc::fflush(std::ptr::null_mut()) };
}

fn quiet(printed: &str) -> Verdict {
    if printed.is_empty() {
        return Ok(());
    }
    fail(format!("it prints {} bytes: {:?}", printed.len(), shorten(printed)))
}

fn stdout_is_quiet(bench: &Bench) -> Verdict {
    let act = || use_it(bench);
    quiet(&printed(stdio::stdout, |file| stdio::dup2_stdout(file), act)?)
}

fn stderr_is_quiet(bench: &Bench) -> Verdict {
    bench.model()?;
    let act = || use_it(bench);
    quiet(&printed(stdio::stderr, |file| stdio::dup2_stderr(file), act)?)
}

/// A failure where something of the process is not the same once the model has been loaded and
/// used.
fn stays<T: PartialEq + Debug>(bench: &Bench, look: impl Fn() -> T) -> Verdict {
    let before = look();
    use_it(bench)?;
    let after = look();
    if before == after {
        return Ok(());
    }
    fail(format!("it was {before:?} and is {after:?}"))
}

fn open_files() -> Option<usize> {
    Some(fs::read_dir("/dev/fd").ok()?.count())
}

fn files_stay_closed(bench: &Bench) -> Verdict {
    use_it(bench)?; // a library may open its own at first use
    let Some(before) = open_files() else { return not_run("this system does not list them") };
    for _ in 0..10 {
        if bench.is_half_time() {
            break;
        }
        use_it(bench)?;
    }
    let after = open_files().unwrap_or(before);
    if after > before {
        return fail(format!("{before} files were open, and {after} after some hundred records"));
    }
    Ok(())
}

fn working_folder_stays(bench: &Bench) -> Verdict {
    stays(bench, || std::env::current_dir().unwrap_or_default())
}

fn environment_stays(bench: &Bench) -> Verdict {
    let look = || std::env::vars_os().collect::<BTreeMap<OsString, OsString>>();
    let before = look();
    use_it(bench)?;
    let after = look();
    for name in before.keys().chain(after.keys()) {
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) if before == after => {}
            (_, Some(value)) => return fail(format!("it sets {name:?} to {value:?}")),
            (_, None) => return fail(format!("it removes {name:?}")),
        }
    }
    Ok(())
}

/// Of each signal that the host lives by: whether it is blocked, ignored, or has a handler. As
/// Linux tells it, which is the system whose numbers these are.
fn signals() -> Option<Vec<String>> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(line.trim(), 16).ok()
    };
    let masks = [("blocked", "SigBlk:"), ("ignored", "SigIgn:"), ("handled", "SigCgt:")];
    let names = [
        ("SIGHUP", libc::SIGHUP),
        ("SIGINT", libc::SIGINT),
        ("SIGTERM", libc::SIGTERM),
        ("SIGPIPE", libc::SIGPIPE),
        ("SIGCHLD", libc::SIGCHLD),
    ];
    let mut told = Vec::new();
    for (state, key) in masks {
        let mask = mask(key)?;
        let set = names.iter().filter(|(_, number)| mask >> (number - 1) & 1 == 1);
        told.extend(set.map(|(name, _)| format!("{name} {state}")));
    }
    Some(told)
}

fn signals_stay(bench: &Bench) -> Verdict {
    if signals().is_none() {
        return not_run("this system does not list them");
    }
    stays(bench, || signals().unwrap_or_default())
}

/// What has been done to the arithmetic of this thread, judged by sums at the edges of what a
/// double can hold.
fn arithmetic() -> &'static str {
    let tiny = black_box(f64::MIN_POSITIVE);
    let third = black_box(f64::EPSILON) / 3.0;
    if tiny / 2.0 == 0.0 || f64::from_bits(black_box(3)) * black_box(1e300) == 0.0 {
        return "with subnormal numbers taken for zero";
    }
    let is_nearest = black_box(1.0) + third == 1.0
        && black_box(-1.0) - third == -1.0
        && black_box(1.0) + 2.0 * third > 1.0;
    if is_nearest { "as usual" } else { "with results not rounded to the nearest number" }
}

fn floating_point_stays(bench: &Bench) -> Verdict {
    stays(bench, arithmetic)
}

fn ends_cleanly(bench: &Bench) -> Verdict {
    use_it(bench)?;
    let model = bench.load(&bench.context(1))?;
    bench.about("its end");
    model.unload();
    Ok(())
}
