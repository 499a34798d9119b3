//! Outputs that wait in a store appear together, each once, whatever dies on the way.

use crate::main_job::{BAD, SETOSA, VIRGINICA};
use crate::s3::{Asked, Fault, Server};
use etl_host_tests::{Folder, Ran, Run, plugin};
use serde_json::{Value, json};
use std::fs;
use std::thread;

const OUT: &str = "s3://flowers/out/";

/// A run of these words in a folder with `in.json`, which may ask the server.
fn linear<'a>(folder: &'a Folder, server: &Server, words: &str) -> Run<'a> {
    let args = ["--plugin".into(), plugin("linear_model").into_os_string()];
    let words = ["--quiet", "--emit", "merge"].into_iter().chain(words.split_whitespace());
    allowed(folder.host(args.into_iter().chain(words.map(Into::into))), server)
}

fn commit<'a>(folder: &'a Folder, server: &Server, words: &str) -> Run<'a> {
    let words = ["commit"].into_iter().chain(words.split_whitespace()).chain([OUT]);
    allowed(folder.host(words), server)
}

fn allowed<'a>(run: Run<'a>, server: &Server) -> Run<'a> {
    server.environment().iter().fold(run, |run, (name, value)| run.env(name, value))
}

fn records(bytes: usize) -> Vec<u8> {
    let record = |n: usize| match n % 7 {
        0 => VIRGINICA,
        3 => BAD,
        5 => "",
        _ => SETOSA,
    };
    let mut text = String::new();
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        text += record(n);
        text.push('\n');
    }
    text.into_bytes()
}

/// A server, a folder with an input, and what one run makes of all of it.
struct Job {
    server: Server,
    folder: Folder,
    output: Vec<u8>,
    rejects: Vec<u8>,
}

/// Of how many parts a commit is.
fn count(steps: &str) -> usize {
    steps.matches("{\"join\"").count()
}

/// Of how many something was sent: one range may hold no record.
fn sent(steps: &str) -> usize {
    count(steps) - steps.matches("\"upload\":\"\"").count()
}

impl Job {
    fn of(input: &[u8]) -> Self {
        let (server, folder) = (Server::start("flowers"), Folder::new());
        folder.write("in.json", input);
        linear(&folder, &server, "-i in.json -o whole.json").run();
        let output = folder.read("whole.json").unwrap();
        let rejects = folder.read("whole.json.rejects.ldjson").unwrap_or_default();
        Job { server, folder, output, rejects }
    }

    /// Scores it in so many parts, which wait; the steps of their commit.
    fn parts(&self, name: &str, size: usize) -> String {
        let split =
            self.folder.host(["split", "--size", &size.to_string(), "in.json"]).run().exits(0);
        let (mut joins, mut rejects, mut lines_before) = (String::new(), Vec::new(), 0);
        let plan = String::from_utf8(split.stdout).unwrap();
        for (n, split) in plan.lines().enumerate() {
            let split: Value = serde_json::from_str(split).unwrap();
            let part = format!("_temporary/{name}/{n}.rejects.ldjson");
            let range = format!("--range {}:{}", split["offset"], split["length"]);
            let files = "--hold ticket.json --summary summary.json";
            let objects = format!("-o {OUT}part-{n}.json --rejects {OUT}{part}");
            let words = format!("-i in.json {range} {files} {objects}");
            let ran = linear(&self.folder, &self.server, &words).run();
            assert!(ran.code < Some(2), "{}", String::from_utf8_lossy(&ran.stderr));
            let read = |name: &str| serde_json::from_str::<Value>(&self.folder.text(name)).unwrap();
            joins += &format!("{}\n", json!({"join": read("ticket.json")}));
            let summary = read("summary.json");
            assert_eq!([&summary["published"], &summary["held"]], [false, true]);
            if summary["rejects"].is_string() {
                let count = &summary["counts"]["rejected"];
                // The first range knows its lines.
                let before = Some(lines_before).filter(|_| n > 0);
                rejects.push(json!({"name": part, "lines_before": before, "rejects": count}));
            }
            lines_before += summary["range"]["lines"].as_u64().unwrap();
        }
        let job = json!({"job": name});
        let others = [
            json!({"rejects": {"name": "_rejects.ldjson", "of": rejects}}),
            json!({"text": {"name": "_summary.json", "text": "{}\n"}}),
            json!({"remove": format!("_temporary/{name}/")}),
        ];
        let others: String = others.iter().map(|step| format!("{step}\n")).collect();
        format!("{job}\n{joins}{others}")
    }

    fn commit(&self, words: &str, steps: &str) -> Ran {
        commit(&self.folder, &self.server, words).stdin(steps).run()
    }

    /// The names in the folder, but for what is temporary.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.server.folder().join("flowers/out")).into_iter().flatten();
        let names = entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name != "_temporary").collect();
        names.sort();
        names
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&self.commit("--check", "").exits(0).stdout).unwrap()
    }

    /// All parts are there, once, and nothing that only a job needs.
    #[track_caller]
    fn is_whole(&self, name: &str, parts: usize) {
        let get = |name: &str| self.server.get(&format!("flowers/out/{name}"));
        let output = (0..parts).flat_map(|n| get(&format!("part-{n}.json")).unwrap());
        assert!(output.collect::<Vec<_>>() == self.output, "the bytes differ");
        assert!(get("_rejects.ldjson").unwrap() == self.rejects, "the rejects differ");
        assert_eq!(get("_summary.json").unwrap(), b"{}\n");
        assert_eq!(get("_SUCCESS").unwrap(), b"");
        assert_eq!(self.names().len(), parts + 4, "{:?}", self.names());
        assert_eq!(self.server.uploads(), (0, 0));
        assert_eq!(get(&format!("_temporary/{name}/0.rejects.ldjson")), None);
        assert_eq!(self.state(), json!({"state": "done", "job": name}));
    }
}

#[test]
fn what_is_held_is_not_there_before_its_commit_and_whole_behind_it() {
    let job = Job::of(&records(20_000));
    assert_eq!(job.state(), json!({"state": "empty"}));
    let steps = job.parts("a", 5_000);
    assert_eq!(job.names(), Vec::<String>::new());
    assert_eq!(job.server.uploads(), (sent(&steps), sent(&steps)));
    assert!(count(&steps) > 3);
    assert_eq!(job.state(), json!({"state": "empty"}));
    job.commit("", &steps).exits(0);
    job.is_whole("a", count(&steps));
    let asked = job.server.asked().len();
    job.commit("", &steps).exits(0);
    job.commit("--finish", "").exits(0);
    job.is_whole("a", count(&steps));
    assert!(!job.server.asked()[asked..].iter().any(Asked::is_join), "what is done is done again");
}

#[test]
fn an_output_of_several_parts_and_one_without_a_byte_are_held_too() {
    let job = Job::of(&records(30_000_000));
    let steps = job.parts("a", 20_000_000);
    assert!(job.server.uploads().1 > 3);
    job.commit("", &steps).exits(0);
    job.is_whole("a", count(&steps));

    let job = Job::of(&[BAD, "\n", BAD, "\n"].concat().into_bytes());
    let steps = job.parts("a", 80);
    assert_eq!(job.server.uploads(), (0, 0));
    job.commit("", &steps).exits(0);
    job.is_whole("a", count(&steps));
}

#[test]
fn who_does_not_say_quiet_is_told_that_it_is_not_there() {
    let job = Job::of(b"");
    let words = format!("-i in.json -o {OUT}a.json --hold ticket.json");
    let args = ["--plugin".into(), plugin("linear_model").into_os_string()];
    let words = words.split_whitespace().map(Into::into);
    let run = allowed(job.folder.host(args.into_iter().chain(words)), &job.server);
    run.run().exits(0).says("`s3://flowers/out/a.json` is not there yet: etl-host commit takes");
}

#[test]
fn a_run_that_fails_leaves_neither_upload_nor_ticket() {
    let job = Job::of(&records(30_000_000));
    job.folder.write("ticket.json", "of another run");
    let words = format!("-i in.json -o {OUT}a.json --hold ticket.json");
    linear(&job.folder, &job.server, &format!("{words} --max-rejects 1000")).run().exits(6);
    assert_eq!(job.folder.text("ticket.json"), "of another run");
    assert_eq!(job.server.uploads().0, 0); // what was on its way may reach this server behind that
    // The last part does not arrive; nor can the ticket be written.
    job.server.on_request(|asked| match asked.target.contains("partNumber=3") {
        true => Fault::Refused(403),
        false => Fault::None,
    });
    linear(&job.folder, &job.server, &words).run().exits(3);
    job.server.on_request(|_| Fault::None);
    let nowhere = words.replace("ticket.json", "no/ticket.json");
    linear(&job.folder, &job.server, &nowhere).run().exits(3).says("the ticket `no/ticket.json`");
    assert_eq!(job.server.uploads().0, 0); // what was on its way may reach this server behind that
}

/// From its n-th request on, a commit reaches nobody, as if it had died; with `lost`, that one is done still.
fn dies_at(server: &Server, n: usize, lost: bool) {
    let first = server.asked().len();
    server.on_request(move |asked| match asked.number.checked_sub(first + n) {
        None => Fault::None,
        Some(0) if lost => Fault::AnswerLost,
        Some(_) => Fault::Refused(403),
    });
}

#[test]
fn a_commit_that_dies_at_any_request_is_ended_by_whoever_comes_by() {
    let (mut begun, mut unbegun) = (0, 0);
    for n in 0.. {
        let job = Job::of(&records(10_000));
        let steps = job.parts("a", 5_000);
        dies_at(&job.server, n, n % 2 == 0);
        let code = job.commit("", &steps).code;
        job.server.on_request(|_| Fault::None);
        let state = job.state();
        match state["state"].as_str().unwrap() {
            "empty" => {
                unbegun += 1;
                assert_eq!(job.names(), Vec::<String>::new());
                let ran = job.commit("--finish", "").exits(3);
                ran.says("no commit was begun there").says("run the job again");
                job.commit("", &steps).exits(0);
            }
            state => {
                begun += usize::from(state == "begun");
                // Once more at the same place, then by somebody who lives.
                dies_at(&job.server, n / 2, n % 2 == 0);
                job.commit("--finish", "");
                job.server.on_request(|_| Fault::None);
                job.commit("--finish", "").exits(0);
            }
        }
        job.is_whole("a", count(&steps));
        if code == Some(0) && n > 40 {
            break; // it had no more requests
        }
    }
    assert!(begun > 10 && unbegun > 2, "{begun}, {unbegun}");
}

#[test]
fn several_may_end_a_commit_at_once() {
    let job = Job::of(&records(40_000));
    let steps = job.parts("a", 5_000);
    let mut has_begun = false;
    job.server.on_request(move |asked| match has_begun {
        true => Fault::Refused(403),
        false => {
            has_begun = asked.method == "PUT" && asked.target.contains("_manifest");
            Fault::None
        }
    });
    job.commit("", &steps).exits(3);
    job.server.on_request(|_| Fault::None);
    assert_eq!(job.state(), json!({"state": "begun", "job": "a"}));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| job.commit("--finish", "").exits(0));
        }
    });
    job.is_whole("a", count(&steps));
}

#[test]
fn of_two_jobs_on_a_folder_one_commits_and_the_other_can_take_everything_back() {
    let job = Job::of(&records(10_000));
    let (ours, theirs) = (job.parts("ours", 5_000), job.parts("theirs", 5_000));
    job.commit("", &theirs).exits(0);
    let ran = job.commit("", &ours).exits(3);
    ran.says("another job has begun its commit there, and this one published nothing");
    assert_eq!(job.server.uploads().0, sent(&ours));
    job.commit("--abandon", &theirs).exits(3).says("the commit of this job was begun");
    job.commit("--abandon", &ours).exits(0);
    job.commit("--abandon", &ours); // what is gone is gone
    job.is_whole("theirs", count(&theirs));
    assert_eq!(job.server.get("flowers/out/_temporary/ours/0.rejects.ldjson"), None);
}

#[test]
fn what_is_abandoned_can_not_be_committed() {
    let job = Job::of(&records(10_000));
    let steps = job.parts("a", 5_000);
    job.commit("--abandon", &steps).exits(0);
    assert_eq!(job.server.uploads(), (0, 0));
    job.server.on_request(|asked| match asked.is_join() {
        true => Fault::Missing("NoSuchUpload"), // what a store says, and this server does not
        false => Fault::None,
    });
    let ran = job.commit("", &steps).exits(3);
    ran.says("the store has neither the object nor what was sent of it").says("run the job again");
    assert_eq!(job.server.get("flowers/out/_SUCCESS"), None);
}

#[test]
fn a_folder_that_holds_anything_is_found_out_about() {
    let job = Job::of(b"");
    job.server.put("flowers/out/_temporary/b/x", "of a job that died");
    assert_eq!(job.state(), json!({"state": "empty"}));
    job.server.put("flowers/out/old/x", "");
    assert_eq!(job.state(), json!({"state": "occupied", "found": "old/"}));
    job.server.put("flowers/out/_manifest.ldjson", "{\"job\":\"b\"}\nwhatever");
    assert_eq!(job.state(), json!({"state": "begun", "job": "b"}));
    let ran = job.commit("--finish", "").exits(3);
    ran.says("line 2: expected value").says("was it made by a newer etl-host?");
}

#[test]
fn a_store_that_writes_over_what_is_there_is_refused() {
    let job = Job::of(b"");
    let probe = job.server.folder().join("flowers/out/_temporary/_only_once");
    job.server.on_request(move |asked| {
        if asked.method == "PUT" {
            let _ = fs::remove_file(&probe); // as if it had not looked
        }
        Fault::None
    });
    for words in ["--check", ""] {
        let ran = job.commit(words, "{\"job\":\"a\"}\n").exits(3);
        ran.says("If-None-Match").says("conditional writes");
    }
    assert_eq!(job.names(), Vec::<String>::new());
}

#[test]
fn steps_that_are_wrong_are_refused_before_anything_is_done() {
    let job = Job::of(b"");
    let text = |name: &str| json!({"text": {"name": name, "text": ""}}).to_string();
    let join = |at: &str| {
        json!({"join": {"location": at, "upload": "", "parts": [], "bytes": 0}}).to_string()
    };
    for (steps, told) in [
        (String::new(), "line 1: there is none"),
        ("{".to_owned(), "line 1: EOF"),
        (text("a"), "line 1: the job comes first"),
        ("{\"job\":\"a\"}\n{\"job\":\"a\"}".to_owned(), "line 2: the job comes first, and once"),
        ("{\"job\":\"a\"}\n{\"dance\":1}".to_owned(), "line 2: unknown variant `dance`"),
        (
            format!("{{\"job\":\"a\"}}\n{}\n{}", text("a"), text("a")),
            "line 3: `a` would be written twice",
        ),
        (format!("{{\"job\":\"a\"}}\n{}", text("_SUCCESS")), "`_SUCCESS` would be written twice"),
        (format!("{{\"job\":\"a\"}}\n{}", text("../a")), "`../a` is no name in a folder"),
        (
            format!("{{\"job\":\"a\"}}\n{}", join("s3://flowers/other/a")),
            "is not in `s3://flowers/out/`",
        ),
        (
            format!("{{\"job\":\"a\"}}\n{}", join(&format!("{OUT}a")).replace(":0", ":5")),
            "`s3://flowers/out/a` has 5 bytes in 0 parts",
        ),
        ("{\"job\":\"a\"}\n{\"remove\":\"part/\"}".to_owned(), "only a folder in `_temporary/`"),
        (
            "{\"job\":\"a\"}\n{\"remove\":\"_temporary/\"}".to_owned(),
            "only a folder in `_temporary/`",
        ),
    ] {
        job.commit("", &steps).exits(2).says(told).says("etl-host commit --help");
    }
    assert_eq!(job.server.asked().len(), 0);
    let folder = &job.folder;
    for (args, told) in [
        ("commit out/", "a commit is made in a store, and `out/` is in none"),
        ("commit --check postgres://localhost/db", "is in none"),
        ("commit --check https://localhost/out/", "a web server is only read from"),
        ("commit --check --finish s3://flowers/out/", "cannot be used with"),
    ] {
        assert!(folder.host(args.split(' ')).run().says(told).code > Some(1));
    }
}

#[test]
fn rejects_that_are_not_those_of_their_part_are_an_error() {
    let job = Job::of(&records(10_000));
    let steps = job.parts("a", 5_000);
    job.server.put("flowers/out/_temporary/a/1.rejects.ldjson", "{\"range_line\":1}\n");
    job.commit("", &steps).exits(3).says("it holds 1 rejects, and its part had");
    job.server.put("flowers/out/_temporary/a/1.rejects.ldjson", "{\"line\":1}\n");
    job.commit("--finish", "").exits(3).says("reject 1 tells no line of its range");
    assert_eq!(job.server.get("flowers/out/_SUCCESS"), None);
    assert_eq!(job.server.get("flowers/out/_rejects.ldjson"), None);
}

#[test]
fn what_can_not_be_held_back_is_refused() {
    let job = Job::of(b"");
    for (words, told) in [
        ("-o out.json --hold t", "--hold is for one object in a store, and `out.json` is none"),
        ("--hold t", "the output is stdout"),
        ("-o s3://flowers/out/ --hold t", "the output is a folder"),
        ("-o s3://flowers/a?X-Amz-Signature=x --hold t", "may hold a secret"),
        ("-o s3://flowers/a --hold -", "wants a file for its ticket"),
        ("-o s3://flowers/a --hold t --summary t", "are the same file"),
        ("-o s3://flowers/a --hold t --state st", "cannot be used with"),
        ("-o s3://flowers/a --hold t --resume", "cannot be used with"),
    ] {
        linear(&job.folder, &job.server, &format!("-i in.json {words}")).run().exits(2).says(told);
    }
    assert_eq!(job.server.asked().len(), 0);
}
