//! Which model is meant: `NAME`, `NAME@MAJOR` or `NAME@MAJOR.MINOR`.

use std::fmt;
use std::str::FromStr;

/// A model's name, and as much of its version as matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The qualified name.
    pub name: String,
    /// The major version, if it must be this one.
    pub major: Option<u32>,
    /// The minor version, if it must be this one.
    pub minor: Option<u32>,
}

impl Selector {
    /// Whether a model of this name and version is meant.
    pub fn matches(&self, name: &str, (major, minor): (u32, u32)) -> bool {
        self.name == name
            && self.major.is_none_or(|wanted| wanted == major)
            && self.minor.is_none_or(|wanted| wanted == minor)
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        if name.is_empty() {
            return Err("expected a model's name".to_owned());
        }
        let Some(version) = version else {
            return Ok(Selector { name: name.to_owned(), major: None, minor: None });
        };
        let (major, minor) = match version.split_once('.') {
            Some((major, minor)) => (number(major), Some(number(minor))),
            None => (number(version), None),
        };
        match (major, minor) {
            (Some(major), None) => {
                Ok(Selector { name: name.to_owned(), major: Some(major), minor: None })
            }
            (Some(major), Some(Some(minor))) => {
                Ok(Selector { name: name.to_owned(), major: Some(major), minor: Some(minor) })
            }
            _ => Err(format!("expected a version such as `{name}@0` or `{name}@0.1`")),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone would take a plus sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (self.major, self.minor) {
            (Some(major), Some(minor)) => write!(f, "@{major}.{minor}"),
            (Some(major), None) => write!(f, "@{major}"),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, fits: &[(u32, u32)], others: &[(u32, u32)]) {
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.to_string(), text);
        assert!(fits.iter().all(|&version| selector.matches("a.b-c", version)), "{text}");
        assert!(!others.iter().any(|&version| selector.matches("a.b-c", version)), "{text}");
        assert!(!fits.iter().any(|&version| selector.matches("a", version)), "{text}");
    }

    #[test]
    fn a_version_is_given_as_far_as_it_matters() {
        check("a.b-c", &[(0, 1), (1, 0)], &[]);
        check("a.b-c@0", &[(0, 0), (0, 12)], &[(1, 0)]);
        check("a.b-c@0.1", &[(0, 1)], &[(0, 2), (0, 12), (1, 1)]);
    }

    #[test]
    fn what_is_no_name_and_version_is_refused() {
        for text in ["", "@1", "a@", "a@x", "a@1.", "a@.1", "a@1.2.3", "a@+1", "a@-1", "a@1@2"] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }
}
