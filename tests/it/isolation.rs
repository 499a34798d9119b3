//! Models in worker processes: the same bytes as in the host's own process, and one record for each
//! crash, whoever dies and whenever. The models are those of `plugins/misbehaving`.

use crate::main_job::iris;
use crate::streams::{Live, eventually};
use etl_host_tests::kill::{Moment, Random, run_and_kill};
use etl_host_tests::{Folder, Ran, Run, plugin};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Asks this model of `plugins/misbehaving`, in workers.
fn isolated<'f>(folder: &'f Folder, model: &str, words: &str) -> Run<'f> {
    let plugin = plugin("misbehaving");
    let words = words.split_whitespace().map(str::to_owned);
    let args =
        ["--isolate", "--input", "in.ldjson", "--output", "out.ldjson", "--summary", "s.json"];
    let args = args.map(str::to_owned).into_iter().chain(words);
    let args =
        args.chain(["--plugin", &plugin.to_string_lossy(), "--model", model].map(str::to_owned));
    folder.host(args)
}

fn summary(folder: &Folder) -> Value {
    serde_json::from_str(&folder.text("s.json")).unwrap()
}

/// The rejects: the line, the kind and the message.
fn rejects(folder: &Folder) -> Vec<(u64, String, String)> {
    let rejects = folder.read("out.ldjson.rejects.ldjson").unwrap_or_default();
    let rejects = serde_json::Deserializer::from_slice(&rejects).into_iter::<Value>();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rejects
        .map(|reject| reject.unwrap())
        .map(|it| (it["line"].as_u64().unwrap(), text(&it["kind"]), text(&it["message"])))
        .collect()
}

/// What a record may do to the process it is in: the act, the kind of its reject, what is said of it.
const POISONS: [(&str, &str, &str); 7] = [
    ("segfault", "crash", "its process died of SIGSEGV (invalid memory access)"),
    ("abort", "crash", "its process died of SIGABRT (abort)"),
    ("exit0", "exit", "its process exited with code 0"),
    ("exit3", "exit", "its process exited with code 3"),
    (
        "overflow",
        "crash",
        "its process died of SIGABRT (abort); its last words: fatal runtime error: stack overflow",
    ),
    (
        "hoard",
        "memory",
        "its process ran out of memory (--max-memory 256MiB): it died of SIGABRT (abort)",
    ),
    ("spin", "timeout", "its process took longer than --timeout (1 s), and was killed"),
];

/// Of so many records, some are poisoned, at places that come from the seed. Each of them is rejected as
/// it must, and all others are predicted, in order.
#[track_caller]
fn check_poison(model: &str, records: u64, acts: &[(&str, u64)], seed: u64) -> Value {
    let mut random = Random(seed);
    let mut poisoned = BTreeMap::new();
    for (act, count) in acts {
        let wanted = poisoned.len() + *count as usize;
        while poisoned.len() < wanted {
            poisoned.entry(1 + random.below(records)).or_insert(*act);
        }
    }
    let (mut input, mut expected) = (String::new(), String::new());
    for line in 1..=records {
        match poisoned.get(&line) {
            Some(act) => writeln!(input, r#"{{"n":{line},"act":"{act}"}}"#).unwrap(),
            None => {
                writeln!(input, r#"{{"n":{line}}}"#).unwrap();
                writeln!(expected, r#"{{"y":{line}.0}}"#).unwrap();
            }
        }
    }
    let folder = Folder::new();
    folder.write("in.ldjson", input);
    let words = "--max-memory 256MiB --timeout 1 --max-crashes 1000 --threads 2";
    isolated(&folder, model, words).run().exits(1);
    assert!(folder.text("out.ldjson") == expected, "{model}, {acts:?}: other predictions");
    let rejects = rejects(&folder);
    let told: Vec<_> = rejects.iter().map(|(line, kind, _)| (*line, kind.as_str())).collect();
    let poison = |act: &str| POISONS.iter().find(|poison| poison.0 == act).unwrap();
    let wanted: Vec<_> = poisoned.iter().map(|(line, act)| (*line, poison(act).1)).collect();
    assert_eq!(told, wanted, "{model}, {acts:?}");
    for ((_, _, message), act) in rejects.iter().zip(poisoned.values()) {
        assert!(message.contains(poison(act).2), "{message}\nis not\n{}", poison(act).2);
    }
    summary(&folder)["model"]["workers"].clone()
}

#[test]
fn each_record_that_ends_its_process_is_rejected_and_no_other() {
    for (act, ..) in POISONS {
        let count = if act == "spin" { 3 } else { 12 };
        let workers = check_poison("acts", 20_000, &[(act, count)], 7);
        let ended = workers["ended"].as_object().unwrap().values().map(|it| it.as_u64().unwrap());
        // It tells which record it works on: none dies but of a poisoned one.
        assert_eq!(ended.sum::<u64>(), count, "{act}: {workers}");
    }
}

#[test]
fn fifty_of_each_kind_among_a_hundred_thousand() {
    let acts: Vec<_> =
        POISONS.iter().map(|(act, ..)| (*act, if *act == "spin" { 4 } else { 50 })).collect();
    check_poison("acts", 100_000, &acts, 11);
}

#[test]
fn of_a_model_that_works_on_many_records_at_once_it_is_found_by_halving() {
    let acts: Vec<_> =
        POISONS.iter().map(|(act, ..)| (*act, if *act == "spin" { 1 } else { 6 })).collect();
    let workers = check_poison("batch", 20_000, &acts, 13);
    let ended = workers["ended"].as_object().unwrap().values().map(|it| it.as_u64().unwrap());
    // The batches of a quick model hold some thousand records: 2^14 is more.
    assert!(ended.sum::<u64>() <= 37 * (14 + 1), "{workers}");
}

#[test]
fn a_model_is_given_up_that_crashes_too_often() {
    let folder = Folder::new();
    folder.write("in.ldjson", "{\"n\":1,\"act\":\"abort\"}\n".repeat(50));
    let ran = isolated(&folder, "acts", "--max-crashes 5 --threads 1").run().exits(5);
    ran.says("error: step `acts` can't go on")
        .says("cause: its process died of SIGABRT (abort); its processes have ended 6 times now, and --max-crashes allows 5")
        .says("hint: this is the model's fault");
    // The other batches that were under way may have cost a worker each.
    let crashes = summary(&folder)["model"]["workers"]["ended"]["crash"].as_u64().unwrap();
    assert!((6..=10).contains(&crashes), "{crashes}");
    assert_eq!(folder.read("out.ldjson"), None);
}

#[test]
fn a_plugin_that_dies_while_it_is_made_ready_is_refused() {
    let folder = Folder::new();
    folder.write("in.ldjson", "{\"n\":1}\n");
    for (act, said) in [
        ("abort", "its process died of SIGABRT (abort)"),
        ("exit0", "its process exited with code 0"),
        ("segfault", "its process died of SIGSEGV (invalid memory access)"),
        ("spin", "its process took longer than --timeout (0.5 s), and was killed"),
    ] {
        let config = format!(r#"--timeout 0.5 --config {{"load":"{act}"}}"#);
        let said = |during: &str| format!("cause: while {during}, {said}");
        isolated(&folder, "acts", &config).run().exits(4).says(&said("its model was being loaded"));
        let ran = isolated(&folder, "acts", "--timeout 0.5 --sandbox off")
            .env("DESCRIBING", act)
            .run()
            .exits(4);
        ran.says(&said("it was loaded and asked to describe itself"));
    }
    assert_eq!(folder.names(), ["in.ldjson"]);
}

#[test]
fn what_a_plugin_prints_is_told_apart_and_is_not_in_the_data() {
    let folder = Folder::new();
    let record = |n: u64, act: &str| format!(r#"{{"n":{n},"act":"{act}","text":"hello {n}"}}"#);
    folder.write("in.ldjson", [record(1, "print"), record(2, "abort")].join("\n"));
    let plugin = plugin("misbehaving");
    let words = ["--isolate", "-i", "in.ldjson", "--model", "acts", "--rejects", "r", "--plugin"];
    let ran = folder.host(words).args([&plugin]).run().exits(1).writes("{\"y\":1.0}\n");
    ran.says("worker of acts: hello 1 on stdout\n")
        .says("worker of acts: hello 1 on stderr\n")
        .says("workers of acts: ")
        .says(" started, 1 ended: 1 crash\n");
}

#[test]
fn a_run_with_a_model_that_hangs_ends_soon_when_it_is_told_to() {
    let folder = Folder::new();
    folder.write("in.ldjson", "{\"n\":1}\n{\"n\":2,\"act\":\"hang\",\"text\":\"hangs\"}\n");
    let live = Live::start(&isolated(&folder, "acts", "--sandbox off"));
    eventually("it hangs", || folder.path().join("hangs").exists());
    let since = Instant::now();
    live.signal("TERM");
    let (code, stderr) = live.end();
    assert_eq!(code, Some(143), "{stderr}");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_eq!(folder.read("out.ldjson"), None);
}

// ---- Killed from outside

/// The workers of this process, by the system's own list.
fn workers_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let id: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in brackets and may hold anything; state and parent stand behind it.
        let mut rest = stat.rsplit_once(") ")?.1.split(' ');
        let is_zombie = rest.next()? == "Z";
        (rest.next()?.parse() == Ok(parent) && !is_zombie).then_some(id)
    });
    processes.collect()
}

fn kill(process: u32) {
    // It may be gone.
    let _ = Command::new("kill").args(["-s", "KILL", &process.to_string()]).output();
}

fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// Some thousand records whose model takes a while for each, and what comes of them.
fn slow_job(folder: &Folder, records: u64) -> String {
    let record = |n: u64| match n % 1000 {
        500 => format!("{{\"n\":{n},\"act\":\"segfault\"}}\n"),
        _ => format!("{{\"n\":{n}}}\n"),
    };
    folder.write("in.ldjson", (0..records).map(record).collect::<String>());
    let whole = (0..records).filter(|n| n % 1000 != 500);
    whole.map(|n| format!("{{\"y\":{n}.0}}\n")).collect()
}

const SLOW: &str = r#"--config {"sleep_ms":1} --max-crashes 100000 --threads 2"#;

/// How often something is killed: `make soak` wants more.
fn kills(usual: u64) -> u64 {
    std::env::var("WORKER_KILLS").map_or(usual, |kills| kills.parse().expect("a number"))
}

#[test]
#[expect(clippy::print_stdout, reason = "figures, for who soaks")]
fn whoever_kills_workers_changes_nothing_of_what_is_written() {
    let folder = Folder::new();
    let wanted = kills(10);
    let expected = slow_job(&folder, 300 * wanted);
    let child = isolated(&folder, "acts", SLOW).command().spawn().unwrap();
    let id = child.id();
    let mut random = Random(3);
    let killer = thread::spawn(move || {
        let mut kills = 0;
        while is_alive(id) {
            thread::sleep(random.up_to(Duration::from_millis(120)));
            let workers = workers_of(id);
            if !workers.is_empty() {
                kill(workers[random.below(workers.len() as u64) as usize]);
                kills += 1;
            }
        }
        kills
    });
    let code = { child }.wait().unwrap().code();
    let kills = killer.join().unwrap();
    assert_eq!(code, Some(1));
    assert!(kills >= wanted, "{kills} kills");
    println!("{kills} kills: {}", summary(&folder)["model"]["workers"]);
    assert!(folder.text("out.ldjson") == expected, "other predictions");
    let lines: Vec<_> = rejects(&folder).into_iter().map(|(line, kind, _)| (line, kind)).collect();
    let poisoned = (501..=300 * wanted).step_by(1000).map(|line| (line, "crash".to_owned()));
    assert_eq!(lines, poisoned.collect::<Vec<_>>());
}

#[test]
fn a_run_whose_host_and_workers_are_killed_goes_on_to_the_same_bytes() {
    let folder = Folder::new();
    let expected = slow_job(&folder, 3000);
    let words = format!("{SLOW} --resume --checkpoint-seconds 0 --checkpoint-bytes 512");
    let mut random = Random(5);
    let mut kills = 0;
    loop {
        let moment = Moment::After(random.up_to(Duration::from_millis(900)));
        let ran = run_and_kill(isolated(&folder, "acts", &words), &moment);
        match ran.code {
            Some(code) => {
                assert_eq!(code, 1, "{}", String::from_utf8_lossy(&ran.stderr));
                break;
            }
            None => kills += 1,
        }
    }
    assert!(kills > 1);
    assert!(folder.text("out.ldjson") == expected, "other predictions, {kills} kills");
    let lines: Vec<_> = rejects(&folder).into_iter().map(|(line, ..)| line).collect();
    assert_eq!(lines, [501, 1501, 2501]);
}

#[test]
fn no_worker_is_left_when_the_host_is_killed() {
    let folder = Folder::new();
    slow_job(&folder, 2000);
    let mut random = Random(17);
    for round in 0..kills(20) {
        let mut child = isolated(&folder, "acts", SLOW).command().spawn().unwrap();
        let mut workers = Vec::new();
        eventually("there are workers", || {
            workers = workers_of(child.id());
            !workers.is_empty()
        });
        thread::sleep(random.up_to(Duration::from_millis(150)));
        workers.extend(workers_of(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        eventually("they end", || workers.iter().all(|worker| !is_alive(*worker)));
        assert!(!workers.is_empty(), "round {round}");
    }
}

#[test]
fn no_worker_is_left_when_a_run_has_ended() {
    let folder = Folder::new();
    slow_job(&folder, 1500);
    let mut child = isolated(&folder, "acts", SLOW).command().spawn().unwrap();
    let mut seen = Vec::new();
    while child.try_wait().unwrap().is_none() {
        seen.extend(workers_of(child.id()));
        thread::sleep(Duration::from_millis(5));
    }
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|worker| !Path::new(&format!("/proc/{worker}")).exists()));
}

/// A run that reads from stdin as long as it is open, with one worker.
fn live(folder: &Folder, words: &str) -> Live {
    let plugin = plugin("misbehaving");
    let args = ["--isolate", "--threads", "1", "--model", "acts", "-i", "-", "--plugin"];
    let run = folder.host(args).args([&plugin]).args(words.split_whitespace());
    Live::start(&run)
}

fn answers(live: &mut Live, n: u64) {
    live.write(&format!("{{\"n\":{n}}}\n"));
    assert_eq!(live.answer(), format!("{{\"y\":{n}.0}}"));
}

#[test]
fn a_worker_that_is_killed_while_it_has_nothing_to_do_is_replaced_and_nobody_is_blamed() {
    let folder = Folder::new();
    let mut live = live(&folder, "--max-crashes 1");
    for n in 0..5 {
        answers(&mut live, n);
        workers_of(live.id()).into_iter().for_each(kill);
        eventually("it is gone", || workers_of(live.id()).is_empty());
    }
    let (code, said) = live.end();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_worker_that_does_not_run_for_a_while_is_waited_for() {
    let folder = Folder::new();
    let mut live = live(&folder, "--timeout 4");
    answers(&mut live, 1);
    let worker = workers_of(live.id())[0].to_string();
    let signal = |name: &str| Command::new("kill").args(["-s", name, &worker]).status().unwrap();
    signal("STOP");
    live.write("{\"n\":2}\n");
    thread::sleep(Duration::from_millis(2500));
    signal("CONT");
    assert_eq!(live.answer(), "{\"y\":2.0}");
    assert_eq!(live.end().0, Some(0));
}

#[test]
fn a_plugin_that_is_replaced_meanwhile_is_not_mixed_in() {
    let folder = Folder::new();
    let path = folder.path().join("p.so");
    fs::copy(plugin("misbehaving"), &path).unwrap();
    let args = ["--isolate", "--threads", "1", "--model", "acts", "-i", "-", "--plugin", "p.so"];
    let mut live = Live::start(&folder.host(args));
    answers(&mut live, 1);
    fs::copy(plugin("misbehaving"), folder.path().join("new")).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    answers(&mut live, 2); // the worker that there is, is that of before
    workers_of(live.id()).into_iter().for_each(kill);
    eventually("it is gone", || workers_of(live.id()).is_empty());
    live.write("{\"n\":3}\n");
    let (code, said) = live.end();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("it was replaced while the run went on: `"), "{said}");
}

#[test]
fn many_workers_need_no_more_open_files_than_the_system_gives() {
    let folder = Folder::new();
    folder.write("in.ldjson", (0..4000).map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>());
    let words = r#"--threads 16 --config {"sleep_ms":1}"#;
    isolated(&folder, "acts", words).limits("-Sn 45").run().exits(0);
    // With those that could be started it goes on.
    isolated(&folder, "acts", words).limits("-n 64").run().exits(0);
}

#[test]
fn a_worker_that_gets_out_of_reach_is_ended_all_the_same() {
    let folder = Folder::new();
    let plugin = plugin("escaping");
    for (what, kind, said) in [
        ("close_all", "crash", "its process was ended, since it closed its connection to the host"),
        (
            "leave_and_hang",
            "timeout",
            "its process took longer than --timeout (1 s), and was killed",
        ),
    ] {
        folder.write("in.ldjson", format!("{{\"try\":\"cores\"}}\n{{\"try\":\"{what}\"}}\n"));
        let args = ["--isolate", "--sandbox", "off", "--timeout", "1", "-i", "in.ldjson"];
        let args = args.into_iter().chain(["-o", "out.ldjson", "--plugin"]);
        folder.host(args).args([&plugin]).run().exits(1);
        let rejects = rejects(&folder);
        assert_eq!(rejects, [(2, kind.to_owned(), said.to_owned())]);
    }
}

// ---- The same as in this process

#[test]
fn workers_and_the_hosts_own_process_give_the_same_bytes() {
    let folder = Folder::new();
    let good =
        r#"{"id":1,"sepal_length":5.0,"sepal_width":3.0,"petal_length":1.5,"petal_width":0.2}"#;
    let bad = ["{\"a\":1}", "[1]", "no", "{\"sepal_length\":\"x\"}", ""];
    let mut input = String::new();
    for round in 0..3000 {
        writeln!(input, "{}", good.replace("5.0", &format!("{}", 4.0 + f64::from(round) / 1000.0)))
            .unwrap();
        writeln!(input, "{}", bad[round as usize % bad.len()]).unwrap();
    }
    // Longer than any part of the memory that both share.
    let long = good.replace("\"id\":1", &format!("\"id\":1,\"x\":\"{}\"", "ü".repeat(2_000_000)));
    writeln!(input, "{long}").unwrap();
    folder.write("in.ldjson", input);
    for (words, workers) in [
        ("", ""),
        ("--emit merge", ""),
        ("--emit nest --threads 1", ""),
        ("--keep id --threads 3", "--workers 2"),
    ] {
        let run = |name: &str, more: &str| -> (Ran, Vec<u8>, Vec<u8>) {
            let ran =
                iris(&folder, &format!("-i in.ldjson -o {name} {words} {more}")).run().exits(1);
            let rejects = folder.read(&format!("{name}.rejects.ldjson")).unwrap();
            (ran, folder.read(name).unwrap(), rejects)
        };
        let (_, here, rejects_here) = run("here", "");
        let (_, there, rejects_there) = run("there", &format!("--isolate {workers}"));
        assert!(here == there, "{words}: other predictions");
        assert!(rejects_here == rejects_there, "{words}: other rejects");
    }
}
