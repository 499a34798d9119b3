//! Plugins that are refused: what is given, and the words that say why. Nothing is predicted then,
//! nothing is published, and what an earlier run published stays.
//!
//! Files are made from the plugin `sentinel`, which leaves a trace where it is loaded.

use crate::sentinel::run_and_watch;
use etl_host::plugin::Plugin;
use etl_host_tests::{Folder, Run, host, instead, places, plugin, release};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const FLOWER: &str =
    r#"{"sepal_length": 4.4, "sepal_width": 2.9, "petal_length": 1.4, "petal_width": 0.2}"#;
const SETOSA: &str = r#"{"species":"setosa"}"#;
/// What `sentinel` predicts.
const ONE: (&str, &str) = (r#"{"n": 1}"#, "{\"y\":1.0}\n");

/// What stands where a plugin should.
#[derive(Clone, Copy)]
enum Given {
    /// This path.
    Path(&'static str),
    /// A file with this content.
    Content(&'static str),
    /// A file of the release build.
    Built(&'static str),
    /// A plugin of ours.
    Plugin(&'static str),
    /// The plugin `lying`, with this lie.
    Lying(&'static str),
    /// The plugin `sentinel`, in a folder of this name.
    In(&'static [u8]),
    /// The plugin `sentinel`, as far as this byte.
    Cut(u64),
    /// The plugin `sentinel` with the second text wherever the first stands, filled up with spaces.
    Instead(&'static str, &'static str),
    /// The plugin `sentinel` with these bytes so far behind where the text first stands.
    Behind(&'static str, usize, &'static [u8]),
}

impl Given {
    /// Puts it where a host finds it.
    fn path(self, folder: &Folder) -> PathBuf {
        let sentinel = || fs::read(plugin("sentinel")).unwrap();
        match self {
            Given::Path(path) => path.into(),
            Given::Content(content) => folder.write("plugin.so", content),
            Given::Built(name) => release().join(name),
            Given::Plugin(name) => plugin(name),
            Given::Lying(_) => plugin("lying"),
            Given::In(name) => {
                let inner = folder.path().join(OsStr::from_bytes(name));
                fs::create_dir(&inner).unwrap();
                fs::copy(plugin("sentinel"), inner.join("plugin.so")).unwrap();
                inner.join("plugin.so")
            }
            Given::Cut(bytes) => {
                let path = folder.write("plugin.so", sentinel());
                File::options().write(true).open(&path).unwrap().set_len(bytes).unwrap();
                path
            }
            Given::Instead(text, other) => {
                folder.write("plugin.so", instead(sentinel(), text, other))
            }
            Given::Behind(text, ahead, other) => {
                let mut bytes = sentinel();
                let place = places(&bytes, text)[0] + ahead;
                bytes[place..place + other.len()].copy_from_slice(other);
                folder.write("plugin.so", bytes)
            }
        }
    }
}

fn run<'a>(folder: &'a Folder, path: &Path, given: Given, args: &[&str]) -> Run<'a> {
    let plugin = ["--plugin".as_ref(), path.as_os_str()];
    let lie = if let Given::Lying(lie) = given { lie } else { "" };
    folder.host(plugin.into_iter().chain(args.iter().map(OsStr::new))).env("LYING", lie)
}

/// It is refused in these words, whether the output is stdout or a file.
#[track_caller]
fn check(given: Given, args: &[&str], words: &[&str]) {
    check_traced(given, args, words);
}

/// The same, and without running any of it.
#[track_caller]
fn check_unloaded(given: Given, words: &[&str]) {
    assert!(!check_traced(given, &[], words), "a file was loaded that should not have been");
}

/// Whether it was loaded before it was refused.
#[track_caller]
fn check_traced(given: Given, args: &[&str], words: &[&str]) -> bool {
    let mut is_loaded = false;
    let folder = Folder::new();
    let path = given.path(&folder);
    folder.write("in.ldjson", FLOWER);
    folder.write("out.ldjson", "what an earlier run wrote");
    let before = folder.names();
    let args = [&["--input", "in.ldjson"], args].concat();
    for output in ["-", "out.ldjson"] {
        let args = [&args[..], &["--output", output]].concat();
        let (ran, has_run) = run_and_watch(run(&folder, &path, given, &args));
        is_loaded |= has_run;
        let mut ran = ran.exits(4).writes("");
        ran = ran.says("error: plugin `").says("` is refused\n  cause: ");
        for words in words {
            ran = ran.says(words);
        }
        let stderr = String::from_utf8_lossy(&ran.stderr);
        let is_ours = |line: &str| {
            ["error: plugin `", "  cause: ", "  hint: "].iter().any(|start| line.starts_with(start))
        };
        let verbose = args.contains(&"--verbose");
        assert!(verbose || stderr.lines().all(is_ours), "more is said than should be:\n{stderr}");
    }
    assert_eq!(folder.names(), before);
    assert_eq!(folder.text("out.ldjson"), "what an earlier run wrote");
    is_loaded
}

/// It is refused in these words.
#[track_caller]
fn check_file(given: Given, words: &[&str]) {
    check(given, &[], words);
}

#[test]
fn what_is_no_library_is_named() {
    check_unloaded(Given::Path("nowhere.so"), &["there is no such file"]);
    // The system's loader would have found this one.
    check_unloaded(Given::Path("libc.so.6"), &["there is no such file"]);
    check_unloaded(Given::Path("."), &["expected a shared library, found a folder"]);
    check_unloaded(Given::Path("/dev/null"), &["expected a regular file, found a device"]);
    check_unloaded(Given::Content(""), &["expected a shared library, found an empty file"]);
    check_unloaded(
        Given::Content("fn main() {}\n"),
        &[
            "expected a shared library, found a file that begins with the text `fn main() {}`",
            "cdylib",
        ],
    );
    check_unloaded(Given::Built("etl-host"), &["expected a shared library, found an executable"]);
    check_unloaded(
        Given::Built("libiris_model.rlib"),
        &["expected a shared library, found an archive"],
    );
}

#[test]
fn a_library_for_another_machine_is_named() {
    const START: &str = "\x7fELF";
    check_unloaded(
        Given::Behind(START, 4, &[1]),
        &["expected a library for 64-bit ", " for 32-bit "],
    );
    check_unloaded(
        Given::Behind(START, 5, &[2]),
        &["expected a library for ", "64-bit big-endian "],
    );
    check_unloaded(
        Given::Behind(START, 7, &[9]),
        &["expected a library for Linux, found an ELF file (FreeBSD)"],
    );
    check_unloaded(
        Given::Behind(START, 18, &[243]),
        &["expected a library for 64-bit ", "found one for 64-bit riscv64", "--target"],
    );
    check_unloaded(
        Given::Behind(START, 0, &[0xcf, 0xfa, 0xed, 0xfe]),
        &["expected a library for Linux, found a Mach-O file (macOS)"],
    );
    check_unloaded(
        Given::Instead("GLIBC_2.", "GLIBC_9."),
        &["asks for glibc 9.", "this machine has 2."],
    );
}

#[test]
fn a_plugin_cut_short_anywhere_is_refused() {
    let len = fs::metadata(plugin("sentinel")).unwrap().len();
    for (bytes, words) in [
        (1, "expected a shared library, found a file that begins with the bytes 7f"),
        (10, "it is cut short: its header ends at byte 64, the file at byte 10"),
        (64, "it is cut short: its program header table ends at byte "),
        (1000, "it is cut short: a segment ends at byte "),
        (len / 2, "it is cut short: "),
        (len - 1, "it is cut short: its section header table ends at byte "),
    ] {
        check_unloaded(Given::Cut(bytes), &[words]);
    }
}

#[test]
fn a_library_that_is_no_plugin_is_refused_before_it_is_loaded() {
    // One that this very process has loaded: the C library. (It has loaded plugins too.)
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let library = paths.find(|path| path.contains("/libc.so") || path.contains("/libc-"));
    let library = library.expect("the C library is loaded").to_owned();
    check_unloaded(
        Given::Path(library.leak()),
        &["expected a plugin, found a shared library without"],
    );
    let renamed = Given::Instead("etl_host_plugin_stamp", "etl_host_plugin_stomp");
    check_unloaded(renamed, &["without `etl_host_plugin_stamp`", "export_models!"]);
}

#[test]
fn a_stamp_that_this_host_cannot_use_is_refused_before_loading() {
    const ABI: &str = r#""abi":"1.0.0""#;
    let of_abi = |abi| Given::Instead(ABI, abi);
    check_unloaded(
        of_abi(r#""abi":"2.0.0""#),
        &["plugin speaks ABI 2.0.0, this host speaks 1.0.0", "hint: build it with"],
    );
    check_unloaded(
        of_abi(r#""abi":"0.9.0""#),
        &["plugin speaks ABI 0.9.0, this host speaks 1.0.0"],
    );
    check_unloaded(
        of_abi(r#""abi":"new""#),
        &["expected an ABI version such as 1.0.0, found `new`"],
    );
    check_unloaded(of_abi(r#""abi":1"#), &["its stamp is garbled\n  cause: its text is garbled: "]);
    check_unloaded(of_abi(""), &["its stamp is garbled\n  cause: its text is garbled: "]);
    check_unloaded(
        Given::Instead(r#""requires":[],"crate":"sentinel""#, r#""requires":["columns/9"]"#),
        &["it requires `columns/9`, which this host does not know", "a newer host may know it"],
    );
    check_unloaded(
        Given::Instead("etl-host-plugin\0", "etl-host-plugon\0"),
        &["its stamp is garbled\n  cause: it does not begin as a stamp does"],
    );
    check_unloaded(
        Given::Behind("etl-host-plugin\0", 16, &[0xff; 4]),
        &["its stamp is garbled\n  cause: it says it is 4294967295 bytes long"],
    );
}

#[test]
fn a_stamp_of_a_newer_minor_version_is_fine() {
    let folder = Folder::new();
    let given = Given::Instead(r#""abi":"1.0.0""#, r#""abi":"1.9.9""#);
    let path = given.path(&folder);
    let (ran, is_loaded) = run_and_watch(run(&folder, &path, given, &["--record", ONE.0]));
    ran.exits(0).writes(ONE.1);
    assert!(is_loaded);
}

#[test]
fn a_library_that_cannot_be_entered_is_refused() {
    check_file(
        Given::Instead("libgcc_s.so.1", "libgcc_s.so.0"),
        &["the system can't load it: libgcc_s.so.0: cannot open shared object file"],
    );
    check_file(
        Given::Instead("etl_host_plugin_header", "etl_host_plugin_hoader"),
        &["expected a plugin's header, found no symbol `etl_host_plugin_header`"],
    );
    // abi_stable's header: a magic text of 32 bytes, its major and minor version, three texts, and
    // whether there is a layout.
    const MAGIC: &str = "abi stable library for Rust     ";
    let other_minor = Given::Behind(MAGIC, 36, &[12]);
    check_file(other_minor, &["expected a header of abi_stable 0.11, found another one"]);
    check(other_minor, &["--verbose"], &["abi_minor"]);
    check_file(
        Given::Behind(MAGIC, 40 + 3 * 16, &[1]),
        &["expected a header with its layout, found one that leaves it unchecked"],
    );
}

#[test]
fn another_layout_is_one_sentence_and_with_verbose_all_of_it() {
    let other = Given::Plugin("other_layout");
    let sentence = "expected the root module of the border 1.0.0, found one that is laid out \
                    otherwise, though its stamp says 1.0.0\n";
    check_file(other, &[sentence, "hint: build the plugin against model-abi 1.x; --verbose "]);
    check(
        other,
        &["--verbose"],
        &[sentence, "Error:too many fields\nExpected:\n    5\nFound:\n    2\n"],
    );
}

#[test]
fn a_description_that_cannot_be_believed_is_refused() {
    for (lie, words) in [
        ("empty", "expected its description as JSON, found something else: "),
        ("empty", "(it is empty)"),
        ("not_json", "(it begins \"hello\")"),
        ("not_utf8", "expected its description as JSON"),
        ("failed", "it can't describe itself: panicked at lib.rs:1:1: no words"),
        ("requires", "it requires `columns/9`, which this host does not know"),
        ("no_models", "expected at least one model, found none"),
        ("empty_name", "model number 2 of it has an empty name"),
        ("two_of_a_name", "two of its models are named `twin`"),
        ("bad_schema", "the output schema of its model `lying` is not a JSON Schema: \"strnig\""),
    ] {
        check_file(Given::Lying(lie), &[words]);
    }
}

#[test]
fn a_model_that_is_not_there_is_named_with_those_that_are() {
    check(
        Given::Plugin("iris_model"),
        &["--model", "rose"],
        &["it holds no model `rose`; it holds `iris_model`", "hint: choose one with --model NAME"],
    );
    check_file(
        Given::Plugin("misbehaving"),
        &["it holds several models: `acts`, `batch`, ", "hint: choose one with --model NAME"],
    );
}

#[test]
fn a_model_that_cannot_be_loaded_says_why() {
    for (config, words) in [
        (r#"{"load": "panic"}"#, "can't be loaded: panicked at plugins/misbehaving/src/lib.rs:"),
        (r#"{"load": "panic"}"#, ": while loading\n"),
        (r#"{"load": "panic_number"}"#, ": no message: the payload is not a text\n"),
        (r#"{"load": "panic_bomb"}"#, ": no message: the payload is not a text\n"),
        (r#"{"load": "refuse"}"#, "its model `acts` can't be loaded: while loading\n"),
    ] {
        check(Given::Plugin("misbehaving"), &["--model", "acts", "--config", config], &[words]);
    }
    for (lie, words) in [
        ("ghost", "its model `ghost` can't be loaded: status 103"),
        ("load_status", "its model `lying` can't be loaded: status 777"),
        ("no_handle", "its model `lying` can't be loaded: it gave no handle"),
        ("report_not_json", "its model `lying` can't be loaded: its report is no JSON: "),
    ] {
        check_file(Given::Lying(lie), &[words]);
    }
    check_file(Given::In(b"\xff"), &["its folder's name is not UTF-8"]);
}

#[test]
fn a_config_that_is_wrong_is_refused_with_the_key() {
    let hint = "hint: the config is given with --config JSON or --config @FILE";
    for (plugin, model, config, words) in [
        (
            "misbehaving",
            "acts",
            r#"{"sleep_ms": "long"}"#,
            "config key `sleep_ms`: invalid type: string \"long\", expected u64",
        ),
        ("misbehaving", "acts", r#"{"sleeep": 1}"#, "config key `sleeep`: unknown field `sleeep`"),
        (
            "iris_model",
            "iris_model",
            r#"{"gamma": 1}"#,
            "config key `gamma`: unknown field `gamma`",
        ),
        (
            "iris_model",
            "iris_model",
            "5",
            "can't be loaded: expected a JSON object, found a number",
        ),
    ] {
        check(Given::Plugin(plugin), &["--model", model, "--config", config], &[words, hint]);
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that tests nothing must say so")]
fn a_file_that_may_not_be_read_is_refused() {
    let folder = Folder::new();
    let path = folder.write("plugin.so", fs::read(plugin("sentinel")).unwrap());
    let permit = |path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    permit(path.as_path(), 0o000);
    permit(folder.path(), 0o755);
    let run = run(&folder, &path, Given::Path(""), &["--record", ONE.0]);
    // Root may read anything, and so asks as nobody; who may perhaps not start the host.
    let run = if File::open(&path).is_ok() { run.user(65_534) } else { run };
    if run.command().arg("--version").output().is_err() {
        return eprintln!("not tested: nobody but root may start {}", host().display());
    }
    let (ran, is_loaded) = run_and_watch(run);
    ran.exits(4).writes("").says("cause: this user is not permitted to read it\n");
    assert!(!is_loaded);
}

#[test]
fn two_plugins_loaded_in_one_process_are_two_plugins() {
    let folder = Folder::new();
    let copy = |name: &str| {
        let copy = folder.path().join(format!("copy_of_{name}.so"));
        fs::copy(plugin(name), &copy).unwrap();
        copy
    };
    let open = |path: PathBuf| Plugin::open(&path).unwrap();
    let iris = [plugin("iris_model"), copy("iris_model")].map(open);
    let misbehaving = [plugin("misbehaving"), copy("misbehaving")].map(open);
    for plugin in &iris {
        assert_eq!(plugin.models()[0].qualified_name, "iris_model");
        let model = plugin.load(None, "{}", 1).unwrap();
        assert_eq!(model.predict(FLOWER).unwrap(), SETOSA);
    }
    // Each library counts for itself, however many models of it are loaded.
    let count = r#"{"n": 0, "act": "count"}"#;
    for (plugin, expected) in [(0, 1.0), (0, 2.0), (1, 1.0), (0, 3.0), (1, 2.0)] {
        let model = misbehaving[plugin].load(Some(&"acts".parse().unwrap()), "{}", 1).unwrap();
        assert_eq!(model.predict(count).unwrap(), format!("{{\"y\":{expected:?}}}"));
    }
}
