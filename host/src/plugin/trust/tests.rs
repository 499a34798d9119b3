//! Who is admitted and who is not, and that what is admitted is what was read. That refused plugins are
//! never loaded, and what is said of files of a model, is seen from outside (`tests/it/trust.rs`).
//!
//! The plugin is one of `tests/archive`, which are of one machine: elsewhere nothing is shown here.

use super::*;
use crate::causes::chain;
use crate::plugin::Plugin;
use minisign::KeyPair;
use std::fs;
use tempfile::TempDir;

const IRIS: &str = "../tests/archive/iris_model_abi1.0.0_rustc1.95.0.so";
const OTHER: &str = "../tests/archive/bare_abi1.0.0_rustc1.85.0.so";

/// A folder with a plugin `p.so`, and two keys of which the first, `ada`, may be trusted.
struct Place {
    folder: TempDir,
    ada: KeyPair,
    bob: KeyPair,
}

impl Place {
    fn new() -> Self {
        let [ada, bob] = [(); 2].map(|()| KeyPair::generate_unencrypted_keypair().unwrap());
        let place = Place { folder: tempfile::tempdir().unwrap(), ada, bob };
        fs::copy(IRIS, place.at("p.so")).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The signature of what lies at `path`, made with one of the keys.
    fn sign(&self, key: &KeyPair, path: &Path) -> String {
        let file = File::open(path).unwrap();
        minisign::sign(None, &key.sk, file, Some("file:p.so"), None).unwrap().to_string()
    }

    fn trust(&self, text: &str) -> Trust {
        fs::write(self.at("t.toml"), text).unwrap();
        Trust::read(&self.at("t.toml")).unwrap()
    }

    /// The one that trusts Ada.
    fn trusts_ada(&self) -> Trust {
        self.trust(&format!("[keys]\nada = \"{}\"\n", self.ada.pk.to_base64()))
    }

    #[track_caller]
    fn check(&self, trust: &Trust, expected: Result<&str, (&str, &str)>) {
        match (trust.admit(&self.at("p.so")), expected) {
            (Ok(admitted), Ok(by)) => assert!(admitted.by.to_string().starts_with(by)),
            (Err(error), Err((message, hint))) => {
                assert!(chain(&error).contains(message), "{error}");
                assert!(error.hint().unwrap_or_default().contains(hint), "{:?}", error.hint());
            }
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn who_has_signed_the_very_bytes_is_told_and_all_else_is_refused() {
    let place = Place::new();
    let trust = place.trusts_ada();
    let plugin = place.at("p.so");
    let by_ada = place.sign(&place.ada, &plugin);
    let by_bob = place.sign(&place.bob, &plugin);
    let of_other = place.sign(&place.ada, OTHER.as_ref());
    let no_signature = "`p.so.minisig` is no signature of these bytes by `ada`";
    for (signature, expected) in [
        (&*by_ada, Ok("key `ada` (")),
        (&by_ada.replace('\n', "\r\n"), Ok("key `ada` (")),
        (&by_bob, Err(("which is not in `", "second line of its .pub file"))),
        (&of_other, Err((no_signature, "minisign -Vm"))),
        (&by_ada.replace("file:p.so", "file:q.so"), Err((no_signature, " -P RW"))),
        ("", Err(("`p.so.minisig` is no signature of minisign", "minisign -S -s YOUR.key -m"))),
        (&by_ada[..by_ada.len() / 2], Err(("is no signature of minisign", ""))),
        ("\u{0}\n\n\n\n", Err(("is no signature of minisign", ""))),
        (&"x".repeat(1 << 20), Err(("is no signature of minisign", ""))),
    ] {
        fs::write(place.at("p.so.minisig"), signature).unwrap();
        place.check(&trust, expected);
    }
    fs::remove_file(place.at("p.so.minisig")).unwrap();
    let unsigned = "it is not trusted: it has no signature `p.so.minisig`, and `";
    place.check(&trust, Err((unsigned, "minisign -S -s YOUR.key -m")));
    fs::create_dir(place.at("p.so.minisig")).unwrap();
    place.check(&trust, Err(("can't be read: expected a regular file, found a folder", "")));
}

#[test]
fn one_bit_anywhere_makes_it_another_file() {
    let place = Place::new();
    let trust = place.trusts_ada();
    let whole = fs::read(IRIS).unwrap();
    fs::write(place.at("p.so.minisig"), place.sign(&place.ada, IRIS.as_ref())).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut other = whole.clone();
        other[at] ^= 1;
        fs::write(place.at("p.so"), other).unwrap();
        place.check(&trust, Err(("is no signature of these bytes", "")));
    }
    fs::write(place.at("p.so"), [&whole[..], b"\0"].concat()).unwrap();
    place.check(&trust, Err(("is no signature of these bytes", "")));
    fs::write(place.at("p.so"), whole).unwrap();
    place.check(&trust, Ok("key `ada`"));
}

#[test]
fn a_digest_that_is_listed_needs_no_signature() {
    let place = Place::new();
    let sha256 = sha256(&place.at("p.so")).unwrap();
    let trust = place.trust(&format!("[sha256]\n{} = \"seen by Ada\"\n", sha256.to_uppercase()));
    place.check(&trust, Ok("SHA-256 (seen by Ada)"));
    fs::write(place.at("p.so.minisig"), "garbled").unwrap();
    place.check(&trust, Ok("SHA-256 (seen by Ada)"));
    fs::copy(OTHER, place.at("p.so")).unwrap();
    place.check(&trust, Err(("is no signature of minisign", "")));
    fs::write(place.at("p.so.minisig"), place.sign(&place.ada, OTHER.as_ref())).unwrap();
    place.check(&trust, Err((": that lists no key", "")));
    fs::remove_file(place.at("p.so.minisig")).unwrap();
    let line = format!("{} = \"what it is\"", super::sha256(OTHER.as_ref()).unwrap());
    place.check(&trust, Err(("does not list its SHA-256", &line)));
}

/// Whoever makes a key chooses its number.
#[test]
fn a_key_with_the_number_of_a_trusted_one_is_another() {
    let place = Place::new();
    let trust = place.trusts_ada();
    let signature = place.sign(&place.bob, &place.at("p.so"));
    let [ada, bob] = [&place.ada, &place.bob].map(|key| key.pk.to_base64());
    // The number stands in bytes 2 to 10, of which digits 4 to 12 of base64 are all but the ends.
    let with_number = |text: &str, of: &str| format!("{}{}{}", &text[..2], &of[2..14], &text[14..]);
    let lines: Vec<&str> = signature.lines().collect();
    let claimed = [lines[0], &with_number(lines[1], &ada), lines[2], lines[3]].join("\n");
    assert_ne!(claimed, signature.trim_end());
    fs::write(place.at("p.so.minisig"), claimed).unwrap();
    let refused = trust.admit(&place.at("p.so")).unwrap_err();
    let told = chain(&refused);
    assert!(told.contains("by another key") || told.contains("which is not in"), "{told}");
    // With both trusted, each is tried.
    fs::write(place.at("p.so.minisig"), signature).unwrap();
    let both = place.trust(&format!("[keys]\nada = \"{ada}\"\nbob = \"{bob}\"\n"));
    place.check(&both, Ok("key `bob`"));
}

#[test]
fn what_anybody_may_write_to_is_refused_whoever_signed_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let trust = place.trusts_ada();
    fs::write(place.at("p.so.minisig"), place.sign(&place.ada, IRIS.as_ref())).unwrap();
    for (what, mode) in [(place.at("p.so"), 0o646), (place.folder.path().to_owned(), 0o777)] {
        let before = fs::metadata(&what).unwrap().permissions();
        fs::set_permissions(&what, fs::Permissions::from_mode(mode)).unwrap();
        let expected = format!("it is not trusted: anybody may write to `{}`", what.display());
        place.check(&trust, Err((&expected, "chmod o-w")));
        fs::set_permissions(&what, before).unwrap();
    }
    place.check(&trust, Ok("key `ada`"));
}

#[test]
fn a_signature_lies_beside_the_link_or_beside_the_file() {
    let place = Place::new();
    let trust = place.trusts_ada();
    fs::create_dir(place.at("store")).unwrap();
    fs::remove_file(place.at("p.so")).unwrap();
    fs::copy(IRIS, place.at("store/p.so.1")).unwrap();
    std::os::unix::fs::symlink("store/p.so.1", place.at("p.so")).unwrap();
    place.check(&trust, Err(("no signature `p.so.minisig`", "")));
    for at in ["store/p.so.1.minisig", "p.so.minisig"] {
        fs::write(place.at(at), place.sign(&place.ada, IRIS.as_ref())).unwrap();
        place.check(&trust, Ok("key `ada`"));
        fs::remove_file(place.at(at)).unwrap();
    }
}

/// As somebody would who waits for just this moment.
#[test]
fn what_is_swapped_once_it_was_admitted_changes_nothing() {
    let place = Place::new();
    let trust = place.trusts_ada();
    fs::write(place.at("p.so.minisig"), place.sign(&place.ada, IRIS.as_ref())).unwrap();
    let admitted = trust.admit(&place.at("p.so")).unwrap();
    let [iris, other] = [IRIS, OTHER].map(|path| sha256(path.as_ref()).unwrap());

    // Written over in place, and another file of the name.
    fs::copy(OTHER, place.at("p.so")).unwrap();
    let other_file = tempfile::NamedTempFile::new_in(place.folder.path()).unwrap();
    fs::copy(OTHER, other_file.path()).unwrap();
    other_file.persist(place.at("p.so")).unwrap();
    assert_eq!(sha256(&place.at("p.so")).unwrap(), other);

    assert_eq!(admitted.image.sha256().unwrap(), iris);
    let plugin = Plugin::open_image(&admitted.image).unwrap();
    assert_eq!(plugin.models()[0].qualified_name, "iris_model");
    let model = plugin.load(None, "{}", 1).unwrap();
    let flower = r#"{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}"#;
    assert!(model.predict(flower).unwrap().contains("setosa"));

    // The next one to be held is not taken for this one, and this one stays what it is.
    let line = format!("[sha256]\n{other} = \"\"\n");
    let second = place.trust(&line).admit(&place.at("p.so")).unwrap();
    drop(admitted);
    let second = Plugin::open_image(&second.image).unwrap();
    assert_ne!(second.models()[0].qualified_name, "iris_model");
    assert!(model.predict(flower).unwrap().contains("setosa"));
}

#[test]
fn what_is_not_there_or_no_plugin_is_told_as_without_trust() {
    let place = Place::new();
    let trust = place.trusts_ada();
    fs::remove_file(place.at("p.so")).unwrap();
    place.check(&trust, Err(("there is no such file", "")));
    fs::write(place.at("p.so"), "text").unwrap();
    place.check(&trust, Err(("it is not trusted: it has no signature", "")));
    fs::write(place.at("p.so.minisig"), place.sign(&place.ada, &place.at("p.so"))).unwrap();
    place.check(&trust, Err(("found a file that begins with the text `text`", "")));
}
