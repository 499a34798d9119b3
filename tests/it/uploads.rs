//! A run whose outputs are objects goes on: with the upload that it had begun, to the same bytes.

use crate::main_job::{BAD, SETOSA, VIRGINICA};
use crate::s3::{Asked, Fault, Server};
use etl_host_tests::{Folder, Ran, Run, plugin};
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// An output of more than three parts.
const BYTES: usize = 30_000_000;

/// Records of about so many bytes; of each `bad_in` of them one is bad.
fn records(bytes: usize, bad_in: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 200);
    for n in 1.. {
        if text.len() >= bytes {
            break;
        }
        let record = match n {
            _ if n % bad_in == 0 => BAD,
            _ if n % 3 == 0 => VIRGINICA,
            _ => SETOSA,
        };
        writeln!(text, "{record}").unwrap();
    }
    text
}

/// A run of these words in a folder with `in.json`, which may ask the server.
fn run<'a>(folder: &'a Folder, server: &Server, words: &str) -> Run<'a> {
    let args = ["--plugin".into(), plugin("linear_model").into_os_string()];
    allowed(folder.host(args.into_iter().chain(words.split_whitespace().map(Into::into))), server)
}

fn status<'a>(folder: &'a Folder, server: &Server, words: &str) -> Run<'a> {
    allowed(folder.host(["status"].into_iter().chain(words.split_whitespace())), server)
}

fn allowed<'a>(run: Run<'a>, server: &Server) -> Run<'a> {
    server.environment().iter().fold(run, |run, (name, value)| run.env(name, value))
}

const JOB: &str =
    "-q --state st --checkpoint-seconds 0 --emit merge -i in.json -o s3://flowers/out.json";

/// What an uninterrupted run makes of the input on this machine: output and rejects.
fn expected(input: &[u8]) -> [Vec<u8>; 2] {
    let (folder, server) = (Folder::new(), Server::start("flowers"));
    folder.write("in.json", input);
    run(&folder, &server, "-q --emit merge -i in.json -o out.json").run();
    let rejects = folder.read("out.json.rejects.ldjson").unwrap_or_default();
    [folder.read("out.json").unwrap(), rejects]
}

/// Runs it, and ends it with this signal at the request that is to meet with a fault.
fn ended(
    run: &Run<'_>,
    server: &Server,
    signal: &str,
    mut fault: impl FnMut(&Asked) -> Option<Fault> + Send + 'static,
) -> Option<i32> {
    let (told, hears) = mpsc::channel();
    server.on_request(move |asked| match fault(asked) {
        Some(fault) => {
            let _ = told.send(());
            fault
        }
        None => Fault::None,
    });
    let mut command = run.command();
    let mut child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    hears.recv().unwrap();
    let mut kill = Command::new("kill");
    assert!(kill.args([signal, &child.id().to_string()]).status().unwrap().success());
    let code = child.wait().unwrap().code();
    server.on_request(|_| Fault::None);
    code
}

/// Holds the n-th part that is asked for.
fn part(n: usize) -> impl FnMut(&Asked) -> Option<Fault> + Send + 'static {
    let mut parts = 0;
    move |asked| {
        parts += usize::from(asked.is_part());
        (asked.is_part() && parts == n).then_some(Fault::Held)
    }
}

fn state(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(folder.path().join("st")).into_iter().flatten();
    names.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

/// Output and rejects are there as if nothing had happened, and nothing else is.
#[track_caller]
fn is_whole(server: &Server, folder: &Folder, expected: &[Vec<u8>; 2]) {
    is_there(server, folder, expected);
    assert_eq!(server.uploads(), (0, 0));
}

/// The same, whatever may be left of uploads.
#[track_caller]
fn is_there(server: &Server, folder: &Folder, [output, rejects]: &[Vec<u8>; 2]) {
    assert!(server.get("flowers/out.json").unwrap() == *output, "the bytes differ");
    let rejected = server.get("flowers/out.json.rejects.ldjson").unwrap_or_default();
    assert!(rejected == *rejects, "the rejects differ");
    assert_eq!(state(folder), Vec::<String>::new());
}

fn parts_sent(server: &Server) -> usize {
    server.asked().iter().filter(|asked| asked.is_part()).count()
}

/// Two runs: the first is killed at this request, the second ends it. How many parts each sent.
#[track_caller]
fn check_killed(
    bytes: usize,
    fault: impl FnMut(&Asked) -> Option<Fault> + Send + 'static,
) -> [usize; 2] {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    let input = records(bytes, usize::MAX);
    folder.write("in.json", &input);
    assert_eq!(ended(&run(&folder, &server, JOB), &server, "-KILL", fault), None);
    assert_ne!(state(&folder), Vec::<String>::new());
    let first = parts_sent(&server);
    run(&folder, &server, JOB).run().exits(0);
    is_whole(&server, &folder, &expected(&input));
    [first, parts_sent(&server) - first]
}

#[test]
fn a_kill_before_the_first_part_costs_nothing() {
    let [first, _] = check_killed(BYTES, |asked| {
        let begins = asked.method == "POST" && !asked.is_join();
        begins.then_some(Fault::Held)
    });
    assert_eq!(first, 0);
    check_killed(BYTES, part(1));
}

#[test]
fn a_kill_between_parts_leaves_those_that_arrived_where_they_are() {
    check_killed(BYTES, part(3));
    // No more than four are on their way: the first have arrived long before.
    let [first, second] = check_killed(3 * BYTES, part(10));
    let whole = expected(&records(3 * BYTES, usize::MAX))[0].len().div_ceil(8 << 20);
    assert!(whole > 10 && second < whole && first + second >= whole, "{first}, {second}, {whole}");
}

#[test]
fn a_kill_behind_all_parts_joins_them_once() {
    let [first, second] = check_killed(3 * BYTES, |asked| asked.is_join().then_some(Fault::Held));
    assert!(second < first, "{second}, {first}");
}

#[test]
fn a_kill_behind_the_publication_is_found_out_about() {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    let input = records(BYTES, usize::MAX);
    folder.write("in.json", &input);
    server.put("flowers/out.json", "of an earlier run");
    let join = |asked: &Asked| asked.is_join().then_some(Fault::AnswerHeld);
    ended(&run(&folder, &server, JOB), &server, "-KILL", join);
    let sent = parts_sent(&server);
    while server.get("flowers/out.json").unwrap().len() < 100 {
        thread::yield_now(); // a store goes on when nobody waits for it
    }
    run(&folder, &server, JOB).run().exits(0);
    is_whole(&server, &folder, &expected(&input));
    assert_eq!(parts_sent(&server), sent);
}

#[test]
fn a_small_output_is_put_once_more() {
    for fault in [Fault::Held, Fault::AnswerHeld] {
        let (server, folder) = (Server::start("flowers"), Folder::new());
        let input = records(100_000, usize::MAX);
        folder.write("in.json", &input);
        server.put("flowers/out.json", "of an earlier run");
        let put = move |asked: &Asked| (asked.method == "PUT").then_some(fault);
        ended(&run(&folder, &server, JOB), &server, "-KILL", put);
        run(&folder, &server, JOB).run().exits(0);
        is_whole(&server, &folder, &expected(&input));
    }
}

#[test]
fn a_signal_and_a_limit_leave_what_was_sent() {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    let input = records(2 * BYTES, 1000);
    let bad = input.len() / 100_000;
    folder.write("in.json", &input);
    for signal in ["-TERM", "-INT"] {
        let code = ended(&run(&folder, &server, JOB), &server, signal, part(3));
        assert_eq!(code, Some(if signal == "-TERM" { 143 } else { 130 }));
        assert_eq!(server.uploads().0, 1);
    }
    let words = JOB.replace("-q ", "");
    let ran = run(&folder, &server, &format!("{words} --max-rejects {}", bad / 2)).run();
    ran.exits(6).says("resumed at line").says("done and kept");
    assert_eq!((server.uploads().0, server.get("flowers/out.json")), (1, None));
    run(&folder, &server, &words).run().exits(1).says("resumed at line");
    is_whole(&server, &folder, &expected(&input));
}

#[test]
fn rejects_are_sent_as_the_output_is() {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    let input = records(BYTES, 2);
    folder.write("in.json", &input);
    let expected = expected(&input);
    assert!(expected.iter().all(|it| it.len() > 8 << 20));
    ended(&run(&folder, &server, JOB), &server, "-KILL", part(2));
    // Then when the rejects are published, and the output is not.
    let mut joined = 0;
    let join = move |asked: &Asked| {
        joined += usize::from(asked.is_join());
        (asked.is_join() && joined == 2).then_some(Fault::Held)
    };
    ended(&run(&folder, &server, JOB), &server, "-KILL", join);
    assert!(server.get("flowers/out.json.rejects.ldjson").unwrap() == expected[1]);
    status(&folder, &server, "--abort st").run().exits(3).says("published already");
    run(&folder, &server, JOB).run().exits(1);
    is_there(&server, &folder, &expected);
    // While one of the two sent its part, the other may have begun and not yet been journalled: then an
    // upload without parts is left, as docs/reliability.md says.
    let (uploads, parts) = server.uploads();
    assert!(uploads <= 1 && parts == 0, "{uploads} uploads with {parts} parts");
}

#[test]
fn one_may_be_here_and_the_other_elsewhere() {
    let input = records(BYTES, 2);
    let [output, rejects] = expected(&input);
    for (places, is_here) in [
        ("-o out.json --rejects s3://flowers/bad.json", true),
        ("-o s3://flowers/out.json --rejects bad.json", false),
    ] {
        let (server, folder) = (Server::start("flowers"), Folder::new());
        folder.write("in.json", &input);
        let words =
            format!("-q --state st --checkpoint-seconds 0 --emit merge -i in.json {places}");
        ended(&run(&folder, &server, &words), &server, "-KILL", part(1));
        run(&folder, &server, &words).run().exits(1);
        let (here, there) =
            if is_here { ("out.json", "bad.json") } else { ("bad.json", "out.json") };
        let pair = [folder.read(here).unwrap(), server.get(&format!("flowers/{there}")).unwrap()];
        let expected = if is_here { [&output, &rejects] } else { [&rejects, &output] };
        assert!(pair.each_ref() == expected, "{places}");
        assert_eq!(server.uploads(), (0, 0));
        assert_eq!(state(&folder), Vec::<String>::new());
        assert_eq!(folder.names().len(), 3, "{:?}", folder.names());
    }
}

#[test]
fn a_compressed_output_and_a_folder_of_outputs_go_on_too() {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    folder.write("in.json", records(3_000_000, usize::MAX));
    folder.write("b.json", records(200_000, 7));
    let words = "-q --state st --checkpoint-seconds 0 -i in.json -i b.json -o s3://flowers/out/";
    // At the second of the outputs.
    let second = |asked: &Asked| {
        (asked.method == "PUT" && asked.target.contains("out/b.json")).then_some(Fault::Held)
    };
    ended(&run(&folder, &server, words), &server, "-KILL", second);
    run(&folder, &server, words).run().exits(1);
    run(&folder, &server, "-q -i in.json -i b.json -o here/").run().exits(1);
    for name in ["in.json", "b.json", "b.json.rejects.ldjson"] {
        let here = fs::read(folder.path().join("here").join(name)).unwrap();
        assert!(server.get(&format!("flowers/out/{name}")).unwrap() == here, "{name}");
    }
    assert_eq!(state(&folder), Vec::<String>::new());
    let words = "-q --state st --checkpoint-seconds 0 -i in.json -o s3://flowers/out.json.gz";
    let put = |asked: &Asked| (asked.method == "PUT").then_some(Fault::Held);
    ended(&run(&folder, &server, words), &server, "-KILL", put);
    run(&folder, &server, words).run().exits(0);
    assert!(server.get("flowers/out.json.gz").unwrap().starts_with(&[0x1f, 0x8b]));
}

/// A run that was killed at its third part.
fn left() -> (Server, Folder) {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    folder.write("in.json", records(BYTES, usize::MAX));
    ended(&run(&folder, &server, JOB), &server, "-KILL", part(3));
    assert_eq!(server.uploads().0, 1);
    (server, folder)
}

#[track_caller]
fn keeps_all(ran: Ran, folder: &Folder) -> Ran {
    let mut names = state(folder);
    names.sort();
    assert_eq!(names[..1], [".out.json.etl-host-part"]);
    assert!(names.contains(&"etl-host-journal".to_owned()));
    ran
}

#[test]
fn another_job_is_refused_and_takes_nothing() {
    let (server, folder) = left();
    for other in [
        JOB.replace("merge", "nest"),
        JOB.replace("flowers/out.json", "flowers/other.json"),
        format!("{JOB} --rejects bad.json"),
    ] {
        let ran = run(&folder, &server, &other).run().exits(3);
        keeps_all(ran, &folder).says("was not the same job");
    }
    // The same name at another server is another object.
    let elsewhere = Server::start("flowers");
    let ran = run(&folder, &elsewhere, JOB).run().exits(3);
    keeps_all(ran, &folder).says("--output was").says("status --abort st");
    assert_eq!(server.uploads().0, 1);
    run(&folder, &server, JOB).run().exits(0);
}

#[test]
fn what_is_left_is_told_and_can_be_given_up() {
    let (server, folder) = left();
    let ran = status(&folder, &server, "st").run().exits(0);
    let told = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(told.starts_with("s3://flowers/out.json: interrupted\n"), "{told}");
    assert!(told.contains("resume    yes"), "{told}");
    let ran = status(&folder, &server, "st --json").run().exits(0);
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(told[0]["header"]["outputs"][1]["elsewhere"], "s3://flowers/out.json");
    // Nothing is given up where the store can't be asked.
    let nobody =
        status(&folder, &server, "--abort st").env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let ran = nobody.run().exits(3).says("can't be given up; nothing was removed");
    keeps_all(ran, &folder).says("nobody answers at http://127.0.0.1:9");
    let ran = status(&folder, &server, "--abort st").run().exits(0);
    let told = String::from_utf8(ran.stdout.clone()).unwrap();
    assert!(told.contains("given up") && told.contains("etl-host-journal"), "{told}");
    assert_eq!(state(&folder), Vec::<String>::new());
    assert_eq!((server.uploads(), server.get("flowers/out.json")), ((0, 0), None));
}

#[test]
fn an_upload_that_the_store_has_removed_is_told_of() {
    let (server, folder) = left();
    let gone = |asked: &Asked| match asked.target.contains("uploadId=") {
        true => Fault::Missing("NoSuchUpload"),
        false => Fault::None,
    };
    server.on_request(gone);
    let ran = run(&folder, &server, JOB).run().exits(3);
    let ran = keeps_all(ran, &folder).says("has removed what was sent of `s3://flowers/out.json`");
    ran.says("etl-host status --abort DIR");
    status(&folder, &server, "--abort st").run().exits(0);
    assert_eq!(state(&folder), Vec::<String>::new());
    server.on_request(|_| Fault::None);
    run(&folder, &server, JOB).run().exits(0);
}

#[test]
fn what_waits_here_is_missed_where_it_is_gone() {
    let (server, folder) = left();
    let part = folder.path().join("st/.out.json.etl-host-part");
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[..9]).unwrap();
    run(&folder, &server, JOB).run().exits(3).says("has 9 bytes");
    fs::remove_file(&part).unwrap();
    run(&folder, &server, JOB).run().exits(3).says("is not there, or another file");
    assert_eq!(server.get("flowers/out.json"), None);
    // Also where all was done but for the publication.
    let (server, folder) = (Server::start("flowers"), Folder::new());
    folder.write("in.json", records(BYTES, usize::MAX));
    let join = |asked: &Asked| asked.is_join().then_some(Fault::Held);
    ended(&run(&folder, &server, JOB), &server, "-KILL", join);
    fs::remove_file(folder.path().join("st/.out.json.etl-host-part")).unwrap();
    run(&folder, &server, JOB).run().exits(3).says("is not there, or another file");
    assert_eq!(server.get("flowers/out.json"), None);
}

#[test]
fn a_journal_of_an_object_wants_a_folder_and_a_database_has_none() {
    let (server, folder) = (Server::start("flowers"), Folder::new());
    folder.write("in.json", SETOSA);
    for (words, says) in [
        ("--resume -i in.json -o s3://flowers/out.json", "name a folder: --state DIR"),
        (
            "--state st -i in.json -o sqlite:a.db --output-table t",
            "--state can't go on in a database",
        ),
        ("--state st -i in.json -o s3://flowers/a?b=c", "all of a name may be shown"),
    ] {
        run(&folder, &server, words).run().exits(2).says(says);
    }
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn the_file_that_waits_gives_back_the_room_of_what_arrived() {
    use std::os::unix::fs::MetadataExt as _;
    let (server, folder) = (Server::start("flowers"), Folder::new());
    folder.write("in.json", records(3 * BYTES, usize::MAX));
    // The last part is sent when all others have long arrived.
    ended(&run(&folder, &server, JOB), &server, "-KILL", part(10));
    let waiting = fs::metadata(folder.path().join("st/.out.json.etl-host-part")).unwrap();
    let room = waiting.blocks() * 512;
    assert!(waiting.len() > 10 * (8 << 20), "{} bytes", waiting.len());
    assert!(room < waiting.len() / 2, "{room} of {} bytes", waiting.len());
    run(&folder, &server, JOB).run().exits(0);
}
