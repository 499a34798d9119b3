//! Which plugins may be loaded: with `--trust` no code of any other runs, whatever the command, and what
//! was verified is what is loaded.
//!
//! Whether code has run is told by the constructor of `sentinel` and `weights`, which `dlopen` runs. The
//! swap happens for real, between the two: the pipeline reads a schema out of a pipe, behind the
//! verification and before the load, and waits there until the test has written it.
#![cfg(target_os = "linux")]

use crate::sentinel::run_and_watch;
use etl_host_tests::{Folder, Ran, Run, plugin, root};
use minisign::KeyPair;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder with the plugin `sentinel` as `p.so`, unsigned, and `trust.toml`, which trusts Ada.
struct Place {
    folder: Folder,
    ada: KeyPair,
    bob: KeyPair,
}

impl Place {
    fn new() -> Self {
        Place::with("sentinel")
    }

    fn with(name: &str) -> Self {
        let [ada, bob] = [(); 2].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
        let folder = Folder::new();
        folder.write("trust.toml", format!("[keys]\nada = \"{}\"\n", ada.pk.to_base64()));
        folder.write("in.ldjson", "{\"n\": 2}\n");
        folder.write("rejects.ldjson", "");
        folder.write("pipeline.toml", PIPELINE);
        fs::create_dir(folder.path().join("plugins")).unwrap();
        fs::copy(plugin(name), folder.path().join("plugins/p.so")).unwrap();
        Place { folder, ada, bob }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Lays the signature of one file beside another.
    fn sign(&self, key: &KeyPair, signed: &Path, beside: &str) {
        let made = minisign::sign(None, &key.sk, File::open(signed).unwrap(), None, None);
        self.folder.write(&format!("{beside}.minisig"), made.unwrap().to_string());
    }

    /// Ada signs a file.
    fn signed(self, name: &str) -> Self {
        self.sign(&self.ada, &self.at(name), name);
        self
    }

    fn host(&self, words: &str) -> Run<'_> {
        self.folder.host(words.split_whitespace())
    }

    /// A command line ends with this code; whether the plugin's code runs is what is said.
    #[track_caller]
    fn check(&self, words: &str, code: i32, loads: bool) -> Ran {
        let (ran, has_run) = run_and_watch(self.host(words));
        let ran = ran.exits(code);
        assert_eq!(has_run, loads, "{words}");
        ran
    }

    /// Scoring is refused, before any code of the plugin runs, in these words.
    #[track_caller]
    fn check_refused(&self, words: &[&str]) {
        let ran = self.check(SCORE, 4, false);
        words.iter().fold(ran, |ran, words| ran.says(words));
    }
}

const SCORE: &str = "--plugin plugins/p.so --trust trust.toml --input in.ldjson";

/// One that tests itself too.
const PIPELINE: &str = "[sources.in]\npath = 'in.ldjson'\n\
    [steps.score]\ntype = 'model'\nfrom = 'in'\nplugin = 'plugins/p.so'\n\
    [sinks.out]\nfrom = 'score'\npath = 'out.ldjson'\n\
    [[test]]\nname = 't'\ninput.in = [{ n = 1 }]\nexpect.score = [{ y = 1.0 }]\n";

/// Each command that loads plugins, and how it ends where they may be loaded and where not.
const COMMANDS: [(&str, i32, i32); 9] = [
    (SCORE, 0, 4),
    ("--plugin-dir plugins --model sentinel --trust trust.toml --record {\"n\":1}", 0, 4),
    ("replay rejects.ldjson --plugin plugins/p.so --trust trust.toml --output out.ldjson", 0, 4),
    ("run pipeline.toml --trust trust.toml", 0, 4),
    ("run pipeline.toml --trust trust.toml --dry-run 1", 0, 4),
    ("validate pipeline.toml --trust trust.toml", 0, 4),
    ("test pipeline.toml --trust trust.toml", 0, 4),
    ("inspect plugins/p.so --trust trust.toml", 0, 4),
    ("list plugins --trust trust.toml", 0, 0),
];

#[test]
fn no_command_loads_a_plugin_that_nobody_has_signed() {
    let place = Place::new();
    for (words, _, code) in COMMANDS {
        place.check(words, code, false);
    }
    place.check("check plugins/p.so --trust trust.toml --only opens", 4, false);
    assert!(place.folder.read("out.ldjson").is_none());
}

#[test]
fn every_command_loads_one_that_was_signed() {
    let place = Place::new().signed("plugins/p.so");
    for (words, code, _) in COMMANDS {
        // Of no records nothing is asked, but the model is there.
        place.check(words, code, true);
    }
    place.check("check plugins/p.so --trust trust.toml --only opens,loads", 0, true);
    place.check(SCORE, 0, true).writes("{\"y\":2.0}\n");
}

#[test]
fn who_is_not_to_be_believed_is_told() {
    let place = Place::new();
    place.check_refused(&[
        "plugin `plugins/p.so` is refused",
        "cause: it is not trusted: it has no signature `p.so.minisig`, and `trust.toml` does not list",
        "hint: whoever answers for it signs it, `minisign -S -s YOUR.key -m plugins/p.so`; or `trust.toml` lists it",
    ]);

    let sentinel = place.at("plugins/p.so");
    place.sign(&place.bob, &sentinel, "plugins/p.so");
    place
        .check_refused(&["it is signed by the key ", ", which is not in `trust.toml` (there are "]);

    place.sign(&place.ada, &plugin("weights"), "plugins/p.so");
    place
        .check_refused(&["`p.so.minisig` is no signature of these bytes by `ada`", "minisign -Vm"]);

    place.sign(&place.ada, &sentinel, "plugins/p.so");
    let mut tampered = fs::read(&sentinel).unwrap();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    place.folder.write("plugins/p.so", tampered);
    place.check_refused(&["`p.so.minisig` is no signature of these bytes by `ada`"]);

    place.folder.write("plugins/p.so.minisig", "no\nsuch\nthing\n");
    place.check_refused(&["`p.so.minisig` is no signature of minisign"]);
}

#[test]
fn what_anybody_may_write_to_is_refused_though_it_is_signed() {
    let place = Place::new().signed("plugins/p.so");
    for (what, mode) in [("plugins/p.so", 0o666), ("plugins", 0o777)] {
        let before = fs::metadata(place.at(what)).unwrap().permissions();
        fs::set_permissions(place.at(what), Permissions::from_mode(mode)).unwrap();
        place.check_refused(&["it is not trusted: anybody may write to `", "hint: chmod o-w "]);
        fs::set_permissions(place.at(what), before).unwrap();
    }
}

#[test]
fn a_file_of_trust_that_is_not_there_or_wrong_or_anybodys_ends_all() {
    let place = Place::new().signed("plugins/p.so");
    let trust = place.at("trust.toml");
    let sound = fs::read_to_string(&trust).unwrap();
    for (text, said) in [
        ("[kyes]\n", "trust file `trust.toml`, line 1: there is no table `kyes` here"),
        ("[keys]\nada = 'RW'\n", "line 2: key `keys.ada` is no public key of minisign"),
        ("", "the trust file `trust.toml` trusts nobody"),
    ] {
        fs::write(&trust, text).unwrap();
        for (words, _, _) in COMMANDS {
            place.check(words, 2, false).says(said);
        }
    }
    fs::write(&trust, sound).unwrap();
    fs::set_permissions(&trust, Permissions::from_mode(0o666)).unwrap();
    let said = "`trust.toml` can't say whom to trust: anybody may write to `trust.toml`";
    place.check(SCORE, 2, false).says(said);
    fs::remove_file(&trust).unwrap();
    for (words, _, _) in COMMANDS {
        let said = "the trust file `trust.toml` can't be read: there is no such file";
        place.check(words, 2, false).says(said);
    }
}

#[test]
fn a_digest_that_is_listed_does_as_well() {
    let place = Place::new();
    let shown = place.host("inspect --no-load --json plugins/p.so").run().exits(0);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let sha256 = shown["sha256"].as_str().unwrap();
    place.folder.write("trust.toml", format!("[sha256]\n{sha256} = \"read by Ada\"\n"));
    place.check(SCORE, 0, true);
}

#[test]
fn a_file_of_services_may_say_whom_to_trust() {
    let place = Place::new();
    fs::create_dir(place.at("conf")).unwrap();
    fs::rename(place.at("trust.toml"), place.at("conf/trust.toml")).unwrap();
    let services = place.folder.write("conf/services.toml", "trust = 'trust.toml'\n");
    let score = "--plugin plugins/p.so --services conf/services.toml --input in.ldjson";
    place.check(score, 4, false).says("and `conf/trust.toml` does not list its SHA-256");
    let place = place.signed("plugins/p.so");
    place.check(score, 0, true);
    place.check(&format!("{score} --output conf/trust.toml"), 2, false).says("are the same file");

    // A flag goes before it.
    place.folder.write("trust.toml", format!("[sha256]\n{} = \"\"\n", "0".repeat(64)));
    place.check(&format!("{score} --trust trust.toml"), 4, false).says("that lists no key");

    fs::set_permissions(services, Permissions::from_mode(0o666)).unwrap();
    place.check(score, 2, false).says("`conf/services.toml` can't say whom to trust: anybody may");
}

#[test]
fn list_and_inspect_say_who_answers_for_a_plugin() {
    let place = Place::new().signed("plugins/p.so");
    fs::copy(plugin("sentinel"), place.at("plugins/q.so")).unwrap();
    let text = |ran: Ran| String::from_utf8(ran.stdout).unwrap();
    let listed = text(place.check("list plugins --trust trust.toml", 0, true));
    let lines: Vec<&str> = listed.lines().collect();
    assert!(lines[0].contains("ABI    TRUSTED BY"), "{listed}");
    assert!(lines[1].contains("sentinel") && lines[1].contains("key `ada` ("), "{listed}");
    assert!(lines[2].starts_with("q.so") && lines[2].contains("refused: it is not"), "{listed}");
    assert!(!text(place.check("list plugins", 0, true)).contains("TRUSTED"));

    let listed = text(place.check("list plugins --trust trust.toml --json", 0, true));
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert!(listed[0]["trusted_by"].as_str().unwrap().starts_with("key `ada` ("), "{listed}");
    assert_eq!((&listed[1]["state"], listed[1].get("trusted_by")), (&"refused".into(), None));

    let shown = text(place.check("inspect plugins/p.so --trust trust.toml", 0, true));
    assert!(shown.contains("\ntrusted by  key `ada` ("), "{shown}");
    let shown = text(place.check("inspect plugins/q.so --trust trust.toml", 4, false));
    assert!(shown.contains("\nstate       refused: it is not trusted: it has no sig"), "{shown}");
    assert!(shown.contains("model `sentinel` 1.0"), "{shown}"); // what is seen without running it
    let shown = text(place.check("inspect plugins/q.so --trust trust.toml --json", 4, false));
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["trusted"], &shown["usable"]), (&false.into(), &false.into()));
}

#[test]
fn files_that_a_model_declares_are_verified_too() {
    let place = Place::with("weights").signed("plugins/p.so");
    place.check_refused(&["its file `data/factor.txt` is not trusted: there is no such file"]);

    fs::create_dir(place.at("plugins/data")).unwrap();
    let factor = place.folder.write("plugins/data/factor.txt", "3\n");
    place.check_refused(&[
        "its file `data/factor.txt` is not trusted: it has no signature `factor.txt.minisig`",
        "minisign -S -s YOUR.key -m plugins/data/factor.txt",
    ]);
    let place = place.signed("plugins/data/factor.txt");
    let folder = place.at("plugins");
    let folder = folder.to_str().unwrap();
    let predicted = |y: &str| format!("{{\"y\":{y},\"folder\":\"{folder}\"}}\n");
    place.check(SCORE, 0, true).writes(&predicted("6.0"));
    let isolated = place.host(SCORE).args(["--isolate"]).run().exits(0).writes(&predicted("6.0"));
    isolated.says_nothing_of("sandbox:"); // what it is handed is no attempt
    let shown = place.check("inspect plugins/p.so --trust trust.toml", 0, true);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("\n            data/factor.txt: key `ada` ("), "{shown}");
    place.check("check plugins/p.so --trust trust.toml --only loads", 0, true);

    // What it does not declare is its own affair.
    place.folder.write("plugins/other.txt", "5\n");
    let other = place.folder.host(SCORE.split(' ')).args(["--config", r#"{"file":"other.txt"}"#]);
    other.run().exits(0).writes(&predicted("10.0"));

    fs::write(factor, "4\n").unwrap();
    place.check_refused(&["its file `data/factor.txt` is not trusted: `factor.txt.minisig` is no"]);
    fs::set_permissions(place.at("plugins/data"), Permissions::from_mode(0o777)).unwrap();
    place.check_refused(&["its file `data/factor.txt` is not trusted: anybody may write to `"]);
    // Where nobody asks whom to trust, it is read where it lies.
    place.check("--plugin plugins/p.so -i in.ldjson", 0, true).writes(&predicted("8.0"));
}

/// The plugin and its weights are swapped once they were verified and before they are loaded.
#[test]
fn what_is_swapped_behind_the_verification_is_not_loaded() {
    let place = Place::with("weights");
    fs::create_dir(place.at("plugins/data")).unwrap();
    let factor = place.folder.write("plugins/data/factor.txt", "3\n");
    let place = place.signed("plugins/p.so").signed("plugins/data/factor.txt");
    place.folder.write(
        "pipeline.toml",
        "[sources.in]\npath = 'in.ldjson'\n\
         [steps.fits]\ntype = 'validate'\nfrom = 'in'\nschema = 'schema.json'\n\
         [steps.score]\ntype = 'model'\nfrom = 'fits'\nplugin = 'plugins/p.so'\n\
         [sinks.out]\nfrom = 'score'\npath = 'out.ldjson'\n",
    );
    let schema = place.at("schema.json");
    assert!(Command::new("mkfifo").arg(&schema).status().unwrap().success());
    let trace = place.at("trace");
    let run = place.host("run pipeline.toml --trust trust.toml -q");
    let run = run.env("SENTINEL", trace.to_str().unwrap());
    let mut child = run.command();
    let child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();

    // It is opened when the other side opens it: both are verified, and neither is loaded.
    let mut schema = File::options().write(true).open(&schema).unwrap();
    assert!(!trace.exists());
    fs::write(factor, "1000\n").unwrap();
    fs::remove_file(place.at("plugins/p.so")).unwrap();
    fs::copy(plugin("iris_model"), place.at("plugins/p.so")).unwrap();
    std::io::Write::write_all(&mut schema, b"{}").unwrap();
    drop(schema);

    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(trace.exists());
    assert!(place.folder.text("out.ldjson").starts_with("{\"y\":6.0,"));
    // And the next run finds what lies there now.
    fs::remove_file(place.at("schema.json")).unwrap();
    place.folder.write("schema.json", "{}");
    place.check("run pipeline.toml --trust trust.toml", 4, false).says("is no signature of these");
}

/// A file that several steps ask is one library, as it is without trust.
#[test]
fn two_steps_may_ask_one_plugin() {
    let place = Place::new().signed("plugins/p.so");
    let pipeline = PIPELINE.replace("from = 'score'", "from = 'again'").replace(
        "[sinks.out]",
        "[steps.y]\ntype = 'jq'\nfrom = 'score'\nprogram = '{n: .y}'\n\
         [steps.again]\ntype = 'model'\nfrom = 'y'\nplugin = 'plugins/p.so'\n[sinks.out]",
    );
    place.folder.write("pipeline.toml", pipeline);
    place.check("run pipeline.toml --trust trust.toml", 0, true);
    assert_eq!(place.folder.text("out.ldjson"), "{\"y\":2.0}\n");
}

/// The summary, the journal and the log name a plugin by what was loaded.
#[test]
fn a_run_under_trust_is_resumed_and_told_as_any() {
    let place = Place::new().signed("plugins/p.so");
    let run = format!("{SCORE} --output out.ldjson --summary s.json --resume");
    let summary = || {
        let summary: serde_json::Value =
            serde_json::from_str(&place.folder.text("s.json")).unwrap();
        summary["plugin"]["sha256"].clone()
    };
    place.check(&run, 0, true);
    let told = summary();
    place.check(&run.replace(" --trust trust.toml", ""), 0, true);
    assert!(told.is_string());
    assert_eq!(told, summary());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn what_the_tool_signs_is_trusted() {
    let of = |name: &str| root().join("tests").join(name);
    let folder = Folder::new();
    fs::copy(of("archive/iris_model_abi1.0.0_rustc1.95.0.so"), folder.path().join("iris.so"))
        .unwrap();
    let key = fs::read_to_string(of("trust/team.pub")).unwrap();
    let key = key.lines().nth(1).unwrap();
    folder.write("trust.toml", format!("[keys]\nteam = \"{key}\"\n"));
    for signature in ["iris.minisig", "iris.legacy.minisig"] {
        fs::copy(of("trust").join(signature), folder.path().join("iris.so.minisig")).unwrap();
        let shown = folder.host(["inspect", "iris.so", "--trust", "trust.toml"]).run().exits(0);
        let shown = String::from_utf8(shown.stdout).unwrap();
        // As the tool writes the key's number.
        assert!(shown.contains("trusted by  key `team` (B722019B52309B25)"), "{shown}");
    }
    let mut bytes = fs::read(folder.path().join("iris.so")).unwrap();
    bytes[1000] ^= 1;
    fs::write(folder.path().join("iris.so"), bytes).unwrap();
    let inspect = folder.host(["inspect", "--no-load", "iris.so", "--trust", "trust.toml"]);
    inspect.run().exits(4);
}
