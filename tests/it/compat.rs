//! Plugins of another age and of another compiler: they load, and they answer as they always have.
//!
//! The archive, `tests/archive`, holds plugins as they were built once; its README says how, and
//! decision 0005 why. They run with every host from then on. What is built here and now, with each
//! other compiler on the machine, shows the same of today's sources.
//!
//! The trap: an archived file is never built again, and an answer in its table is never rewritten.
//! Where one of them fails, it is the host that has changed.

use etl_host::plugin::{Plugin, PluginError};
use etl_host_tests::{Folder, plugin, release, root};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;

/// What a model makes of each record: the prediction as it is, or the reject as
/// `KIND PATH: MESSAGE`.
#[track_caller]
fn answers(plugin: &Path, model: &str, records: &[String]) -> Vec<String> {
    let folder = Folder::new();
    folder
        .write("in.ldjson", records.iter().map(|record| format!("{record}\n")).collect::<String>());
    let args = ["--model", model, "--input", "in.ldjson", "--output", "out.ldjson", "--quiet"];
    let args = ["--plugin".as_ref(), plugin.as_os_str()].into_iter().chain(args.map(OsStr::new));
    let ran = folder.host(args).run().writes("").says_nothing_of("error");
    let rejects = folder.read("out.ldjson.rejects.ldjson").unwrap_or_default();
    let rejects = serde_json::Deserializer::from_slice(&rejects).into_iter::<Value>();
    let rejects: Vec<Value> = rejects.map(|reject| reject.expect("a reject is JSON")).collect();
    ran.exits(if rejects.is_empty() { 0 } else { 1 });
    let predictions = folder.text("out.ldjson");
    let mut predictions = predictions.lines();
    let answer = |line| match rejects.iter().find(|reject| reject["line"] == line) {
        Some(reject) => {
            let text = |key| reject.get(key).and_then(Value::as_str).unwrap_or_default();
            let place = format!("{} {}", text("kind"), text("path"));
            format!("{}: {}", place.trim_end(), text("message"))
        }
        None => predictions.next().expect("a fate for each record").to_owned(),
    };
    let answers = (1..=records.len()).map(answer).collect();
    assert_eq!(predictions.next(), None, "there are more predictions than records");
    answers
}

/// The records of a package's table in the archive, and the answers to them.
fn table(package: &str) -> (Vec<String>, Vec<String>) {
    let path = root().join(format!("tests/archive/{package}.tsv"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let rows = text.lines().map(|row| row.split_once('\t').expect("a record, a tab, its answer"));
    let rows = rows.map(|(record, answer)| (record.to_owned(), answer.to_owned()));
    let (records, answers): (Vec<_>, _) = rows.unzip();
    assert!(!records.is_empty(), "{path:?} is empty");
    (records, answers)
}

/// A plugin gives these answers to these records.
#[track_caller]
fn check_answers(plugin: &Path, model: &str, records: &[String], expected: &[String]) {
    let found = answers(plugin, model, records);
    for ((record, found), expected) in records.iter().zip(&found).zip(expected) {
        assert_eq!(found, expected, "{plugin:?} answers {record}");
    }
}

/// Says it to whoever runs the tests, past the harness, which swallows what a test prints that
/// does not fail.
fn say(text: &str) {
    writeln!(std::io::stderr(), "note: {text}").expect("stderr can be written");
}

mod archive {
    //! Binaries that were built once.

    use super::*;

    /// A plugin as it was built once. Rows are added and never changed.
    struct Archived {
        /// Its package, and with `.tsv` the table of its answers.
        package: &'static str,
        /// The model in it that is asked.
        model: &'static str,
        file: &'static str,
        sha256: &'static str,
        /// What its stamp says of its compiler.
        compiler: &'static str,
    }

    const ARCHIVE: [Archived; 5] = [
        Archived {
            package: "iris_model",
            model: "iris_model",
            file: "iris_model_abi1.0.0_rustc1.85.0.so",
            sha256: "3164e063f4e028b9ff8e71e18b21dd278f35ea98461fd9697a1876327a90daf4",
            compiler: "rustc 1.85.0 (4d91de4e4 2025-02-17) (built from a source tarball)",
        },
        Archived {
            package: "iris_model",
            model: "iris_model",
            file: "iris_model_abi1.0.0_rustc1.95.0.so",
            sha256: "895c20b95be1fd65d00e40e7630b4f4adf8a5211134deb8401a9bdea9f377b18",
            compiler: "rustc 1.95.0 (59807616e 2026-04-14)",
        },
        Archived {
            package: "iris_model",
            model: "iris_model",
            file: "iris_model_abi1.0.0_rustc1.97.0-nightly.so",
            sha256: "0585ee249ac877e50442c590e1d5e93ae3b672bd4f3b41617732565711891503",
            compiler: "rustc 1.97.0-nightly (e50aa6fba 2026-05-19)",
        },
        Archived {
            package: "misbehaving",
            model: "acts",
            file: "misbehaving_abi1.0.0_rustc1.85.0.so",
            sha256: "ae7f1637b97d11bb2cf283f7680b634973cb5709ab9e8b5386b2e54d576352e3",
            compiler: "rustc 1.85.0 (4d91de4e4 2025-02-17) (built from a source tarball)",
        },
        // Its stamp holds the border's version and nothing more.
        Archived {
            package: "bare",
            model: "bare",
            file: "bare_abi1.0.0_rustc1.85.0.so",
            sha256: "2bf41e4d8959288857b8ffd9d6144421c23b2fdf95cdd2ff1dcf958af66fad9b",
            compiler: "",
        },
    ];

    #[test]
    fn the_archive_holds_the_files_it_always_held() {
        let folder = root().join("tests/archive");
        let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name());
        let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
        files.retain(|name| name.ends_with(".so"));
        files.sort();
        let mut listed = ARCHIVE.map(|archived| archived.file);
        listed.sort();
        assert_eq!(files, listed, "the files there, and those that are listed here");
        let readme = fs::read_to_string(folder.join("README.md")).unwrap();
        for Archived { file, sha256, .. } in ARCHIVE {
            let named = readme.contains(file) && readme.contains(sha256);
            assert!(named, "{file} is not in the README");
            let path = folder.join(file);
            let found = etl_host::summary::sha256(&path).unwrap();
            assert_eq!(found, sha256, "{file} is not the file that was archived");
            let bytes = fs::metadata(&path).unwrap().len();
            assert!(bytes < 1_000_000, "{file} is {bytes} bytes long: every checkout has it");
        }
    }

    #[test]
    #[cfg_attr(
        not(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")),
        ignore = "the archive holds plugins for x86_64 Linux with glibc"
    )]
    fn every_archived_plugin_loads_and_answers_as_it_always_has() {
        for Archived { package, model, file, compiler, .. } in ARCHIVE {
            let path = root().join("tests/archive").join(file);
            let (records, expected) = table(package);
            check_answers(&path, model, &records, &expected);

            // The same behind the host's library, and after it asked for what none of them has.
            let plugin = Plugin::open(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(plugin.looked().stamp.abi, "1.0.0", "{file}");
            assert_eq!(plugin.looked().stamp.compiler, compiler, "{file}");
            assert!(plugin.extension("columns/1").unwrap().is_none(), "{file}");
            let loaded = plugin.load(Some(&model.parse().unwrap()), "{}", 2).unwrap();
            assert_eq!(loaded.predict(&records[0]).unwrap(), expected[0], "{file}");
        }
    }
}

mod compilers {
    //! Today's plugins, built with each other compiler that is found.

    use super::*;
    use std::env;
    use std::path::PathBuf;
    use std::process::{Command, Output};
    use std::thread;

    /// A compiler itself, and not rustup's stand-in for one.
    struct Compiler {
        rustc: PathBuf,
        /// `rustc 1.95.0 (59807616e 2026-04-14)`
        says: String,
        /// `1.95.0`
        version: String,
        /// What it compiles for when not asked otherwise.
        host: String,
    }

    impl Compiler {
        fn at(rustc: PathBuf) -> Option<Self> {
            let text = stdout(Command::new(&rustc).arg("-vV"))?;
            let says = text.lines().next()?.to_owned();
            let key = |key| text.lines().find_map(|line| Some(line.strip_prefix(key)?.to_owned()));
            Some(Compiler { rustc, says, version: key("release: ")?, host: key("host: ")? })
        }

        /// The first two numbers of its version.
        fn minor(&self) -> Option<(u32, u32)> {
            let mut numbers = self.version.split('.').map(|number| number.parse().ok());
            Some((numbers.next()??, numbers.next()??))
        }

        /// Builds the plugins in a folder of its own; what it takes there is kept for next time.
        fn build(&self) -> PathBuf {
            let target = release().parent().unwrap().join("other-compilers").join(&self.version);
            let beside = self.rustc.with_file_name("cargo");
            let ours = || env::var_os("CARGO").map_or("cargo".into(), PathBuf::from);
            let cargo = if beside.is_file() { beside } else { ours() };
            let mut build = Command::new(cargo);
            // Unoptimized is quickest to build, and one more way to differ from the release.
            build.args(["build", "--locked", "-p", "iris_model", "-p", "misbehaving"]);
            build.arg("--target-dir").arg(&target).current_dir(root()).env("RUSTC", &self.rustc);
            build.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
            let Output { status, stderr, .. } = build.output().expect("cargo runs");
            let stderr = String::from_utf8_lossy(&stderr);
            assert!(status.success(), "{build:?} with {}:\n{stderr}", self.says);
            target.join("debug")
        }
    }

    fn stdout(command: &mut Command) -> Option<String> {
        let output = command.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    }

    /// Those of rustup, where there is one, and those of the system, each version once.
    fn found() -> Vec<Compiler> {
        let toolchains = stdout(Command::new("rustup").args(["toolchain", "list"]));
        let toolchains = toolchains.unwrap_or_default();
        let names = toolchains.lines().filter_map(|line| line.split_whitespace().next());
        let of_rustup = names.filter_map(|name| {
            let which = ["which", "--toolchain", name, "rustc"];
            Some(PathBuf::from(stdout(Command::new("rustup").args(which))?.trim_end()))
        });
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(["/usr/bin".into(), "/usr/local/bin".into()]);
        let all = of_rustup.chain(folders.map(|folder| folder.join("rustc")));
        // rustup's own come first, so that its stand-ins in the path are taken for known.
        let mut found: Vec<Compiler> = Vec::new();
        for compiler in all.filter_map(Compiler::at) {
            if found.iter().all(|known| known.version != compiler.version) {
                found.push(compiler);
            }
        }
        found
    }

    /// The oldest compiler that a plugin's author may have, by the manifest.
    fn oldest() -> (u32, u32) {
        let manifest = fs::read_to_string(root().join("model-abi/Cargo.toml")).unwrap();
        let (_, version) = manifest.split_once("rust-version = \"").unwrap();
        let (version, _) = version.split_once('"').unwrap();
        let (major, minor) = version.split_once('.').unwrap();
        (major.parse().unwrap(), minor.parse().unwrap())
    }

    #[test]
    fn a_plugin_of_another_compiler_answers_byte_for_byte_as_one_of_the_hosts() {
        let ours = Plugin::open(&plugin("iris_model")).unwrap().looked().stamp.clone();
        let others = found().into_iter().filter(|found| found.says != ours.compiler);
        let others = others.filter(|found| found.host == ours.target);
        let (others, too_old): (Vec<_>, Vec<_>) =
            others.partition(|found| found.minor().is_some_and(|minor| minor >= oldest()));
        for compiler in too_old {
            say(&format!("too old for plugins, so not tried: {}", compiler.says));
        }
        if others.is_empty() {
            say(&format!(
                "no other compiler than {} was found, so none was compared with it: `rustup \
                 toolchain install nightly` adds one (tests/archive holds plugins of others)",
                ours.compiler
            ));
        }
        thread::scope(|scope| {
            for compiler in &others {
                scope.spawn(|| check(compiler));
            }
        });
    }

    #[track_caller]
    fn check(compiler: &Compiler) {
        let folder = compiler.build();
        for (package, model) in [("iris_model", "iris_model"), ("misbehaving", "acts")] {
            let ours = plugin(package);
            let theirs = folder.join(ours.file_name().unwrap());
            let stamp = Plugin::open(&theirs).unwrap().looked().stamp.clone();
            assert_eq!(stamp.compiler, compiler.says, "{theirs:?}");
            let (records, _) = table(package);
            check_answers(&theirs, model, &records, &answers(&ours, model, &records));
        }
        say(&format!(
            "plugins built with {} answer as those of the host's compiler do",
            compiler.says
        ));
    }
}

mod growth {
    //! The ways in which the border may grow, seen from a side that does not know of it.

    use super::*;

    /// The table of the extension `lying/1`, as `plugins/lying` lays it out.
    #[repr(C)]
    struct Table {
        size: u64,
        twice: extern "C" fn(u64) -> u64,
    }

    #[test]
    fn a_plugin_that_says_the_least_one_may_loads_and_predicts() {
        let (records, expected) = table("bare");
        check_answers(&plugin("bare"), "bare", &records, &expected);
        let plugin = Plugin::open(&plugin("bare")).unwrap();
        assert_eq!((plugin.models()[0].version().as_str(), plugin.models().len()), ("0.0", 1));
    }

    #[test]
    fn an_extension_that_only_the_plugin_knows_changes_nothing() {
        let records = [r#"{"n": 1}"#.to_owned()]; // each is its own prediction
        check_answers(&plugin("lying"), "lying", &records, &records);
    }

    #[test]
    fn an_extension_that_both_sides_know_is_handed_out() {
        let plugin = Plugin::open(&plugin("lying")).unwrap();
        let table = plugin.extension("lying/1").unwrap().expect("it is offered");
        #[expect(unsafe_code, reason = "an extension's type is known to its two sides alone")]
        // SAFETY: `plugins/lying` gives a table of this type under this name, for ever.
        let table = unsafe { table.cast::<Table>().as_ref() };
        assert_eq!((table.size, (table.twice)(21)), (16, 42));
        assert_eq!(plugin.load(None, "{}", 1).unwrap().predict("{}").unwrap(), "{}");
    }

    #[test]
    fn a_host_goes_on_without_an_extension_that_is_not_offered() {
        for name in ["iris_model", "lying", "bare"] {
            let plugin = Plugin::open(&plugin(name)).unwrap();
            for extension in ["columns/1", "lying/9", "lying/", "", "\0", "ü"] {
                assert!(plugin.extension(extension).unwrap().is_none(), "{name}: {extension:?}");
            }
            plugin.load(None, "{}", 1).unwrap();
        }
    }

    #[test]
    fn a_table_too_short_for_its_own_size_is_not_handed_out() {
        let error = Plugin::open(&plugin("lying")).unwrap().extension("lying/2").unwrap_err();
        assert!(matches!(error, PluginError::ExtensionTooShort { size: 7, .. }), "{error}");
        let words = "the table of its extension `lying/2` says that it is 7 bytes long, too few";
        assert_eq!(error.to_string(), words);
    }
}
