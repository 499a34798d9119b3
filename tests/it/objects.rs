//! Objects in a store: the same job, the same bytes, wherever data lives, and never a part of an
//! object that looks like the whole.

use crate::main_job::{BAD, SETOSA, VIRGINICA, iris, predictions, rejects};
use crate::s3::{Asked, Fault, KEY, SECRET, Server};
use etl_host_tests::{Folder, Ran, Run, plugin, root};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

const BUCKET: &str = "flowers";

fn sample() -> Vec<u8> {
    fs::read(root().join("data/input.json")).unwrap()
}

/// What becomes of the sample on this machine.
fn sample_predictions() -> String {
    predictions(&["setosa ", "versicolor ", "virginica "].map(|it| it.repeat(5)).concat())
}

/// A server with the sample in it.
fn server() -> Server {
    let server = Server::start(BUCKET);
    server.put("flowers/data/input.json", sample());
    server
}

/// With what a server wants in the environment.
fn allowed<'a>(run: Run<'a>, server: &Server) -> Run<'a> {
    server.environment().iter().fold(run, |run, (name, value)| run.env(name, value))
}

/// The same for a light model over many records.
fn linear<'a>(folder: &'a Folder, words: &str) -> Run<'a> {
    let plugin = plugin("linear_model").into_os_string();
    folder.host(
        ["--plugin".into(), plugin].into_iter().chain(words.split_whitespace().map(Into::into)),
    )
}

/// Records of about so many bytes.
fn records(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 200);
    for n in 0.. {
        if text.len() >= bytes {
            break;
        }
        let record = if n % 3 == 0 { VIRGINICA } else { SETOSA };
        writeln!(text, "{record}").unwrap();
    }
    text
}

/// What the light model makes of an input on this machine.
fn locally(input: &[u8], words: &str) -> Vec<u8> {
    let folder = Folder::new();
    folder.write("in.json", input);
    linear(&folder, &format!("-q -i in.json -o out.json {words}")).run().exits(0);
    folder.read("out.json").unwrap()
}

/// No secret is in what it said and wrote.
#[track_caller]
fn hides(ran: Ran, folder: &Folder) -> Ran {
    let mut all = vec![ran.stdout.clone(), ran.stderr.clone()];
    for name in folder.names() {
        all.extend(folder.read(&name).filter(|_| !name.ends_with(".toml")));
    }
    for bytes in all {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(SECRET), "the secret is told:\n{text}");
    }
    ran
}

mod ways {
    //! All ways to say where data lives.

    use super::*;

    #[track_caller]
    fn check(server: &Server, output: &str) {
        let text =
            server.get(output).unwrap_or_else(|| panic!("no {output}: {:?}", server.asked()));
        assert_eq!(String::from_utf8(text).unwrap(), sample_predictions());
        assert_eq!(server.uploads(), (0, 0));
    }

    #[test]
    fn the_originals_command_works_as_it_was() {
        for flags in [
            "--secret_key SECRET --endpoint_url URL --bucket flowers --key KEY --input_file IN --output_file OUT",
            "-sk SECRET -ep URL -b flowers -k KEY -i IN -o OUT",
            "--secret-key SECRET --endpoint-url URL -b flowers -k KEY --input IN --output OUT",
        ] {
            let (server, folder) = (server(), Folder::new());
            let words = flags.replace("URL", &server.url()).replace("SECRET", SECRET);
            let words = words.replace("KEY", KEY).replace("IN", "data/input.json");
            let ran = iris(&folder, &words.replace("OUT", "data/output.json")).run();
            hides(ran, &folder).exits(0).says("15 records: 15 written");
            check(&server, "flowers/data/output.json");
        }
    }

    #[test]
    fn urls_do_with_credentials_of_the_environment() {
        let (server, folder) = (server(), Folder::new());
        let words = "-i s3://flowers/data/input.json -o s3://flowers/out/a.json --summary s.json";
        hides(allowed(iris(&folder, words), &server).run(), &folder).exits(0);
        check(&server, "flowers/out/a.json");
        let summary: Value = serde_json::from_str(&folder.text("s.json")).unwrap();
        assert_eq!(summary["inputs"][0]["name"], "s3://flowers/data/input.json");
        let version = summary["inputs"][0]["version"].as_str().unwrap();
        assert!(version.starts_with(&format!("{} bytes, ETag \"", sample().len())), "{version}");
        assert_eq!(summary["output"], "s3://flowers/out/a.json");
        let version = summary["output_version"].as_str().unwrap();
        let bytes = sample_predictions().len();
        assert!(version.starts_with(&format!("{bytes} bytes, ETag \"")), "{version}");
    }

    #[test]
    fn the_same_command_runs_on_whatever_a_file_of_services_names() {
        let (server, folder) = (server(), Folder::new());
        folder.write("test.toml", "[lake]\nkind = 'local'\nroot = 'here'\n");
        folder.write(
            "prod.toml",
            "[lake]\nkind = 's3'\nbucket = 'flowers'\nkey = '${WHO}'\nsecret = '${HUSH}'\n\
             endpoint = '${WHERE}'\nregion = '${REGION:-us-east-1}'\n",
        );
        fs::create_dir_all(folder.path().join("here/data")).unwrap();
        folder.write("here/data/input.json", sample());
        for services in ["test.toml", "prod.toml"] {
            let words = format!(
                "--services {services} -i lake://data/input.json -o lake://data/output.json --summary {services}.json"
            );
            let run = iris(&folder, &words).env("WHO", KEY).env("HUSH", SECRET);
            hides(run.env("WHERE", &server.url()).run(), &folder).exits(0);
        }
        assert_eq!(folder.text("here/data/output.json"), sample_predictions());
        check(&server, "flowers/data/output.json");
    }

    #[test]
    fn options_of_a_scheme_go_for_its_urls_and_flags_before_them() {
        let (server, folder) = (server(), Folder::new());
        folder.write(
            "s.toml",
            format!("[s3]\nkey = '{KEY}'\nsecret = 'wrong'\nendpoint = '{}'\n", server.url()),
        );
        let words = "--services s.toml -i s3://flowers/data/input.json -o s3://flowers/out.json";
        iris(&folder, words).run().exits(3).says("does not take the secret key");
        iris(&folder, &format!("{words} -k {KEY} -sk {SECRET}")).run().exits(0);
        check(&server, "flowers/out.json");
    }

    #[test]
    fn an_input_may_be_elsewhere_and_the_output_here_and_the_other_way_round() {
        let (server, folder) = (server(), Folder::new());
        allowed(iris(&folder, "-i s3://flowers/data/input.json"), &server)
            .run()
            .exits(0)
            .writes(&sample_predictions());
        let run = iris(&folder, "-i - -o s3://flowers/out.json").stdin(sample());
        allowed(run, &server).run().exits(0).writes("");
        check(&server, "flowers/out.json");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_before_anybody_is_asked() {
        let (server, folder) = (server(), Folder::new());
        for (words, code, says) in [
            ("-i ftp://h/x", 2, "there is no service `ftp`"),
            ("-i lake://x", 2, "others are named in a file that --services gives"),
            ("-i s3://flowers/a -o s3://flowers/a", 2, "the output and --input are the same file"),
            ("-i s3://flowers/a -o s3://flowers//a", 2, "the same file"),
            ("-i s3://flowers/data/input.json -o https://h/x", 3, "a web server is only read from"),
            (
                "-i s3://flowers/data/input.json -o s3://flowers/x --resume",
                2,
                "can be resumed only where",
            ),
            ("-i s3://flowers/data/input.json -o s3://flowers", 3, "names no object"),
            ("-i s3://k:hush-do-not-tell-anybody@flowers/a", 3, "holds credentials"),
            ("-i s3://flowers/a --services none.toml", 2, "`none.toml` can't be read"),
            ("-i a -b flowers -sk x", 2, "--key"),
        ] {
            let ran = allowed(iris(&folder, words), &server).run();
            hides(ran, &folder).exits(code).says(says);
        }
        assert!(server.asked().iter().all(|asked| asked.method != "PUT"));
    }
}

mod many {
    //! Folders and globs of objects.

    use super::*;

    fn four() -> Server {
        let server = Server::start(BUCKET);
        server.put("flowers/in/b.json", format!("{BAD}\n{VIRGINICA}\n"));
        server.put("flowers/in/a.json", SETOSA);
        server.put("flowers/in/c d+ü.ldjson", format!("\n{BAD}\n"));
        server.put("flowers/in/.hidden", BAD);
        server.put("flowers/in/_SUCCESS", BAD);
        server.put("flowers/in/deep/e.json", VIRGINICA);
        server
    }

    #[test]
    fn the_objects_of_a_folder_or_a_glob_are_read_sorted() {
        let server = four();
        for (words, species, code) in [
            ("-i s3://flowers/in/", "setosa virginica", 1),
            ("-i s3://flowers/in/*.json", "setosa virginica", 1),
            ("-i s3://flowers/in/?.json -i s3://flowers/in/deep/", "setosa virginica virginica", 1),
            ("-i s3://flowers/**/[ae].json", "setosa virginica", 0),
            ("-b flowers -i in/deep/ -i in/a.json", "virginica setosa", 0),
        ] {
            let folder = Folder::new();
            allowed(iris(&folder, words), &server).run().exits(code).writes(&predictions(species));
        }
        let folder = Folder::new();
        let run = |words: &str| allowed(iris(&folder, words), &server).run();
        run("-i s3://flowers/in/*.csv").exits(3).says("no object matches");
        run("-i s3://flowers/out/").exits(3).says("there is no object in it");
        run("-i s3://flowers/in/a.json -i s3://flowers/in/").exits(2).says("would be read twice");
    }

    #[test]
    fn a_folder_takes_an_object_for_each_input() {
        let (server, folder) = (four(), Folder::new());
        allowed(iris(&folder, "-i s3://flowers/in/ -o s3://flowers/out/"), &server).run().exits(1);
        let text = |key: &str| String::from_utf8(server.get(key).unwrap()).unwrap();
        assert_eq!(text("flowers/out/a.json"), predictions("setosa"));
        assert_eq!(text("flowers/out/b.json"), predictions("virginica"));
        assert_eq!(text("flowers/out/c d+ü.ldjson"), "");
        assert!(server.get("flowers/out/a.json.rejects.ldjson").is_none());
        let reject = &rejects(text("flowers/out/b.json.rejects.ldjson"))[0];
        assert_eq!(reject["source"], "s3://flowers/in/b.json");
    }

    #[test]
    fn rejects_go_beside_the_output_and_old_ones_go() {
        let (server, folder) = (four(), Folder::new());
        let run = |input: &str| {
            let words = format!("-i s3://flowers/in/{input} -o s3://flowers/out.json");
            allowed(iris(&folder, &words), &server).run()
        };
        run("b.json").exits(1).says("(see s3://flowers/out.json.rejects.ldjson)");
        assert_eq!(rejects(server.get("flowers/out.json.rejects.ldjson").unwrap()).len(), 1);
        run("a.json").exits(0);
        assert!(server.get("flowers/out.json.rejects.ldjson").is_none());
        // And they can be run again from there.
        run("b.json").exits(1);
        let plugin = plugin("iris_model");
        let words = ["replay", "s3://flowers/out.json.rejects.ldjson", "--plugin"];
        let run = folder.host(words.iter().map(|it| it.as_ref()).chain([plugin.as_os_str()]));
        allowed(run, &server).run().exits(1).says("in/b.json");
    }
}

mod refusals {
    //! What a store says no to, in words.

    use super::*;

    #[test]
    fn each_refusal_says_what_where_and_what_to_do_and_no_secret() {
        let server = server();
        let (nobody, tls) = ("http://127.0.0.1:9", server.url().replace("http:", "https:"));
        let input = "-i s3://flowers/data/input.json";
        for (words, name, value, says, hint) in [
            (
                input,
                "AWS_SECRET_ACCESS_KEY",
                "wrong-secret",
                "does not take the secret key",
                "AWS_SECRET",
            ),
            (input, "AWS_ACCESS_KEY_ID", "nobody-known", "can't be opened", ""),
            (
                "-i s3://no-such-bucket/x",
                "X",
                "",
                "there is no bucket `no-such-bucket` at http://127",
                "check",
            ),
            (
                "-i s3://flowers/none",
                "X",
                "",
                "there is no `s3://flowers/none` at http://127",
                "exact",
            ),
            (
                input,
                "AWS_ENDPOINT_URL",
                nobody,
                "nobody answers at http://127.0.0.1:9: Connection refused",
                "network",
            ),
            (input, "AWS_ENDPOINT_URL", &tls, "no safe connection to https://127.0.0.1", "http://"),
            (
                "-i - -o s3://flowers/x",
                "AWS_SECRET_ACCESS_KEY",
                "wrong-secret",
                "does not take the secret",
                "--key",
            ),
        ] {
            let folder = Folder::new();
            let run = allowed(iris(&folder, &format!("{words} --summary s.json")), &server);
            let ran = hides(run.env(name, value).run(), &folder).exits(3).says(says);
            let ran = if hint.is_empty() { ran } else { ran.says("  hint: ").says(hint) };
            ran.says_nothing_of("wrong-secret").says_nothing_of("Generic");
        }
        assert_eq!(server.uploads(), (0, 0));
    }

    /// What the client of stores takes for our own mistake, and would end the process for.
    #[test]
    fn an_endpoint_that_is_no_url_and_a_key_with_a_line_break_are_refused_with_words() {
        let server = server();
        for (name, value, says) in [
            ("AWS_ENDPOINT_URL", "localhost:9000", "the endpoint is no URL"),
            ("AWS_ENDPOINT_URL", "http://", "the endpoint is no URL"),
            ("AWS_ENDPOINT_URL", "ftp://127.0.0.1:9000", "the endpoint is no URL"),
            ("AWS_ACCESS_KEY_ID", "a-key\r", "has characters that none has"),
            ("AWS_SESSION_TOKEN", "a-token\n", "has characters that none has"),
        ] {
            let folder = Folder::new();
            let run = allowed(iris(&folder, "-i s3://flowers/x"), &server).env(name, value);
            hides(run.run(), &folder).exits(3).says(says).says("  hint: ");
        }
        let folder = Folder::new();
        folder.write("s.toml", "[shop]\nkind = \"gs\"\nbucket = \"b\"\nendpoint = \"shop:80\"\n");
        let ran = iris(&folder, "-i shop://x --services s.toml").run();
        ran.exits(3).says("the endpoint is no URL").says("http://");
    }

    #[test]
    fn a_bucket_of_an_output_that_is_not_there_is_told_before_the_work() {
        let (server, folder) = (server(), Folder::new());
        server.on_request(|asked| match asked.target.starts_with("/nowhere") {
            true => Fault::Missing("NoSuchBucket"),
            false => Fault::None,
        });
        for state in ["", "--state st"] {
            let words = format!("-i s3://flowers/data/input.json -o s3://nowhere/x {state}");
            let ran = hides(allowed(iris(&folder, &words), &server).run(), &folder).exits(3);
            ran.says("there is no bucket `nowhere`").says_nothing_of("records");
        }
        assert!(server.asked().iter().all(|asked| asked.method != "PUT"));
    }
}

mod breaks {
    //! What breaks on the way is mended, or told; nothing is ever there in part.

    use super::*;

    const BYTES: usize = 20_000_000;

    /// The bytes are those of an undisturbed run, whatever happens to requests.
    #[track_caller]
    fn is_mended(emit: &str, decide: impl FnMut(&Asked) -> Fault + Send + 'static) -> Server {
        let input = records(BYTES);
        let expected = locally(&input, emit);
        let (server, folder) = (Server::start(BUCKET), Folder::new());
        server.put("flowers/in.json", input);
        server.on_request(decide);
        let words = format!("-i s3://flowers/in.json -o s3://flowers/out.json {emit}");
        hides(allowed(linear(&folder, &words), &server).run(), &folder).exits(0);
        assert!(server.get("flowers/out.json").unwrap() == expected, "the bytes differ");
        assert_eq!(server.uploads(), (0, 0));
        server
    }

    #[test]
    fn nothing_broken_is_as_on_this_machine() {
        let server = is_mended("--emit merge", |_| Fault::None);
        let asked = server.asked();
        assert!(asked.iter().filter(|asked| asked.is_part()).count() >= 3, "{asked:?}");
        assert!(asked.iter().filter(|asked| asked.is_read()).count() >= 3, "{asked:?}");
    }

    #[test]
    fn a_read_that_breaks_off_goes_on_where_it_was() {
        let mut reads = 0;
        is_mended("", move |asked| {
            reads += usize::from(asked.is_read());
            if asked.is_read() && reads % 2 == 0 { Fault::AnswerCut } else { Fault::None }
        });
    }

    #[test]
    fn a_part_that_does_not_arrive_is_sent_again() {
        let mut parts = 0;
        is_mended("--emit merge", move |asked| {
            parts += usize::from(asked.is_part());
            match asked.is_part() {
                true if parts % 3 == 1 => Fault::RequestCut,
                true if parts % 3 == 2 => Fault::AnswerLost,
                _ => Fault::None,
            }
        });
    }

    #[test]
    fn a_store_that_is_overloaded_now_and_then_is_asked_again() {
        is_mended("--emit merge", |asked| match asked.number % 4 {
            1 => Fault::Refused(500),
            3 => Fault::Refused(503),
            _ => Fault::None,
        });
    }

    #[test]
    fn an_answer_that_is_lost_at_the_very_end_is_found_out_about() {
        let mut is_lost = false;
        is_mended("--emit merge", move |asked| {
            let is_end = asked.method == "POST" && asked.target.contains("uploadId=");
            let is_first = is_end && !is_lost;
            is_lost |= is_end;
            if is_first { Fault::AnswerLost } else { Fault::None }
        });
    }

    #[test]
    fn what_cannot_be_mended_leaves_no_object_and_no_upload() {
        let input = records(BYTES);
        for (which, status) in [("read", 403), ("part", 403), ("end", 403)] {
            let (server, folder) = (Server::start(BUCKET), Folder::new());
            server.put("flowers/in.json", &input);
            let mut seen = 0;
            server.on_request(move |asked| {
                let is_it = match which {
                    "read" => asked.is_read() && !asked.target.contains("out.json"),
                    "part" => asked.is_part(),
                    _ => asked.method == "POST" && asked.target.contains("uploadId="),
                };
                seen += usize::from(is_it);
                if is_it && (seen > 1 || which == "end") {
                    Fault::Refused(status)
                } else {
                    Fault::None
                }
            });
            let words =
                "-i s3://flowers/in.json -o s3://flowers/out.json --emit merge --summary s.json";
            let ran = allowed(linear(&folder, words), &server).run();
            hides(ran, &folder).exits(3).says("denies access").says("nothing was published");
            assert_eq!(server.get("flowers/out.json"), None, "{which}");
            assert_eq!(server.uploads(), (0, 0), "{which}");
        }
    }

    #[test]
    fn an_object_that_changes_while_it_is_read_is_an_error() {
        let (server, folder) = (Server::start(BUCKET), Folder::new());
        let input = records(60_000_000);
        server.put("flowers/in.json", &input);
        let path = server.folder().join("flowers/in.json");
        let mut reads = 0;
        server.on_request(move |asked| {
            reads += usize::from(asked.is_read());
            if asked.is_read() && reads == 5 {
                fs::write(&path, &input[..input.len() - 1]).unwrap();
            }
            Fault::None
        });
        let words = "-i s3://flowers/in.json -o out.json";
        let ran = allowed(linear(&folder, words), &server).run().exits(3);
        ran.says("it changed while it was read");
        assert_eq!(folder.names(), Vec::<String>::new());
    }
}

mod kills {
    //! A run that is ended in the middle.

    use super::*;

    /// Ends a run with this signal while its third part is on its way.
    fn ended_by(signal: &str) -> (Server, Child) {
        let (server, folder) = (Server::start(BUCKET), Folder::new());
        server.put("flowers/in.json", records(60_000_000));
        let (told, hears) = mpsc::channel();
        let mut parts = 0;
        server.on_request(move |asked| {
            parts += usize::from(asked.is_part());
            if asked.is_part() && parts == 3 {
                let _ = told.send(());
            }
            Fault::None
        });
        let words = "-i s3://flowers/in.json -o s3://flowers/out.json --emit merge";
        let mut command = allowed(linear(&folder, words), &server).command();
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        hears.recv().unwrap();
        let mut kill = Command::new("kill");
        assert!(kill.args([signal, &child.id().to_string()]).status().unwrap().success());
        child.wait().unwrap();
        (server, child)
    }

    #[test]
    fn a_signal_leaves_neither_object_nor_upload() {
        for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
            let (server, mut child) = ended_by(signal);
            assert_eq!(child.wait().unwrap().code(), Some(code));
            assert_eq!(server.get("flowers/out.json"), None);
            assert_eq!(server.uploads(), (0, 0));
        }
    }

    #[test]
    fn a_run_whose_input_is_elsewhere_goes_on_behind_its_checkpoint() {
        let input = records(60_000_000);
        let expected = locally(&input, "");
        let (server, folder) = (Server::start(BUCKET), Folder::new());
        server.put("flowers/in.json", &input);
        let (told, hears) = mpsc::channel();
        let mut reads = 0;
        server.on_request(move |asked| {
            reads += usize::from(asked.is_read());
            if asked.is_read() && reads == 7 {
                let _ = told.send(());
            }
            Fault::None
        });
        let words = "--resume --checkpoint-seconds 0 -i s3://flowers/in.json -o out.json";
        let run = || allowed(linear(&folder, words), &server);
        let mut child = run().command().stderr(Stdio::null()).spawn().unwrap();
        hears.recv().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        run().run().exits(0).says("resumed at line ");
        assert!(folder.read("out.json").unwrap() == expected, "the bytes differ");
    }

    #[test]
    fn a_kill_leaves_no_object() {
        let (server, _) = ended_by("-KILL");
        assert_eq!(server.get("flowers/out.json"), None);
    }
}

mod web {
    //! A web server is read from.

    use super::*;

    /// Serves one text, and says what it was asked.
    fn serve(text: Vec<u8>, knows_ranges: bool) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (told, hears) = mpsc::channel();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().flatten().enumerate() {
                let mut reader = BufReader::new(stream);
                let (mut head, mut start) = (String::new(), 0);
                while reader.read_line(&mut head).unwrap_or(0) > 2 {}
                let lower = head.to_ascii_lowercase();
                if let Some(range) = lower.split("range: bytes=").nth(1).filter(|_| knows_ranges) {
                    start = range.split('-').next().unwrap().parse().unwrap();
                }
                let _ = told.send(head.clone());
                let (len, end) = (text.len(), text.len() - 1);
                let status = match start {
                    0 => format!("200 OK\r\ncontent-length: {len}"),
                    _ => format!(
                        "206 Partial\r\ncontent-length: {}\r\ncontent-range: bytes {start}-{end}/{len}",
                        len - start
                    ),
                };
                // The first time that it is read, it breaks off in the middle.
                let end = if number == 1 && knows_ranges { len / 2 } else { len };
                let mut stream = reader.into_inner();
                let head = format!("HTTP/1.1 {status}\r\netag: \"1\"\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(&text[start..end]);
            }
        });
        (url, hears)
    }

    #[test]
    fn it_is_read_as_a_whole_and_goes_on_where_it_broke() {
        let input = records(3_000_000);
        let expected = locally(&input, "");
        for knows_ranges in [true, false] {
            let (url, hears) = serve(input.clone(), knows_ranges);
            let folder = Folder::new();
            let url = url.replace("http://", &format!("http://me:{SECRET}@"));
            let words = format!("-i {url}/a%20b.json?token={SECRET} -o out.json --summary s.json");
            hides(linear(&folder, &words).run(), &folder).exits(0);
            assert!(folder.read("out.json").unwrap() == expected);
            let asked = hears.recv().unwrap();
            assert!(
                asked.starts_with(&format!("GET /a%20b.json?token={SECRET} HTTP/1.1")),
                "{asked}"
            );
            assert!(asked.to_ascii_lowercase().contains("authorization: basic"), "{asked}");
        }
    }
}

mod memory {
    //! What lies elsewhere costs as much memory as it takes to have several pieces on their way.

    use super::*;

    #[test]
    fn two_hundred_megabytes_pass_through_a_bounded_window() {
        let (server, folder) = (Server::start(BUCKET), Folder::new());
        server.put("flowers/in.json", records(200_000_000));
        let words = "-q --threads 2 -i s3://flowers/in.json -o s3://flowers/out.json --emit merge";
        let mut command = allowed(linear(&folder, words), &server).command();
        let mut child = command.spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut most_kib = 0;
        while child.try_wait().unwrap().is_none() {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
            most_kib = most_kib.max(peak.unwrap_or_default());
            thread::yield_now();
        }
        assert!(child.wait().unwrap().success());
        assert!((1..200_000).contains(&most_kib), "{most_kib} KiB");
    }
}
