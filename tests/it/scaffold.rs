//! `etl-host new`: the crate that it writes builds, passes its tests and predicts as it stands, and
//! nothing that is there already is touched.

use crate::authoring::{empty_folder, follow, shell};
use etl_host_tests::{Folder, root};
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;

#[test]
fn a_new_crate_does_what_its_readme_and_the_printed_commands_say() {
    // The name has a dash, which the library's name has not; and the folder lies in that of a
    // workspace, ours.
    let work = empty_folder("scaffold");
    let said = shell("etl-host new flat-rents", &mut work.clone()).unwrap();
    let (made, next) = said.split_once("\nnext:\n").unwrap();
    let folder = work.join("flat-rents");
    for file in made.lines().skip(1) {
        assert!(folder.join(file.trim()).is_file(), "{file} is not there");
    }
    follow(&fs::read_to_string(folder.join("README.md")).unwrap(), &folder);

    // The same commands as a guide of their own. Cargo has nothing left to do; a warning would be
    // said again.
    let guide = format!("```sh\n{next}```\n```text\n…{{\"euros\":830.0}}\n…\n```\n");
    follow(&guide, &work);
    let built = shell("cargo test && cargo build --release", &mut folder.clone()).unwrap();
    assert!(built.contains("3 passed") && !built.contains("warning"), "{built}");
    let format = "cargo fmt -- --check --config use_small_heuristics=Default"; // ours is another
    shell(format, &mut folder.clone()).unwrap();

    let library = format!("{DLL_PREFIX}flat_rents{DLL_SUFFIX}");
    let inspect = format!("etl-host inspect target/release/{library}");
    let inspected = shell(&inspect, &mut folder.clone()).unwrap();
    for words in ["crate       flat-rents 0.1.0", "this host can use it", "model `flat-rents` 0.1"]
    {
        assert!(inspected.contains(words), "{words}\n{inspected}");
    }
}

/// What the run says, and the folder's content afterwards.
#[track_caller]
fn check_refused(folder: &Folder, args: &[&str], code: i32, words: &[&str]) {
    let before = folder.names();
    let ran = folder.host(["new"].iter().chain(args)).run().exits(code).writes("");
    words.iter().fold(ran, |ran, words| ran.says(words));
    assert_eq!(folder.names(), before, "{args:?}");
}

#[test]
fn a_name_that_no_crate_can_have_is_refused_with_one_that_works() {
    let folder = Folder::new();
    for (name, words, hint) in [
        ("Rent", "its letters must be lower-case", "`rent`"),
        ("my model", "it holds ' '", "`my_model`"),
        ("2fast", "it must begin with a letter", "`model_2fast`"),
        ("match", "it is a word of the language Rust", "`match_model`"),
        ("test", "a crate that it is built with has that name", "`test_model`"),
        ("serde", "a crate that it is built with has that name", "`serde_model`"),
        ("m", "its library would have the name of one of the system's", "`m_model`"),
        ("models/rent", "it is a path; --path says where", "`rent`"),
        ("../rent", "it is a path; --path says where", "`rent`"),
        ("", "it is empty", "a name is made of lower-case letters"),
    ] {
        let message = format!("error: `{name}` can't be the name of a crate: {words}");
        check_refused(&folder, &[name], 2, &[&message, &format!("hint: {hint}")]);
    }
}

#[test]
fn what_is_there_already_is_left_as_it_is() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("full")).unwrap();
    folder.write("full/README.md", "mine");
    folder.write("file", "mine");
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    for name in ["full", "file", "link"] {
        let message = format!("error: `./{name}` is there already");
        check_refused(&folder, &[name], 2, &[&message, "hint: choose another name"]);
    }
    assert_eq!(folder.text("full/README.md"), "mine");
    assert_eq!(folder.text("file"), "mine");
    let missing = ["can't make the folder no/rent", "hint: the folder must be there"];
    check_refused(&folder, &["rent", "--path", "no"], 3, &missing);
    let abi = ["error: `full` is not the crate model-abi", "hint: say where it is: --model-abi"];
    check_refused(&folder, &["rent", "--model-abi", "full"], 2, &abi);

    fs::create_dir(folder.path().join("empty")).unwrap();
    folder.host(["new", "empty"]).run().exits(0).says("");
    assert!(folder.text("empty/Cargo.toml").contains("name = \"empty\""));
}

#[test]
fn the_folder_and_the_crate_to_build_with_can_be_named() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("my models")).unwrap();
    let link = folder.path().join("abi");
    std::os::unix::fs::symlink(root().join("model-abi"), &link).unwrap();
    let args = ["new", "rent", "--path", "my models", "--model-abi", "abi"];
    let ran = folder.host(args).run().exits(0);
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(said.contains("\n  cd 'my models/rent'\n"), "{said}");
    let manifest = folder.text("my models/rent/Cargo.toml");
    let found = root().join("model-abi").canonicalize().unwrap();
    assert!(manifest.contains(&format!("model-abi = {{ path = {found:?} }}\n")), "{manifest}");
    let oldest = |manifest: &str| {
        let line = manifest.lines().find(|line| line.starts_with("rust-version = "));
        line.and_then(|line| line.split('"').nth(1)).map(str::to_owned)
    };
    let theirs = oldest(&fs::read_to_string(found.join("Cargo.toml")).unwrap());
    assert_eq!(oldest(&manifest), theirs, "both build with the same compilers");
}
