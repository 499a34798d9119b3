//! Which names a plugin's crate can have. Cargo, rustc and the linker each refuse some, in words
//! that don't say what to do, or only once the crate is there; so all are known here.

use crate::error::Error;

/// As long as registries allow.
const LETTERS_MAX: usize = 64;

/// The words of Rust, those reserved for later too.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Crates that come with Rust, and those that the plugin depends on.
const CRATES: [&str; 10] = [
    "alloc",
    "core",
    "proc_macro",
    "std",
    "test",
    "model_abi",
    "model_abi_layout",
    "schemars",
    "serde",
    "abi_stable",
];

/// A library `libc.so` in cargo's folder would be linked in place of the system's.
const LIBRARIES: [&str; 9] = ["c", "dl", "gcc_s", "iconv", "m", "pthread", "rt", "system", "util"];

/// Refuses a name that a plugin's crate can't have, and says one that it can.
pub(super) fn check(name: &str) -> Result<(), Error> {
    let Some(fault) = fault(name) else { return Ok(()) };
    let hint = match suggested(name) {
        Some(name) => format!("`{name}` is a name that works"),
        None => "a name is made of lower-case letters, digits, `_` and `-`".to_owned(),
    };
    Err(Error::Usage {
        message: format!("`{name}` can't be the name of a crate: {fault}"),
        hint: Some(hint),
    })
}

fn fault(name: &str) -> Option<String> {
    let stray = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'));
    let library = name.replace('-', "_");
    let one_of = |names: &[&str]| names.contains(&library.as_str());
    if name.is_empty() {
        Some("it is empty".to_owned())
    } else if name.contains(['/', '\\']) {
        Some("it is a path; --path says where its folder is made".to_owned())
    } else if let Some(stray) = stray {
        Some(match stray {
            'A'..='Z' => "its letters must be lower-case".to_owned(),
            stray => format!("it holds {stray:?}, and may hold a to z, 0 to 9, `_` and `-`"),
        })
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("it must begin with a letter".to_owned())
    } else if name.len() > LETTERS_MAX {
        Some(format!("it is {} letters long, the most is {LETTERS_MAX}", name.len()))
    } else if one_of(&KEYWORDS) {
        Some("it is a word of the language Rust".to_owned())
    } else if one_of(&CRATES) {
        Some("a crate that it is built with has that name".to_owned())
    } else if one_of(&LIBRARIES) {
        Some("its library would have the name of one of the system's".to_owned())
    } else {
        None
    }
}

/// A name like this one that has no fault.
fn suggested(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).find(|part| !part.is_empty())?;
    let letter = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String = last.to_lowercase().chars().map(letter).collect();
    let name = name.trim_matches(['_', '-']);
    let name = &name[..name.len().min(LETTERS_MAX)];
    if name.is_empty() {
        return None;
    }
    let candidates = [name.to_owned(), format!("{name}_model"), format!("model_{name}")];
    candidates.into_iter().find(|name| fault(name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_crates_are_accepted() {
        for name in
            ["rent", "rent-2", "rent_of_flats", "r", "test-model", "matches", &"a".repeat(64)]
        {
            assert!(check(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn other_names_are_refused_with_one_that_works() {
        for (name, words, works) in [
            ("Rent", "lower-case", "rent"),
            ("my model", "it holds ' '", "my_model"),
            ("rent.v2", "it holds '.'", "rent_v2"),
            ("größe", "it holds 'ö'", "gr__e"),
            ("a/rent", "it is a path; --path", "rent"),
            ("rent/", "it is a path; --path", "rent"),
            ("2fast", "begin with a letter", "model_2fast"),
            ("_rent", "begin with a letter", "rent"),
            ("-rent", "begin with a letter", "rent"),
            ("match", "a word of the language", "match_model"),
            ("gen", "a word of the language", "gen_model"),
            ("test", "built with", "test_model"),
            ("model-abi", "built with", "model-abi_model"),
            ("serde", "built with", "serde_model"),
            ("c", "the system's", "c_model"),
            ("gcc-s", "the system's", "gcc-s_model"),
            (&"a".repeat(65), "65 letters", &"a".repeat(64)),
        ] {
            let report = check(name).unwrap_err().report();
            assert!(report.contains(words), "{report}");
            assert!(
                report.ends_with(&format!("hint: `{works}` is a name that works\n")),
                "{report}"
            );
        }
    }

    #[test]
    fn a_name_without_any_letter_is_refused_with_what_names_are_made_of() {
        for name in ["", "/", "..", "_", "-", "…"] {
            let report = check(name).unwrap_err().report();
            assert!(report.contains("hint: a name is made of"), "{name}: {report}");
        }
    }
}
